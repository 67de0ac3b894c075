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

std::string Nodes(const std::string& problem = "") {
  const json::object node{{"id", "n1"},
                          {"name", "ledger-us-east-1-1"},
                          {"host", "db1"},
                          {"problem", problem.empty() ? json::value(nullptr) : json::value(problem)}};
  return json::serialize(json::object{{"nodes", json::array{node}}});
}
constexpr char kNoNodes[] = R"({"nodes":[]})";

class ClustersTest : public testing::Test {
 protected:
  const std::string base_ = std::string("/api/v1/clusters/") + kId;
  const std::string nodes_ = std::string("GET /api/v1/latchkey/clusters/") + kId + "/nodes";

  // A running cluster "ledger" of one node, which is left when it is deleted.
  void Running() {
    server_.On("GET /api/v1/clusters?pagination.limit=500", R"({"clusters":[)" + ClusterJson("CREATED") + "]}");
    server_.On("GET " + base_, {Cluster("DELETED")});
    server_.On("DELETE " + base_, {Cluster("DELETED")});
    server_.On(nodes_, Nodes());
  }
  Ran Delete(const std::string& what = "ledger", const std::string& timeout = "60") {
    return RunAgainst(server_, {"clusters", "delete", what, "--yes", "--wait", "--timeout", timeout});
  }

  ScriptedServer server_;
};

TEST_F(ClustersTest, DeleteWaitsUntilEveryHostSaysThatTheDataIsGone) {
  Running();
  server_.On(nodes_, {HttpResponse::Json(200, Nodes()), HttpResponse::Json(200, Nodes()),
                      HttpResponse::Json(200, Nodes("DELETE_REFUSED: x")), HttpResponse::Json(200, kNoNodes)});
  const Ran ran = Delete();
  LK_EXPECT_OK(ran.status);
  EXPECT_EQ(ran.progress,
            "DELETED, data left: ledger-us-east-1-1 on db1\nDELETED, data left: ledger-us-east-1-1 on db1: DELETE_REFUSED: x\nDELETED\n");
  EXPECT_THAT(ran.out, AllOf(HasSubstr("ledger"), HasSubstr("DELETED")));
  EXPECT_EQ(server_.Count(nodes_), 4);
}

TEST_F(ClustersTest, DeleteSaysHowToGoOnWaitingWhenTheTimeIsOver) {
  Running();
  const Ran ran = Delete("ledger", "0");
  EXPECT_THAT(ran.status, StatusIs(absl::StatusCode::kDeadlineExceeded, AllOf(HasSubstr(kId), HasSubstr("ledger-us-east-1-1 on db1"))));
  EXPECT_EQ(ExitCodeFor(ran.status), 5);
  EXPECT_EQ(ran.out, "");
  server_.On(nodes_, kNoNodes);
  LK_EXPECT_OK(Delete(kId).status);
}

TEST_F(ClustersTest, DeleteEndsWithAnErrorWhenAHostWasRemovedThatNeverSaidSo) {
  Running();
  server_.On(nodes_, Nodes("HOST_REMOVED: it is away"));
  const Ran ran = Delete();
  EXPECT_THAT(ran.status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("ledger-us-east-1-1 on db1: HOST_REMOVED")));
  EXPECT_EQ(ExitCodeFor(ran.status), 1);
}

TEST_F(ClustersTest, DeleteDoesNotTakeAServerThatCannotTellForDone) {
  Running();
  server_.On(nodes_, {HttpResponse::Json(404, R"({"code":5,"message":"cluster not found","details":[]})")});
  EXPECT_THAT(Delete().status, StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ClustersTest, DeleteWaitsThroughARestartOfTheServer) {
  Running();
  // A connection that was used before is tried once more by itself.
  server_.On(nodes_, {HttpResponse{.status = 0}, HttpResponse{.status = 0}, HttpResponse::Json(503, R"({"message":"starting"})"),
                      HttpResponse::Json(200, kNoNodes)});
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
