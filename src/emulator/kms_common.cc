#include "emulator/kms_common.h"

#include <array>
#include <cctype>
#include <utility>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "emulator/arn.h"

namespace latchkey::emulator {
namespace {

constexpr size_t kMaxContextBytes = 8 << 10;

// "KeyId" → "keyId", as validation messages have it.
std::string LowerFirst(std::string_view name) {
  std::string out(name);
  if (!out.empty()) out[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(out[0])));
  return out;
}

AwsError WrongType() { return {"SerializationException", "", 400}; }

AwsError NotFoundError(std::string message) { return {"NotFoundException", std::move(message), 400}; }

AwsError Denied(const KmsCallState& call, std::string_view action, std::string_view rest) {
  return {"AccessDeniedException",
          absl::StrCat("User: ", call.caller.arn, " is not authorized to perform: ", ToAbsl(action), " ", ToAbsl(rest)), 400};
}

// Across accounts the service does not say whether the key exists.
constexpr std::string_view kVague =
    "because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly "
    "denies "
    "access";

AwsError Hidden(const KmsCallState& call, std::string_view action) {
  return Denied(call, action, absl::StrCat("on this resource ", ToAbsl(kVague)));
}

}  // namespace

AwsError Validation(std::string message) { return {"ValidationException", std::move(message), 400}; }

AwsError MissingField(std::string_view name) {
  return Validation(absl::StrCat("1 validation error detected: Value null at '", LowerFirst(name),
                                 "' failed to satisfy constraint: Member must not be null"));
}

