// The threads that run HTTP handlers: a fixed number of them behind a bounded queue.
#pragma once

#include <signal.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "http/limits.h"
#include "http/message.h"
#include "http/server.h"

namespace latchkey {

class HandlerPool {
 public:
  struct Job {
    HttpRequest request;
    HttpResponder respond;
    BodyBudget::Charge charge;  // of the request's body; given back when its handler has returned
  };
  HandlerPool(HttpHandler handler, int threads, size_t max_queued);
  ~HandlerPool() { Stop(); }

  // False, with `job` untouched, when the queue is full or the pool has stopped. Thread-safe.
  bool TryPush(Job&& job);
  // Waits for the handlers that run; jobs still queued are dropped (their responders answer 500). Idempotent; not from a handler.
  void Stop();

 private:
  void Work();

  const HttpHandler handler_;
  const size_t max_queued_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> queue_;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

// Blocks all signals in the calling thread while it lives, so that threads made meanwhile never run the program's signal handlers.
class BlockedSignals {
 public:
  BlockedSignals();
  ~BlockedSignals();
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_;
};

}  // namespace latchkey
