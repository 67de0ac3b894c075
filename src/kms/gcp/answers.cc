#include "kms/gcp/answers.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "kms/answer_fields.h"
#include "kms/gcp/crc32c.h"
#include "kms/gcp/errors.h"
#include "kms/gcp/names.h"

namespace latchkey {
namespace {

constexpr int64_t kLongestSeconds = 24 * 3600;

struct EnumName {
  int number;
  std::string_view name;
};
// google.cloud.kms.v1, the values that are told apart or shown.
constexpr EnumName kPurposes[] = {
    {1, "ENCRYPT_DECRYPT"},   {5, "ASYMMETRIC_SIGN"}, {6, "ASYMMETRIC_DECRYPT"}, {7, "RAW_ENCRYPT_DECRYPT"}, {9, "MAC"},
    {10, "KEY_ENCAPSULATION"}};
constexpr EnumName kStates[] = {{1, "ENABLED"},
                                {2, "DISABLED"},
                                {3, "DESTROYED"},
                                {4, "DESTROY_SCHEDULED"},
                                {5, "PENDING_GENERATION"},
                                {6, "PENDING_IMPORT"},
                                {7, "IMPORT_FAILED"},
                                {8, "GENERATION_FAILED"},
                                {9, "PENDING_EXTERNAL_DESTRUCTION"},
                                {10, "EXTERNAL_DESTRUCTION_FAILED"}};
constexpr EnumName kAlgorithms[] = {{1, "GOOGLE_SYMMETRIC_ENCRYPTION"}, {18, "EXTERNAL_SYMMETRIC_ENCRYPTION"}};
constexpr EnumName kProtectionLevels[] = {{1, "SOFTWARE"}, {2, "HSM"}, {3, "EXTERNAL"}, {4, "EXTERNAL_VPC"}, {5, "HSM_SINGLE_TENANT"}};

const json::value* Member(const json::object& object, std::string_view name) { return object.if_contains({name.data(), name.size()}); }

// By name, or by number; a number without a name is shown as it is. Empty when absent.
std::string Enum(const json::object& object, std::string_view field, std::span<const EnumName> names) {
  const json::value* value = Member(object, field);
  if (value == nullptr || !value->is_int64()) return CleanWords(AnswerText(object, field));
  for (const EnumName& entry : names) {
    if (entry.number == value->get_int64()) return std::string(entry.name);
  }
  return absl::StrCat(value->get_int64());
}

// A CRC as an int64: decimal digits in a string, or a number.
std::optional<uint32_t> Crc(const json::object& object, std::string_view name) {
  const json::value* value = Member(object, name);
  if (value == nullptr) return std::nullopt;
  uint64_t number = 0;
  if (value->is_int64() && value->get_int64() >= 0) {
    number = static_cast<uint64_t>(value->get_int64());
  } else if (const json::string* text = value->if_string(); text != nullptr && !text->empty()) {
    const char* end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data(), end, number);
    if (error != std::errc() || stop != end) return std::nullopt;
  } else {
    return std::nullopt;
  }
  if (number > std::numeric_limits<uint32_t>::max()) return std::nullopt;
  return static_cast<uint32_t>(number);
}

std::optional<absl::Time> Timestamp(const json::object& object, std::string_view name) { return ReadAnswerTime(AnswerText(object, name)); }

// "7776000s", "0.5s"
std::optional<absl::Duration> Seconds(const json::object& object, std::string_view name) {
  const std::string text = AnswerText(object, name);
  absl::Duration duration;
  if (!text.ends_with('s') || !absl::ParseDuration(text, &duration)) return std::nullopt;
  return duration;
}

absl::Status Incomplete(std::string_view what, std::string_view field) {
  return KmsError(FailureClass::kUnreachable,
                  absl::StrCat("Google Cloud KMS ", ToAbsl(what), ": the answer has no proper ", ToAbsl(field)));
}
absl::Status OtherKey(std::string_view what) {
  return KmsError(FailureClass::kCorrupt, absl::StrCat("Google Cloud KMS ", ToAbsl(what), ": the answer is of another key"));
}

absl::Status Changed(std::string_view what, bool& changed) {
  changed = true;
  return KmsError(FailureClass::kCorrupt, absl::StrCat("Google Cloud KMS ", ToAbsl(what), ": bytes and checksum do not belong together"));
}

absl::StatusOr<json::object> Take(std::string& body, std::string_view what) {
  auto answer = TakeAnswer(body);
  if (answer.ok()) return answer;
  return KmsError(FailureClass::kUnreachable, absl::StrCat("Google Cloud KMS ", ToAbsl(what), ": the answer is not a JSON object"));
}

void SetUnusable(KeyDescription& description, FailureClass c, std::string because) {
  description.failure = c;
  description.unusable_because = std::move(because);
}

}  // namespace

