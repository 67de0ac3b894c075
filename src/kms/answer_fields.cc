#include "kms/answer_fields.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/status.h"
#include "kms/call.h"

namespace latchkey {
namespace {

json::string* TextIn(json::object& answer, std::string_view name) {
  json::value* value = answer.if_contains({name.data(), name.size()});
  return value == nullptr ? nullptr : value->if_string();
}

}  // namespace

absl::StatusOr<json::object> TakeAnswer(std::string& body) {
  auto answer = ParseJsonObject(body);
  Wipe(body);
  return answer;
}

std::string AnswerText(const json::object& answer, std::string_view name) {
  const json::value* value = answer.if_contains({name.data(), name.size()});
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

std::string AnswerWords(const json::object& answer, std::string_view name) { return CleanWords(AnswerText(answer, name)); }

bool AnswerIsTrue(const json::object& answer, std::string_view name) {
  const json::value* value = answer.if_contains({name.data(), name.size()});
  return value != nullptr && value->is_bool() && value->get_bool();
}

SecretBytes TakeAnswerSecret(json::object& answer, std::string_view name, size_t most) {
  json::string* text = TextIn(answer, name);
  if (text == nullptr) return {};
  SecretBytes secret = text->size() <= most ? SecretBytes::CopyOf(std::string_view(text->data(), text->size())) : SecretBytes();
  Wipe(text->data(), text->size());
  return secret;
}

SecretBytes TakeAnswerBytes(json::object& answer, std::string_view name, AnswerBytes encoding) {
  json::string* text = TextIn(answer, name);
  if (text == nullptr) return {};
  constexpr size_t kMostEncoded = (kMostUnwrapped + 2) / 3 * 4;
  SecretBytes out;
  if (text->size() <= kMostEncoded) {
    const std::string_view encoded(text->data(), text->size());
    auto bytes = encoding == AnswerBytes::kBase64 ? Base64Decode(encoded) : Base64UrlDecode(encoded);
    if (bytes.ok()) {
      if (bytes->size() <= kMostUnwrapped) out = SecretBytes::CopyOf(std::span<const uint8_t>(*bytes));
      Wipe(bytes->data(), bytes->size());
    }
  }
  Wipe(text->data(), text->size());
  return out;
}

bool IsHeaderText(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

std::optional<absl::Time> ReadAnswerTime(std::string_view text) {
  constexpr size_t kLongest = 64;
  absl::Time time;
  std::string error;
  if (text.size() > kLongest || !absl::ParseTime(absl::RFC3339_full, ToAbsl(text), &time, &error)) return std::nullopt;
  const absl::Time last = absl::FromUnixSeconds(253'402'300'799);
  return time < absl::UnixEpoch() || time > last ? std::nullopt : std::optional(time);
}

absl::Time BoundExpiry(absl::Time expires, absl::Time asked, absl::Duration longest) { return std::clamp(expires, asked, asked + longest); }

}  // namespace latchkey
