// AWS KMS and STS on one port.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "base/json.h"
#include "kms/fake_service.h"
#include "kms/kms.h"

namespace latchkey {

inline constexpr char kTestKeyArn[] = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
inline constexpr char kTestRoleArn[] = "arn:aws:iam::111122223333:role/latchkey/owner";

inline HttpResponse AwsJson(int status, std::string body) {
  return {.status = status, .headers = {{"content-type", "application/x-amz-json-1.1"}}, .body = std::move(body)};
}
inline HttpResponse AwsJsonError(const std::string& type, const std::string& message) {
  json::object body = {{"__type", type}};
  if (!message.empty()) body["message"] = message;
  return AwsJson(400, json::serialize(body));
}
inline HttpResponse StsError(int status, const std::string& code, const std::string& message) {
  return {.status = status,
          .headers = {{"content-type", "text/xml"}},
          .body = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    <Type>Sender</Type>\n    <Code>" +
                  code + "</Code>\n    <Message>" + message + "</Message>\n  </Error>\n  <RequestId>r-1</RequestId>\n</ErrorResponse>\n"};
}

class FakeAws : public FakeService {
 public:
  FakeAws() { Start(); }
  ~FakeAws() override { Stop(); }

  void SetKeyState(const std::string& state) {
    const std::lock_guard lock(mutex_);
    key_state_ = state;
  }

 private:
  std::string OperationOf(const HttpRequest& request) const override {
    std::string operation = request.Header("x-amz-target");
    if (operation.starts_with("TrentService.")) {
      operation.erase(0, 13);
    } else {
      for (const auto& [name, value] : ParseForm(request.body).value_or(std::vector<std::pair<std::string, std::string>>())) {
        if (name == "Action") operation = value;
      }
    }
    return operation;
  }
  HttpResponse Right(const std::string& operation, const HttpRequest& request) override {
    return operation.starts_with("Assume") ? Credentials(operation) : Kms(operation, request.body);
  }

  HttpResponse Credentials(const std::string& operation) {
    const std::lock_guard lock(mutex_);
    return {.status = 200,
            .headers = {{"content-type", "text/xml"}},
            .body = "<" + operation + "Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n<" + operation +
                    "Result>\n<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/x/latchkey</Arn></AssumedRoleUser>\n<Credentials>"
                    "<AccessKeyId>ASIA" +
                    std::to_string(++issued_) +
                    "</AccessKeyId><SecretAccessKey>role/secret+</SecretAccessKey><SessionToken>role&#x2F;token==</SessionToken>"
                    "<Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>\n</" +
                    operation + "Result>\n<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></" + operation + "Response>\n"};
  }

  // Ciphertext is the request's plaintext and context, in base64: enough to give the one back only with the other.
  HttpResponse Kms(const std::string& operation, const std::string& body) {
    const auto request = ParseJsonObject(body);
    if (!request.ok()) return AwsJsonError("SerializationException", "");
    const std::string key = request->at("KeyId").as_string().c_str();
    if (operation == "DescribeKey") {
      const std::lock_guard lock(mutex_);
      json::object metadata = {{"AWSAccountId", "111122223333"},
                               {"KeyId", "x"},
                               {"Arn", key},
                               {"CreationDate", 1.646160362664E9},
                               {"Enabled", key_state_ == "Enabled"},
                               {"KeyState", key_state_},
                               {"KeyUsage", "ENCRYPT_DECRYPT"},
                               {"KeySpec", "SYMMETRIC_DEFAULT"},
                               {"Origin", "AWS_KMS"},
                               {"CurrentKeyMaterialId", "m-1"}};
      if (key_state_ == "PendingDeletion") metadata["DeletionDate"] = 1.7000000005E9;
      return AwsJson(200, json::serialize(json::object{{"KeyMetadata", metadata}}));
    }
    if (operation == "GetKeyRotationStatus") {
      return AwsJson(200,
                     json::serialize(json::object{
                         {"KeyId", key}, {"KeyRotationEnabled", true}, {"RotationPeriodInDays", 365}, {"NextRotationDate", 1.7315E9}}));
    }
    const std::string context = json::serialize(request->at("EncryptionContext"));
    if (operation == "Encrypt") {
      const std::string blob = context + "|" + request->at("Plaintext").as_string().c_str();
      return AwsJson(200, json::serialize(json::object{{"CiphertextBlob", Base64Encode(AsBytes(blob))}, {"KeyId", key}}));
    }
    const auto bytes = Base64Decode(request->at("CiphertextBlob").as_string().c_str());
    const std::string blob(bytes.ok() ? AsText(*bytes) : "");
    if (!blob.starts_with(context + "|")) return AwsJsonError("InvalidCiphertextException", "");
    return AwsJson(200,
                   json::serialize(json::object{{"Plaintext", blob.substr(context.size() + 1)}, {"KeyId", key}, {"KeyMaterialId", "m-1"}}));
  }

  std::string key_state_ = "Enabled";
  int issued_ = 0;
};

}  // namespace latchkey
