// Cloud KMS, IAM Credentials, OAuth, STS and the metadata server on one port.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "kms/fake_service.h"
#include "kms/gcp/crc32c.h"
#include "kms/kms.h"

namespace latchkey {

inline constexpr char kTestGcpKey[] = "projects/owner-project/locations/europe-west3/keyRings/latchkey/cryptoKeys/owner-key-1";
inline constexpr char kTestGcpOtherKey[] = "projects/owner-project/locations/europe-west3/keyRings/latchkey/cryptoKeys/owner-key-2";
inline constexpr char kTestGcpAccount[] = "latchkey-cmek@owner-project.iam.gserviceaccount.com";

// As Google writes its errors; `details` is JSON text, [] or more.
inline HttpResponse GcpErrorAnswer(int code, const std::string& status, const std::string& message, const std::string& details = "") {
  json::object error = {{"code", code}, {"message", message}, {"status", status}};
  if (!details.empty()) error["details"] = ParseJson(details).value();
  return HttpResponse::Json(code, json::serialize(json::object{{"error", error}}));
}
inline HttpResponse OAuthError(int code, const std::string& error, const std::string& description) {
  return HttpResponse::Json(code, json::serialize(json::object{{"error", error}, {"error_description", description}}));
}

class FakeGcp : public FakeService {
 public:
  FakeGcp() { Start(); }
  ~FakeGcp() override { Stop(); }

  void SetState(const std::string& state) {
    const std::lock_guard lock(mutex_);
    state_ = state;
  }
  void SetPrimary(int version) {
    const std::lock_guard lock(mutex_);
    primary_ = version;
  }

 private:
  // Named by path alone, so that a request to a wrong path is seen.
  std::string OperationOf(const HttpRequest& request) const override {
    const std::string key = std::string("/v1/") + kTestGcpKey;
    if (request.method == "POST" && request.path == key + ":encrypt") return "encrypt";
    if (request.method == "POST" && request.path == key + ":decrypt") return "decrypt";
    if (request.method == "GET" && request.path == key) return "getCryptoKey";
    if (request.method == "POST" && request.path == "/token") return "oauth";
    if (request.method == "POST" && request.path == "/v1/token") return "sts";
    if (request.method == "POST" && request.path.starts_with("/v1/projects/-/serviceAccounts/") &&
        request.path.ends_with(":generateAccessToken")) {
      return "generateAccessToken";
    }
    if (request.method == "GET" && request.path == "/computeMetadata/v1/instance/service-accounts/default/token") return "metadata";
    return "unknown " + request.method + " " + request.path;
  }

  HttpResponse Right(const std::string& operation, const HttpRequest& request) override {
    const std::lock_guard lock(mutex_);
    if (operation == "oauth" || operation == "sts" || operation == "metadata") {
      json::object token = {
          {"access_token", operation + "-token-" + std::to_string(++issued_)}, {"expires_in", 3600}, {"token_type", "Bearer"}};
      HttpResponse response = HttpResponse::Json(200, json::serialize(token));
      if (operation == "metadata") response.headers["metadata-flavor"] = "Google";
      return response;
    }
    if (operation == "generateAccessToken") {
      return HttpResponse::Json(200, json::serialize(json::object{{"accessToken", "owner-token-" + std::to_string(++issued_)},
                                                                  {"expireTime", "2100-01-01T00:00:00Z"}}));
    }
    if (operation == "getCryptoKey") return HttpResponse::Json(200, json::serialize(Key()));
    const auto body = ParseJsonObject(request.body);
    if (!body.ok()) return GcpErrorAnswer(400, "INVALID_ARGUMENT", "Invalid JSON payload received.");
    if (operation == "encrypt") return Encrypt(*body);
    if (operation == "decrypt") return Decrypt(*body);
    return GcpErrorAnswer(404, "NOT_FOUND", "no such method in this test: " + operation);
  }

  std::string VersionName() const { return std::string(kTestGcpKey) + "/cryptoKeyVersions/" + std::to_string(primary_); }

