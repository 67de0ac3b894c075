// AES-256-SIV (RFC 5297): deterministic authenticated encryption, for names. Equal input gives equal output; nothing else is leaked.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/secret_bytes.h"

namespace latchkey {

inline constexpr size_t kSivKeySize = 64;
inline constexpr size_t kSivTagSize = 16;

// Thread-safe. Holds its key; each call makes a context (about 5 µs: callers cache results).
class SivCipher {
 public:
  static absl::StatusOr<std::unique_ptr<SivCipher>> Create(SecretBytes key);  // 64 bytes
  // tag (16 bytes) ‖ ciphertext of the same length as `plaintext`, which is not empty. `aad` is one header string.
  absl::StatusOr<std::vector<uint8_t>> Seal(std::string_view aad, std::span<const uint8_t> plaintext) const;
  // DataLoss when it was not made under this key and aad.
  absl::StatusOr<std::vector<uint8_t>> Open(std::string_view aad, std::span<const uint8_t> tag_and_ciphertext) const;

 private:
  explicit SivCipher(SecretBytes key) : key_(std::move(key)) {}
  SecretBytes key_;
};

}  // namespace latchkey
