// The context, bound to what is wrapped, where a KMS has no associated data of its own (RSA-OAEP, AES key wrap).
//
//   payload = plaintext ‖ SHA-256(canonical context)
//
// Whoever can wrap under the key can make such a payload for any context; what it tells apart are honest wrappings that were mixed up.
#pragma once

#include <absl/status/statusor.h>

#include <span>
#include <string>

#include "base/secret_bytes.h"
#include "kms/kms.h"

namespace latchkey {

// Each pair as "<name length>:<name><value length>:<value>\n", sorted by name: no two contexts have the same form. Also the AAD of
// providers that take bytes.
std::string CanonicalContext(const KmsContext& context);

inline constexpr size_t kContextHashSize = 32;

SecretBytes BindContext(const SecretBytes& plaintext, const KmsContext& context);
// The plaintext; kCorrupt when the payload is too short or was made for another context.
absl::StatusOr<SecretBytes> CheckContext(const SecretBytes& payload, const KmsContext& context);

}  // namespace latchkey
