// The whole server, with the real services and store behind it and scripted hosts before it.
#include <array>
#include <boost/json.hpp>

#include "api/real_server_testing.h"
#include "protocol/sync.h"

namespace latchkey {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

using RealControlTest = RealServerTest;

TEST_F(RealControlTest, AnOwnerEnablesRotatesRevokesAndRestores) {
  EXPECT_TRUE(Get("/clusters/available-regions").at("regions").as_array().empty());
  JoinHost();
  EXPECT_EQ(Get("/clusters/available-regions").at("regions").at(0).at("name").as_string(), "us-east-1");

  const std::string cluster = RunningCluster();
  EXPECT_EQ(Status(cluster, "state"), "CREATED");
  EXPECT_EQ(Get(cluster).at("config").at("dedicated").at("storage_gib").as_int64(), 35);
  EXPECT_EQ(Get(cluster).at("regions").at(0).at("sql_dns").as_string(), "h1.example");
  EXPECT_EQ(Get(cluster + "/nodes").at("nodes").at(0).at("status").as_string(), "LIVE");
  EXPECT_EQ(Status(cluster + "/cmek"), "DISABLED");
  EXPECT_TRUE(Get(cluster + "/cmek").at("region_infos").as_array().empty());

  const HttpResponse enabling = Change("POST", cluster, Specs("first"));
  ASSERT_EQ(enabling.status, 200) << enabling.body;
  EXPECT_EQ(json::parse(enabling.body).at("region_infos").at(0).at("status").as_string(), "ENABLING");
  const HttpResponse busy = Ask("POST", cluster + "/cmek", Specs("second"));
  EXPECT_EQ(busy.status, 503) << busy.body;
  EXPECT_EQ(Status(cluster, "state"), "LOCKED");
  LK_ASSERT_OK(host_->Settle());
  EXPECT_EQ(Status(cluster + "/cmek"), "ENABLED");
  EXPECT_EQ(Status(cluster, "state"), "CREATED");
  const std::string enabled = Ask("GET", cluster + "/cmek").body;
  EXPECT_EQ(Ask("GET", cluster + "/cmek").body, enabled);
  EXPECT_EQ(Ask("POST", cluster + "/cmek", Specs("first")).body, enabled);

  const HttpResponse rotating = Change("PUT", cluster, Specs("second"));
  ASSERT_EQ(rotating.status, 200) << rotating.body;
  EXPECT_EQ(json::parse(rotating.body).at("region_infos").at(0).at("status").as_string(), "ROTATING");
  LK_ASSERT_OK(host_->Settle());
  const json::value rotated = Get(cluster + "/cmek");
  EXPECT_EQ(rotated.at("status").as_string(), "ENABLED");
  const json::value& keys = rotated.at("region_infos").at(0).at("key_infos");
  EXPECT_THAT(std::string(keys.at(0).at("spec").at("uri").as_string().c_str()), HasSubstr("key/second"));
  EXPECT_THAT(std::string(keys.at(1).at("spec").at("uri").as_string().c_str()), HasSubstr("key/first"));

  const HttpResponse revoking = Ask("PATCH", cluster + "/cmek", R"({"action":"REVOKE"})");
  ASSERT_EQ(revoking.status, 200) << revoking.body;
  EXPECT_EQ(Get(cluster + "/cmek").at("region_infos").at(0).at("status").as_string(), "REVOKING");
  LK_ASSERT_OK(host_->Settle());
  EXPECT_EQ(Status(cluster + "/cmek"), "REVOKED");
  const HttpResponse again = Ask("PATCH", cluster + "/cmek", R"({"action":"REVOKE"})");
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.body, Ask("GET", cluster + "/cmek").body);

  EXPECT_EQ(Ask("PATCH", cluster + "/cmek", R"({"action":"RESTORE"})").status, 200);
  LK_ASSERT_OK(host_->Settle());
  EXPECT_EQ(Status(cluster + "/cmek"), "ENABLED");

