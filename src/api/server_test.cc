// The listeners over real sockets.
#include "api/server.h"

#include <boost/json.hpp>
#include <future>

#include "api/agent/agent_api.h"
#include "api/testing.h"
#include "base/file.h"
#include "base/log.h"
#include "base/testing.h"
#include "http/client.h"
#include "protocol/sync.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    config_.public_listen.port = 0;
    config_.agent_listen.port = 0;
    config_.store_path = "unused";
    config_.escrow = {.type = "LOCAL", .uri = "local://escrow"};
    auto control = std::make_unique<FakeControl>(true);
    control_ = control.get();
    owned_ = std::move(control);
  }
  void Start() {
    absl::StatusOr<std::unique_ptr<Server>> server = StartServer(config_, std::move(owned_));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  HttpResponse Ask(const std::string& method, const std::string& path, const std::string& body = "", bool with_key = true) {
    HttpRequest request;
    request.method = method;
    request.body = body;
    if (with_key) request.headers["authorization"] = "Bearer " + std::string(kTestKey);
    const std::string scheme = config_.has_tls() ? "https" : "http";
    absl::StatusOr<HttpResponse> response = HttpClient({.ca_pem = control_->fake_agents.ca})
                                                .Send(scheme + "://127.0.0.1:" + std::to_string(server_->public_port()) + path, request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *std::move(response) : HttpResponse{.status = 0};
  }
  std::string AgentUrl(std::string_view path) { return "https://127.0.0.1:" + std::to_string(server_->agent_port()) + std::string(path); }
  HttpClientOptions AgentOptions() {
    const CertifiedKey agent = control_->AgentCertificate("agent-7");
    return {.ca_pem = control_->fake_agents.ca, .client_certificate_pem = agent.certificate_pem, .client_key_pem = agent.private_key_pem};
  }
  static HttpRequest SyncRequestOf(int64_t wait_ms) {
    HttpRequest request;
    request.method = "POST";
    request.body = boost::json::serialize(SyncRequest{.boot_id = "b", .sequence = 1, .seen_version = 4, .wait_ms = wait_ms}.ToJson());
    return request;
  }

  ServerConfig config_;
  FakeControl* control_;
  std::unique_ptr<Control> owned_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, AnswersOnThePublicListenerWithSecurityHeaders) {
  Start();
  const HttpResponse response = Ask("GET", "/api/v1/clusters/" + std::string(kTestCluster) + "/cmek");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, R"({"status":"DISABLED","region_infos":[]})");
  EXPECT_EQ(response.headers.at("content-type"), "application/json");
  EXPECT_EQ(response.headers.at("x-content-type-options"), "nosniff");
  EXPECT_EQ(response.headers.at("cache-control"), "no-store");
  EXPECT_THAT(response.headers.at("content-security-policy"), HasSubstr("default-src 'none'"));
  EXPECT_EQ(response.headers.at("cc-version"), "2024-09-16");
  EXPECT_FALSE(response.headers.contains("strict-transport-security"));
  EXPECT_EQ(Ask("GET", "/").status, 404);
  EXPECT_EQ(Ask("GET", "/api/v1/clusters", "", false).status, 401);
}

TEST_F(ServerTest, ABodyOfTwoMebibytesIsTooLargeAndChangesNothing) {
  Start();
  const HttpResponse response = Ask("POST", "/api/v1/clusters", std::string(2 << 20, ' '));
  EXPECT_EQ(response.status, 413);
  const boost::json::value body = boost::json::parse(response.body);
  EXPECT_EQ(body.at("code").as_int64(), 3);
  EXPECT_TRUE(body.at("details").is_array());
  EXPECT_EQ(response.headers.at("x-content-type-options"), "nosniff");
  EXPECT_TRUE(control_->changes.all().empty());
  EXPECT_EQ(Ask("GET", "/api/v1/clusters").status, 200);
}

TEST_F(ServerTest, TheApiKeyIsNowhereInTheAnswers) {
  Start();
  for (const char* path : {"/api/v1/clusters", "/metrics", "/api/v1/nothing", "/api/v1/latchkey/api-keys"}) {
    EXPECT_THAT(Ask("GET", path).body, Not(HasSubstr(kTestKey.substr(30)))) << path;
  }
}

