// A cached value that is fetched by one caller at a time; the others wait for that fetch and share its result.
#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "kms/kms.h"

namespace latchkey {

// Thread-safe. T is cheap to copy (a shared pointer).
template <typename T>
class SingleFlight {
 public:
  // The cached value while `valid` holds for it and `fresh` is false; else the result of a fetch. With `fresh`, only a fetch that began
  // after this call did counts. `timeout_status` when another caller's fetch does not end by `until`. Failures are given to all who waited,
  // and not kept; a refusal drops the cached value.
  absl::StatusOr<T> Get(bool fresh, const std::function<bool(const T&)>& valid, const std::function<absl::StatusOr<T>()>& fetch,
                        std::chrono::steady_clock::time_point until, const absl::Status& timeout_status) {
    std::unique_lock lock(mutex_);
    // Fetches are numbered from 1. This caller takes the results of this number and later ones.
    const uint64_t wanted = begun_ + (busy_ && !fresh ? 0 : 1);
    for (;;) {
      if (!fresh && value_ && valid(*value_)) return *value_;
      if (ended_ >= wanted && last_) return *last_;
      if (!busy_) break;
      if (changed_.wait_until(lock, until) == std::cv_status::timeout && busy_) return timeout_status;
    }
    busy_ = true;
    const uint64_t number = ++begun_;
    lock.unlock();
    absl::StatusOr<T> result = fetch();
    lock.lock();
    busy_ = false;
    ended_ = number;
    last_ = result;
    if (result.ok()) {
      value_ = *result;
    } else if (const std::optional<FailureClass> c = FailureClassOf(result.status()); c && IsRefusal(*c)) {
      // The owner's no ends what was granted before. An outage does not: what is kept stays good until its own end.
      value_.reset();
    }
    changed_.notify_all();
    return result;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool busy_ = false;
  uint64_t begun_ = 0, ended_ = 0;
  std::optional<T> value_;
  std::optional<absl::StatusOr<T>> last_;
};

}  // namespace latchkey
