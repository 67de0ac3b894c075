#include "http/handler_pool.h"

#include <algorithm>
#include <exception>

#include "base/log.h"

namespace latchkey {

BlockedSignals::BlockedSignals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before_);
}
BlockedSignals::~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

HandlerPool::HandlerPool(HttpHandler handler, int threads, size_t max_queued) : handler_(std::move(handler)), max_queued_(max_queued) {
  const BlockedSignals blocked;
  for (int i = 0; i < std::max(threads, 1); ++i) threads_.emplace_back([this] { Work(); });
}

bool HandlerPool::TryPush(Job&& job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_ || queue_.size() >= max_queued_) return false;
    queue_.push_back(std::move(job));
  }
  changed_.notify_one();
  return true;
}

void HandlerPool::Stop() {
  std::vector<std::thread> threads;
  std::deque<Job> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    threads.swap(threads_);
    dropped.swap(queue_);
  }
  changed_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

void HandlerPool::Work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopped_ || !queue_.empty(); });
    if (stopped_) return;
    Job job = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    // Handlers do not throw by contract; a bug in one of them costs that request (its responder answers 500), not the process.
    try {
      handler_(std::move(job.request), std::move(job.respond));
    } catch (const std::exception& e) {
      Log(LogLevel::kError, "a request handler threw", {{"what", e.what()}});
    }
  }
}

}  // namespace latchkey
