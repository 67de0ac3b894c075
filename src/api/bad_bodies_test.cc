// Every route that takes a body, given what is no good body: one clear error, and nothing is changed.
#include <boost/json.hpp>

#include "api/server.h"
#include "base/file.h"
#include "base/testing.h"
#include "control/testing.h"
#include "http/client.h"

namespace latchkey {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

// The whole server with its own store, one host and one cluster with an owner's key.
class BadBodiesTest : public testing::Test {
 protected:
  void SetUp() override {
    config_.public_listen.port = 0;
    config_.agent_listen.port = 0;
    config_.store_path = folder_ / "server.db";
    config_.escrow = {.type = "LOCAL", .uri = "local://escrow"};
    LK_ASSERT_OK_AND_ASSIGN(server_, StartServer(config_));
    LK_ASSERT_OK_AND_ASSIGN(const NewApiKey key, server_->control().api_keys().Create({.api_key_id = "local"}, "test"));
    key_ = key.secret.RevealText(SecretAccess{});
    host_ = std::make_unique<FakeAgent>(server_->control(), "us-east-1", "h1");
    LK_ASSERT_OK(host_->Join());
    const HttpResponse created =
        Ask("POST", "/clusters", R"({"name":"orders-db","provider":"AWS","spec":{"dedicated":{"region_nodes":{"us-east-1":1}}}})");
    ASSERT_EQ(created.status, 200) << created.body;
    cluster_ = "/clusters/" + std::string(json::parse(created.body).at("id").as_string().c_str());
    LK_ASSERT_OK(host_->Settle());
    host_->StartPolling();
    const HttpResponse enabled = Ask("POST", cluster_ + "/cmek", R"({"region_specs":[{"region":"us-east-1","key_spec":{"type":"AWS_KMS",
        "uri":"arn:aws:kms:us-east-1:111122223333:key/1","auth_principal":"arn:aws:iam::111122223333:role/owner"}}]})");
    host_->StopPolling();
    ASSERT_EQ(enabled.status, 200) << enabled.body;
    LK_ASSERT_OK(host_->Settle());
  }
  void TearDown() override {
    host_.reset();
    server_.reset();
  }

  HttpResponse Send(HttpClientOptions options, const std::string& url, const std::string& method, const std::string& body) {
    HttpRequest request;
    request.method = method;
    request.body = body;
    request.headers["authorization"] = "Bearer " + key_;
    options.total_timeout = absl::Seconds(40);
    auto response = HttpClient(std::move(options)).Send(url, request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *std::move(response) : HttpResponse{.status = 0, .body = "{}"};
  }
  HttpResponse Ask(const std::string& method, const std::string& path, const std::string& body = "") {
    return Send({}, "http://127.0.0.1:" + std::to_string(server_->public_port()) + "/api/v1" + path, method, body);
  }
  HttpResponse AskAsHost(std::string_view path, const std::string& body) {
    HttpClientOptions options;
    options.verify_peer = false;
    return Send(options, "https://127.0.0.1:" + std::to_string(server_->agent_port()) + std::string(path), "POST", body);
  }
  // All that the store holds, to the byte: whatever is committed goes to one of the two files.
  std::string Store() {
    std::string bytes;
    for (const char* suffix : {"", "-wal"}) {
      const auto file = ReadFile(config_.store_path + suffix);
      EXPECT_TRUE(file.ok()) << file.status();
      if (file.ok()) bytes += *file;
    }
    return bytes;
  }
  // What a person sees: the audit trail with the rest.
  std::string Shown() {
    std::string text;
    for (const std::string& path : {cluster_, cluster_ + "/cmek", std::string("/clusters?show_inactive=true"),
                                    std::string("/latchkey/agents"), std::string("/latchkey/api-keys"), std::string("/latchkey/audit")}) {
      const HttpResponse response = Ask("GET", path);
      EXPECT_EQ(response.status, 200) << path;
      text += response.body + "\n";
    }
    return text;
  }
  static void ExpectError(const HttpResponse& response, int status, const std::string& says, const std::string& what) {
    EXPECT_EQ(response.status, status) << what << ": " << response.body;
    boost::system::error_code failed;
    const json::value body = json::parse(response.body, failed);
    ASSERT_TRUE(!failed && body.is_object()) << what << ": " << response.body;
    const json::object& error = body.get_object();
    ASSERT_TRUE(error.size() == 3 && error.contains("code") && error.contains("message") && error.contains("details")) << response.body;
    EXPECT_EQ(error.at("code"), json::value(3)) << what;
    EXPECT_TRUE(error.at("details").is_array()) << what;
    EXPECT_THAT(std::string(error.at("message").as_string().c_str()), HasSubstr(says)) << what;
  }

  TempFolder folder_;
  ServerConfig config_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<FakeAgent> host_;
  std::string key_, cluster_;
};

TEST_F(BadBodiesTest, GetOneClearErrorFromEveryRouteAndChangeNothing) {
  const struct {
    const char* name;
    std::string body;
    int status;
    const char* says;
  } kBodies[] = {
      {"cut short", "{", 400, "not JSON"},
      {"no JSON", "name=orders-db", 400, "not JSON"},
      {"two values", "{} {}", 400, "something follows"},
      {"not UTF-8", "{\"name\":\"\xff\"}", 400, "not JSON"},
      {"a list", "[]", 400, "must be an object"},
      {"null", "null", 400, "must be an object"},
      {"text", R"("REVOKE")", 400, "must be an object"},
      {"a number", "7", 400, "must be an object"},
      {"a field twice", R"({"name":"a","name":"b"})", 400, "\"name\" stands twice"},
      {"too deep", std::string(100, '['), 400, "nested deeper"},
      {"two mebibytes", R"({"name":")" + std::string(2 << 20, 'x') + "\"}", 413, "larger"},
  };
  const struct {
    const char* method;
    std::string path;
  } kRoutes[] = {
      {"POST", "/clusters"},         {"PATCH", cluster_},    {"POST", cluster_ + "/cmek"},   {"PUT", cluster_ + "/cmek"},
      {"PATCH", cluster_ + "/cmek"}, {"POST", "/key-tests"}, {"POST", "/latchkey/api-keys"}, {"POST", "/latchkey/join-tokens"},
  };
  const std::string shown = Shown();
  const std::string store = Store();
  for (const auto& bad : kBodies) {
    for (const auto& route : kRoutes)
      ExpectError(Ask(route.method, route.path, bad.body), bad.status, bad.says,
                  std::string(bad.name) + " to " + route.method + " " + route.path);
    ExpectError(AskAsHost(kJoinPath, bad.body), bad.status, bad.says, std::string(bad.name) + " to join");
  }
  EXPECT_TRUE(Store() == store) << "something was written";
  EXPECT_EQ(Shown(), shown);
}

}  // namespace
}  // namespace latchkey
