// How the parts of a development stack reach the clouds of the emulator beside AWS.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "cli/dev_stack.h"

namespace latchkey {

// Writes the operator's credentials for each cloud into files of `folder` (0600) and returns the tables [gcp], [azure] and
// [connections.vault] of the agent's configuration, which name them. Errors: a cloud's seed lacks a member; a file cannot be written.
absl::StatusOr<std::string> WriteDevCloudAccess(const std::string& folder, const std::map<std::string, DevCloud>& clouds);

// "export GCP_OWNER_KEY=…", and the like for the second key, the principal, and each cloud: for the shell.
absl::StatusOr<std::string> DevCloudVariables(const std::map<std::string, DevCloud>& clouds);

}  // namespace latchkey
