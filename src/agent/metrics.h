// /metrics, /healthz and /readyz of the agent.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/key_desk.h"
#include "http/server.h"
#include "protocol/node.h"

namespace latchkey {

struct AgentSnapshot {
  std::vector<std::pair<std::string, ObservedNode>> nodes;  // by name
  KeyDeskCounters kms;
  uint64_t sync_failures = 0;
  std::optional<absl::Duration> since_last_sync;  // unset: the server has not answered yet
};

// Prometheus text format 0.0.4.
std::string RenderMetrics(const AgentSnapshot& snapshot, absl::Time now);

// Serves on "host:port"; InvalidArgument "metrics_address: …" when that is malformed.
absl::StatusOr<std::unique_ptr<HttpServer>> ServeMetrics(const std::string& address, std::function<AgentSnapshot()> snapshot);

}  // namespace latchkey
