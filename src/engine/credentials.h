// The superuser's credentials of one node, as its host keeps them: <state folder>/credentials, mode 0600, of the agent's user.
//
//   {"username": …, "password": …, "database": …}
//
// They lie outside the volume, so that they can be shown while it is sealed; without the volume they open nothing.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "base/random.h"
#include "base/secret_bytes.h"

namespace latchkey {

struct EngineCredentials {
  std::string username;
  SecretBytes password;  // printable ASCII
  std::string database;
};

// NotFound when the node was never initialised.
absl::StatusOr<EngineCredentials> ReadEngineCredentials(const std::string& state_folder);
// Those that are there, or new ones with a random password of 32 characters (190 bits) written first. Repeating an interrupted
// initialisation uses the same password again.
absl::StatusOr<EngineCredentials> ReadOrMakeEngineCredentials(const std::string& state_folder, const std::string& username,
                                                              const std::string& database, Random& random);

}  // namespace latchkey
