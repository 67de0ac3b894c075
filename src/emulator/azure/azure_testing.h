// The Azure cloud with what Seed makes in it, called through its interface: for tests only. No sockets.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/encoding.h"
#include "base/json.h"
#include "base/testing.h"
#include "crypto/jwt.h"
#include "emulator/cloud.h"

namespace latchkey::emulator::azure {

class AzureTest : public testing::Test {
 protected:
  static constexpr const char* kOperator = "11111111-1111-4111-8111-111111111111";
  static constexpr const char* kOwner = "22222222-2222-4222-8222-222222222222";
  static constexpr const char* kApplication = "33333333-3333-4333-8333-333333333333";
  static constexpr const char* kHere = "https://localhost:8443";
  static constexpr const char* kVaultHost = "owner-vault.vault.azure.net";

  struct Reply {
    int status = 0;
    json::object body;
    HttpHeaders headers;
    CallRecord record;
    bool changed = false;

    std::string Text(const char* name) const { return At(body, name); }
    // "<code>/<innererror>" of a vault, or the first AADSTS number of Entra ID.
    std::string error() const {
      if (const json::value* codes = body.if_contains("error_codes")) return std::to_string(codes->as_array().at(0).as_int64());
      const json::value* error = body.if_contains("error");
      if (error == nullptr) return "none";
      if (!error->is_object()) return At(body, "error");
      const json::value* inner = error->get_object().if_contains("innererror");
      return At(error->get_object(), "code") + (inner == nullptr ? "" : "/" + At(inner->as_object(), "code"));
    }
    const json::object& Object(const char* name) const { return body.at(name).as_object(); }
    static std::string At(const json::object& object, const char* name) {
      const json::value* value = object.if_contains(name);
      return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
    }
  };

  // Keys take time to make: they are made once and put into every test's cloud.
  static void SetUpTestSuite() {
    if (seed_) return;
    const std::unique_ptr<Cloud> cloud = NewAzureCloud();
    absl::StatusOr<json::object> seed = cloud->Seed({}, Start(), Random::System());
    ASSERT_THAT(seed, IsOk());
    seed_ = *std::move(seed);
    seeded_state_ = cloud->ToJson();
  }
  void SetUp() override {
    cloud_ = NewAzureCloud();
    LK_ASSERT_OK(cloud_->Restore(seeded_state_));
    secret_ = seed_->at("credentials").at("client_secret").as_string();
  }

  static absl::Time Start() { return absl::FromUnixSeconds(1'800'000'000); }

  Reply Send(const std::string& method, const std::string& target, HttpHeaders headers, std::string body = "") {
    HttpRequest request{.method = method, .target = target, .headers = std::move(headers), .body = std::move(body)};
    request.peer_address = "127.0.0.1";
    EXPECT_TRUE(request.SplitTarget()) << target;
    cloud_->Settle(now_, Random::System());
    const OperationName name = cloud_->NameOf(request);
    CloudCall call{
        .request = request, .name = name, .now = now_, .wall = wall_, .random = Random::System(), .base_url = kHere, .record = {}};
    const HttpResponse response = cloud_->Answer(call);
    Reply reply{.status = response.status, .headers = response.headers, .record = call.record, .changed = call.changed};
    if (!response.body.empty() && response.status != 404) {
      absl::StatusOr<json::object> parsed = ParseJsonObject(response.body);
      EXPECT_THAT(parsed, IsOk()) << response.body;
      if (parsed.ok()) reply.body = *std::move(parsed);
    } else if (!response.body.empty()) {
      reply.body = ParseJsonObject(response.body).value_or(json::object());
    }
    return reply;
  }

  // Entra ID.
  Reply TokenRequest(const std::string& tenant, const std::string& credential,
                     const std::string& scope = "https://vault.azure.net/.default", const std::string& client = kApplication) {
    return Send("POST", "/" + tenant + "/oauth2/v2.0/token?client-request-id=1", {{"content-type", "application/x-www-form-urlencoded"}},
                "grant_type=client_credentials&client_id=" + client + "&scope=" + PercentEncode(scope) + "&" + credential);
  }
  Reply WithSecret(const std::string& tenant, const std::string& secret) {
    return TokenRequest(tenant, "client_secret=" + PercentEncode(secret));
  }
  static std::string AssertionForm(const std::string& assertion) {
    return "client_assertion_type=" + PercentEncode("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") +
           "&client_assertion=" + PercentEncode(assertion);
  }
  Reply WithAssertion(const std::string& tenant, const std::string& assertion) { return TokenRequest(tenant, AssertionForm(assertion)); }
  std::string Token(const std::string& tenant = kOwner) {
    const Reply reply = WithSecret(tenant, secret_);
    EXPECT_EQ(reply.status, 200) << json::serialize(reply.body);
    return reply.Text("access_token");
  }

  // The vault. `target` without query is asked with an api-version.
  Reply Vault(const std::string& method, std::string target, const json::object& body = {}, const std::string& host = kVaultHost) {
    if (target.find('?') == std::string::npos) target += "?api-version=7.4";
    if (token_.empty()) token_ = Token();
    return Send(method, target, {{"host", host}, {"authorization", "Bearer " + token_}, {"content-type", "application/json"}},
                method == "GET" || method == "DELETE" ? "" : json::serialize(body));
  }
  // The owner's application with every right there is, for tests of what keys do.
  void BecomeOfficer(const std::string& vault = "owner-vault") {
    Admin("roles", {{"vault", vault}, {"role", "Key Vault Crypto Officer"}, {"principal", kApplication}});
  }
  Reply Wrap(const std::string& text, const std::string& key = "owner-key-1", const std::string& algorithm = "RSA-OAEP-256") {
    return Vault("POST", "/keys/" + key + "/wrapkey", {{"alg", algorithm}, {"value", Base64UrlEncode(AsBytes(text))}});
  }
  // With the version that wrapped.
  Reply Unwrap(const Reply& wrapped, const std::string& algorithm = "RSA-OAEP-256") {
    const std::string kid = wrapped.Text("kid");
    const std::string path = kid.substr(kid.find("/keys/"));
    return Vault("POST", path + "/unwrapkey", {{"alg", algorithm}, {"value", wrapped.Text("value")}});
  }
  static std::string Decoded(const Reply& reply) {
    const auto bytes = Base64UrlDecode(reply.Text("value"));
    return bytes.ok() ? std::string(AsText(*bytes)) : "not base64url";
  }
  json::object Admin(const std::string& path, const json::object& body) {
    absl::StatusOr<json::object> done = cloud_->Admin(path, body, now_, Random::System());
    EXPECT_THAT(done, IsOk()) << path;
    return done.value_or(json::object());
  }
  static std::string KeyOf(const std::string& name) { return std::string("https://") + kVaultHost + "/keys/" + name; }

  static inline std::optional<json::object> seed_;
  static inline json::object seeded_state_;
  std::unique_ptr<Cloud> cloud_;
  absl::Time now_ = Start(), wall_ = Start();
  std::string secret_, token_;
};

}  // namespace latchkey::emulator::azure
