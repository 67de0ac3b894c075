#include "kms/bound_payload.h"

#include <algorithm>

#include "base/status.h"
#include "crypto/digest.h"

namespace latchkey {

std::string CanonicalContext(const KmsContext& context) {
  std::string out;
  for (const auto& [name, value] : context) absl::StrAppend(&out, name.size(), ":", name, value.size(), ":", value, "\n");
  return out;
}

SecretBytes BindContext(const SecretBytes& plaintext, const KmsContext& context) {
  const Sha256Digest hash = Sha256(CanonicalContext(context));
  SecretBytes payload(plaintext.size() + hash.size());
  const std::span<uint8_t> out = payload.RevealMutable(SecretAccess{});
  std::ranges::copy(plaintext.Reveal(SecretAccess{}), out.begin());
  std::ranges::copy(hash, out.begin() + static_cast<ptrdiff_t>(plaintext.size()));
  return payload;
}

absl::StatusOr<SecretBytes> CheckContext(const SecretBytes& payload, const KmsContext& context) {
  if (payload.size() <= kContextHashSize)
    return KmsError(FailureClass::kCorrupt, "what was unwrapped is too short to be a key with its context");
  const std::span<const uint8_t> bytes = payload.Reveal(SecretAccess{});
  const Sha256Digest hash = Sha256(CanonicalContext(context));
  if (!EqualInConstantTime(bytes.last(kContextHashSize), hash)) {
    return KmsError(FailureClass::kCorrupt, "the wrapped key was made for another context");
  }
  return SecretBytes::CopyOf(bytes.first(bytes.size() - kContextHashSize));
}

}  // namespace latchkey
