// The Google cloud with its seed, and requests to it as clients make them: for tests only. No sockets.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/testing.h"
#include "crypto/jwt.h"
#include "emulator/cloud.h"

namespace latchkey::emulator {

struct GcpReply {
  int status = 0;
  json::object body;
  std::string text;
  HttpHeaders headers;
  CallRecord record;
  bool changed = false;

  // Of Google's errors; "OK" for answers.
  std::string Code() const { return error() == nullptr ? "OK" : std::string(error()->at("status").as_string()); }
  std::string Message() const { return error() == nullptr ? "" : std::string(error()->at("message").as_string()); }
  // Of OAuth's.
  std::string OauthCode() const { return Text("error"); }
  std::string Text(const char* name) const {
    const json::value* value = body.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
  }

 private:
  const json::object* error() const {
    const json::value* value = body.if_contains("error");
    return value != nullptr && value->is_object() ? &value->get_object() : nullptr;
  }
};

class GcpCloudTest : public testing::Test {
 protected:
  static constexpr const char* kBase = "http://127.0.0.1:5567";
  static constexpr const char* kOperator = "latchkey@latchkey-operator.iam.gserviceaccount.com";
  static constexpr const char* kOwner = "latchkey-cmek@latchkey-owner.iam.gserviceaccount.com";
  static constexpr const char* kScope = "https://www.googleapis.com/auth/cloud-platform";
  static constexpr const char* kAdministrator = "administrator@latchkey-owner.iam.gserviceaccount.com";

  void SetUp() override {
    // Making RSA keys is what takes time: every test starts from a copy of one state.
    static const Start* const kStart = new Start(Begin(clock_.Now()));
    cloud_ = NewGcpCloud();
    ASSERT_THAT(cloud_->Restore(kStart->state), IsOk());
    seed_ = kStart->seed;
    administrator_ = kStart->administrator;
    escrow_ = seed_.at("escrow").as_object().at("uri").as_string();
    owner_key_ = seed_.at("owner").as_object().at("uri").as_string();
    second_key_ = seed_.at("second_owner").as_object().at("uri").as_string();
    file_ = seed_.at("credentials").as_object().at("service_account").as_object();
  }

  GcpReply Send(const std::string& method, const std::string& target, std::string body, HttpHeaders headers) {
    HttpRequest request{.method = method, .target = target, .headers = std::move(headers), .body = std::move(body)};
    EXPECT_TRUE(request.SplitTarget());
    const OperationName name = cloud_->NameOf(request);
    cloud_->Settle(clock_.Now(), Random::System());
    CloudCall call{.request = request,
                   .name = name,
                   .now = clock_.Now(),
                   .wall = wall_.Now(),
                   .random = Random::System(),
                   .base_url = kBase,
                   .record = {}};
    HttpResponse response = cloud_->Answer(call);
    GcpReply reply{
        .status = response.status, .text = response.body, .headers = response.headers, .record = call.record, .changed = call.changed};
    if (absl::StatusOr<json::object> object = ParseJsonObject(response.body); object.ok()) reply.body = *std::move(object);
    last_ = std::move(response);
    last_name_ = name;
    return reply;
  }
  GcpReply Kms(const std::string& token, const std::string& method, const std::string& path, const json::object& body = {}) {
    return Send(method, "/v1/" + path, method == "GET" ? "" : json::serialize(body),
                {{"content-type", "application/json"}, {"authorization", "Bearer " + token}});
  }
  GcpReply SendForm(const std::string& path, const std::vector<std::pair<std::string, std::string>>& fields) {
    std::string body;
    for (const auto& [name, value] : fields) body += (body.empty() ? "" : "&") + PercentEncode(name) + "=" + PercentEncode(value);
    return Send("POST", path, body, {{"content-type", "application/x-www-form-urlencoded"}});
  }

