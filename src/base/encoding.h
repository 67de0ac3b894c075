// Hex, base64 (RFC 4648 section 4) and base64url without padding (section 5).
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace latchkey {

inline std::span<const uint8_t> AsBytes(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }
inline std::string_view AsText(std::span<const uint8_t> b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

std::string HexEncode(std::span<const uint8_t> bytes);
// Either case; InvalidArgument on anything else.
absl::StatusOr<std::vector<uint8_t>> HexDecode(std::string_view hex);

std::string Base64Encode(std::span<const uint8_t> bytes);
// Strict: padding required, no white space, no bits left over.
absl::StatusOr<std::vector<uint8_t>> Base64Decode(std::string_view text);

std::string Base64UrlEncode(std::span<const uint8_t> bytes);
// Strict: no padding, no bits left over.
absl::StatusOr<std::vector<uint8_t>> Base64UrlDecode(std::string_view text);

}  // namespace latchkey
