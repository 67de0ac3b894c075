#include "base/encoding.h"

#include <array>

#include "base/status.h"

namespace latchkey {
namespace {

constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<int8_t, 256> Reverse(std::string_view alphabet) {
  std::array<int8_t, 256> out{};
  for (auto& v : out) v = -1;
  for (size_t i = 0; i < alphabet.size(); ++i) out[static_cast<uint8_t>(alphabet[i])] = static_cast<int8_t>(i);
  return out;
}
constexpr auto kStandardReverse = Reverse(kStandard);
constexpr auto kUrlReverse = Reverse(kUrl);

std::string Encode(std::span<const uint8_t> in, std::string_view alphabet) {
  std::string out;
  out.reserve((in.size() + 2) / 3 * 4);
  uint32_t acc = 0;
  int bits = 0;
  for (uint8_t b : in) {
    acc = (acc << 8) | b;
    bits += 8;
    while (bits >= 6) {
      bits -= 6;
      out.push_back(alphabet[(acc >> bits) & 63]);
    }
  }
  if (bits > 0) out.push_back(alphabet[(acc << (6 - bits)) & 63]);
  return out;
}

absl::StatusOr<std::vector<uint8_t>> Decode(std::string_view in, const std::array<int8_t, 256>& reverse) {
  std::vector<uint8_t> out;
  out.reserve(in.size() * 3 / 4);
  uint32_t acc = 0;
  int bits = 0;
  for (char c : in) {
    const int8_t v = reverse[static_cast<uint8_t>(c)];
    if (v < 0) return InvalidArgument("not base64: unexpected character");
    acc = (acc << 6) | static_cast<uint32_t>(v);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<uint8_t>(acc >> bits));
    }
  }
  if (bits >= 6 || (acc & ((1u << bits) - 1)) != 0) return InvalidArgument("not base64: wrong length or left-over bits");
  return out;
}

}  // namespace

std::string HexEncode(std::span<const uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (uint8_t b : bytes) {
    out.push_back(kDigits[b >> 4]);
    out.push_back(kDigits[b & 15]);
  }
  return out;
}

absl::StatusOr<std::vector<uint8_t>> HexDecode(std::string_view hex) {
  if (hex.size() % 2 != 0) return InvalidArgument("not hex: odd length");
  std::vector<uint8_t> out(hex.size() / 2);
  for (size_t i = 0; i < hex.size(); ++i) {
    const char c = hex[i];
    int v = -1;
    if (c >= '0' && c <= '9') v = c - '0';
    if (c >= 'a' && c <= 'f') v = c - 'a' + 10;
    if (c >= 'A' && c <= 'F') v = c - 'A' + 10;
    if (v < 0) return InvalidArgument("not hex: unexpected character");
    out[i / 2] = static_cast<uint8_t>(out[i / 2] << 4 | v);
  }
  return out;
}

std::string Base64Encode(std::span<const uint8_t> bytes) {
  std::string out = Encode(bytes, kStandard);
  while (out.size() % 4 != 0) out.push_back('=');
  return out;
}

absl::StatusOr<std::vector<uint8_t>> Base64Decode(std::string_view text) {
  if (text.size() % 4 != 0) return InvalidArgument("not base64: the length is no multiple of 4");
  size_t padding = 0;
  while (padding < 2 && !text.empty() && text.back() == '=') {
    text.remove_suffix(1);
    ++padding;
  }
  return Decode(text, kStandardReverse);
}

std::string Base64UrlEncode(std::span<const uint8_t> bytes) { return Encode(bytes, kUrl); }

absl::StatusOr<std::vector<uint8_t>> Base64UrlDecode(std::string_view text) { return Decode(text, kUrlReverse); }

}  // namespace latchkey