  // An assertion of the account in `file`, with `changes` to the usual claims (null takes one away).
  std::string Assertion(const json::object& file, const json::object& changes = {}, const RsaPrivateKey* key = nullptr) {
    const int64_t now = absl::ToUnixSeconds(wall_.Now());
    json::object claims{{"iss", file.at("client_email")},
                        {"scope", kScope},
                        {"aud", "https://oauth2.googleapis.com/token"},
                        {"iat", now},
                        {"exp", now + 3600}};
    for (const auto& change : changes) {
      if (change.value().is_null()) {
        claims.erase(change.key());
      } else {
        claims[change.key()] = change.value();
      }
    }
    absl::StatusOr<RsaPrivateKey> own = RsaPrivateKey::FromPem(std::string(file.at("private_key").as_string()));
    EXPECT_THAT(own, IsOk());
    absl::StatusOr<SecretBytes> token =
        SignJwt({{"kid", file.at("private_key_id")}}, claims, key != nullptr ? *key : *own, RsaSignature::kPkcs1Sha256);
    EXPECT_THAT(token, IsOk());
    return std::string(token->RevealText(SecretAccess{}));
  }
  GcpReply Exchange(const std::string& assertion) {
    return SendForm("/token", {{"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"}, {"assertion", assertion}});
  }
  std::string TokenOf(const json::object& file) {
    const GcpReply reply = Exchange(Assertion(file));
    EXPECT_EQ(reply.status, 200) << reply.text;
    return reply.Text("access_token");
  }
  std::string AsOperator() { return TokenOf(file_); }
  GcpReply Generate(const std::string& token, const std::string& account, const json::object& body = {{"scope", json::array{kScope}}}) {
    return Kms(token, "POST", "projects/-/serviceAccounts/" + account + ":generateAccessToken", body);
  }
  std::string AsOwner() {
    const GcpReply reply = Generate(AsOperator(), kOwner);
    EXPECT_EQ(reply.status, 200) << reply.text;
    return reply.Text("accessToken");
  }
  // Somebody who administers the owner's project.
  std::string AsAdministrator() { return TokenOf(administrator_); }

  json::object Admin(const std::string& path, const json::object& body) {
    const absl::StatusOr<json::object> result = cloud_->Admin(path, body, clock_.Now(), Random::System());
    EXPECT_THAT(result, IsOk()) << path;
    return result.value_or(json::object());
  }
  absl::Status AdminRefusal(const std::string& path, const json::object& body) {
    return cloud_->Admin(path, body, clock_.Now(), Random::System()).status();
  }
  // A cloud that was written down and read again.
  void Restart() {
    const json::object state = cloud_->ToJson();
    cloud_ = NewGcpCloud();
    ASSERT_THAT(cloud_->Restore(ParseJsonObject(json::serialize(state)).value_or(json::object())), IsOk());
  }

  static std::string B64(std::string_view text) { return Base64Encode(AsBytes(text)); }
  GcpReply Encrypt(const std::string& token, const std::string& key, std::string_view text, std::string_view aad = "") {
    return Kms(token, "POST", key + ":encrypt", {{"plaintext", B64(text)}, {"additionalAuthenticatedData", B64(aad)}});
  }
  GcpReply Decrypt(const std::string& token, const std::string& key, const std::string& ciphertext, std::string_view aad = "") {
    return Kms(token, "POST", key + ":decrypt", {{"ciphertext", ciphertext}, {"additionalAuthenticatedData", B64(aad)}});
  }

  struct Start {
    json::object state, seed, administrator;
  };
  static Start Begin(absl::Time now) {
    const std::unique_ptr<Cloud> cloud = NewGcpCloud();
    const auto made = [](const absl::StatusOr<json::object>& result) {
      EXPECT_THAT(result, IsOk());
      return result.value_or(json::object());
    };
    Start start;
    start.seed = made(cloud->Seed({{"base_url", kBase}}, now, Random::System()));
    start.administrator =
        made(cloud->Admin("service-accounts", {{"project", "latchkey-owner"}, {"name", "administrator"}}, now, Random::System()));
    made(cloud->Admin("projects/bindings", {{"project", "latchkey-owner"}, {"role", "roles/cloudkms.admin"}, {"member", kAdministrator}},
                      now, Random::System()));
    start.state = cloud->ToJson();
    return start;
  }

  FakeClock clock_, wall_;
  std::unique_ptr<Cloud> cloud_;
  std::string escrow_, owner_key_, second_key_;
  json::object seed_, file_, administrator_;
  HttpResponse last_;
  OperationName last_name_;
};

}  // namespace latchkey::emulator
