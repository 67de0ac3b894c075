// RSA keys for other people's protocols: JSON web signatures and OAEP (RFC 8017). Never for Latchkey's own formats.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret_bytes.h"

struct evp_pkey_st;

namespace latchkey {

enum class RsaSignature {
  kPkcs1Sha256,  // RS256 (RFC 7518, 3.3)
  kPssSha256,    // PS256 (RFC 7518, 3.5): MGF1 with SHA-256, salt of 32 bytes
};

// n and e, big-endian without leading zeros (as in a JWK).
struct RsaPublicNumbers {
  std::vector<uint8_t> modulus, exponent;
};

// Thread-safe.
class RsaPrivateKey {
 public:
  // PKCS #8 or PKCS #1, not encrypted. InvalidArgument when it is no RSA key or has fewer than 2,048 bits. The text is the caller's to
  // wipe.
  static absl::StatusOr<RsaPrivateKey> FromPem(std::string_view pem);
  // 2,048, 3,072 or 4,096 bits.
  static absl::StatusOr<RsaPrivateKey> Generate(int bits);
  ~RsaPrivateKey();
  RsaPrivateKey(RsaPrivateKey&& other) noexcept;
  RsaPrivateKey& operator=(RsaPrivateKey&& other) noexcept;

  int bits() const;
  RsaPublicNumbers public_numbers() const;
  std::string ToPem() const;  // PKCS #8; a secret
  absl::StatusOr<std::vector<uint8_t>> Sign(RsaSignature scheme, std::string_view message) const;
  // RSA-OAEP with SHA-256 for both the label's hash and MGF1 (RFC 8017, 7.1), empty label. DataLoss when it does not decrypt.
  absl::StatusOr<SecretBytes> DecryptOaepSha256(std::span<const uint8_t> ciphertext) const;
  absl::StatusOr<std::vector<uint8_t>> EncryptOaepSha256(const SecretBytes& plaintext) const;

 private:
  explicit RsaPrivateKey(evp_pkey_st* key) : key_(key) {}
  evp_pkey_st* key_;
};

class RsaPublicKey {
 public:
  // Of a certificate or a public key in PEM.
  static absl::StatusOr<RsaPublicKey> FromPem(std::string_view pem);
  static absl::StatusOr<RsaPublicKey> FromNumbers(const RsaPublicNumbers& numbers);
  ~RsaPublicKey();
  RsaPublicKey(RsaPublicKey&& other) noexcept;
  RsaPublicKey& operator=(RsaPublicKey&& other) noexcept;
  bool Verify(RsaSignature scheme, std::string_view message, std::span<const uint8_t> signature) const;
  absl::StatusOr<std::vector<uint8_t>> EncryptOaepSha256(const SecretBytes& plaintext) const;

 private:
  explicit RsaPublicKey(evp_pkey_st* key) : key_(key) {}
  evp_pkey_st* key_;
};

}  // namespace latchkey
