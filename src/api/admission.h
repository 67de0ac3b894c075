// Who may go on now: a bound on calls that can take long, and a rate for each API key.
#pragma once

#include <absl/time/time.h>

#include <atomic>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/clock.h"

namespace latchkey {

// Counts calls under way and refuses more than `most`. A key test holds its thread for up to 20 s, so such calls get a share of the pool
// only and reading goes on. Thread-safe.
class SlowGate {
 public:
  explicit SlowGate(int most) : most_(most) {}

  // Holds one place until it goes; false when there was none.
  class Place {
   public:
    explicit Place(SlowGate* gate) : gate_(gate) {}
    ~Place() {
      if (gate_ != nullptr) gate_->under_way_.fetch_sub(1);
    }
    Place(Place&& o) noexcept : gate_(o.gate_) { o.gate_ = nullptr; }
    Place& operator=(Place&&) = delete;
    explicit operator bool() const { return gate_ != nullptr; }

   private:
    SlowGate* gate_;
  };
  Place Enter();
  int under_way() const { return under_way_.load(); }

 private:
  const int most_;
  std::atomic<int> under_way_{0};
};

// A token bucket a caller: `per_second` requests a second with bursts of as many (at least one). Callers that were silent for a minute are
// forgotten. Thread-safe.
class RateLimiter {
 public:
  // `per_second` 0: no limit.
  RateLimiter(double per_second, const Clock* clock);
  bool Admit(const std::string& caller);

 private:
  struct Bucket {
    double tokens;
    absl::Duration filled_at;
  };
  void ForgetSilent(absl::Duration now);  // requires mutex_

  const double per_second_, burst_;
  const Clock* const clock_;
  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;
  absl::Duration swept_at_;
};

}  // namespace latchkey
