#include "kms/pkcs11/ciphertext.h"

#include "kms/bound_payload.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

constexpr size_t WrappedSize(size_t payload) { return (payload + 7) / 8 * 8 + 8; }
constexpr size_t kLeastWrapped = WrappedSize(1 + kContextHashSize);
constexpr size_t kMostWrapped = WrappedSize(kMaxPkcs11Plaintext + kContextHashSize);

}  // namespace

absl::StatusOr<Pkcs11Ciphertext> ParsePkcs11Ciphertext(std::span<const uint8_t> bytes) {
  const absl::Status malformed = KmsError(FailureClass::kCorrupt, "the wrapped key is not one that Latchkey made with a PKCS #11 token");
  if (bytes.empty()) return malformed;
  const std::span<const uint8_t> rest = bytes.subspan(1);
  if (bytes[0] == static_cast<uint8_t>(Pkcs11Scheme::kGcm)) {
    constexpr size_t kAround = kPkcs11IvSize + kPkcs11TagSize;
    if (rest.size() <= kAround || rest.size() > kAround + kMaxPkcs11Plaintext) return malformed;
    return Pkcs11Ciphertext{.scheme = Pkcs11Scheme::kGcm, .iv = rest.first(kPkcs11IvSize), .body = rest.subspan(kPkcs11IvSize)};
  }
  if (bytes[0] == static_cast<uint8_t>(Pkcs11Scheme::kKeyWrapPad)) {
    if (rest.size() % 8 != 0 || rest.size() < kLeastWrapped || rest.size() > kMostWrapped) return malformed;
    return Pkcs11Ciphertext{.scheme = Pkcs11Scheme::kKeyWrapPad, .iv = {}, .body = rest};
  }
  return malformed;
}

std::vector<uint8_t> FormatPkcs11Ciphertext(const Pkcs11Ciphertext& parts) {
  std::vector<uint8_t> out;
  out.reserve(1 + parts.iv.size() + parts.body.size());
  out.push_back(static_cast<uint8_t>(parts.scheme));
  out.insert(out.end(), parts.iv.begin(), parts.iv.end());
  out.insert(out.end(), parts.body.begin(), parts.body.end());
  return out;
}

}  // namespace latchkey
