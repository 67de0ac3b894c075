// What a wrapping by a PKCS #11 token looks like from outside.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace latchkey {

// The first byte tells how, so that a token may learn GCM later and still open what it wrapped before:
//
//   GCM       01 | IV (12) | ciphertext (n) | tag (16)          CKM_AES_GCM, AAD = the canonical context
//   wrapping  02 | AES-KWP of plaintext (n) ‖ SHA-256(context)  CKM_AES_KEY_WRAP_PAD (RFC 5649): n + 32 up to a multiple of 8, and 8 more
//
// with n from 1 to 190. The byte needs no protection of its own: under the other mechanism the rest fails its check.
enum class Pkcs11Scheme : uint8_t { kGcm = 1, kKeyWrapPad = 2 };

inline constexpr size_t kMaxPkcs11Plaintext = 190;
inline constexpr size_t kPkcs11IvSize = 12;
inline constexpr size_t kPkcs11TagSize = 16;

struct Pkcs11Ciphertext {
  Pkcs11Scheme scheme = Pkcs11Scheme::kGcm;
  std::span<const uint8_t> iv;    // kGcm: 12 bytes; else empty
  std::span<const uint8_t> body;  // ciphertext ‖ tag, or the wrapped key
};

// Views into `bytes`. kCorrupt for what no wrapping looks like.
absl::StatusOr<Pkcs11Ciphertext> ParsePkcs11Ciphertext(std::span<const uint8_t> bytes);
std::vector<uint8_t> FormatPkcs11Ciphertext(const Pkcs11Ciphertext& parts);

}  // namespace latchkey
