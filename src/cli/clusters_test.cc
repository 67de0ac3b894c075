// `latchkey clusters …` against a server that answers from a script.
#include "cli/cli_testing.h"

namespace latchkey {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kId[] = "01234567-89ab-4cde-8f01-23456789abcd";

std::string ClusterJson(const std::string& state) {
  return R"({"id":")" + std::string(kId) + R"(","name":"ledger","state":")" + state +
         R"(","regions":[{"name":"us-east-1","node_count":1}]})";
}

HttpResponse Cluster(const std::string& state) { return HttpResponse::Json(200, ClusterJson(state)); }

std::string Entry(int id, const std::string& action, const json::object& payload, const std::string& cluster = kId,
                  const std::string& error = "") {
  return json::serialize(json::object{{"id", std::to_string(id)},
                                      {"action", "AUDIT_LOG_ACTION_" + action},
                                      {"cluster_id", cluster},
                                      {"payload", json::serialize(payload)},
                                      {"error", error}});
}

class ClustersTest : public testing::Test {
 protected:
  const std::string base_ = std::string("/api/v1/clusters/") + kId;
  const std::string nodes_ = std::string("GET /api/v1/latchkey/clusters/") + kId + "/nodes";

  // The audit log after entry `seen`.
  void AuditAfter(int seen, const std::vector<std::string>& entries, int last) {
    std::string array;
    for (const std::string& entry : entries) array += (array.empty() ? "" : ",") + entry;
    server_.On("GET /api/v1/latchkey/audit?limit=200&after_id=" + std::to_string(seen),
               R"({"entries":[)" + array + R"(],"next_after_id":)" + std::to_string(last) + "}");
  }
  // A running cluster "ledger" whose node has the volume in this state; the newest audit entry is 40.
  void Running(const std::string& volume = "OPEN") {
    server_.On("GET /api/v1/clusters?pagination.limit=500", R"({"clusters":[)" + ClusterJson("CREATED") + "]}");
    server_.On("GET " + base_, {Cluster("DELETED")});
    server_.On("DELETE " + base_, {Cluster("DELETED")});
    server_.On("GET /api/v1/auditlogevents?sort_order=DESC&limit=1", R"({"entries":[)" + Entry(40, "CMEK_ENABLE", {}) + "]}");
    server_.On(nodes_, R"({"nodes":[{"id":"n1","name":"ledger-us-east-1-1","host":"db1","status":"LIVE","volume":{"state":")" + volume +
                           R"("},"engine":{"state":"RUNNING"}}]})");
  }
  Ran Delete(const std::string& what = "ledger", const std::string& timeout = "60") {
    return RunAgainst(server_, {"clusters", "delete", what, "--yes", "--wait", "--timeout", timeout});
  }

  ScriptedServer server_;
};

TEST_F(ClustersTest, DeleteWaitsUntilEveryHostSaysThatTheDataIsGone) {
  Running();
  AuditAfter(40, {Entry(41, "CLUSTER_DELETE", {})}, 41);
  const std::string quiet = "GET /api/v1/latchkey/audit?limit=200&after_id=41";
  const std::string nothing = R"({"entries":[],"next_after_id":41})";
  server_.On(quiet, {HttpResponse::Json(200, nothing), HttpResponse::Json(200, nothing),
                     HttpResponse::Json(200, R"({"entries":[)" + Entry(42, "NODE_DELETED", {{"node", "n1"}, {"agent", "a1"}}) +
                                                 R"(],"next_after_id":42})")});
  AuditAfter(42, {}, 42);
  const Ran ran = Delete();
  LK_EXPECT_OK(ran.status);
  EXPECT_EQ(ran.progress, "DELETED, data left: ledger-us-east-1-1 on db1\nDELETED\n");
  EXPECT_THAT(ran.out, AllOf(HasSubstr("ledger"), HasSubstr("DELETED")));
  EXPECT_EQ(server_.Count(quiet), 3);
}

