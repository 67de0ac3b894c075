// What somebody on the host needs to connect to a database of it: for `latchkey agent credentials <cluster>`.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "agent/config.h"
#include "engine/credentials.h"

namespace latchkey {

struct NodeCredentials {
  std::string node_id, node_name, cluster_id, cluster_name;
  std::string host;
  int port = 0;
  std::string socket_folder;
  EngineCredentials engine;
};

// The nodes of this host that belong to a cluster, by its id or its name. NotFound when there is none; PermissionDenied when the caller may
// not read the agent's state.
absl::StatusOr<std::vector<NodeCredentials>> ReadNodeCredentials(const AgentConfig& config, const std::string& cluster);

// The ids of all nodes that this host has records of.
absl::StatusOr<std::vector<std::string>> ListNodeRecords(const AgentConfig& config);

}  // namespace latchkey
