// SHA-256 (FIPS 180-4), HMAC-SHA256 (RFC 2104), HKDF-SHA256 (RFC 5869).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/secret_bytes.h"

namespace latchkey {

using Sha256Digest = std::array<uint8_t, 32>;

Sha256Digest Sha256(std::span<const uint8_t> bytes);
Sha256Digest Sha256(std::string_view text);

Sha256Digest HmacSha256(const SecretBytes& key, std::span<const uint8_t> message);
Sha256Digest HmacSha256(const SecretBytes& key, std::string_view message);
// For keys that are not secrets of ours (request signing with a chain of derived keys).
Sha256Digest HmacSha256(std::span<const uint8_t> key, std::span<const uint8_t> message);

// `size` bytes (≤ 8,160) of output keying material. `salt` may be empty.
SecretBytes HkdfSha256(const SecretBytes& key, std::span<const uint8_t> salt, std::string_view info, size_t size);

// Constant time for equal sizes.
bool EqualInConstantTime(std::span<const uint8_t> a, std::span<const uint8_t> b);

}  // namespace latchkey
