// agents, api-keys and audit against a server that answers from a script.
#include "cli/cli_testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;

class AdminTest : public testing::Test {
 protected:
  Ran Run(const std::vector<std::string>& words) { return RunAgainst(server_, words); }
  ScriptedServer server_;
};

TEST_F(AdminTest, WhatIsRemovedIsSaidToPeopleAndGivenToProgramsAsJson) {
  server_.On("DELETE /api/v1/latchkey/agents/a1", "{}");
  server_.On("DELETE /api/v1/latchkey/api-keys/LKEY1_k", "{}");
  EXPECT_EQ(Run({"agents", "remove", "a1"}).out, "agent a1 is shut out\n");
  EXPECT_EQ(Run({"agents", "remove", "a1", "-o", "json"}).out, "{}\n");
  EXPECT_EQ(Run({"api-keys", "delete", "LKEY1_k"}).out, "API key LKEY1_k is deleted\n");
  EXPECT_EQ(Run({"api-keys", "delete", "LKEY1_k", "-o", "json"}).out, "{}\n");
  const Ran unknown = Run({"api-keys", "delete", "LKEY1_other"});
  EXPECT_THAT(unknown.status, StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(unknown.out, "");
}

TEST_F(AdminTest, AgentsListShowsStrayFoldersAndWarningsWhereThereAreSome) {
  const std::string start = R"({"agents":[{"id":"a1","hostname":"db1","region":"us-east-1","node_count":2,"last_heard":null)";
  server_.On("GET /api/v1/latchkey/agents", start + "}]}");
  const std::string table = "HOST  REGION     NODES  LAST HEARD  ID\ndb1   us-east-1  2                  a1\n";
  EXPECT_EQ(Run({"agents", "list"}).out, table);
  server_.On("GET /api/v1/latchkey/agents", start + R"(,"strays":[],"warnings":[]}]})");
  EXPECT_EQ(Run({"agents", "list"}).out, table);
  server_.On("GET /api/v1/latchkey/agents", start + R"(,"strays":["node-7","no\u001bde"],"warnings":["swap is on"]}]})");
  EXPECT_EQ(Run({"agents", "list"}).out,
            table + "\ndb1: left as they are: nodes that the server does not name: node-7, no?de\ndb1: WARNING: swap is on\n");
  EXPECT_THAT(Run({"agents", "list", "-o", "json"}).out, HasSubstr(R"("strays":["node-7")"));
}

TEST_F(AdminTest, AuditLeavesOutWhatEveryActionBeginsWithForPeopleOnly) {
  server_.On("GET /api/v1/auditlogevents?sort_order=DESC&limit=2",
             R"({"entries":[{"action":"AUDIT_LOG_ACTION_CREATE_CLUSTER","cluster_name":"ledger"}],"next_starting_from":null})");
  EXPECT_THAT(Run({"audit", "--limit", "2"}).out, testing::AllOf(HasSubstr("CREATE_CLUSTER"), Not(HasSubstr("AUDIT_LOG_ACTION"))));
  EXPECT_THAT(Run({"audit", "--limit", "2", "-o", "json"}).out, HasSubstr("AUDIT_LOG_ACTION_CREATE_CLUSTER"));
}

TEST_F(AdminTest, ASecretIsPrintedAloneOrAsTheWholeAnswer) {
  server_.On("POST /api/v1/latchkey/api-keys", R"({"api_key":{"id":"LKEY1_k","name":"deploy"},"secret":"LKEY1_k_s"})");
  EXPECT_EQ(Run({"api-keys", "create", "deploy"}).out, "LKEY1_k_s\n");
  EXPECT_THAT(Run({"api-keys", "create", "deploy", "-o", "json"}).out, HasSubstr(R"("id":"LKEY1_k")"));
}

TEST_F(AdminTest, EmulatorCommandsPrintForPeopleAndJsonForPrograms) {
  const std::vector<std::string> words = {"kms-emulator", "role", "untrust", "arn:aws:iam::2:role/r", "--emulator", server_.url()};
  server_.On("POST /_admin/roles/untrust", R"({"arn":"arn:aws:iam::2:role/r","trusted":false})");
  EXPECT_THAT(RunWords(words).out, HasSubstr("nobody"));
  server_.On("GET /_admin/state", R"({"time":"now"})");
  EXPECT_EQ(RunWords({"kms-emulator", "state", "-o", "json", "--emulator", server_.url()}).out, "{\"time\":\"now\"}\n");
  EXPECT_EQ(RunWords({"kms-emulator", "state", "--emulator", server_.url()}).out, "time:  now\n");
  std::vector<std::string> as_json = words;
  as_json.insert(as_json.end(), {"-o", "json"});
  EXPECT_EQ(RunWords(as_json).out, "{\"arn\":\"arn:aws:iam::2:role/r\",\"trusted\":false}\n");
}

}  // namespace
}  // namespace latchkey
