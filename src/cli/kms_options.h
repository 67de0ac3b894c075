// How a command that runs on a host reaches a KMS, and which key it means. Addresses and key files come from here or from the agent's
// configuration, never over the API.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "cli/command.h"
#include "kms/kms.h"
#include "protocol/root_key.h"

namespace latchkey {

struct KmsArgs {
  RootKey key{.type = "AWS_KMS"};
  std::string agent_config;  // takes endpoints and connections from there
  std::string kms_endpoint, sts_endpoint, ca_file, profile;
  std::vector<std::string> connections;  // "name=path of the key file"
  bool as_caller = false;                // leave the owner's role out: act with the caller's own rights
};

std::vector<CommandOption> KmsOptionList(KmsArgs* args);
absl::StatusOr<KmsSet> KmsFor(const KmsArgs& args);
// The key as the options name it.
RootKey KeyOf(const KmsArgs& args);

}  // namespace latchkey