  EXPECT_EQ(Ask("DELETE", cluster).status, 200);
  EXPECT_EQ(Ask("GET", cluster + "/cmek").status, 404);
  std::string actions;
  const json::value audit = Get("/auditlogevents");
  for (const json::value& entry : audit.at("entries").as_array()) {
    if (entry.at("cluster_id").as_string().empty() || !entry.at("error").as_string().empty()) continue;
    // What hosts add of their own accord (keys stored, volumes bound) is not what the owner did.
    if (entry.at("source").as_string() == "AUDIT_LOG_SOURCE_INTERNAL") continue;
    actions += std::string(entry.at("action").as_string().c_str()).substr(17) + " ";
  }
  EXPECT_EQ(actions, "CREATE_CLUSTER UPDATE_CMEK UPDATE_CMEK REVOKE_CMEK CMEK_RESTORE DELETE_CLUSTER ");
}

TEST_F(RealControlTest, AProtectedClusterIsDeletedOnceItsProtectionIsLifted) {
  JoinHost();
  const std::string cluster = RunningCluster();
  EXPECT_EQ(Ask("PATCH", cluster, R"({"delete_protection":"ENABLED"})").status, 200);
  const HttpResponse refused = Ask("DELETE", cluster);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(json::parse(refused.body).at("code").as_int64(), 9);
  EXPECT_EQ(Ask("PATCH", cluster, R"({"delete_protection":"DISABLED"})").status, 200);
  EXPECT_EQ(Ask("DELETE", cluster).status, 200);
}

TEST_F(RealControlTest, WhileAClusterIsLockedSomeChangesWaitAndSomeDoNot) {
  JoinHost();
  const std::string cluster = RunningCluster();
  ASSERT_EQ(Change("POST", cluster, Specs("first")).status, 200);
  ASSERT_EQ(Status(cluster, "state"), "LOCKED");
  EXPECT_EQ(Ask("PATCH", cluster, R"({"delete_protection":"ENABLED"})").status, 200) << "what protects never waits";
  const std::string before = Ask("GET", cluster).body;
  for (const auto& [method, path, body] : std::vector<std::array<std::string, 3>>{{"PATCH", cluster, R"({"delete_protection":"DISABLED"})"},
                                                                                  {"POST", cluster + "/cmek", Specs("second")}}) {
    const HttpResponse busy = Ask(method, path, body);
    EXPECT_EQ(busy.status, 503) << method << " " << busy.body;
    EXPECT_EQ(json::parse(busy.body).at("code").as_int64(), 14);
    EXPECT_THAT(busy.body, HasSubstr("us-east-1 is ENABLING"));
    EXPECT_TRUE(busy.headers.contains("retry-after"));
  }
  EXPECT_EQ(Ask("GET", cluster).body, before);
  // What is so already, and what takes the place of the change under way.
  EXPECT_EQ(Ask("PATCH", cluster, R"({"delete_protection":"ENABLED"})").status, 200);
  EXPECT_EQ(Ask("POST", cluster + "/cmek", Specs("first")).status, 200);
  EXPECT_EQ(Ask("PATCH", cluster + "/cmek", R"({"action":"RESTORE"})").status, 200) << "nothing is revoked, so nothing is to be done";
  EXPECT_EQ(Status(cluster, "state"), "LOCKED");
  EXPECT_EQ(Change("PUT", cluster, Specs("second")).status, 200);
  EXPECT_EQ(Status(cluster, "state"), "LOCKED");
  EXPECT_EQ(Ask("PATCH", cluster + "/cmek", R"({"action":"REVOKE"})").status, 200);
  EXPECT_EQ(Status(cluster, "state"), "CREATED");
  EXPECT_EQ(Ask("PATCH", cluster, R"({"delete_protection":"DISABLED"})").status, 200);
  EXPECT_EQ(Ask("PATCH", cluster, R"({"delete_protection":"ENABLED"})").status, 200);
  LK_ASSERT_OK(host_->Settle());
  EXPECT_EQ(Status(cluster + "/cmek"), "REVOKED");
  EXPECT_EQ(Ask("PATCH", cluster, R"({"delete_protection":"DISABLED"})").status, 200);
  EXPECT_EQ(Ask("DELETE", cluster).status, 200);
}

