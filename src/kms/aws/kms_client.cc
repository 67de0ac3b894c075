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

// The body of an answer of 200. `secret`: a part of the request's body.
absl::StatusOr<std::string> Call(AwsTransport& transport, const KmsTarget& target, const std::string& operation, std::string body,
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
  return text;
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
  auto answer = Call(transport, target, "Encrypt", std::move(body), budget, encoded);
  Wipe(encoded);
  RETURN_IF_ERROR(answer.status());
  return ReadAwsEncrypted(*answer, key_arn);
}

absl::StatusOr<KmsPlaintext> KmsDecrypt(AwsTransport& transport, const KmsTarget& target, std::string_view key_arn,
                                        const std::vector<uint8_t>& ciphertext, const KmsContext& context, const CallBudget& budget) {
  const json::object request = {
      {"KeyId", std::string(key_arn)}, {"EncryptionContext", ContextObject(context)}, {"CiphertextBlob", Base64Encode(ciphertext)}};
  ASSIGN_OR_RETURN(std::string answer, Call(transport, target, "Decrypt", json::serialize(request), budget));
  return ReadAwsDecrypted(answer, key_arn);
}

absl::StatusOr<AwsKeyMetadata> KmsDescribeKey(AwsTransport& transport, const KmsTarget& target, std::string_view key_arn,
                                              const CallBudget& budget) {
  const json::object request = {{"KeyId", std::string(key_arn)}};
  ASSIGN_OR_RETURN(std::string answer, Call(transport, target, "DescribeKey", json::serialize(request), budget));
  return ReadAwsKeyMetadata(answer, key_arn);
}

absl::StatusOr<AwsKeyRotation> KmsGetKeyRotationStatus(AwsTransport& transport, const KmsTarget& target, std::string_view key_arn,
                                                       const CallBudget& budget) {
  const json::object request = {{"KeyId", std::string(key_arn)}};
  ASSIGN_OR_RETURN(std::string answer, Call(transport, target, "GetKeyRotationStatus", json::serialize(request), budget));
  return ReadAwsKeyRotation(answer, key_arn);
}

}  // namespace latchkey
