// An emulator with a small world in it, and a client that signs: for tests only. No sockets.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/testing.h"
#include "crypto/digest.h"
#include "emulator/emulator.h"

namespace latchkey {

struct TestIdentity {
  std::string access_key_id, secret, token;
};

// Signs a POST to "/" from nothing but the published steps: no line of it is shared with the verifier.
inline void SignForTest(HttpRequest& request, const TestIdentity& who, const std::string& service, const std::string& region,
                        absl::Time at) {
  const std::string stamp = absl::FormatTime("%Y%m%dT%H%M%SZ", at, absl::UTCTimeZone());
  const std::string day = stamp.substr(0, 8);
  request.headers["x-amz-date"] = stamp;
  if (!who.token.empty()) request.headers["x-amz-security-token"] = who.token;
  std::string headers, names;
  for (const auto& [name, value] : request.headers) {  // sorted by name
    headers += name + ":" + value + "\n";
    names += (names.empty() ? "" : ";") + name;
  }
  const std::string canonical = "POST\n/\n\n" + headers + "\n" + names + "\n" + HexEncode(Sha256(request.body));
  const std::string scope = day + "/" + region + "/" + service + "/aws4_request";
  const std::string to_sign = "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + HexEncode(Sha256(canonical));
  const std::string start = "AWS4" + who.secret;
  Sha256Digest key = HmacSha256(AsBytes(start), AsBytes(day));
  key = HmacSha256(std::span<const uint8_t>(key), AsBytes(region));
  key = HmacSha256(std::span<const uint8_t>(key), AsBytes(service));
  key = HmacSha256(std::span<const uint8_t>(key), AsBytes("aws4_request"));
  request.headers["authorization"] = "AWS4-HMAC-SHA256 Credential=" + who.access_key_id + "/" + scope + ", SignedHeaders=" + names +
                                     ", Signature=" + HexEncode(HmacSha256(std::span<const uint8_t>(key), AsBytes(to_sign)));
}

// What came back, parsed.
struct KmsReply {
  int status = 0;
  json::object body;
  HttpHeaders headers;
  std::string type() const { return body.contains("__type") ? std::string(body.at("__type").as_string()) : "ok"; }
  std::string message() const {
    for (const char* name : {"message", "Message"}) {
      if (body.contains(name)) return std::string(body.at(name).as_string());
    }
    return "";
  }
  std::string Text(const char* name) const { return body.contains(name) ? std::string(body.at(name).as_string()) : ""; }
};

class EmulatorTest : public testing::Test {
 protected:
  static constexpr const char* kRegion = "us-east-1";
  static constexpr const char* kRole = "arn:aws:iam::222222222222:role/latchkey-cmek";
  static constexpr const char* kUser = "arn:aws:iam::111111111111:user/latchkey";
  static constexpr const char* kExternalId = "6f1c7d0e-0000-4000-8000-000000000001";

  void SetUp() override {
    Restart();
    LK_ASSERT_OK_AND_ASSIGN(const json::object seed, emulator_->SeedDevelopment({.external_id = kExternalId}));
    operator_ = {std::string(seed.at("access_key_id").as_string()), std::string(seed.at("secret_access_key").as_string()), ""};
    const json::object& region = seed.at("regions").as_object().at(kRegion).as_object();
    owner_key_ = region.at("owner_key").as_string();
    second_key_ = region.at("second_owner_key").as_string();
    escrow_key_ = region.at("escrow_key").as_string();
  }

  // A new Emulator over the same state file.
  void Restart() {
    emulator_.reset();
    absl::StatusOr<std::unique_ptr<Emulator>> made = Emulator::Create({.state_file = folder_ / "state.json", .clock = &clock_});
    ASSERT_THAT(made, IsOk());
    emulator_ = *std::move(made);
  }