TEST_F(RealControlTest, BadKeysAreRefusedAndChangeNothing) {
  JoinHost();
  const std::string cluster = RunningCluster();
  const std::string before = Ask("GET", cluster + "/cmek").body;

  const HttpResponse unknown_region = Ask("POST", cluster + "/cmek", Specs("k", "eu-west-1"));
  EXPECT_EQ(unknown_region.status, 422);
  EXPECT_THAT(unknown_region.body, HasSubstr("region_specs[0].region"));
  std::string none = Specs("k");
  none.replace(none.find("AWS_KMS"), 7, "NULL_KMS");
  EXPECT_EQ(Ask("POST", cluster + "/cmek", none).status, 501);

  host_->on_key_test = [](const KeyTest& test) {
    return KeyVerdict{.test_id = test.id, .ok = false, .failure = FailureClass::kDisabled, .message = "DisabledException"};
  };
  const HttpResponse disabled = Change("POST", cluster, Specs("k"));
  EXPECT_EQ(disabled.status, 400) << disabled.body;
  EXPECT_THAT(disabled.body, HasSubstr("DISABLED"));
  EXPECT_THAT(disabled.body, HasSubstr("Enable the key"));

  host_->on_key_test = [](const KeyTest& test) {
    return KeyVerdict{.test_id = test.id, .ok = false, .failure = FailureClass::kUnsuitable, .message = "malformed ARN"};
  };
  const HttpResponse malformed = Change("POST", cluster, Specs("k"));
  EXPECT_EQ(malformed.status, 422) << malformed.body;
  EXPECT_EQ(json::parse(malformed.body).at("code").as_int64(), 3);
  EXPECT_EQ(Ask("GET", cluster + "/cmek").body, before);
}

