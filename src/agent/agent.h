// One agent a host: joins the server, runs a NodeRunner for each node, and keeps the conversation going.
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "agent/config.h"

namespace latchkey {

class Agent {
 public:
  // Takes the state folder's lock, picks up every node that it remembers (databases and volumes that run are found, not touched), and
  // begins to sync. Does not wait for the server. Errors: configuration, folders, a join token that the server refuses, another agent on
  // this state folder.
  static absl::StatusOr<std::unique_ptr<Agent>> Start(AgentConfig config);
  virtual ~Agent() = default;
  // Ends the agent. Nothing is stopped or sealed: databases and volumes go on until their leases end.
  virtual void Stop() = 0;
  // The port of metrics_address; 0 without one.
  virtual int metrics_port() const = 0;
};

}  // namespace latchkey
