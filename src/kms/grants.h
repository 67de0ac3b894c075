// What the owner of a key must grant so that it can be used: as texts in the owner's own tools. Nothing here talks to anybody.
//
// The rights are the least that work; docs/kms-<cloud>.md says what each is for.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "kms/kms.h"

namespace latchkey {

enum class GrantForm {
  kPolicy,    // the documents themselves (AWS policies, a Vault policy, …), or the roles by name
  kCommands,  // for the cloud's command-line tool
  kTerraform,
};

struct GrantRequest {
  RootKey key;
  // Who asks, as the owner's side names it: ARN of our user or role; our Google service account; our Azure application (client) id; the
  // name of our Vault role. Empty: a placeholder in capitals stands there.
  std::string caller;
};

// Text that can be pasted: values from the request are checked to be of their form first, so that none can break out of a quotation.
// InvalidArgument naming the field; Unimplemented where a form does not exist for the type (Terraform for tokens of an HSM).
absl::StatusOr<std::string> Grants(const GrantRequest& request, GrantForm form);

// What mends a key test that failed in this step with that class: the statement, role or command, or the class's own next step where
// nothing is to be granted. One to ten lines.
std::string Remedy(const GrantRequest& request, std::string_view step, FailureClass c);

}  // namespace latchkey