absl::StatusOr<GcpEncrypted> ReadGcpEncrypted(std::string& body, std::string_view key, bool with_aad, bool& changed) {
  changed = false;
  ASSIGN_OR_RETURN(const json::object answer, Take(body, "encrypt"));
  const std::string name = AnswerText(answer, "name");
  if (name.empty()) return Incomplete("encrypt", "name");
  const auto version = VersionOfGcpKey(key, name);
  if (!version) return OtherKey("encrypt");
  auto ciphertext = Base64Decode(AnswerText(answer, "ciphertext"));
  if (!ciphertext.ok() || ciphertext->empty()) return Incomplete("encrypt", "ciphertext");
  // What could not be sent back is not kept.
  if (ciphertext->size() > kMostGcpCiphertext) {
    return KmsError(FailureClass::kCorrupt, "Google Cloud KMS encrypt: the ciphertext is too long");
  }
  const auto crc = Crc(answer, "ciphertextCrc32c");
  if (!crc) return Incomplete("encrypt", "ciphertextCrc32c");
  // False where the checksums that we sent did not reach Google: what it encrypted is then not proven to be what we sent.
  const bool verified =
      AnswerIsTrue(answer, "verifiedPlaintextCrc32c") && (!with_aad || AnswerIsTrue(answer, "verifiedAdditionalAuthenticatedDataCrc32c"));
  if (!verified || *crc != Crc32c(*ciphertext)) return Changed("encrypt", changed);
  return GcpEncrypted{.ciphertext = std::move(*ciphertext), .version = *version};
}

absl::StatusOr<SecretBytes> ReadGcpDecrypted(std::string& body, bool& changed) {
  changed = false;
  ASSIGN_OR_RETURN(json::object answer, Take(body, "decrypt"));
  SecretBytes plaintext = TakeAnswerBytes(answer, "plaintext", AnswerBytes::kBase64);
  // Nothing of ours is empty, or longer than what was looked for.
  if (plaintext.empty()) return Incomplete("decrypt", "plaintext");
  const auto crc = Crc(answer, "plaintextCrc32c");
  if (!crc) return Incomplete("decrypt", "plaintextCrc32c");
  if (*crc != Crc32c(plaintext.Reveal(SecretAccess{}))) return Changed("decrypt", changed);
  return plaintext;
}

absl::StatusOr<GcpKey> ReadGcpKey(std::string& body, std::string_view key) {
  constexpr std::string_view kWhat = "get key";
  ASSIGN_OR_RETURN(const json::object answer, Take(body, kWhat));
  GcpKey found;
  found.name = AnswerText(answer, "name");
  found.purpose = Enum(answer, "purpose", kPurposes);
  if (found.name.empty() || found.purpose.empty()) return Incomplete(kWhat, "name and purpose");
  if (!IsSameGcpKey(key, found.name)) return OtherKey(kWhat);
  found.next_rotation = Timestamp(answer, "nextRotationTime");
  found.rotates = Seconds(answer, "rotationPeriod").has_value();
  found.destroy_scheduled_for = Seconds(answer, "destroyScheduledDuration");
  const json::value* primary = Member(answer, "primary");
  if (primary == nullptr || primary->is_null()) return found;
  if (!primary->is_object()) return Incomplete(kWhat, "primary");
  const json::object& version = primary->get_object();
  GcpKeyVersion read{.number = {},
                     .state = Enum(version, "state", kStates),
                     .algorithm = Enum(version, "algorithm", kAlgorithms),
                     .protection_level = Enum(version, "protectionLevel", kProtectionLevels),
                     .destroy_time = Timestamp(version, "destroyTime")};
  const std::string version_name = AnswerText(version, "name");
  if (version_name.empty() || read.state.empty()) return Incomplete(kWhat, "name and state of the primary version");
  const auto number = VersionOfGcpKey(key, version_name);
  if (!number) return OtherKey(kWhat);
  read.number = *number;
  found.primary = std::move(read);
  return found;
}

