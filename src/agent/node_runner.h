// Brings one node to its desired state and keeps it there: one thread that looks, lets Reconcile() decide, acts, and waits for an event. It
// never waits for a KMS: keys come through the key desk, so that a revocation is carried out at once whatever the KMS does.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>

#include "agent/config.h"
#include "agent/key_desk.h"
#include "agent/node_record.h"
#include "agent/node_volume.h"
#include "base/clock.h"
#include "base/random.h"
#include "engine/engine.h"

namespace latchkey {

struct NodeRunnerOptions {
  const AgentConfig* config = nullptr;
  std::string record_path;
  std::shared_ptr<NodeVolume> volume;  // shared with renewals that are under way at the desk
  // Called once, when the engine's name is known.
  std::function<absl::StatusOr<std::unique_ptr<Engine>>(const DesiredNode& desired, int port)> make_engine;
  // Makes the folders outside the volume ready for the engine: they may have gone with a reboot.
  std::function<absl::Status(const DesiredNode& desired)> prepare_engine;
  KeyDesk* desk = nullptr;
  Clock* clock = &Clock::Real();
  Random* random = &Random::System();
  // Something changed that the server should hear of now. Called on the node's thread.
  std::function<void()> changed;
};

class NodeRunner {
 public:
  // Begins with what the record holds, and goes on with that until the server speaks.
  static std::unique_ptr<NodeRunner> Start(NodeRunnerOptions options, NodeRecord record);
  virtual ~NodeRunner() = default;
  // Thread-safe, all of them.
  virtual void SetDesired(DesiredNode desired) = 0;
  // The server's list came without this node.
  virtual void SetStray() = 0;
  virtual ObservedNode Observed() const = 0;
  virtual NodeRecord Record() const = 0;
  // Ends the thread after the action under way. Nothing is stopped or sealed.
  virtual void Stop() = 0;
};

}  // namespace latchkey