TEST_F(RealControlTest, AKeyIsTriedForNoClusterByAHostOfItsRegion) {
  constexpr const char* kKey = R"({"region":"us-east-1","key_spec":{"type":"AWS_KMS","uri":"arn:aws:kms:us-east-1:1:key/1"}})";
  EXPECT_EQ(Ask("POST", "/key-tests", kKey).status, 503);
  JoinHost();
  host_->on_key_test = [](const KeyTest& test) {
    return KeyVerdict{.test_id = test.id,
                      .ok = false,
                      .failure = FailureClass::kDisabled,
                      .message = "DisabledException",
                      .steps = {{.name = "describe", .ok = false, .microseconds = 1500}}};
  };
  host_->StartPolling();
  const HttpResponse answer = Ask("POST", "/key-tests", kKey);
  host_->StopPolling();
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json::value body = json::parse(answer.body);
  EXPECT_EQ(body.at("class").as_string(), "DISABLED");
  EXPECT_EQ(body.at("steps").at(0).at("step").as_string(), "describe");
  EXPECT_THAT(answer.body, HasSubstr("Enable the key"));
  EXPECT_THAT(Ask("GET", "/auditlogevents").body, HasSubstr("AUDIT_LOG_ACTION_KEY_TEST"));
  const HttpResponse escrow = Ask("POST", "/key-tests", R"({"region":"us-east-1","key_spec":{"type":"LOCAL","uri":"local://escrow"}})");
  EXPECT_EQ(escrow.status, 422) << escrow.body;
}

TEST_F(RealControlTest, BadClustersAreRefusedAndNoneIsMade) {
  const HttpResponse nowhere = Ask("POST", "/clusters", kCreate);
  EXPECT_EQ(nowhere.status, 400);
  EXPECT_THAT(nowhere.body, HasSubstr("unknown region"));
  JoinHost();
  EXPECT_THAT(Ask("POST", "/clusters", R"({"name":"-bad-","provider":"AWS","spec":{"dedicated":{"region_nodes":{"us-east-1":1}}}})").body,
              HasSubstr("name: "));
  EXPECT_EQ(
      Ask("POST", "/clusters", R"({"name":"orders-db","provider":"AWS","spec":{"dedicated":{"region_nodes":{"us-east-1":3}}}})").status,
      501);
  EXPECT_TRUE(Get("/clusters").at("clusters").as_array().empty());
}

TEST_F(RealControlTest, AHostJoinsOverTlsSyncsAndIsRemoved) {
  const HttpResponse made = Ask("POST", "/latchkey/join-tokens");
  ASSERT_EQ(made.status, 200) << made.body;
  LK_ASSERT_OK_AND_ASSIGN(const JoinToken token, JoinToken::Parse(json::parse(made.body).at("token").as_string().c_str()));
  const std::string base = "https://127.0.0.1:" + std::to_string(server_->agent_port());
  LK_ASSERT_OK_AND_ASSIGN(const HttpResponse ca, HttpClient({.verify_peer = false}).Send(base + std::string(kCaPath), {}));
  LK_ASSERT_OK_AND_ASSIGN(const CertificateFacts facts, ReadCertificate(ca.body));
  EXPECT_EQ(facts.sha256_hex, token.ca_sha256);

  LK_ASSERT_OK_AND_ASSIGN(const KeyPair key, NewKeyPair());
  LK_ASSERT_OK_AND_ASSIGN(const std::string csr, NewRequest(key.private_key_pem, "h1"));
  const JoinRequest join{.token_id = token.id, .token_secret = token.secret, .request_pem = csr, .region = "us-east-1", .hostname = "h1"};
  HttpRequest request;
  request.method = "POST";
  request.body = json::serialize(join.ToJson());
  LK_ASSERT_OK_AND_ASSIGN(const HttpResponse joined, HttpClient({.ca_pem = ca.body}).Send(base + std::string(kJoinPath), request));
  ASSERT_EQ(joined.status, 200) << joined.body;
  LK_ASSERT_OK_AND_ASSIGN(const HttpResponse twice, HttpClient({.ca_pem = ca.body}).Send(base + std::string(kJoinPath), request));
  EXPECT_EQ(twice.status, 401);

  LK_ASSERT_OK_AND_ASSIGN(const JoinResponse agent, JoinResponse::FromJson(json::parse(joined.body).as_object()));
  const HttpClientOptions mutual{.ca_pem = ca.body, .client_certificate_pem = agent.certificate_pem, .client_key_pem = key.private_key_pem};
  SyncRequest sync{.boot_id = "b", .sequence = 1, .hostname = "h1", .region = "us-east-1"};
  request.body = json::serialize(sync.ToJson());
  LK_ASSERT_OK_AND_ASSIGN(const HttpResponse synced, HttpClient(mutual).Send(base + std::string(kSyncPath), request));
  EXPECT_EQ(synced.status, 200) << synced.body;
  EXPECT_EQ(Get("/latchkey/agents").at("agents").at(0).at("id").as_string(), agent.agent_id);

  EXPECT_EQ(Ask("DELETE", "/latchkey/agents/" + agent.agent_id).status, 200);
  sync.sequence = 2;
  request.body = json::serialize(sync.ToJson());
  LK_ASSERT_OK_AND_ASSIGN(const HttpResponse removed, HttpClient(mutual).Send(base + std::string(kSyncPath), request));
  EXPECT_EQ(removed.status, 401) << removed.body;
}

TEST_F(RealControlTest, ApiKeysAreMadeUsedAndTakenAway) {
  const HttpResponse made = Ask("POST", "/latchkey/api-keys", R"({"name":"laptop"})");
  ASSERT_EQ(made.status, 200) << made.body;
  const std::string own = key_;
  key_ = json::parse(made.body).at("secret").as_string().c_str();
  EXPECT_EQ(Ask("GET", "/clusters").status, 200);
  const std::string id = json::parse(made.body).at("api_key").at("id").as_string().c_str();
  EXPECT_EQ(Ask("DELETE", "/latchkey/api-keys/" + id).status, 200);
  EXPECT_EQ(Ask("GET", "/clusters").status, 401);
  key_ = own;
  EXPECT_EQ(Get("/latchkey/api-keys").at("api_keys").as_array().size(), 1u);
}

TEST_F(RealControlTest, ASecondServerOnTheSameStoreIsRefused) {
  EXPECT_THAT(StartServer(config_), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another latchkey server")));
}

TEST_F(RealControlTest, TheOrganizationWasBornWithTheStore) {
  const json::value organization = Get("/organization");
  absl::Time born;
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, organization.at("created_at").as_string().c_str(), &born, nullptr));
  EXPECT_LE(born, absl::Now());
  EXPECT_GT(born, absl::Now() - absl::Hours(2));
}

}  // namespace
}  // namespace latchkey
