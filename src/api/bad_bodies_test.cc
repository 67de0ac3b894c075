// Every route that takes a body, given what is no good body: one clear error, and nothing is changed.
#include <boost/json.hpp>

#include "api/real_server_testing.h"
#include "base/file.h"

namespace latchkey {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

// One host and one cluster with an owner's key.
class BadBodiesTest : public RealServerTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(RealServerTest::SetUp());
    ASSERT_NO_FATAL_FAILURE(JoinHost());
    cluster_ = RunningCluster();
    ASSERT_EQ(Change("POST", cluster_, Specs("1")).status, 200);
    LK_ASSERT_OK(host_->Settle());
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

  std::string cluster_;
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
