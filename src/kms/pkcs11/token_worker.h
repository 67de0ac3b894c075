// The thread on which everything that concerns one token happens. A call into a module cannot be interrupted: who waits for it gives up at
// the end of their budget, and the thread stays behind until the module comes back.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "kms/call.h"
#include "kms/pkcs11/token_session.h"

namespace latchkey {

// Thread-safe. Logs out and ends its thread on destruction; a thread that hangs is left behind.
class TokenWorker {
 public:
  static constexpr size_t kMostWaiting = 64;

  // The worker of the token with `label` in `module` (a path), one for the process while anybody holds it.
  static std::shared_ptr<TokenWorker> Of(const std::string& module, const std::string& label);

  TokenWorker(const std::string& module, std::string label);
  ~TokenWorker();
  TokenWorker(const TokenWorker&) = delete;
  TokenWorker& operator=(const TokenWorker&) = delete;

  // What `work` gives, on the thread, in turn. `work` owns what it uses: it may run on after the caller has gone. kUnreachable when the
  // budget ends first, and at once while a call that was given up has not come back; kThrottled when kMostWaiting wait already.
  template <typename T>
  absl::StatusOr<T> Run(std::function<absl::StatusOr<T>(TokenSession&)> work, const CallBudget& budget) {
    const auto result = std::make_shared<std::optional<absl::StatusOr<T>>>();
    absl::Status status = RunJob([result, work = std::move(work)](TokenSession& token) { *result = work(token); }, budget);
    if (!status.ok()) return status;
    return *std::move(*result);
  }

 private:
  struct Job;
  struct State;
  static void Loop(const std::shared_ptr<State>& state);
  absl::Status RunJob(std::function<void(TokenSession&)> work, const CallBudget& budget);

  const std::shared_ptr<State> state_;
};

}  // namespace latchkey
