#include "kms/aws/answers.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "base/status.h"
#include "kms/answer_fields.h"
#include "kms/aws/xml.h"
#include "kms/call.h"

namespace latchkey {
namespace {

// Machines' credentials last six hours.
constexpr absl::Duration kLongestMachineLife = absl::Hours(24);
constexpr size_t kMostKeyId = 128, kMostSecretKey = 1024, kMostRole = 64;

absl::StatusOr<json::object> Take(std::string& body, std::string_view operation) {
  auto answer = TakeAnswer(body);
  if (answer.ok()) return answer;
  return KmsError(FailureClass::kUnreachable, absl::StrCat("AWS KMS ", ToAbsl(operation), ": the answer is not a JSON object"));
}

absl::Status Incomplete(std::string_view operation, std::string_view field) {
  return KmsError(FailureClass::kUnreachable, absl::StrCat("AWS KMS ", ToAbsl(operation), ": the answer has no ", ToAbsl(field)));
}

absl::Status OtherKey(std::string_view operation) {
  return KmsError(FailureClass::kCorrupt, absl::StrCat("AWS KMS ", ToAbsl(operation), ": the answer is of another key"));
}

absl::Status CheckKeyId(std::string_view operation, const json::object& answer, std::string_view key_arn) {
  const std::string key_id = AnswerText(answer, "KeyId");
  if (key_id.empty()) return Incomplete(operation, "KeyId");
  return key_id == key_arn ? absl::OkStatus() : OtherKey(operation);
}

// Epoch seconds, whole, fractional or in exponent form.
std::optional<absl::Time> Date(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  if (value == nullptr || !value->is_number()) return std::nullopt;
  const double seconds = value->is_double()  ? value->get_double()
                         : value->is_int64() ? static_cast<double>(value->get_int64())
                                             : static_cast<double>(value->get_uint64());
  if (!(seconds > 0 && seconds < 1e11)) return std::nullopt;
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

absl::Status Identity(const std::string& what, std::string_view message) {
  return KmsError(FailureClass::kIdentity, absl::StrCat(what, ": ", ToAbsl(message)));
}

// All three go into a signature and its headers.
bool AreComplete(const AwsCredentials& credentials) {
  return credentials.access_key_id.size() <= kMostKeyId && IsHeaderText(credentials.access_key_id) &&
         !credentials.secret_access_key.empty() && IsHeaderText(credentials.session_token.RevealText(SecretAccess{}));
}

}  // namespace

absl::StatusOr<std::vector<uint8_t>> ReadAwsEncrypted(std::string& body, std::string_view key_arn) {
  ASSIGN_OR_RETURN(const json::object answer, Take(body, "Encrypt"));
  RETURN_IF_ERROR(CheckKeyId("Encrypt", answer, key_arn));
  auto blob = Base64Decode(AnswerText(answer, "CiphertextBlob"));
  if (!blob.ok() || blob->empty()) return Incomplete("Encrypt", "CiphertextBlob");
  // What could not be sent back is not kept.
  if (blob->size() > kMostAwsCiphertext) return KmsError(FailureClass::kCorrupt, "AWS KMS Encrypt: the ciphertext is too long");
  return blob;
}

absl::StatusOr<KmsPlaintext> ReadAwsDecrypted(std::string& body, std::string_view key_arn) {
  ASSIGN_OR_RETURN(json::object answer, Take(body, "Decrypt"));
  KmsPlaintext plaintext{.bytes = TakeAnswerBytes(answer, "Plaintext", AnswerBytes::kBase64),
                         .key_material_id = AnswerWords(answer, "KeyMaterialId")};
  RETURN_IF_ERROR(CheckKeyId("Decrypt", answer, key_arn));
  if (plaintext.bytes.empty()) return Incomplete("Decrypt", "Plaintext of ours");
  return plaintext;
}

absl::StatusOr<AwsKeyMetadata> ReadAwsKeyMetadata(std::string& body, std::string_view key_arn) {
  ASSIGN_OR_RETURN(const json::object answer, Take(body, "DescribeKey"));
  const json::value* value = answer.if_contains("KeyMetadata");
  if (value == nullptr || !value->is_object()) return Incomplete("DescribeKey", "KeyMetadata");
  const json::object& metadata = value->get_object();
  AwsKeyMetadata key;
  key.arn = AnswerText(metadata, "Arn");
  key.key_state = AnswerWords(metadata, "KeyState");
  key.key_usage = AnswerWords(metadata, "KeyUsage");
  key.key_spec = AnswerWords(metadata, "KeySpec");
  if (key.key_spec.empty()) key.key_spec = AnswerWords(metadata, "CustomerMasterKeySpec");
  key.key_material_id = AnswerWords(metadata, "CurrentKeyMaterialId");
  key.origin = AnswerWords(metadata, "Origin");
  key.deletion_date = Date(metadata, "DeletionDate");
  key.valid_to = Date(metadata, "ValidTo");
  if (key.arn.empty() || key.key_state.empty()) return Incomplete("DescribeKey", "Arn and KeyState");
  if (key.arn != key_arn) return OtherKey("DescribeKey");
  return key;
}

absl::StatusOr<AwsKeyRotation> ReadAwsKeyRotation(std::string& body, std::string_view key_arn) {
  ASSIGN_OR_RETURN(const json::object answer, Take(body, "GetKeyRotationStatus"));
  // Older releases leave KeyId out.
  if (const std::string key_id = AnswerText(answer, "KeyId"); !key_id.empty() && key_id != key_arn) {
    return OtherKey("GetKeyRotationStatus");
  }
  const json::value* enabled = answer.if_contains("KeyRotationEnabled");
  if (enabled == nullptr || !enabled->is_bool()) return Incomplete("GetKeyRotationStatus", "KeyRotationEnabled");
  return AwsKeyRotation{.enabled = enabled->get_bool(), .next = Date(answer, "NextRotationDate")};
}

std::optional<FailureClass> FailureOfAwsState(std::string_view state) {
  if (state == "Enabled" || state == "Updating") return std::nullopt;
  if (state == "Disabled") return FailureClass::kDisabled;
  if (state == "PendingDeletion" || state == "PendingReplicaDeletion") return FailureClass::kPendingDeletion;
  if (state == "PendingImport") return FailureClass::kDestroyed;
  if (state == "Unavailable" || state == "Creating") return FailureClass::kUnreachable;
  return FailureClass::kAmbiguous;
}

KeyDescription DescribeAwsKey(const AwsKeyMetadata& metadata) {
  KeyDescription description{.resolved_uri = metadata.arn,
                             .state = metadata.key_state,
                             .key_version = metadata.key_material_id,
                             .deletion_date = metadata.deletion_date,
                             .expires_at = metadata.valid_to,
                             .protection_level = metadata.origin};
  // A key of KMS's own is deleted after seven days at the earliest, and can be kept until then. Imported material can be deleted at once,
  // and what happens in an external or CloudHSM key store KMS does not rule.
  if (metadata.origin == "AWS_KMS") description.purge_protected = true;
  if (metadata.key_usage != "ENCRYPT_DECRYPT" || metadata.key_spec != "SYMMETRIC_DEFAULT") {
    description.failure = FailureClass::kUnsuitable;
    description.unusable_because = absl::StrCat("it is a key of usage ", metadata.key_usage, " and kind ", metadata.key_spec,
                                                ", not a symmetric one for encryption and decryption");
    return description;
  }
  description.failure = FailureOfAwsState(metadata.key_state);
  description.usable = !description.failure;
  if (description.failure) description.unusable_because = absl::StrCat("its state is ", metadata.key_state);
  return description;
}

absl::StatusOr<SharedAwsCredentials> ReadStsCredentials(std::string& body, const std::string& action, absl::Time asked,
                                                        absl::Duration lifetime) {
  const std::string response = action + "Response", result = action + "Result";
  const auto text = [&](std::string_view name) {
    return XmlText(body, {std::string_view(response), std::string_view(result), "Credentials", name}).value_or("");
  };
  std::string secret = text("SecretAccessKey"), token = text("SessionToken");
  auto credentials = std::make_shared<AwsCredentials>();
  credentials->access_key_id = text("AccessKeyId");
  if (secret.size() <= kMostSecretKey) credentials->secret_access_key = SecretBytes::CopyOf(std::string_view(secret));
  if (token.size() <= kMostToken) credentials->session_token = SecretBytes::CopyOf(std::string_view(token));
  const std::optional<absl::Time> expires = ReadAnswerTime(text("Expiration"));
  Wipe(secret);
  Wipe(token);
  Wipe(body);
  if (!expires || !AreComplete(*credentials)) {
    // Half an answer is no answer.
    return KmsError(FailureClass::kUnreachable, absl::StrCat("AWS STS ", action, ": the answer holds no complete credentials"));
  }
  credentials->expires = BoundExpiry(*expires, asked, lifetime);
  return SharedAwsCredentials(std::move(credentials));
}

absl::StatusOr<SharedAwsCredentials> ReadMachineCredentials(std::string& body, const std::string& what, absl::Time asked) {
  absl::StatusOr<json::object> answer = TakeAnswer(body);
  if (!answer.ok()) return Identity(what, "the answer is not a JSON object");
  auto credentials = std::make_shared<AwsCredentials>();
  credentials->access_key_id = AnswerText(*answer, "AccessKeyId");
  credentials->secret_access_key = TakeAnswerSecret(*answer, "SecretAccessKey", kMostSecretKey);
  credentials->session_token = TakeAnswerSecret(*answer, "Token");
  if (const std::string code = AnswerText(*answer, "Code"); !code.empty() && code != "Success") {
    const std::array<std::string_view, 2> secrets = {credentials->secret_access_key.RevealText(SecretAccess{}),
                                                     credentials->session_token.RevealText(SecretAccess{})};
    const auto words = [&](const std::string& text) { return CleanWords(WithoutSecrets(text, secrets)); };
    return Identity(what,
                    absl::StrCat("the role's credentials are not to be had: ", words(code), " ", words(AnswerText(*answer, "Message"))));
  }
  const std::optional<absl::Time> expires = ReadAnswerTime(AnswerText(*answer, "Expiration"));
  if (!expires || !AreComplete(*credentials)) return Identity(what, "the answer holds no complete credentials");
  credentials->expires = BoundExpiry(*expires, asked, kLongestMachineLife);
  return SharedAwsCredentials(std::move(credentials));
}

absl::StatusOr<std::string> ReadInstanceRole(std::string_view body, const std::string& what) {
  std::string_view role = body.substr(0, body.find('\n'));
  while (!role.empty() && static_cast<unsigned char>(role.back()) <= ' ') role.remove_suffix(1);
  const bool good = std::ranges::all_of(role, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_+=,.@-").find(c) != std::string_view::npos;
  });
  if (role.empty() || role.size() > kMostRole || !good) return Identity(what, "no role is attached to this instance");
  return std::string(role);
}

}  // namespace latchkey
