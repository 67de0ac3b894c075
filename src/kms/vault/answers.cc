#include "kms/vault/answers.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "kms/answer_fields.h"

namespace latchkey {
namespace {

// What is longer than anybody means: such a period is as good as none.
constexpr int64_t kMostSeconds = 100 * 366 * int64_t{86'400};
// A time after this one is none.
constexpr int64_t kLastTime = 100'000'000'000;
// The kinds that authenticate associated data, with 256 bits.
constexpr std::array<std::string_view, 3> kKinds = {"aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"};

absl::Status Incomplete(std::string_view what, std::string_view field) {
  return KmsError(FailureClass::kUnreachable, absl::StrCat(ToAbsl(what), ": the answer has no ", ToAbsl(field)));
}

// An object inside an answer, or nullptr.
json::object* Inside(json::object& object, std::string_view name) {
  json::value* value = object.if_contains({name.data(), name.size()});
  return value == nullptr ? nullptr : value->if_object();
}

std::optional<int64_t> Int(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  if (value == nullptr || !value->is_int64()) return std::nullopt;
  return value->get_int64();
}

}  // namespace

absl::StatusOr<std::string> ReadVaultEncrypted(std::string& body) {
  constexpr std::string_view kWhat = "Vault Transit encrypt";
  absl::StatusOr<json::object> answer = TakeAnswer(body);
  json::object* data = answer.ok() ? Inside(*answer, "data") : nullptr;
  if (data == nullptr) return Incomplete(kWhat, "data");
  std::string ciphertext = AnswerText(*data, "ciphertext");
  // What could not be sent back is not kept.
  if (ciphertext.size() > kMostVaultCiphertext)
    return KmsError(FailureClass::kCorrupt, "Vault Transit encrypt: the ciphertext is too long");
  const std::optional<int64_t> version = VaultCiphertextVersion(ciphertext);
  // Older releases do not tell the version beside the ciphertext.
  if (!version || Int(*data, "key_version").value_or(*version) != *version) return Incomplete(kWhat, "ciphertext");
  return ciphertext;
}

absl::StatusOr<SecretBytes> ReadVaultDecrypted(std::string& body) {
  constexpr std::string_view kWhat = "Vault Transit decrypt";
  absl::StatusOr<json::object> answer = TakeAnswer(body);
  json::object* data = answer.ok() ? Inside(*answer, "data") : nullptr;
  if (data == nullptr) return Incomplete(kWhat, "data");
  SecretBytes plaintext = TakeAnswerBytes(*data, "plaintext", AnswerBytes::kBase64);
  if (plaintext.empty()) return Incomplete(kWhat, "plaintext of ours");
  return plaintext;
}

absl::StatusOr<VaultKey> ReadVaultKey(std::string& body, std::string_view asked) {
  absl::StatusOr<json::object> answer = TakeAnswer(body);
  json::object* data = answer.ok() ? Inside(*answer, "data") : nullptr;
  if (data == nullptr) return Incomplete("Vault Transit read key", "data");
  VaultKey key;
  key.type = AnswerWords(*data, "type");
  const std::optional<int64_t> latest = Int(*data, "latest_version");
  if (key.type.empty() || !latest || *latest < 1) return Incomplete("Vault Transit read key", "type and latest_version");
  if (AnswerText(*data, "name") != asked) return KmsError(FailureClass::kCorrupt, "Vault Transit read key: the answer is of another key");
  key.latest_version = *latest;
  key.derived = AnswerIsTrue(*data, "derived");
  key.soft_deleted = AnswerIsTrue(*data, "soft_deleted");
  key.deletion_allowed = AnswerIsTrue(*data, "deletion_allowed");
  key.min_decryption_version = Int(*data, "min_decryption_version").value_or(0);
  key.min_available_version = Int(*data, "min_available_version").value_or(0);
  if (const auto seconds = Int(*data, "auto_rotate_period"); seconds && *seconds >= 0) {
    key.auto_rotate_period = absl::Seconds(std::min(*seconds, kMostSeconds));
  }
  if (const json::object* versions = Inside(*data, "keys")) {
    if (const auto made = Int(*versions, absl::StrCat(key.latest_version)); made && *made > 0 && *made <= kLastTime) {
      key.latest_version_made = absl::FromUnixSeconds(*made);
    }
  }
  return key;
}

KeyDescription DescribeVaultKey(const std::string& uri, const VaultKey& key) {
  // Vault has no word for a key that is simply there.
  KeyDescription description{
      .resolved_uri = uri, .state = key.soft_deleted ? "soft-deleted" : "active", .key_version = absl::StrCat(key.latest_version)};
  if (key.min_decryption_version > 1) absl::StrAppend(&description.state, ", decrypts from version ", key.min_decryption_version, " on");
  if (key.auto_rotate_period) {
    description.rotation_enabled = *key.auto_rotate_period > absl::ZeroDuration();
    if (*description.rotation_enabled && key.latest_version_made) {
      description.next_rotation = *key.latest_version_made + *key.auto_rotate_period;
    }
  }
  description.purge_protected = !key.deletion_allowed;
  if (std::find(kKinds.begin(), kKinds.end(), key.type) == kKinds.end()) {
    description.failure = FailureClass::kUnsuitable;
    description.unusable_because = absl::StrCat("it is of type ", key.type, ", not aes256-gcm96, chacha20-poly1305 or xchacha20-poly1305");
  } else if (key.derived) {
    description.failure = FailureClass::kUnsuitable;
    description.unusable_because = "it is a derived key, which is another key for each context";
  } else if (key.soft_deleted) {
    description.failure = FailureClass::kPendingDeletion;
    description.unusable_because = "it is soft-deleted; soft-delete-restore brings it back";
  }
  description.usable = !description.failure;
  return description;
}

absl::StatusOr<VaultLoginAnswer> ReadVaultLogin(std::string& body, const std::string& what) {
  absl::StatusOr<json::object> answer = TakeAnswer(body);
  json::object* auth = answer.ok() ? Inside(*answer, "auth") : nullptr;
  if (auth == nullptr) return Incomplete(what, "auth");
  VaultLoginAnswer login{.token = TakeAnswerSecret(*auth, "client_token", kMostVaultToken), .lease = absl::ZeroDuration()};
  const std::optional<int64_t> seconds = Int(*auth, "lease_duration");
  if (!IsHeaderText(login.token.RevealText(SecretAccess{})) || !seconds || *seconds < 0) {
    return Incomplete(what, "client_token and lease_duration");
  }
  login.lease = absl::Seconds(std::min(*seconds, kMostSeconds));
  return login;
}

std::optional<int64_t> VaultCiphertextVersion(std::string_view ciphertext) {
  constexpr std::string_view kPrefix = "vault:v";
  if (!ciphertext.starts_with(kPrefix)) return std::nullopt;
  ciphertext.remove_prefix(kPrefix.size());
  int64_t version = 0;
  const auto [at, error] = std::from_chars(ciphertext.data(), ciphertext.data() + ciphertext.size(), version);
  if (error != std::errc() || version < 1) return std::nullopt;
  ciphertext.remove_prefix(static_cast<size_t>(at - ciphertext.data()));
  if (!ciphertext.starts_with(':')) return std::nullopt;
  const auto bytes = Base64Decode(ciphertext.substr(1));
  return bytes.ok() && !bytes->empty() ? std::optional(version) : std::nullopt;
}

}  // namespace latchkey