  HttpRequest KmsRequest(const TestIdentity& who, const std::string& operation, const json::object& body,
                         const std::string& region = kRegion) {
    HttpRequest request{.method = "POST", .target = "/", .path = "/", .body = json::serialize(body), .peer_address = "127.0.0.1"};
    request.headers = {
        {"host", "127.0.0.1:5566"}, {"content-type", "application/x-amz-json-1.1"}, {"x-amz-target", "TrentService." + operation}};
    SignForTest(request, who, "kms", region, clock_.Now());
    return request;
  }
  static KmsReply Parse(const HttpResponse& response) {
    KmsReply reply{.status = response.status, .headers = response.headers};
    if (!response.body.empty()) {
      absl::StatusOr<json::object> body = ParseJsonObject(response.body);
      EXPECT_THAT(body, IsOk()) << response.body;
      if (body.ok()) reply.body = *std::move(body);
    }
    return reply;
  }
  KmsReply Kms(const TestIdentity& who, const std::string& operation, const json::object& body, const std::string& region = kRegion) {
    return Parse(emulator_->Handle(KmsRequest(who, operation, body, region)));
  }

  HttpRequest StsRequest(const std::string& body) {
    HttpRequest request{.method = "POST", .target = "/", .path = "/", .body = body, .peer_address = "127.0.0.1"};
    request.headers = {{"host", "sts.us-east-1.amazonaws.com"}, {"content-type", "application/x-www-form-urlencoded"}};
    return request;
  }
  HttpResponse Sts(const TestIdentity& who, const std::string& body) {
    HttpRequest request = StsRequest(body + "&Version=2011-06-15");
    SignForTest(request, who, "sts", kRegion, clock_.Now());
    return emulator_->Handle(request);
  }
  static std::string AssumeForm(const std::string& role, const std::string& external_id, const std::string& name = "latchkey-agent") {
    return "Action=AssumeRole&RoleArn=" + PercentEncode(role) + "&RoleSessionName=" + name +
           (external_id.empty() ? "" : "&ExternalId=" + PercentEncode(external_id));
  }
  // The text between <name> and </name>; "" when absent.
  static std::string Element(const std::string& xml, const std::string& name) {
    const size_t from = xml.find("<" + name + ">");
    const size_t to = xml.find("</" + name + ">");
    if (from == std::string::npos || to == std::string::npos) return "";
    return xml.substr(from + name.size() + 2, to - from - name.size() - 2);
  }
  static TestIdentity CredentialsOf(const HttpResponse& response) {
    return {Element(response.body, "AccessKeyId"), Element(response.body, "SecretAccessKey"), Element(response.body, "SessionToken")};
  }
  TestIdentity AsRole() {
    const HttpResponse response = Sts(operator_, AssumeForm(kRole, kExternalId));
    EXPECT_EQ(response.status, 200) << response.body;
    return CredentialsOf(response);
  }

  HttpResponse AdminPost(const std::string& path, const json::object& body) {
    return emulator_->Handle({.method = "POST",
                              .target = path,
                              .path = path,
                              .headers = {{"content-type", "application/json"}},
                              .body = json::serialize(body),
                              .peer_address = "127.0.0.1"});
  }
  json::object AdminGet(const std::string& target) {
    HttpRequest request{.method = "GET", .target = target, .peer_address = "127.0.0.1"};
    EXPECT_TRUE(request.SplitTarget());
    return ParseJsonObject(emulator_->Handle(request).body).value_or(json::object());
  }
  void Admin(const std::string& path, const json::object& body) {
    const HttpResponse response = AdminPost(path, body);
    ASSERT_EQ(response.status, 200) << response.body;
  }

  std::string Encrypted(const TestIdentity& who, const std::string& key, const json::object& context = {}) {
    const KmsReply reply =
        Kms(who, "Encrypt", {{"KeyId", key}, {"Plaintext", Base64Encode(AsBytes("a key"))}, {"EncryptionContext", context}});
    EXPECT_EQ(reply.status, 200) << reply.type() << reply.message();
    return reply.Text("CiphertextBlob");
  }

  TempFolder folder_;
  FakeClock clock_;
  std::unique_ptr<Emulator> emulator_;
  TestIdentity operator_;
  std::string owner_key_, second_key_, escrow_key_;
};

}  // namespace latchkey
