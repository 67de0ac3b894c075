#include "kms/pkcs11/token_worker.h"

#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "base/status.h"

namespace latchkey {
namespace {

// How long a logout may take before its thread is left behind.
constexpr std::chrono::seconds kLogoutTime{2};

}  // namespace

struct TokenWorker::Job {
  std::function<void(TokenSession&)> work;
  bool done = false;
  bool given_up = false;
};

struct TokenWorker::State {
  State(const std::string& module, std::string label) : session(module, std::move(label)) {}

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::shared_ptr<Job>> waiting;
  std::shared_ptr<Job> running;
  bool stopping = false;
  bool left_behind = false;  // the worker has gone without waiting for the thread
  bool ended = false;
  TokenSession session;  // the thread's own
};

std::shared_ptr<TokenWorker> TokenWorker::Of(const std::string& module, const std::string& label) {
  struct Registry {
    std::mutex mutex;
    std::map<std::pair<std::string, std::string>, std::weak_ptr<TokenWorker>> workers;
  };
  static Registry* const kRegistry = new Registry;
  const std::lock_guard lock(kRegistry->mutex);
  std::erase_if(kRegistry->workers, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<TokenWorker>& known = kRegistry->workers[{module, label}];
  std::shared_ptr<TokenWorker> worker = known.lock();
  if (worker == nullptr) {
    worker = std::make_shared<TokenWorker>(module, label);
    known = worker;
  }
  return worker;
}

TokenWorker::TokenWorker(const std::string& module, std::string label) : state_(std::make_shared<State>(module, std::move(label))) {
  // Signals are for the threads that expect them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  // Not joined but waited for through `ended`, since a thread that hangs cannot be joined.
  std::thread([state = state_] { Loop(state); }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TokenWorker::~TokenWorker() {
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->changed.notify_all();
  // Nobody waits for an answer any more, so what runs now was given up: it hangs.
  const bool hangs = state_->running != nullptr;
  if (hangs || !state_->changed.wait_for(lock, kLogoutTime, [&] { return state_->ended; })) state_->left_behind = true;
}

void TokenWorker::Loop(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  for (;;) {
    state->changed.wait(lock, [&] { return state->stopping || !state->waiting.empty(); });
    if (state->stopping) break;
    const std::shared_ptr<Job> job = std::move(state->waiting.front());
    state->waiting.pop_front();
    state->running = job;
    lock.unlock();
    job->work(state->session);
    job->work = nullptr;
    lock.lock();
    state->running = nullptr;
    job->done = true;
    state->changed.notify_all();
  }
  state->waiting.clear();
  // Logins belong to the process: by now another worker may have logged in.
  const bool log_out = !state->left_behind;
  lock.unlock();
  if (log_out) state->session.End();
  lock.lock();
  state->ended = true;
  state->changed.notify_all();
}

absl::Status TokenWorker::RunJob(std::function<void(TokenSession&)> work, const CallBudget& budget) {
  const auto job = std::make_shared<Job>();
  job->work = std::move(work);
  std::unique_lock lock(state_->mutex);
  if (state_->running != nullptr && state_->running->given_up) {
    return KmsError(FailureClass::kUnreachable, "the token's module has not come back from an earlier call");
  }
  if (state_->waiting.size() >= kMostWaiting) return KmsError(FailureClass::kThrottled, "too many calls wait for the token");
  state_->waiting.push_back(job);
  state_->changed.notify_all();
  if (state_->changed.wait_until(lock, budget.end(), [&] { return job->done; })) return absl::OkStatus();
  job->given_up = true;
  std::erase(state_->waiting, job);
  return KmsError(FailureClass::kUnreachable, "the token's module has not answered in time");
}

}  // namespace latchkey
