#include "kms/aws/kms_client.h"

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"

namespace latchkey {
namespace {

json::object ContextObject(const KmsContext& context) {
  json::object object;
  for (const auto& [name, value] : context) object[name] = value;
  return object;
}

// An answer of 200, parsed; the text is wiped. What is not JSON is no answer. `secret`: a part of the body.
absl::StatusOr<json::object> Call(AwsTransport& transport, const KmsTarget& target, const std::string& operation, std::string body,
                                  const CallBudget& budget, std::string_view secret = {}) {
  AwsCall call;
  call.what = "AWS KMS " + operation;
  call.endpoint = target.endpoint;
  call.configured = target.configured;
  call.region = target.region;
  call.service = "kms";
  call.headers = {{"content-type", "application/x-amz-json-1.1"}, {"x-amz-target", "TrentService." + operation}};
  call.body = std::move(body);
  call.secrets = {secret};
  call.credentials = target.credentials.get();
  call.fresh = target.fresh;
  auto text = transport.Send(call, budget);
  Wipe(call.body);
  RETURN_IF_ERROR(text.status());
  auto object = ParseJsonObject(*text);
  Wipe(*text);
  if (!object.ok()) return KmsError(FailureClass::kUnreachable, call.what + ": the answer is not a JSON object");
  return object;
}

absl::Status Incomplete(const std::string& operation, std::string_view field) {
  return KmsError(FailureClass::kUnreachable, absl::StrCat("AWS KMS ", operation, ": the answer has no ", ToAbsl(field)));
}

std::string Text(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

absl::Status CheckKeyId(const std::string& operation, const json::object& answer, std::string_view key_arn) {
  const std::string key_id = Text(answer, "KeyId");
  if (key_id.empty()) return Incomplete(operation, "KeyId");
  if (key_id != key_arn) return KmsError(FailureClass::kCorrupt, absl::StrCat("AWS KMS ", operation, ": the answer is of another key"));
  return absl::OkStatus();
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

}  // namespace

absl::StatusOr<std::vector<uint8_t>> KmsEncrypt(AwsTransport& transport, const KmsTarget& target, std::string_view key_arn,
                                                const SecretBytes& plaintext, const KmsContext& context, const CallBudget& budget) {
  // Written by hand around the secret, so that it stands in one string that is wiped, and in no JSON tree.
  const json::object rest = {{"KeyId", std::string(key_arn)}, {"EncryptionContext", ContextObject(context)}};
  std::string encoded = Base64Encode(plaintext.Reveal(SecretAccess{}));
  std::string body = json::serialize(rest);
  body.reserve(body.size() + encoded.size() + 32);
  body.pop_back();
  body.append(",\"Plaintext\":\"").append(encoded).append("\"}");
  const auto answered = Call(transport, target, "Encrypt", std::move(body), budget, encoded);
  Wipe(encoded);
  ASSIGN_OR_RETURN(const json::object answer, answered);
  RETURN_IF_ERROR(CheckKeyId("Encrypt", answer, key_arn));
  auto blob = Base64Decode(Text(answer, "CiphertextBlob"));
  if (!blob.ok() || blob->empty()) return Incomplete("Encrypt", "CiphertextBlob");
  return blob;
}

absl::StatusOr<KmsPlaintext> KmsDecrypt(AwsTransport& transport, const KmsTarget& target, std::string_view key_arn,
                                        const std::vector<uint8_t>& ciphertext, const KmsContext& context, const CallBudget& budget) {
  const json::object request = {
      {"KeyId", std::string(key_arn)}, {"EncryptionContext", ContextObject(context)}, {"CiphertextBlob", Base64Encode(ciphertext)}};
  ASSIGN_OR_RETURN(json::object answer, Call(transport, target, "Decrypt", json::serialize(request), budget));
  KmsPlaintext plaintext{.bytes = {}, .key_material_id = Text(answer, "KeyMaterialId")};
  if (json::value* value = answer.if_contains("Plaintext"); value != nullptr && value->is_string()) {
    json::string& text = value->get_string();
    auto bytes = Base64Decode({text.data(), text.size()});
    Wipe(text.data(), text.size());
    if (bytes.ok()) {
      plaintext.bytes = SecretBytes::CopyOf(std::span<const uint8_t>(*bytes));
      Wipe(bytes->data(), bytes->size());
    }
  }
  RETURN_IF_ERROR(CheckKeyId("Decrypt", answer, key_arn));
  if (plaintext.bytes.empty()) return Incomplete("Decrypt", "Plaintext");
  return plaintext;
}

absl::StatusOr<AwsKeyMetadata> KmsDescribeKey(AwsTransport& transport, const KmsTarget& target, std::string_view key_arn,
                                              const CallBudget& budget) {
  const json::object request = {{"KeyId", std::string(key_arn)}};
  ASSIGN_OR_RETURN(const json::object answer, Call(transport, target, "DescribeKey", json::serialize(request), budget));
  const json::value* value = answer.if_contains("KeyMetadata");
  if (value == nullptr || !value->is_object()) return Incomplete("DescribeKey", "KeyMetadata");
  const json::object& metadata = value->get_object();
  AwsKeyMetadata key;
  key.arn = Text(metadata, "Arn");
  key.key_state = Text(metadata, "KeyState");
  key.key_usage = Text(metadata, "KeyUsage");
  key.key_spec = Text(metadata, "KeySpec");
  if (key.key_spec.empty()) key.key_spec = Text(metadata, "CustomerMasterKeySpec");
  key.key_material_id = Text(metadata, "CurrentKeyMaterialId");
  key.origin = Text(metadata, "Origin");
  key.deletion_date = Date(metadata, "DeletionDate");
  key.valid_to = Date(metadata, "ValidTo");
  if (key.arn.empty() || key.key_state.empty()) return Incomplete("DescribeKey", "Arn and KeyState");
  if (key.arn != key_arn) return KmsError(FailureClass::kCorrupt, "AWS KMS DescribeKey: the answer is of another key");
  return key;
}

absl::StatusOr<AwsKeyRotation> KmsGetKeyRotationStatus(AwsTransport& transport, const KmsTarget& target, std::string_view key_arn,
                                                       const CallBudget& budget) {
  const json::object request = {{"KeyId", std::string(key_arn)}};
  ASSIGN_OR_RETURN(const json::object answer, Call(transport, target, "GetKeyRotationStatus", json::serialize(request), budget));
  // Older releases leave KeyId out.
  if (const std::string key_id = Text(answer, "KeyId"); !key_id.empty() && key_id != key_arn) {
    return KmsError(FailureClass::kCorrupt, "AWS KMS GetKeyRotationStatus: the answer is of another key");
  }
  const json::value* enabled = answer.if_contains("KeyRotationEnabled");
  if (enabled == nullptr || !enabled->is_bool()) return Incomplete("GetKeyRotationStatus", "KeyRotationEnabled");
  return AwsKeyRotation{.enabled = enabled->get_bool(), .next = Date(answer, "NextRotationDate")};
}

}  // namespace latchkey
