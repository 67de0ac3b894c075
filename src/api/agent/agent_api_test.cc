#include "api/agent/agent_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "api/testing.h"
#include "base/json.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kJoinBody =
    R"({"token_id":"0123456789abcdef","token_secret":"s","request_pem":"p","region":"us-east-1","hostname":"db1","advertise_host":"db1"})";

class AgentApiTest : public testing::Test {
 protected:
  AgentApiTest() : control_(true), api_(&control_) {}
  HttpRequest Request(const std::string& method, std::string_view path, const std::string& body = "", const std::string& certificate = "") {
    HttpRequest request;
    request.method = method;
    request.path = path;
    request.body = body;
    request.peer_address = "192.0.2.7";
    request.peer_certificate_pem = certificate;
    return request;
  }
  // nullopt while parked.
  std::optional<HttpResponse> Ask(const HttpRequest& request) {
    auto out = std::make_shared<std::optional<HttpResponse>>();
    api_.Handle(request, HttpResponder([out](HttpResponse response) { *out = std::move(response); }));
    last_ = out;
    return *out;
  }
  static std::string SyncBody(int64_t wait_ms) {
    return json::serialize(SyncRequest{.boot_id = "b", .sequence = 1, .seen_version = 4, .wait_ms = wait_ms}.ToJson());
  }

  FakeControl control_;
  AgentApi api_;
  std::shared_ptr<std::optional<HttpResponse>> last_;
};

TEST_F(AgentApiTest, TheCaIsGivenToAnybody) {
  const auto response = Ask(Request("GET", kCaPath));
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, control_.fake_agents.ca);
}

TEST_F(AgentApiTest, JoiningNeedsNoCertificate) {
  const auto response = Ask(Request("POST", kJoinPath, kJoinBody));
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 200) << response->body;
  EXPECT_EQ(control_.fake_agents.last_join.region, "us-east-1");
  EXPECT_EQ(ParseJsonObject(response->body)->at("agent_id").as_string(), "agent-1");
}

TEST_F(AgentApiTest, ABadJoinNamesItsFieldAndChangesNothing) {
  EXPECT_EQ(Ask(Request("POST", kJoinPath, "{"))->status, 400);
  const auto response =
      Ask(Request("POST", kJoinPath, R"({"token_id":"0123456789abcdef","token_secret":"b","request_pem":"p","hostname":"h"})"));
  EXPECT_EQ(response->status, 400);
  EXPECT_THAT(response->body, HasSubstr("region is required"));
  EXPECT_EQ(Ask(Request("POST", kJoinPath, std::string(kMaxJoinBody + 1, ' ')))->status, 413);
  EXPECT_THAT(control_.changes.all(), IsEmpty());
}

TEST_F(AgentApiTest, AUsedTokenIsUnauthenticatedWithoutSayingWhy) {
  control_.fake_agents.failure = absl::UnauthenticatedError("token was used");
  const auto response = Ask(Request("POST", kJoinPath, kJoinBody));
  EXPECT_EQ(response->status, 401);
  EXPECT_EQ(response->body, R"({"code":16,"message":"unauthenticated","details":[]})");
}

TEST_F(AgentApiTest, ATokenThatCannotExistIsUnauthenticatedBeforeAnythingElseIsLookedAt) {
  for (const char* id : {"a", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123456789abcde\u00e9", "0123456789abcde'"}) {
    for (const char* rest : {"", R"(,"token_secret":"s","request_pem":"p","region":"us-east-1","hostname":"db1","advertise_host":"db1")"}) {
      const auto response = Ask(Request("POST", kJoinPath, std::string(R"({"token_id":")") + id + '"' + rest + "}"));
      EXPECT_EQ(response->status, 401) << id << rest;
      EXPECT_EQ(response->body, R"({"code":16,"message":"unauthenticated","details":[]})");
    }
  }
  EXPECT_THAT(control_.changes.all(), IsEmpty());
}

TEST_F(AgentApiTest, SyncAndRenewNeedAClientCertificate) {
  EXPECT_EQ(Ask(Request("POST", kSyncPath, SyncBody(0)))->status, 401);
  EXPECT_EQ(Ask(Request("POST", kSyncPath, SyncBody(0), "not a certificate"))->status, 401);
  EXPECT_EQ(Ask(Request("POST", kRenewPath, R"({"request_pem":"p"})"))->status, 401);
  EXPECT_THAT(control_.changes.all(), IsEmpty());
  EXPECT_EQ(api_.parked(), 0);
}

TEST_F(AgentApiTest, TheHostIsWhoItsCertificateSays) {
  const CertifiedKey agent = control_.AgentCertificate("agent-7");
  const auto response = Ask(Request("POST", kSyncPath, SyncBody(0), agent.certificate_pem));
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 200) << response->body;
  EXPECT_EQ(control_.fake_agents.last_agent, "agent-7");
  EXPECT_EQ(control_.fake_agents.last_serial, ReadCertificate(agent.certificate_pem)->serial_hex);
  EXPECT_EQ(ParseJsonObject(response->body)->at("version").as_int64(), 5);
}

TEST_F(AgentApiTest, ASyncThatWaitsIsAnsweredLater) {
  const CertifiedKey agent = control_.AgentCertificate("agent-7");
  EXPECT_FALSE(Ask(Request("POST", kSyncPath, SyncBody(20'000), agent.certificate_pem)).has_value());
  EXPECT_EQ(api_.parked(), 1);
  EXPECT_EQ(control_.fake_agents.AnswerParked(9), 1u);
  ASSERT_TRUE(last_->has_value());
  EXPECT_EQ(ParseJsonObject((*last_)->body)->at("version").as_int64(), 9);
  EXPECT_EQ(api_.parked(), 0);
}

TEST_F(AgentApiTest, ARemovedHostIsToldSo) {
  control_.fake_agents.failure = absl::UnauthenticatedError("agent was removed");
  EXPECT_EQ(Ask(Request("POST", kSyncPath, SyncBody(0), control_.AgentCertificate("agent-7").certificate_pem))->status, 401);
}

TEST_F(AgentApiTest, AMalformedSyncNamesItsField) {
  const CertifiedKey agent = control_.AgentCertificate("agent-7");
  EXPECT_THAT(Ask(Request("POST", kSyncPath, "{}", agent.certificate_pem))->body, HasSubstr("boot_id is required"));
  EXPECT_THAT(Ask(Request("POST", kSyncPath, SyncBody(25'001), agent.certificate_pem))->body, HasSubstr("wait_ms"));
}

TEST_F(AgentApiTest, ACertificateIsRenewed) {
  const CertifiedKey agent = control_.AgentCertificate("agent-7");
  const auto response = Ask(Request("POST", kRenewPath, R"({"request_pem":"p"})", agent.certificate_pem));
  EXPECT_EQ(response->body, R"({"certificate_pem":"renewed for agent-7"})");
  EXPECT_THAT(Ask(Request("POST", kRenewPath, "{}", agent.certificate_pem))->body, HasSubstr("request_pem is required"));
}

TEST_F(AgentApiTest, OtherPathsAndMethodsAreRefused) {
  EXPECT_EQ(Ask(Request("GET", "/agent/v1/nothing"))->status, 404);
  EXPECT_EQ(Ask(Request("GET", "/api/v1/clusters"))->status, 404);
  EXPECT_EQ(Ask(Request("GET", kSyncPath))->status, 405);
  EXPECT_EQ(Ask(Request("POST", kCaPath))->headers.at("allow"), "GET");
}

}  // namespace
}  // namespace latchkey
