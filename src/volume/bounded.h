// Waiting for what may never end.
#pragma once

#include <absl/time/time.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace latchkey {

// Work on a thread of its own that may never end; then the thread is left to itself.
class Bounded {
 public:
  explicit Bounded(std::function<void()> work) {
    std::thread([state = state_, work = std::move(work)] {
      work();
      std::lock_guard lock(state->mutex);
      state->done = true;
      state->condition.notify_all();
    }).detach();
  }
  // True when it has ended by then.
  bool Wait(absl::Duration timeout) const {
    std::unique_lock lock(state_->mutex);
    return state_->condition.wait_for(lock, absl::ToChronoNanoseconds(std::max(timeout, absl::ZeroDuration())),
                                      [this] { return state_->done; });
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable condition;
    bool done = false;
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace latchkey
