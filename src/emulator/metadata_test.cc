#include "emulator/metadata.h"

#include <gmock/gmock.h>

#include "emulator/emulator_testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

class MetadataTest : public EmulatorTest {
 protected:
  HttpResponse Ask(const std::string& method, const std::string& path, HttpHeaders headers = {}) {
    return emulator_->Handle({.method = method, .target = path, .path = path, .headers = std::move(headers), .peer_address = "127.0.0.1"});
  }
  std::string MetadataToken() {
    const HttpResponse response = Ask("PUT", "/latest/api/token", {{"x-aws-ec2-metadata-token-ttl-seconds", "60"}});
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.headers.at("x-aws-ec2-metadata-token-ttl-seconds"), "60");
    return response.body;
  }
  static TestIdentity CredentialsIn(const HttpResponse& response) {
    const json::object body = ParseJsonObject(response.body).value_or(json::object());
    const auto text = [&](const char* name) { return body.contains(name) ? std::string(body.at(name).as_string()) : ""; };
    return {text("AccessKeyId"), text("SecretAccessKey"), text("Token")};
  }
  static constexpr const char* kCredentials = "/latest/meta-data/iam/security-credentials/";
};

TEST_F(MetadataTest, AnInstanceFindsTheCredentialsOfItsRole) {
  Admin("/_admin/instance-role", {{"role", kRole}});
  Restart();
  const std::string token = MetadataToken();
  EXPECT_EQ(Ask("GET", kCredentials, {{"x-aws-ec2-metadata-token", token}}).body, "latchkey-cmek");
  const HttpResponse answer = Ask("GET", std::string(kCredentials) + "latchkey-cmek", {{"x-aws-ec2-metadata-token", token}});
  ASSERT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr("\"Code\":\"Success\""));
  EXPECT_EQ(Kms(CredentialsIn(answer), "DescribeKey", {{"KeyId", owner_key_}}).status, 200);
  EXPECT_EQ(Ask("GET", std::string(kCredentials) + "other", {{"x-aws-ec2-metadata-token", token}}).status, 404);
}

TEST_F(MetadataTest, NothingIsToldWithoutATokenThatHolds) {
  Admin("/_admin/instance-role", {{"role", kRole}});
  EXPECT_EQ(Ask("GET", kCredentials).status, 401);
  EXPECT_EQ(Ask("GET", kCredentials, {{"x-aws-ec2-metadata-token", "AAAA"}}).status, 401);
  const std::string token = MetadataToken();
  clock_.Advance(absl::Seconds(61));
  EXPECT_EQ(Ask("GET", kCredentials, {{"x-aws-ec2-metadata-token", token}}).status, 401);
  EXPECT_EQ(Ask("PUT", "/latest/api/token").status, 400);
  EXPECT_EQ(Ask("PUT", "/latest/api/token", {{"x-aws-ec2-metadata-token-ttl-seconds", "21601"}}).status, 400);
  EXPECT_EQ(Ask("PUT", "/latest/api/token", {{"x-aws-ec2-metadata-token-ttl-seconds", "1"}, {"x-forwarded-for", "192.0.2.1"}}).status, 403);
}

TEST_F(MetadataTest, AnInstanceWithoutARoleHasNone) {
  EXPECT_EQ(Ask("GET", kCredentials, {{"x-aws-ec2-metadata-token", MetadataToken()}}).status, 404);
}

TEST_F(MetadataTest, ARoleThatIsNotTrustedGivesNoCredentials) {
  Admin("/_admin/instance-role", {{"role", kRole}});
  Admin("/_admin/container-credentials", {{"id", "task-1"}, {"role", kRole}});
  Admin("/_admin/roles/untrust", {{"role", kRole}});
  const HttpResponse answer = Ask("GET", std::string(kCredentials) + "latchkey-cmek", {{"x-aws-ec2-metadata-token", MetadataToken()}});
  EXPECT_THAT(answer.body, HasSubstr("AssumeRoleUnauthorizedAccess"));
  EXPECT_EQ(CredentialsIn(answer).secret, "");
  EXPECT_EQ(Ask("GET", "/v2/credentials/task-1").status, 400);
}

TEST_F(MetadataTest, AContainerFindsItsCredentialsWithItsAuthorization) {
  Admin("/_admin/container-credentials", {{"id", "task-1"}, {"role", kRole}, {"authorization_token", "agreed"}});
  Restart();
  const HttpResponse answer = Ask("GET", "/v2/credentials/task-1", {{"authorization", "agreed"}});
  ASSERT_EQ(answer.status, 200);
  EXPECT_EQ(Kms(CredentialsIn(answer), "DescribeKey", {{"KeyId", owner_key_}}).status, 200);
  EXPECT_EQ(Ask("GET", "/v2/credentials/task-1").status, 401);
  EXPECT_EQ(Ask("GET", "/v2/credentials/task-2").status, 404);
}

TEST_F(MetadataTest, FaultsAndTheLogKnowTheseCallsToo) {
  Admin("/_admin/faults", {{"operation", "token"}, {"action", "error"}, {"status", 503}});
  EXPECT_EQ(Ask("PUT", "/latest/api/token", {{"x-aws-ec2-metadata-token-ttl-seconds", "60"}}).status, 503);
  MetadataToken();
  const json::object log = AdminGet("/_admin/calls?since=0");
  const json::object& last = log.at("calls").as_array().back().as_object();
  EXPECT_EQ(last.at("service"), "imds");
  EXPECT_EQ(last.at("operation"), "token");
  EXPECT_EQ(last.at("cloud"), "aws");
}

}  // namespace
}  // namespace latchkey