TEST_F(ClustersTest, DeleteIsNotMisledByOtherClustersOrByWhatWasRefused) {
  Running();
  AuditAfter(40,
             {Entry(41, "NODE_DELETED", {{"node", "n1"}}, "11234567-89ab-4cde-8f01-23456789abcd"),
              Entry(42, "AGENT_REMOVE", {{"agent", "a1"}, {"hostname", "db1"}}, "", "host db1 still has 1 nodes")},
             42);
  AuditAfter(42, {}, 42);
  EXPECT_THAT(Delete("ledger", "0").status, StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(ClustersTest, DeleteSaysHowToGoOnWaitingWhenTheTimeIsOver) {
  Running();
  AuditAfter(40, {}, 40);
  const Ran ran = Delete("ledger", "0");
  EXPECT_THAT(ran.status, StatusIs(absl::StatusCode::kDeadlineExceeded, AllOf(HasSubstr(kId), HasSubstr("ledger-us-east-1-1 on db1"))));
  EXPECT_EQ(ExitCodeFor(ran.status), 5);
  EXPECT_EQ(ran.out, "");
}

TEST_F(ClustersTest, DeleteOfADeletedClusterGoesOnWaitingByTheWholeAuditLog) {
  Running();
  server_.On(nodes_, {HttpResponse::Json(404, R"({"code":5,"message":"cluster not found","details":[]})")});
  AuditAfter(0,
             {Entry(1, "VOLUME_BOUND", {{"node", "n1"}, {"agent", "a1"}}), Entry(2, "VOLUME_BOUND", {{"node", "n2"}, {"agent", "a2"}}),
              Entry(3, "NODE_DELETED", {{"node", "n1"}, {"agent", "a1"}})},
             3);
  AuditAfter(3, {}, 3);
  const Ran waiting = Delete(kId, "0");
  EXPECT_THAT(waiting.status, StatusIs(absl::StatusCode::kDeadlineExceeded, AllOf(HasSubstr("n2"), Not(HasSubstr("n1")))));
  AuditAfter(3, {Entry(4, "NODE_DELETED", {{"node", "n2"}, {"agent", "a2"}})}, 4);
  AuditAfter(4, {}, 4);
  LK_EXPECT_OK(Delete(kId).status);
}

TEST_F(ClustersTest, DeleteEndsWithAnErrorWhenAHostWasRemovedThatNeverSaidSo) {
  Running();
  AuditAfter(40, {Entry(41, "AGENT_REMOVE", {{"agent", "a1"}, {"hostname", "db1"}}, "")}, 41);
  AuditAfter(41, {}, 41);
  const Ran ran = Delete();
  EXPECT_THAT(ran.status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("ledger-us-east-1-1 on db1")));
  EXPECT_EQ(ExitCodeFor(ran.status), 1);
}

TEST_F(ClustersTest, DeleteDoesNotWaitForANodeThatNeverHadAVolumeButForOneThatGetsIt) {
  Running("NONE");
  AuditAfter(40, {}, 40);
  LK_EXPECT_OK(Delete().status);
  AuditAfter(40, {Entry(41, "VOLUME_BOUND", {{"node", "n1"}, {"agent", "a1"}})}, 41);
  AuditAfter(41, {}, 41);
  EXPECT_THAT(Delete("ledger", "0").status, StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("n1")));
}

TEST_F(ClustersTest, DeleteIsDoneWhenTheServerKnowsTheClusterNoMore) {
  Running();
  AuditAfter(40, {}, 40);
  server_.On("GET " + base_, {Cluster("DELETED"), HttpResponse::Json(404, R"({"code":5,"message":"cluster not found","details":[]})")});
  LK_EXPECT_OK(Delete().status);
}

TEST_F(ClustersTest, DeleteWaitsThroughARestartOfTheServer) {
  Running();
  AuditAfter(40, {Entry(41, "NODE_DELETED", {{"node", "n1"}})}, 41);
  AuditAfter(41, {}, 41);
  // A connection that was used before is tried once more by itself.
  server_.On("GET " + base_, {HttpResponse{.status = 0}, HttpResponse{.status = 0}, HttpResponse::Json(503, R"({"message":"starting"})"),
                              Cluster("DELETED")});
  const Ran ran = Delete();
  LK_EXPECT_OK(ran.status);
  EXPECT_THAT(ran.progress, AllOf(HasSubstr(server_.url()), HasSubstr("starting\nDELETED\n")));
}

