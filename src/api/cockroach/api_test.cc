#include "api/cockroach/api.h"

#include <future>

#include "api/cockroach/api_fixture.h"
#include "api/status_reply.h"

namespace latchkey::cockroach {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(ApiTest, WithoutAGoodKeyThereIsOneConstantAnswer) {
  std::vector<HttpRequest> requests;
  for (const char* header : {"", "Bearer", "Bearer ", "Bearer wrong", "Basic YTpi", "bearer  ", "Token x"}) {
    HttpRequest request = Request("GET", "/clusters");
    request.headers["authorization"] = header;
    requests.push_back(request);
  }
  HttpRequest absent = Request("GET", "/clusters");
  absent.headers.erase("authorization");
  requests.push_back(absent);
  HttpRequest doubled = Request("GET", "/clusters");
  doubled.headers["authorization"] += ", Bearer " + std::string(kTestKey);
  requests.push_back(doubled);
  HttpRequest endless = Request("GET", "/clusters");
  endless.headers["authorization"] = "Bearer " + std::string(100'000, 'a');
  requests.push_back(endless);
  HttpRequest unknown_path = Request("GET", "/no-such-path");
  unknown_path.headers.erase("authorization");
  requests.push_back(unknown_path);
  for (const HttpRequest& request : requests) {
    const HttpResponse response = api_.Handle(request).response;
    EXPECT_EQ(response.status, 401);
    EXPECT_EQ(response.body, R"({"code":16,"message":"unauthenticated","details":[]})");
    EXPECT_EQ(response.headers.at("www-authenticate"), "Bearer");
  }
}

TEST_F(ApiTest, TheSchemeOfTheKeyMayBeWrittenInAnyCase) {
  HttpRequest request = Request("GET", "/clusters");
  request.headers["authorization"] = "bEaReR " + std::string(kTestKey);
  EXPECT_EQ(api_.Handle(request).response.status, 200);
}

TEST_F(ApiTest, TheVersionIsEchoedAndAnInvalidOneRefused) {
  EXPECT_EQ(Ask("GET", "/clusters").headers.at("cc-version"), "2024-09-16");
  for (const char* version : {"2024-09-16", "2022-03-31", "latest"}) {
    HttpRequest request = Request("GET", "/clusters");
    request.headers["cc-version"] = version;
    const HttpResponse response = api_.Handle(request).response;
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.headers.at("cc-version"), version);
  }
  HttpRequest request = Request("GET", "/clusters");
  request.headers["cc-version"] = "2001-01-01";
  const HttpResponse response = api_.Handle(request).response;
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(Error(response), "3: invalid Cc-Version");
}

TEST_F(ApiTest, KnownAndUnbuiltUnknownAndWrongMethodsAreToldApart) {
  const HttpResponse unbuilt = Ask("POST", Cluster("/sql-users"), "{}");
  EXPECT_EQ(unbuilt.status, 501);
  EXPECT_EQ(Error(unbuilt), "12: UNIMPLEMENTED: POST /api/v1/clusters/{}/sql-users is not built");
  const HttpResponse patch = Ask("PATCH", Cluster(), "{}");
  EXPECT_EQ(patch.status, 501);
  const HttpResponse unknown = Ask("GET", "/nonsense");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(Error(unknown), "5: no such path");
  const HttpResponse wrong = Ask("DELETE", Cluster("/cmek"));
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "GET, POST, PUT, PATCH");
  EXPECT_THAT(Error(wrong), HasSubstr("12: "));
  EXPECT_THAT(control_.changes.all(), IsEmpty());
}

