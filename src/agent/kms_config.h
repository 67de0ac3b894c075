// How a host reaches the KMSs: the tables [aws], [gcp], [azure] and [connections.…] of the agent's configuration file. docs/agent.md shows
// them with every key. Nothing of this ever comes over the API.
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <string>

#include "kms/config.h"

namespace latchkey {

struct AgentKmsConfig {
  // As the file has it: with paths in place of the PEM texts.
  KmsConfig kms;
  std::string aws_ca_file, gcp_ca_file, azure_ca_file;
  std::map<std::string, std::string> vault_ca_files;  // by connection
};

// With the CA files read. Errors name the key and its file.
absl::StatusOr<KmsConfig> ResolveKmsConfig(const AgentKmsConfig& config);

}  // namespace latchkey
