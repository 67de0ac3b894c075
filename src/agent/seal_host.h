// Bringing a host down on purpose: stops every database and seals every volume that this configuration's agent has a folder of, also where
// the record in it is lost or damaged.
#pragma once

#include <absl/status/status.h>

#include "agent/config.h"

namespace latchkey {

// The agent itself must have been stopped, or it would open them again (FailedPrecondition). Nodes are brought down at the same time.
// Returns the first error after trying all of them.
absl::Status SealHost(const AgentConfig& config);

}  // namespace latchkey
