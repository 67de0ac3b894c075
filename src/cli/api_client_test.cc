#include "cli/api_client.h"

#include "base/file.h"
#include "cli/cli_testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

constexpr char kId[] = "01234567-89ab-4cde-8f01-23456789abcd";

class ApiClientTest : public testing::Test {
 protected:
  ApiClient Client() {
    auto client = ApiClient::Create({.server = server_.url() + "//", .api_key = "LKEY1_test"});
    EXPECT_THAT(client, IsOk());
    return *std::move(client);
  }
  ScriptedServer server_;
};

TEST_F(ApiClientTest, SendsItsKeyAndTheBodyAsJson) {
  server_.On("PATCH /api/v1/x", R"({"status":"REVOKING"})");
  LK_ASSERT_OK_AND_ASSIGN(const json::object answer, Client().Send("PATCH", "/api/v1/x", json::object{{"action", "REVOKE"}}));
  EXPECT_EQ(TextOf(answer, "status"), "REVOKING");
  const HttpRequest asked = server_.requests().at(0);
  EXPECT_EQ(asked.Header("authorization"), "Bearer LKEY1_test");
  EXPECT_EQ(asked.Header("content-type"), "application/json");
  EXPECT_EQ(asked.body, R"({"action":"REVOKE"})");
}

TEST_F(ApiClientTest, TakesAnAnswerWithoutABodyAsEmpty) {
  server_.On("DELETE /api/v1/x", {{.status = 204}});
  LK_ASSERT_OK_AND_ASSIGN(const json::object answer, Client().Send("DELETE", "/api/v1/x", nullptr));
  EXPECT_TRUE(answer.empty());
  EXPECT_EQ(server_.requests().at(0).Header("content-type"), "");
}

TEST_F(ApiClientTest, GivesEachRefusalItsKindAndTheServersWords) {
  const std::pair<int, absl::StatusCode> kKinds[] = {
      {400, absl::StatusCode::kInvalidArgument}, {413, absl::StatusCode::kInvalidArgument},   {422, absl::StatusCode::kInvalidArgument},
      {401, absl::StatusCode::kUnauthenticated}, {403, absl::StatusCode::kPermissionDenied},  {404, absl::StatusCode::kNotFound},
      {409, absl::StatusCode::kAborted},         {429, absl::StatusCode::kResourceExhausted}, {501, absl::StatusCode::kUnimplemented},
      {503, absl::StatusCode::kUnavailable},     {500, absl::StatusCode::kInternal},          {302, absl::StatusCode::kInternal}};
  for (const auto& [http, code] : kKinds) {
    server_.On("GET /api/v1/x", {HttpResponse::Json(http, R"({"code":1,"message":"name: is taken","details":[]})")});
    EXPECT_THAT(Client().Get("/api/v1/x"), StatusIs(code, "name: is taken")) << http;
  }
  server_.On("GET /api/v1/x", {HttpResponse::Text(502, "<html>")});
  EXPECT_THAT(Client().Get("/api/v1/x"), StatusIs(absl::StatusCode::kInternal, "HTTP status 502"));
}

TEST_F(ApiClientTest, RefusesAnAnswerThatIsNoJsonObject) {
  server_.On("GET /api/v1/x", {HttpResponse::Text(200, "<html>")});
  EXPECT_FALSE(Client().Get("/api/v1/x").ok());
}

TEST_F(ApiClientTest, SaysWhichServerIsNotThere) {
  server_.On("GET /api/v1/x", {{.status = 0}});
  EXPECT_THAT(Client().Get("/api/v1/x"), StatusIs(absl::StatusCode::kUnavailable, HasSubstr(server_.url())));
}

TEST_F(ApiClientTest, FindsAClusterByIdWithOneQuestion) {
  server_.On(std::string("GET /api/v1/clusters/") + kId, R"({"id":"x"})");
  LK_EXPECT_OK(Client().FindCluster(kId));
  EXPECT_EQ(server_.requests().size(), 1u);
}

TEST_F(ApiClientTest, FindsAClusterByNameOnALaterPage) {
  server_.On("GET /api/v1/clusters?pagination.limit=500", R"({"clusters":[{"id":"1","name":"orders"}],"pagination":{"next_page":"a/b"}})");
  server_.On("GET /api/v1/clusters?pagination.limit=500&pagination.page=a%2Fb",
             R"({"clusters":[{"id":"2","name":"ledger"}],"pagination":{"next_page":null}})");
  LK_ASSERT_OK_AND_ASSIGN(const json::object found, Client().FindCluster("ledger"));
  EXPECT_EQ(TextOf(found, "id"), "2");
  EXPECT_THAT(Client().FindCluster("ledgers"), StatusIs(absl::StatusCode::kNotFound, "there is no cluster 'ledgers'"));
}

TEST_F(ApiClientTest, NeedsAKeyAndACaThatCanBeRead) {
  EXPECT_THAT(ApiClient::Create({}), StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("LATCHKEY_API_KEY")));
  const TempFolder folder;
  EXPECT_THAT(ApiClient::Create({.api_key = "k", .ca_file = folder / "none.pem"}), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace latchkey