KeyDescription DescribeGcpKey(const GcpKey& key) {
  KeyDescription description;
  description.resolved_uri = key.name;
  description.rotation_enabled = key.rotates;
  if (key.rotates) description.next_rotation = key.next_rotation;
  // A version that was ordered to be destroyed can be restored while it waits.
  if (key.destroy_scheduled_for) description.purge_protected = *key.destroy_scheduled_for > absl::ZeroDuration();
  if (key.primary) {
    description.state = key.primary->state;
    description.key_version = key.primary->number;
    description.protection_level = key.primary->protection_level;
    if (key.primary->state == "DESTROY_SCHEDULED") description.deletion_date = key.primary->destroy_time;
  }
  if (key.purpose != "ENCRYPT_DECRYPT") {
    SetUnusable(description, FailureClass::kUnsuitable,
                absl::StrCat("its purpose is ", key.purpose, ", not ENCRYPT_DECRYPT (symmetric encryption and decryption)"));
  } else if (!key.primary) {
    SetUnusable(description, FailureClass::kDisabled, "it has no primary version");
  } else if (const auto failure = FailureOfVersionState(key.primary->state)) {
    SetUnusable(description, *failure, absl::StrCat("the state of its primary version ", key.primary->number, " is ", key.primary->state));
  }
  description.usable = !description.failure;
  return description;
}

absl::StatusOr<SharedBearerToken> ReadGcpOwnToken(std::string& body, const std::string& what, absl::Time asked) {
  auto answer = TakeAnswer(body);
  const absl::Status half = KmsError(FailureClass::kIdentity, absl::StrCat(what, ": the answer holds no complete access token"));
  if (!answer.ok()) return half;
  auto token = std::make_shared<BearerToken>();
  token->token = TakeAnswerSecret(*answer, "access_token");
  std::string type = AnswerText(*answer, "token_type");
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const json::value* seconds = answer->if_contains("expires_in");
  const bool dated = seconds != nullptr && seconds->is_int64() && seconds->get_int64() > 0 && seconds->get_int64() <= kLongestSeconds;
  if (!IsHeaderText(token->token.RevealText(SecretAccess{})) || !dated || (!type.empty() && type != "bearer")) return half;
  token->expires = asked + absl::Seconds(seconds->get_int64()) - kGcpRenewBefore;
  return SharedBearerToken(std::move(token));
}

absl::StatusOr<SharedBearerToken> ReadGcpImpersonatedToken(std::string& body, const std::string& what, absl::Time asked,
                                                           absl::Duration lifetime, FailureClass no_answer) {
  auto answer = TakeAnswer(body);
  auto token = std::make_shared<BearerToken>();
  std::optional<absl::Time> expires;
  if (answer.ok()) {
    token->token = TakeAnswerSecret(*answer, "accessToken");
    expires = ReadAnswerTime(AnswerText(*answer, "expireTime"));
  }
  // Half an answer is no answer.
  if (!IsHeaderText(token->token.RevealText(SecretAccess{})) || !expires) {
    return KmsError(no_answer, absl::StrCat(what, ": the answer holds no complete access token"));
  }
  token->expires = BoundExpiry(*expires, asked, lifetime) - kGcpRenewBefore;
  return SharedBearerToken(std::move(token));
}

}  // namespace latchkey
