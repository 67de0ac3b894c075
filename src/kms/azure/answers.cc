#include "kms/azure/answers.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "base/clock.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "kms/answer_fields.h"
#include "kms/azure/json_fields.h"
#include "kms/call.h"

namespace latchkey {
namespace {

// An RSA key's wrapping is as long as its modulus; Azure has none of more than 4,096 bits.
constexpr size_t kMostWrapped = 512;
// Longer than any token of Entra's.
constexpr absl::Duration kLongestTokenLife = absl::Hours(30);
constexpr int64_t kMostLasts = 10'000'000;
// Not valid yet within this time of our clock: the service's own clock decides, and it has some leeway.
constexpr absl::Duration kNotBeforeLeeway = absl::Minutes(5);

absl::Status Incomplete(const std::string& what, std::string_view field) {
  // Half an answer is no answer.
  return KmsError(FailureClass::kUnreachable, absl::StrCat(what, ": the answer has no ", ToAbsl(field)));
}

absl::StatusOr<json::object> Take(std::string& body, const std::string& what) {
  auto answer = TakeAnswer(body);
  if (answer.ok()) return answer;
  return KmsError(FailureClass::kUnreachable, what + ": the answer is not a JSON object");
}

// The version in `kid`, which must be of the key that was asked for.
absl::StatusOr<std::string> CheckKid(const AzureAsked& asked, const std::string& kid) {
  constexpr std::string_view kScheme = "://";
  std::string uri = kid;
  // Behind an endpoint of the configuration, keys may carry its name instead of the vault's.
  const size_t scheme = kid.find(kScheme);
  const size_t path = scheme == std::string::npos ? scheme : kid.find('/', scheme + kScheme.size());
  if (asked.any_host && path != std::string::npos) uri = absl::StrCat("https://", asked.key.host, kid.substr(path));
  const auto id = ParseAzureKeyId(uri);
  if (!id.ok() || id->version.empty()) return Incomplete(asked.what, "kid with a version");
  if (id->host != asked.key.host || !SameAzureKeyName(id->name, asked.key.name) ||
      (!asked.key.version.empty() && id->version != asked.key.version)) {
    return KmsError(FailureClass::kCorrupt, asked.what + ": the answer is of another key");
  }
  return id->version;
}

bool Permits(const AzureKey& key, std::string_view operation) {
  return !key.has_operations || std::ranges::find(key.operations, operation) != key.operations.end();
}

// Why the key cannot be used for new wrappings; nothing is said about unwrapping, which only the service can judge.
void Judge(const AzureKey& key, absl::Time now, KeyDescription& description) {
  const auto cannot = [&](std::string_view state, FailureClass c, std::string why) {
    description.state = std::string(state);
    description.failure = c;
    description.unusable_because = std::move(why);
  };
  if (!IsRsaAzureKey(key) && !IsAesAzureKey(key)) {
    return cannot("Enabled", FailureClass::kUnsuitable,
                  absl::StrCat("it is a key of type ", key.kty, "; RSA keys (2,048 bits and more) and oct-HSM keys of 256 bits are taken"));
  }
  if (!key.enabled) return cannot("Disabled", FailureClass::kDisabled, "it is disabled");
  for (const char* operation : {"wrapKey", "unwrapKey"}) {
    // The owner may take an operation from a key and give it back, as with a right.
    if (!Permits(key, operation)) {
      return cannot("Enabled", FailureClass::kDenied, absl::StrCat("its permitted operations do not hold ", operation));
    }
  }
  // Outside of its dates a key wraps nothing more, but unwraps all the same. So this is not a refusal: kUnsuitable keeps such a key from
  // being chosen, and seals nothing.
  if (key.expires && *key.expires <= now) {
    return cannot("Expired", FailureClass::kUnsuitable,
                  absl::StrCat("it expired at ", latchkey::FormatTime(*key.expires), ": it unwraps, but wraps nothing more"));
  }
  if (key.not_before && *key.not_before > now + kNotBeforeLeeway) {
    return cannot("NotYetValid", FailureClass::kUnsuitable,
                  absl::StrCat("it is valid from ", latchkey::FormatTime(*key.not_before), " only"));
  }
  description.state = "Enabled";
  description.usable = true;
}

}  // namespace

bool IsRsaAzureKey(const AzureKey& key) { return key.kty == "RSA" || key.kty == "RSA-HSM"; }
bool IsAesAzureKey(const AzureKey& key) { return key.kty == "oct-HSM"; }

absl::StatusOr<AzureKey> ReadAzureKey(std::string& body, const AzureAsked& asked) {
  ASSIGN_OR_RETURN(const json::object answer, Take(body, asked.what));
  const json::object* jwk = ObjectField(answer, "key");
  const json::object* attributes = ObjectField(answer, "attributes");
  if (jwk == nullptr || attributes == nullptr) return Incomplete(asked.what, "key and attributes");
  AzureKey key{
      .kid = AnswerWords(*jwk, "kid"), .kty = AnswerWords(*jwk, "kty"), .recovery_level = AnswerWords(*attributes, "recoveryLevel")};
  ASSIGN_OR_RETURN(key.version, CheckKid(asked, key.kid));
  const json::value* enabled = attributes->if_contains("enabled");
  if (key.kty.empty() || enabled == nullptr || !enabled->is_bool()) return Incomplete(asked.what, "kty and enabled");
  key.enabled = enabled->get_bool();
  key.not_before = TimeField(*attributes, "nbf");
  key.expires = TimeField(*attributes, "exp");
  if (const json::value* operations = jwk->if_contains("key_ops"); operations != nullptr && operations->is_array()) {
    key.has_operations = true;
    for (const json::value& operation : operations->get_array()) {
      if (const json::string* text = operation.if_string()) key.operations.emplace_back(text->data(), text->size());
    }
  }
  if (const auto modulus = Base64UrlDecode(AnswerText(*jwk, "n")); modulus.ok()) key.modulus_size = modulus->size();
  return key;
}

KeyDescription DescribeAzureKey(const AzureKey& key, absl::Time now) {
  KeyDescription description{.resolved_uri = key.kid, .key_version = key.version, .expires_at = key.expires, .protection_level = key.kty};
  // "Recoverable", "CustomizedRecoverable+ProtectedSubscription", …: purge protection is on exactly where purging is not named.
  if (!key.recovery_level.empty()) description.purge_protected = key.recovery_level.find("Purgeable") == std::string::npos;
  Judge(key, now, description);
  return description;
}

absl::StatusOr<AzureDeletedKey> ReadAzureDeletedKey(std::string& body, const AzureAsked& asked) {
  ASSIGN_OR_RETURN(const json::object answer, Take(body, asked.what));
  if (const json::object* jwk = ObjectField(answer, "key")) {
    AzureKeyId key = asked.key;
    key.version.clear();
    RETURN_IF_ERROR(CheckKid({.key = key, .any_host = asked.any_host, .what = asked.what}, AnswerText(*jwk, "kid")).status());
  }
  const AzureDeletedKey deleted{.deleted = TimeField(answer, "deletedDate"), .purged = TimeField(answer, "scheduledPurgeDate")};
  // That a key can be recovered is the owner's to hear only where something says so.
  if (!deleted.deleted && !deleted.purged && AnswerText(answer, "recoveryId").empty()) return Incomplete(asked.what, "recoveryId");
  return deleted;
}

absl::StatusOr<std::vector<uint8_t>> ReadAzureWrapped(std::string& body, const AzureAsked& asked) {
  ASSIGN_OR_RETURN(const json::object answer, Take(body, asked.what));
  RETURN_IF_ERROR(CheckKid(asked, AnswerText(answer, "kid")).status());
  auto wrapped = Base64UrlDecode(AnswerText(answer, "value"));
  if (!wrapped.ok() || wrapped->empty()) return Incomplete(asked.what, "value");
  if (wrapped->size() > kMostWrapped) return KmsError(FailureClass::kCorrupt, asked.what + ": the wrapping is too long");
  return wrapped;
}

absl::StatusOr<SecretBytes> ReadAzureUnwrapped(std::string& body, const AzureAsked& asked) {
  ASSIGN_OR_RETURN(json::object answer, Take(body, asked.what));
  SecretBytes payload = TakeAnswerBytes(answer, "value", AnswerBytes::kBase64Url);
  RETURN_IF_ERROR(CheckKid(asked, AnswerText(answer, "kid")).status());
  if (payload.empty()) return Incomplete(asked.what, "value of ours");
  return payload;
}

absl::StatusOr<BearerToken> ReadAzureToken(std::string& body, const std::string& what, absl::Time asked) {
  auto answer = TakeAnswer(body);
  // Half an answer is no answer.
  const absl::Status incomplete = KmsError(FailureClass::kUnreachable, what + ": the answer holds no token");
  if (!answer.ok()) return incomplete;
  BearerToken token{.token = TakeAnswerSecret(*answer, "access_token"), .expires = asked};
  const std::optional<int64_t> lasts = NumberField(*answer, "expires_in");
  const std::optional<absl::Time> until = TimeField(*answer, "expires_on");
  const bool has_lasts = lasts && *lasts >= 0 && *lasts <= kMostLasts;
  if (!IsHeaderText(token.token.RevealText(SecretAccess{})) || (!until && !has_lasts)) return incomplete;
  token.expires = BoundExpiry(has_lasts ? asked + absl::Seconds(*lasts) : *until, asked, kLongestTokenLife);
  return token;
}

}  // namespace latchkey