TEST_F(ServerTest, TheMostTalkativeLogHasNoKeyThatStandsInAPath) {
  const TempFolder folder;
  LK_ASSERT_OK(SetUpLog({.component = "server", .least = LogLevel::kDebug, .file = folder / "log"}));
  Start();
  const std::string key(kTestKey);
  for (const std::string& path :
       {"/api/v1/clusters/" + key, "/api/v1/latchkey/api-keys/" + key, "/" + key, "/api/v1/clusters?api_key=" + key,
        "/api/v1/clusters/%4CKEY1_" + key.substr(6), "/api/v1/clusters/" + std::string(kTestCluster) + "/cmek"}) {
    Ask("GET", path);
  }
  Ask("DELETE", "/api/v1/latchkey/api-keys/" + key);
  server_.reset();
  const absl::StatusOr<std::string> log = ReadFile(folder / "log");
  LK_EXPECT_OK(SetUpLog({.component = "test"}));
  LK_ASSERT_OK(log.status());
  EXPECT_THAT(*log, Not(HasSubstr(key.substr(6))));
  EXPECT_THAT(*log, HasSubstr(R"("path":"/api/v1/latchkey/api-keys/…")"));
  EXPECT_THAT(*log, HasSubstr("\"path\":\"/api/v1/clusters/" + std::string(kTestCluster) + "/cmek\""));
}

TEST_F(ServerTest, HealthReadinessAndMetricsAreOnThePublicListener) {
  Start();
  EXPECT_EQ(Ask("GET", "/healthz", "", false).status, 200);
  EXPECT_EQ(Ask("GET", "/readyz", "", false).status, 200);
  Ask("GET", "/api/v1/clusters");
  Ask("GET", "/api/v1/clusters/" + std::string(kOtherCluster));
  const HttpResponse metrics = Ask("GET", "/metrics", "", false);
  EXPECT_EQ(metrics.status, 200);
  EXPECT_THAT(metrics.headers.at("content-type"), HasSubstr("version=0.0.4"));
  for (const char* line : {R"(latchkey_http_requests_total{code="2xx",listener="public",route="clusters.list"} 1)",
                           R"(latchkey_http_requests_total{code="4xx",listener="public",route="clusters.get"} 1)",
                           R"(latchkey_http_request_seconds_count{listener="public",route="clusters.list"} 1)",
                           R"(latchkey_clusters{state="CREATED"} 3)", R"(latchkey_regions{cmek_status="ENABLED"} 2)", "latchkey_agents 1",
                           "latchkey_stray_nodes 3", "latchkey_process_resident_bytes "}) {
    EXPECT_THAT(metrics.body, HasSubstr(line));
  }
  control_->SetStoreAnswers(false);
  const HttpResponse unready = Ask("GET", "/readyz", "", false);
  EXPECT_EQ(unready.status, 503);
  EXPECT_THAT(unready.body, Not(HasSubstr("/var/lib")));
  EXPECT_EQ(Ask("POST", "/healthz").status, 405);
}

TEST_F(ServerTest, HealthMayHaveAListenerOfItsOwn) {
  config_.health_listen = ListenAddress{"127.0.0.1", 0};
  Start();
  EXPECT_NE(server_->health_port(), server_->public_port());
  const auto response = HttpClient({}).Send("http://127.0.0.1:" + std::to_string(server_->health_port()) + "/metrics", {});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 200);
  const auto api = HttpClient({}).Send("http://127.0.0.1:" + std::to_string(server_->health_port()) + "/api/v1/clusters", {});
  ASSERT_TRUE(api.ok());
  EXPECT_EQ(api->status, 404);
}

TEST_F(ServerTest, MetricsReadableOffLoopbackDoNotStart) {
  config_.health_listen = ListenAddress{"0.0.0.0", 0};
  EXPECT_THAT(StartServer(config_, std::move(owned_)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("health.listen: 0.0.0.0:0")));
}

TEST_F(ServerTest, OffLoopbackTheMetricsWantAKey) {
  config_.public_listen.address = "0.0.0.0";
  config_.i_accept_plaintext_off_loopback = true;
  Start();
  EXPECT_EQ(Ask("GET", "/healthz", "", false).status, 200);
  EXPECT_EQ(Ask("GET", "/metrics", "", false).status, 401);
  EXPECT_EQ(Ask("GET", "/metrics").status, 200);
}

TEST_F(ServerTest, PlaintextOffLoopbackDoesNotStart) {
  config_.public_listen.address = "0.0.0.0";
  EXPECT_THAT(StartServer(config_, std::move(owned_)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("public.listen: 0.0.0.0:0")));
}