  json::object Key() const {
    json::object primary = {{"name", VersionName()},
                            {"state", state_},
                            {"createTime", "2026-01-01T00:00:00Z"},
                            {"protectionLevel", "HSM"},
                            {"algorithm", "GOOGLE_SYMMETRIC_ENCRYPTION"}};
    if (state_ == "DESTROY_SCHEDULED") primary["destroyTime"] = "2026-03-01T00:00:00.5Z";
    return {{"name", kTestGcpKey},          {"primary", primary},
            {"purpose", "ENCRYPT_DECRYPT"}, {"nextRotationTime", "2026-04-01T00:00:00Z"},
            {"rotationPeriod", "7776000s"}, {"destroyScheduledDuration", "2592000s"}};
  }

  static std::string Bytes(const json::object& body, const char* name) {
    const json::value* value = body.if_contains(name);
    const auto bytes = Base64Decode(value == nullptr ? "" : value->as_string().c_str());
    return bytes.ok() ? std::string(AsText(*bytes)) : "";
  }
  // Whether the checksum came and is right.
  static bool Checks(const json::object& body, const char* name, const std::string& bytes) {
    const json::value* value = body.if_contains(name);
    return value != nullptr && value->as_string() == std::to_string(Crc32c(AsBytes(bytes)));
  }
  static HttpResponse WrongChecksum(const std::string& field) {
    return GcpErrorAnswer(400, "INVALID_ARGUMENT",
                          "The checksum in field " + field + "_crc32c did not match the data in field " + field + ".");
  }

  // Ciphertext is "v<version>|<aad>|<plaintext>": enough to give the one back only with the other.
  HttpResponse Encrypt(const json::object& body) const {
    const std::string plaintext = Bytes(body, "plaintext"), aad = Bytes(body, "additionalAuthenticatedData");
    if (!Checks(body, "plaintextCrc32c", plaintext)) return WrongChecksum("plaintext");
    if (!Checks(body, "additionalAuthenticatedDataCrc32c", aad)) return WrongChecksum("additional_authenticated_data");
    if (state_ != "ENABLED") return NotEnabled();
    const std::string ciphertext = "v" + std::to_string(primary_) + "|" + aad + "|" + plaintext;
    return HttpResponse::Json(200, json::serialize(json::object{{"name", VersionName()},
                                                                {"ciphertext", Base64Encode(AsBytes(ciphertext))},
                                                                {"ciphertextCrc32c", std::to_string(Crc32c(AsBytes(ciphertext)))},
                                                                {"verifiedPlaintextCrc32c", true},
                                                                {"verifiedAdditionalAuthenticatedDataCrc32c", true},
                                                                {"protectionLevel", "HSM"}}));
  }
  HttpResponse Decrypt(const json::object& body) const {
    const std::string ciphertext = Bytes(body, "ciphertext"), aad = Bytes(body, "additionalAuthenticatedData");
    if (!Checks(body, "ciphertextCrc32c", ciphertext)) return WrongChecksum("ciphertext");
    if (!Checks(body, "additionalAuthenticatedDataCrc32c", aad)) return WrongChecksum("additional_authenticated_data");
    if (state_ != "ENABLED") return NotEnabled();
    const size_t bar = ciphertext.find('|');
    const std::string rest = bar == std::string::npos ? "" : ciphertext.substr(bar + 1);
    if (!rest.starts_with(aad + "|")) {
      return GcpErrorAnswer(400, "INVALID_ARGUMENT", "Decryption failed: verify that 'name' refers to the correct CryptoKey.");
    }
    const std::string plaintext = rest.substr(aad.size() + 1);
    return HttpResponse::Json(200, json::serialize(json::object{{"plaintext", Base64Encode(AsBytes(plaintext))},
                                                                {"plaintextCrc32c", std::to_string(Crc32c(AsBytes(plaintext)))},
                                                                {"usedPrimary", true},
                                                                {"protectionLevel", "HSM"}}));
  }
  HttpResponse NotEnabled() const {
    return GcpErrorAnswer(400, "FAILED_PRECONDITION", VersionName() + " is not enabled, current state is: " + state_ + ".");
  }

  std::string state_ = "ENABLED";
  int primary_ = 1;
  int issued_ = 0;
};

}  // namespace latchkey
