// The conversation with the server: a long poll that brings desired state as soon as it changes, and beside it a report as soon as
// something changed here. It survives an absent server, a restarted one, and one that was restored from an old copy.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <memory>
#include <string>

#include "agent/config.h"
#include "agent/identity.h"
#include "base/clock.h"
#include "base/random.h"
#include "protocol/sync.h"

namespace latchkey {

struct SyncerOptions {
  AgentConfig config;
  std::optional<Identity> identity;  // unset: joins first, in the background, again and again
  std::string hostname;
  Clock* clock = &Clock::Real();
  Random* random = &Random::System();
  absl::Duration retry_base = absl::Milliseconds(500), retry_most = absl::Seconds(10);
  // Fills nodes, verdicts and warnings. Called on the syncer's threads, never two at once.
  std::function<void(SyncRequest&)> observe;
  // An answer to `sent`; never two at once, and never one that a newer answer has overtaken.
  std::function<void(const SyncRequest& sent, const SyncResponse& answer)> apply;
};

class Syncer {
 public:
  static std::unique_ptr<Syncer> Start(SyncerOptions options);
  virtual ~Syncer() = default;
  // Report soon. Thread-safe, returns at once.
  virtual void Notify() = 0;
  // When the server last answered, on the boot clock; unset before the first answer.
  virtual std::optional<absl::Duration> last_answer() const = 0;
  virtual uint64_t failures() const = 0;
  virtual void Stop() = 0;
};

}  // namespace latchkey