TEST_F(ServerTest, WithACertificateItSpeaksTls) {
  const TempFolder folder;
  LK_ASSERT_OK(WriteFileAtomically(folder / "c.pem", control_->agent_listener_certificate_pem()));
  LK_ASSERT_OK(WriteFileAtomically(folder / "k.pem", control_->agent_listener_key_pem()));
  config_.public_certificate_file = folder / "c.pem";
  config_.public_private_key_file = folder / "k.pem";
  Start();
  const HttpResponse response = Ask("GET", "/api/v1/clusters");
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.headers.contains("strict-transport-security"));
}

TEST_F(ServerTest, ACertificateThatIsNotThereIsNamed) {
  config_.public_certificate_file = config_.public_private_key_file = "/nonexistent/c.pem";
  EXPECT_THAT(StartServer(config_, std::move(owned_)), StatusIs(absl::StatusCode::kNotFound, HasSubstr("public.certificate_file")));
}

TEST_F(ServerTest, AgentsSyncOverMutualTlsOnly) {
  Start();
  const auto synced = HttpClient(AgentOptions()).Send(AgentUrl(kSyncPath), SyncRequestOf(0));
  ASSERT_TRUE(synced.ok()) << synced.status();
  EXPECT_EQ(synced->status, 200) << synced->body;
  EXPECT_EQ(control_->fake_agents.last_agent, "agent-7");

  const auto anonymous = HttpClient({.ca_pem = control_->fake_agents.ca}).Send(AgentUrl(kSyncPath), SyncRequestOf(0));
  ASSERT_TRUE(anonymous.ok()) << anonymous.status();
  EXPECT_EQ(anonymous->status, 401);

  // A certificate of another CA does not get through the handshake.
  FakeControl stranger(true);
  const CertifiedKey forged = stranger.AgentCertificate("agent-7");
  const auto refused =
      HttpClient(
          {.ca_pem = control_->fake_agents.ca, .client_certificate_pem = forged.certificate_pem, .client_key_pem = forged.private_key_pem})
          .Send(AgentUrl(kSyncPath), SyncRequestOf(0));
  EXPECT_FALSE(refused.ok());
}

TEST_F(ServerTest, TheCaAndJoiningAreOpenToHostsWithoutACertificate) {
  Start();
  const auto ca = HttpClient({.verify_peer = false}).Send(AgentUrl(kCaPath), {});
  ASSERT_TRUE(ca.ok()) << ca.status();
  EXPECT_EQ(ca->body, control_->fake_agents.ca);
  HttpRequest join;
  join.method = "POST";
  join.body = R"({"token_id":"0123456789abcdef","token_secret":"s","request_pem":"p","region":"us-east-1","hostname":"db1"})";
  const auto joined = HttpClient({.ca_pem = control_->fake_agents.ca}).Send(AgentUrl(kJoinPath), join);
  ASSERT_TRUE(joined.ok()) << joined.status();
  EXPECT_EQ(joined->status, 200) << joined->body;
}

TEST_F(ServerTest, HostsWithoutACertificateMaySendAJoinAndNoMore) {
  Start();
  HttpRequest large = SyncRequestOf(0);
  large.body.append(kMaxJoinBody, ' ');
  const auto anonymous = HttpClient({.ca_pem = control_->fake_agents.ca}).Send(AgentUrl(kSyncPath), large);
  ASSERT_TRUE(anonymous.ok()) << anonymous.status();
  EXPECT_EQ(anonymous->status, 413) << anonymous->body;
  const auto known = HttpClient(AgentOptions()).Send(AgentUrl(kSyncPath), large);
  ASSERT_TRUE(known.ok()) << known.status();
  EXPECT_EQ(known->status, 200) << known->body;
}

TEST_F(ServerTest, StoppingAnswersAParkedSync) {
  Start();
  const HttpClientOptions options = AgentOptions();
  auto waiting = std::async(std::launch::async, [&] { return HttpClient(options).Send(AgentUrl(kSyncPath), SyncRequestOf(25'000)); });
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  const auto parked = [&] { return Ask("GET", "/metrics").body.find("latchkey_parked_syncs 1") != std::string::npos; };
  while (!parked()) ASSERT_LT(absl::Now(), deadline);
  server_->Stop();
  const auto response = waiting.get();
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 200);
}

TEST_F(ServerTest, AnAddressInUseIsNamed) {
  Start();
  ServerConfig second = config_;
  second.public_listen.port = server_->public_port();
  EXPECT_THAT(StartServer(second, std::make_unique<FakeControl>(true)),
              testing::ResultOf([](const auto& s) { return std::string(s.status().message()); }, HasSubstr("public.listen")));
}

}  // namespace
}  // namespace latchkey