const json::value* KmsFields::Find(std::string_view name) const {
  const json::value* value = object_.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool KmsFields::Has(std::string_view name) const { return Find(name) != nullptr; }

Outcome<std::string> KmsFields::OptionalString(std::string_view name, size_t most) const {
  const json::value* value = Find(name);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return WrongType();
  if (value->get_string().size() > most) {
    return Validation(absl::StrCat("1 validation error detected: Value at '", LowerFirst(name),
                                   "' failed to satisfy constraint: Member must have length less than or equal to ", most));
  }
  return std::string(value->get_string());
}

Outcome<std::string> KmsFields::String(std::string_view name, size_t most) const {
  if (!Has(name)) return MissingField(name);
  AWS_ASSIGN(std::string text, OptionalString(name, most));
  if (text.empty()) {
    return Validation(absl::StrCat("1 validation error detected: Value '' at '", LowerFirst(name),
                                   "' failed to satisfy constraint: Member must have length greater than or equal to 1"));
  }
  return text;
}

Outcome<std::optional<int64_t>> KmsFields::Int(std::string_view name, int64_t least, int64_t most) const {
  const json::value* value = Find(name);
  if (value == nullptr) return std::optional<int64_t>();
  if (!value->is_int64()) return WrongType();
  const int64_t number = value->get_int64();
  const bool below = number < least;
  if (below || number > most) {
    return Validation(absl::StrCat("1 validation error detected: Value '", number, "' at '", LowerFirst(name),
                                   "' failed to satisfy constraint: Member must have value ",
                                   below ? "greater than or equal to " : "less than or equal to ", below ? least : most));
  }
  return std::optional<int64_t>(number);
}

Outcome<bool> KmsFields::Bool(std::string_view name) const {
  const json::value* value = Find(name);
  if (value == nullptr) return false;
  if (!value->is_bool()) return WrongType();
  return value->get_bool();
}

Outcome<SecretBytes> KmsFields::Blob(std::string_view name, size_t most) const {
  const json::value* value = Find(name);
  if (value == nullptr) return MissingField(name);
  if (!value->is_string()) return WrongType();
  absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(std::string_view(value->get_string()));
  if (!bytes.ok()) return WrongType();
  SecretBytes out = SecretBytes::CopyOf(*bytes);
  Wipe(bytes->data(), bytes->size());
  if (out.empty() || out.size() > most) {
    return Validation(absl::StrCat("1 validation error detected: Value at '", LowerFirst(name),
                                   "' failed to satisfy constraint: Member must have length ",
                                   out.empty() ? "greater than or equal to " : "less than or equal to ", out.empty() ? 1 : most));
  }
  return out;
}

Outcome<EncryptionContext> KmsFields::Context(std::string_view name) const {
  EncryptionContext out;
  const json::value* value = Find(name);
  if (value == nullptr) return out;
  if (!value->is_object()) return WrongType();
  size_t bytes = 0;
  for (const auto& [key, item] : value->get_object()) {
    if (!item.is_string()) return WrongType();
    bytes += key.size() + item.get_string().size();
    out.emplace(std::string(key), std::string(item.get_string()));
  }
  if (bytes > kMaxContextBytes) return Validation(absl::StrCat(std::string(name), " is longer than ", kMaxContextBytes, " bytes."));
  return out;
}

Outcome<Done> Authorize(const KmsCallState& call, const Key& key, std::string_view action, const EncryptionContext& context) {
  Verdict verdict = key.policy.Decide(call.caller, action, key.arn, context);
  for (const Denial& denial : call.world.denials) {
    if ((denial.key.empty() || denial.key == key.arn) && PrincipalMatches(denial.principal, call.caller))
      verdict = Verdict::kExplicitlyDenied;
  }
  if (verdict == Verdict::kAllowed) return Done{};
  if (key.account != call.caller.account) return Hidden(call, action);
  if (verdict == Verdict::kExplicitlyDenied) {
    return Denied(call, action, absl::StrCat("on resource: ", key.arn, " with an explicit deny in a resource-based policy"));
  }
  return Denied(call, action,
                absl::StrCat("on resource: ", key.arn, " because no resource-based policy allows the ", ToAbsl(action), " action"));
}

Outcome<Key*> ResolveKey(KmsCallState& call, const std::string& reference, std::string_view action, const EncryptionContext& context) {
  std::string account = call.caller.account;
  std::string resource = reference;
  if (reference.compare(0, 4, "arn:") == 0) {
    const std::optional<Arn> arn = ParseArn(reference);
    if (!arn || arn->service != "kms" || !IsAccountId(arn->account) || !IsRegion(arn->region) ||
        arn->partition != PartitionOf(arn->region)) {
      return NotFoundError(absl::StrCat("Invalid keyId '", reference, "'"));
    }
    if (arn->region != call.region) return NotFoundError("Invalid arn " + arn->region);
    account = arn->account;
    resource = arn->resource;
    if (resource.compare(0, 4, "key/") == 0) resource.erase(0, 4);
  }
  Key* key = nullptr;
  std::string absent;
  if (resource.compare(0, 6, "alias/") == 0) {
    const std::string alias_arn = AliasArn(call.region, account, resource);
    for (auto& [arn, candidate] : call.world.keys) {
      if (candidate.alias == resource && candidate.account == account && candidate.region == call.region) key = &candidate;
    }
    call.key = key != nullptr ? key->arn : alias_arn;
    absent = "Alias " + alias_arn + " is not found.";
  } else {
    if (!IsKeyId(resource)) return NotFoundError(absl::StrCat("Invalid keyId '", resource, "'"));
    call.key = KeyArn(call.region, account, resource);
    const auto found = call.world.keys.find(call.key);
    if (found != call.world.keys.end()) key = &found->second;
    absent = "Key '" + call.key + "' does not exist";
  }
  if (key == nullptr) {
    if (account != call.caller.account) return Hidden(call, action);
    return NotFoundError(absent);
  }
  AWS_TRY(Authorize(call, *key, action, context));
  return key;
}

Outcome<Key*> ResolveKeyId(KmsCallState& call, const KmsFields& fields, std::string_view action, const EncryptionContext& context) {
  AWS_ASSIGN(const std::string reference, fields.String("KeyId", 2048));
  return ResolveKey(call, reference, action, context);
}

AwsError NoSuchCiphertextKey(const KmsCallState& call, std::string_view action) {
  return Denied(call, action, absl::StrCat("on the resource associated with this ciphertext ", ToAbsl(kVague)));
}

AwsError InvalidState(const Key& key) {
  const char* words = "is in an unknown state.";
  if (key.pending_deletion()) words = "is pending deletion.";
  if (key.state == "PendingImport") words = "is pending import.";
  if (key.state == "Unavailable") words = "is unavailable.";
  if (key.state == "Creating") words = "is creating.";
  if (key.state == "Updating") words = "is updating.";
  return {"KMSInvalidStateException", absl::StrCat(key.arn, " ", words), 400};
}

Outcome<Done> CheckUsable(const Key& key) {
  // While the primary Region of a multi-Region key is updated, the key can be used and not be managed.
  if (key.state == "Enabled" || key.state == "Updating") return Done{};
  if (key.state == "Disabled") return AwsError{"DisabledException", key.arn + " is disabled.", 400};
  return InvalidState(key);
}

AwsError DryRunSucceeded() { return {"DryRunOperationException", "The request would have succeeded, but the DryRun option is set.", 400}; }

Outcome<Done> RefuseUnsupported(const KmsFields& fields) {
  const json::value* tokens = fields.object().if_contains("GrantTokens");
  if (tokens != nullptr && tokens->is_array() && !tokens->get_array().empty()) return AwsError{"InvalidGrantTokenException", "", 400};
  if (fields.Has("Recipient")) return AwsError{"UnsupportedOperationException", "The emulator does not answer enclaves (Recipient).", 400};
  return Done{};
}

double EpochSeconds(absl::Time t) { return static_cast<double>(absl::ToUnixMillis(t)) / 1000.0; }

KmsOperation FindKmsOperation(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, KmsOperation>, 19> kOperations = {{
      {"Encrypt", Encrypt},
      {"Decrypt", Decrypt},
      {"GenerateDataKey", GenerateDataKey},
      {"GenerateDataKeyWithoutPlaintext", GenerateDataKeyWithoutPlaintext},
      {"ReEncrypt", ReEncrypt},
      {"CreateKey", CreateKey},
      {"DescribeKey", DescribeKey},
      {"EnableKey", EnableKey},
      {"DisableKey", DisableKey},
      {"ScheduleKeyDeletion", ScheduleKeyDeletion},
      {"CancelKeyDeletion", CancelKeyDeletion},
      {"PutKeyPolicy", PutKeyPolicy},
      {"GetKeyPolicy", GetKeyPolicy},
      {"ListKeys", ListKeys},
      {"GetKeyRotationStatus", GetKeyRotationStatus},
      {"EnableKeyRotation", EnableKeyRotation},
      {"DisableKeyRotation", DisableKeyRotation},
      {"RotateKeyOnDemand", RotateKeyOnDemand},
      {"ListKeyRotations", ListKeyRotations},
  }};
  for (const auto& [known, operation] : kOperations) {
    if (known == name) return operation;
  }
  return nullptr;
}

}  // namespace latchkey::emulator