TEST_F(ClustersTest, DeleteChangesNothingWithoutYesOrWhenItIsRefused) {
  Running();
  EXPECT_THAT(RunAgainst(server_, {"clusters", "delete", "ledger", "--wait"}).status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(server_.requests().empty());
  server_.On("DELETE " + base_, {HttpResponse::Json(400, R"({"message":"delete_protection: is ENABLED for this cluster"})")});
  const Ran refused = Delete();
  EXPECT_THAT(refused.status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("delete_protection")));
  EXPECT_EQ(refused.progress, "");
}

TEST_F(ClustersTest, ProtectTurnsDeleteProtectionOnAndOff) {
  Running();
  const std::string one = ClusterJson("CREATED");
  server_.On("PATCH " + base_, one.substr(0, one.size() - 1) + R"(,"delete_protection":"ENABLED"})");
  const Ran on = RunAgainst(server_, {"clusters", "protect", "ledger", "on"});
  LK_EXPECT_OK(on.status);
  EXPECT_EQ(server_.requests().back().body, R"({"delete_protection":"ENABLED"})");
  EXPECT_THAT(on.out, HasSubstr("delete protection:  ENABLED\n"));
  server_.On("PATCH " + base_, one);
  EXPECT_THAT(RunAgainst(server_, {"clusters", "protect", "ledger", "off"}).out, Not(HasSubstr("protection")));
  EXPECT_EQ(server_.requests().back().body, R"({"delete_protection":"DISABLED"})");
}

TEST_F(ClustersTest, CreateShowsWhatIsMissingAndThenTheCluster) {
  server_.On("POST /api/v1/clusters", {Cluster("CREATING")});
  server_.On("GET " + base_, {Cluster("CREATING"), Cluster("CREATED")});
  server_.On(nodes_,
             R"({"nodes":[{"name":"ledger-us-east-1-1","status":"NOT_READY","volume":{"state":"OPENING"},"engine":{"state":"NONE"}}]})");
  const Ran ran = RunAgainst(server_, {"clusters", "create", "ledger", "--region", "us-east-1", "--wait"});
  LK_EXPECT_OK(ran.status);
  EXPECT_THAT(ran.progress, HasSubstr("CREATING: ledger-us-east-1-1: volume OPENING, engine NONE\n"));
  EXPECT_THAT(ran.out, HasSubstr("CREATED"));
}

TEST_F(ClustersTest, CreateEndsWithAnErrorWhenTheClusterCannotBeMade) {
  server_.On("POST /api/v1/clusters", {Cluster("CREATING")});
  server_.On("GET " + base_, {Cluster("CREATION_FAILED")});
  const Ran ran = RunAgainst(server_, {"clusters", "create", "ledger", "--region", "us-east-1", "--wait"});
  EXPECT_THAT(ran.status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("CREATION_FAILED")));
  EXPECT_EQ(ExitCodeFor(ran.status), 1);
}

TEST_F(ClustersTest, CmekWaitsForEveryRegionAndEndsWithTheReasonOfAFailure) {
  Running();
  const std::string cmek = base_ + "/cmek";
  const auto status = [](const std::string& word, const std::string& message = "") {
    return HttpResponse::Json(200, R"({"status":")" + word + R"(","region_infos":[{"region":"us-east-1","status":")" + word +
                                       R"(","key_infos":[{"status":")" + word + R"(","user_message":")" + message + R"("}]}]})");
  };
  server_.On("POST " + cmek, {status("ENABLING")});
  server_.On("GET " + cmek, {status("ENABLING"), status("ENABLED")});
  const std::vector<std::string> words = {"cmek", "enable", "ledger", "--uri", "arn:aws:kms:us-east-1:1:key/k", "--wait"};
  const Ran done = RunAgainst(server_, words);
  LK_EXPECT_OK(done.status);
  EXPECT_EQ(done.progress, "us-east-1 ENABLING\nus-east-1 ENABLED\n");
  EXPECT_THAT(done.out, HasSubstr("status: ENABLED"));
  server_.On("GET " + cmek, {status("ENABLE_FAILED", "the key is disabled")});
  const Ran failed = RunAgainst(server_, words);
  EXPECT_THAT(failed.status, StatusIs(absl::StatusCode::kFailedPrecondition, "us-east-1 ENABLE_FAILED: the key is disabled"));
  EXPECT_EQ(ExitCodeFor(failed.status), 1);
}

}  // namespace
}  // namespace latchkey