TEST_F(ApiTest, AnUnknownClusterIsNotFoundWhereverItIsNamed) {
  for (const std::string& id : {std::string(kOtherCluster), std::string("orders-db"), std::string("..%2f..%2fetc")}) {
    const std::string path = "/clusters/" + id;
    EXPECT_EQ(Ask("GET", path).status, 404);
    EXPECT_EQ(Ask("DELETE", path).status, 404);
    EXPECT_EQ(Ask("GET", path + "/nodes").status, 404);
    EXPECT_EQ(Ask("GET", path + "/backups-config").status, 404);
    EXPECT_EQ(Ask("GET", path + "/cmek").status, 404);
    EXPECT_EQ(Ask("POST", path + "/cmek", kGoodSpecs).status, 404);
    EXPECT_EQ(Ask("PUT", path + "/cmek", kGoodSpecs).status, 404);
    EXPECT_EQ(Ask("PATCH", path + "/cmek", R"({"action":"REVOKE"})").status, 404);
    EXPECT_EQ(Ask("GET", "/latchkey" + path + "/nodes").status, 404);
    EXPECT_THAT(Error(Ask("GET", path)), HasSubstr("5: cluster '"));
  }
  EXPECT_THAT(control_.changes.all(), IsEmpty());
}

TEST_F(ApiTest, WhatAnAnswerQuotesOfAPathIsAlwaysText) {
  for (const std::string& id : {std::string("%ff"), std::string(63, 'a') + "%c3%a9"}) {
    const HttpResponse response = Ask("GET", "/clusters/" + id);
    EXPECT_EQ(response.status, 404);
    EXPECT_THAT(Error(response), HasSubstr("5: cluster '"));
  }
}

TEST_F(ApiTest, TheStatusOfAServiceBecomesTheStatusOfTheAnswer) {
  const struct {
    absl::Status status;
    int http;
    int code;
  } kCases[] = {
      {absl::InvalidArgumentError("x"), 400, 3},
      {absl::FailedPreconditionError("x"), 400, 9},
      {absl::PermissionDeniedError("x"), 403, 7},
      {absl::NotFoundError("x"), 404, 5},
      {absl::AlreadyExistsError("x"), 409, 6},
      {absl::AbortedError("x"), 409, 10},
      {absl::ResourceExhaustedError("x"), 429, 8},
      {absl::UnimplementedError("x"), 501, 12},
      {absl::UnavailableError("x"), 503, 14},
      {absl::DeadlineExceededError("x"), 504, 4},
      {WithKeyFault(absl::InvalidArgumentError("x"), KeyFault::kRefused), 400, 3},
      {WithKeyFault(absl::InvalidArgumentError("x"), KeyFault::kPermanent), 422, 3},
  };
  for (const auto& c : kCases) {
    control_.fake_cmek.failure = c.status;
    const HttpResponse response = Ask("POST", Cluster("/cmek"), kGoodSpecs);
    EXPECT_EQ(response.status, c.http) << c.status;
    EXPECT_EQ(Body(response).at("code").as_int64(), c.code) << c.status;
    EXPECT_THAT(Error(response), HasSubstr("x"));
    EXPECT_EQ(response.headers.contains("retry-after"), c.http == 503 || c.http == 429) << c.status;
  }
}

TEST_F(ApiTest, AnInternalErrorTellsNothingButAReference) {
  control_.fake_cmek.failure = absl::InternalError("SELECT secret FROM keys");
  const HttpResponse response = Ask("POST", Cluster("/cmek"), kGoodSpecs);
  EXPECT_EQ(response.status, 500);
  EXPECT_THAT(Error(response), HasSubstr("13: internal error"));
  EXPECT_THAT(response.body, Not(HasSubstr("SELECT")));
}

TEST_F(ApiTest, KeyTestsHoldABoundedShareWhileReadingRevokingAndDeletingGoOn) {
  std::promise<void> entered, leave;
  std::atomic<bool> first{true};
  control_.fake_cmek.on_change = [&] {
    if (!first.exchange(false)) return;
    entered.set_value();
    leave.get_future().wait();
  };
  auto slow = std::async(std::launch::async, [&] { return Ask("POST", Cluster("/cmek"), kGoodSpecs).status; });
  entered.get_future().wait();
  const HttpResponse refused = Ask("PUT", Cluster("/cmek"), kGoodSpecs);
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(refused.headers.contains("retry-after"));
  EXPECT_THAT(Error(refused), HasSubstr("14: "));
  EXPECT_EQ(Ask("GET", Cluster("/cmek")).status, 200);
  EXPECT_EQ(Ask("PATCH", Cluster("/cmek"), R"({"action":"REVOKE"})").status, 200);
  EXPECT_EQ(Ask("DELETE", Cluster()).status, 200);
  leave.set_value();
  EXPECT_EQ(slow.get(), 200);
  control_.fake_cmek.on_change = nullptr;
  EXPECT_EQ(Ask("PUT", Cluster("/cmek"), kGoodSpecs).status, 200);
}

