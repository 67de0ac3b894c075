// The name of a Transit key: vault://<connection>/<mount>/<key>, the mount being one part or several.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

namespace latchkey {

struct VaultKeyName {
  std::string connection;  // in the configuration of this process
  std::string mount;       // "transit", "teams/a/transit"; without slashes at its ends
  std::string key;
};

// InvalidArgument when `uri` is longer than 512 bytes or has another form. Every part is made of letters, digits, '-', '_' and '.', and a
// part of dots alone is refused, so that the parts can be put into a path as they are. Mounts that Vault keeps for itself (sys, auth,
// identity, cubbyhole) are refused, too: no secrets engine of the owner's is there.
absl::StatusOr<VaultKeyName> ParseVaultUri(std::string_view uri);

// The charset above, not dots alone, 1 to 128 bytes: the rule for one part.
bool IsVaultPathPart(std::string_view part);

}  // namespace latchkey
