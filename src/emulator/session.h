// Temporary credentials of an assumed role. The session token carries the whole session, sealed under the emulator's own key, as STS's real
// tokens do: nothing is stored, and nobody can make one.
//
//   token = base64(nonce(12) ‖ AES-256-GCM(session key, JSON{access key id, secret, role, role id, session name, expiry}))
#pragma once

#include <absl/time/time.h>

#include <optional>
#include <string>

#include "base/random.h"
#include "base/secret_bytes.h"

namespace latchkey::emulator {

struct Session {
  std::string access_key_id;  // ASIA…
  SecretBytes secret_access_key;
  std::string role_arn, role_id, name;
  absl::Time expires;
};

// 40 characters, as the service's.
SecretBytes NewSecretAccessKey(Random& random);
// `prefix` and 16 characters of [A-Z2-7].
std::string NewIdentifier(std::string_view prefix, Random& random);

std::string SealSession(const Session& session, const SecretBytes& key, Random& random);
// nullopt for every token that this key did not seal.
std::optional<Session> OpenSession(std::string_view token, const SecretBytes& key);

}  // namespace latchkey::emulator