TEST_F(ApiTest, TheRateLimitIsOffByDefaultAndOneEachKeyWhenOn) {
  for (int i = 0; i < 500; ++i) ASSERT_EQ(Ask("GET", Cluster("/cmek")).status, 200);
  Api limited({.control = &control_, .clock = &clock_, .requests_per_second_per_key = 2});
  EXPECT_EQ(limited.Handle(Request("GET", "/clusters")).response.status, 200);
  EXPECT_EQ(limited.Handle(Request("GET", "/clusters")).response.status, 200);
  const HttpResponse third = limited.Handle(Request("GET", "/clusters")).response;
  EXPECT_EQ(third.status, 429);
  EXPECT_EQ(third.headers.at("retry-after"), "1");
  EXPECT_EQ(Error(third), "8: rate limit exceeded");
  clock_.Advance(absl::Milliseconds(500));
  EXPECT_EQ(limited.Handle(Request("GET", "/clusters")).response.status, 200);
  EXPECT_EQ(limited.Handle(Request("GET", "/clusters")).response.status, 429);
}

TEST_F(ApiTest, OwnAdditionsManageHostsTokensAndKeys) {
  AgentView agent;
  agent.id = "agent-1";
  agent.hostname = "db1";
  agent.region = "us-east-1";
  agent.warnings = {"swap is on and not encrypted"};
  agent.strays = {"node-7"};
  control_.fake_agents.agents = {agent};
  const json::object agents = Body(Ask("GET", "/latchkey/agents"));
  EXPECT_EQ(agents.at("agents").at(0).at("hostname").as_string(), "db1");
  EXPECT_TRUE(agents.at("agents").at(0).at("last_heard").is_null());
  EXPECT_EQ(agents.at("agents").at(0).at("strays"), (json::array{"node-7"}));
  EXPECT_EQ(Ask("DELETE", "/latchkey/agents/agent-1").status, 200);
  EXPECT_TRUE(JoinToken::Parse(Body(Ask("POST", "/latchkey/join-tokens")).at("token").as_string().c_str()).ok());
  EXPECT_EQ(Body(Ask("GET", "/latchkey/api-keys")).at("api_keys").at(0).at("name").as_string(), "ci");
  EXPECT_EQ(Body(Ask("POST", "/latchkey/api-keys", R"({"name":"laptop"})")).at("secret").as_string(), "LKEY1_new_secret");
  EXPECT_EQ(Ask("DELETE", "/latchkey/api-keys/LKEY1_a").status, 200);
  EXPECT_EQ(Ask("DELETE", "/latchkey/api-keys/LKEY1_b").status, 404);
  const std::vector<std::string> expected = {"agents.remove agent-1", "join-tokens.create", "api-keys.create", "api-keys.delete"};
  EXPECT_EQ(control_.changes.all(), expected);
}

TEST_F(ApiTest, AHostWithNodesIsNotRemoved) {
  control_.fake_agents.failure = absl::FailedPreconditionError("the host has nodes");
  const HttpResponse response = Ask("DELETE", "/latchkey/agents/agent-1");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(Error(response), "9: the host has nodes");
}

TEST(OrganizationTest, ItsBirthIsStable) {
  FakeControl control(true);
  Api api({.control = &control, .organization_name = "Example"});
  HttpRequest request;
  request.path = "/api/v1/organization";
  request.headers["authorization"] = "Bearer " + std::string(kTestKey);
  const HttpResponse response = api.Handle(request).response;
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_THAT(response.body,
              HasSubstr(R"("id":"22234567-89ab-4cde-8f01-23456789abcd","label":"Example","name":"Example","created_at":"20)"));
  EXPECT_EQ(api.Handle(request).response.body, response.body);
}

}  // namespace
}  // namespace latchkey::cockroach
