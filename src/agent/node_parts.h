// The real parts of a node on this host: its volume, its engine, and the folders that both need.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <optional>
#include <string>

#include "agent/config.h"
#include "agent/node_volume.h"
#include "base/clock.h"
#include "engine/engine.h"

namespace latchkey {

// The user that volume daemons and engines run as; unset: as ourselves. NotFound "user: …" when it does not exist; FailedPrecondition when
// only root could change to it.
absl::StatusOr<std::optional<UserIds>> FindNodeUser(const AgentConfig& config);

// Makes state, run and data folders. Other users may pass through the last two, and see nothing.
absl::Status PrepareHostFolders(const AgentConfig& config);

std::unique_ptr<NodeVolume> MakeNodeVolume(const AgentConfig& config, const std::optional<UserIds>& user, const std::string& node_id);
absl::StatusOr<std::unique_ptr<Engine>> MakeNodeEngine(const AgentConfig& config, const std::optional<UserIds>& user,
                                                       const DesiredNode& desired, int port);

// The engine's run folder with its TLS key and a self-signed certificate, made anew when they are not there or the certificate is about to
// end.
absl::Status PrepareEngine(const AgentConfig& config, const std::optional<UserIds>& user, const DesiredNode& desired, Clock& clock);

// The lowest port of the range that nobody of `taken` has and that can be bound on listen_address now. ResourceExhausted when there is
// none.
absl::StatusOr<int> PickPort(const AgentConfig& config, const std::vector<int>& taken);

}  // namespace latchkey
