#include "agent/syncer.h"

#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"
#include "crypto/certificate.h"
#include "http/server.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

constexpr char kAgentId[] = "99999999-9999-4999-8999-999999999999";

LeafOptions Leaf(const std::string& name) {
  LeafOptions leaf{.common_name = name, .now = absl::Now(), .valid = absl::Hours(24)};
  leaf.ip_addresses = {"127.0.0.1"};
  return leaf;
}

// Joins, renews and syncs as the real one does, and does what a test orders.
class FakeServer {
 public:
  explicit FakeServer(uint16_t port = 0) {
    ca_ = *NewCa("test CA", absl::Now(), absl::Hours(24));
    Listen(port);
  }
  ~FakeServer() { Close(); }

  void Listen(uint16_t port) {
    LeafOptions leaf = Leaf("server");
    leaf.for_server = true;
    const CertifiedKey mine = *IssueNew(ca_, leaf);
    HttpServerOptions options;
    options.port = port;
    options.certificate_pem = mine.certificate_pem;
    options.private_key_pem = mine.private_key_pem;
    options.client_ca_pem = ca_.certificate_pem;
    options.handler = [this](HttpRequest request, HttpResponder respond) { Handle(std::move(request), std::move(respond)); };
    auto server = HttpServer::Start(std::move(options));
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    port_ = server_->port();
  }
  void Close() {
    {
      const std::lock_guard lock(mutex_);
      parked_.clear();
    }
    if (server_) server_->Stop();
    server_.reset();
  }

  // A new desired state: answers whoever is parked.
  void Publish(SyncResponse answer) {
    std::vector<HttpResponder> parked;
    {
      const std::lock_guard lock(mutex_);
      answer_ = std::move(answer);
      parked.swap(parked_);
    }
    for (const HttpResponder& respond : parked) respond(HttpResponse::Json(200, json::serialize(answer_.ToJson())));
  }
  bool Await(const std::function<bool(const std::deque<SyncRequest>&)>& reached) {
    std::unique_lock lock(mutex_);
    return event_.wait_for(lock, std::chrono::seconds(20), [&] { return reached(requests_); });
  }
  std::string Url() const { return absl::StrCat("https://127.0.0.1:", port_); }
  uint16_t port() const { return port_; }
  JoinToken Token() const {
    return {.id = "0123456789abcdef", .secret = std::string(43, 'A'), .ca_sha256 = ReadCertificate(ca_.certificate_pem)->sha256_hex};
  }
  CertifiedKey ca_;
  std::atomic<int> joins = 0, renewals = 0, join_status = 200;

 private:
  void Handle(HttpRequest request, HttpResponder respond) {
    if (request.path == kCaPath) return respond(HttpResponse::Text(200, ca_.certificate_pem));
    const auto body = ParseJsonObject(request.body);
    if (!body.ok()) return respond(HttpResponse::Json(400, "{}"));
    if (request.path == kJoinPath) return Join(*body, respond);
    if (request.peer_certificate_pem.empty() || ReadCertificate(request.peer_certificate_pem)->common_name != kAgentId) {
      return respond(HttpResponse::Json(401, "{}"));
    }
    if (request.path == kRenewPath) {
      ++renewals;
      LeafOptions leaf = Leaf(kAgentId);
      leaf.for_client = true;
      const std::string certificate = *IssueFromRequest(ca_, std::string(body->at("request_pem").as_string()), leaf);
      return respond(HttpResponse::Json(200, json::serialize(json::object{{"certificate_pem", certificate}})));
    }
    const auto sync = SyncRequest::FromJson(*body);
    if (!sync.ok()) return respond(HttpResponse::Json(400, "{}"));
    std::string answer;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(*sync);
      if (sync->wait_ms > 0 && answer_.version <= sync->seen_version && answer_.version != 0) {
        parked_.push_back(std::move(respond));
      } else {
        answer = json::serialize(answer_.ToJson());
      }
    }
    event_.notify_all();
    if (!answer.empty()) respond(HttpResponse::Json(200, answer));
  }

  void Join(const json::object& body, const HttpResponder& respond) {
    ++joins;
    if (join_status != 200) return respond(HttpResponse::Json(join_status, R"({"code":16,"message":"the token was used"})"));
    const auto request = JoinRequest::FromJson(body);
    if (!request.ok() || request->token_secret != Token().secret) return respond(HttpResponse::Json(401, "{}"));
    LeafOptions leaf = Leaf(kAgentId);
    leaf.for_client = true;
    const JoinResponse joined{.agent_id = kAgentId,
                              .organization = "o",
                              .certificate_pem = *IssueFromRequest(ca_, request->request_pem, leaf),
                              .ca_pem = ca_.certificate_pem};
    respond(HttpResponse::Json(200, json::serialize(joined.ToJson())));
  }

  std::mutex mutex_;
  std::condition_variable event_;
  std::deque<SyncRequest> requests_;
  std::vector<HttpResponder> parked_;
  SyncResponse answer_{.version = 1};
  uint16_t port_ = 0;
  std::unique_ptr<HttpServer> server_;
};

class SyncerTest : public testing::Test {
 protected:
  SyncerTest() {
    config_.server = server_.Url();
    config_.region = "us-east-1";
    config_.state_dir = folder_.path();
    config_.join_token = server_.Token().ToString();
  }
  ~SyncerTest() override {
    if (syncer_) syncer_->Stop();
  }
  void Start(std::optional<Identity> identity = std::nullopt) {
    SyncerOptions options;
    options.config = config_;
    options.identity = std::move(identity);
    options.hostname = "db1";
    options.retry_base = absl::Milliseconds(20);
    options.retry_most = absl::Milliseconds(100);
    options.observe = [this](SyncRequest& request) {
      const std::lock_guard lock(mutex_);
      request.nodes = nodes_;
    };
    options.apply = [this](const SyncRequest&, const SyncResponse& answer) {
      {
        const std::lock_guard lock(mutex_);
        applied_.push_back(answer.version);
      }
      event_.notify_all();
    };
    syncer_ = Syncer::Start(std::move(options));
  }
  bool Applies(int64_t version) {
    std::unique_lock lock(mutex_);
    return event_.wait_for(lock, std::chrono::seconds(20), [&] { return !applied_.empty() && applied_.back() == version; });
  }

  FakeServer server_;
  const TempFolder folder_;
  AgentConfig config_;
  std::mutex mutex_;
  std::condition_variable event_;
  std::vector<ObservedNode> nodes_;
  std::vector<int64_t> applied_;
  std::unique_ptr<Syncer> syncer_;
};

TEST_F(SyncerTest, JoinsOnceAndRemembersWhoItIs) {
  LK_ASSERT_OK_AND_ASSIGN(const Identity joined, Join(config_, "db1"));
  EXPECT_EQ(joined.agent_id, kAgentId);
  LK_ASSERT_OK_AND_ASSIGN(const Identity loaded, LoadIdentity(config_));
  EXPECT_EQ(loaded.private_key_pem, joined.private_key_pem);
  EXPECT_FALSE(RenewalIsDue(loaded, absl::Now()));
  EXPECT_TRUE(RenewalIsDue(loaded, absl::Now() + absl::Hours(17)));
  LK_ASSERT_OK_AND_ASSIGN(const Identity renewed, Renew(config_, loaded));
  EXPECT_NE(renewed.private_key_pem, joined.private_key_pem);
  EXPECT_EQ(LoadIdentity(config_)->certificate_pem, renewed.certificate_pem);
}

TEST_F(SyncerTest, TellsItsTokenToNoServerWithAnotherCa) {
  JoinToken token = server_.Token();
  token.ca_sha256 = std::string(64, '0');
  config_.join_token = token.ToString();
  EXPECT_THAT(Join(config_, "db1"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("not the one")));
  EXPECT_EQ(server_.joins, 0);
  EXPECT_THAT(LoadIdentity(config_), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(SyncerTest, SaysWhyATokenWasRefused) {
  server_.join_status = 403;
  EXPECT_THAT(Join(config_, "db1"), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("the token was used")));
  config_.join_token = "nonsense";
  EXPECT_THAT(Join(config_, "db1"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("join_token")));
}

TEST_F(SyncerTest, ALongPollBringsNewsAtOnce) {
  Start();
  ASSERT_TRUE(Applies(1));
  ASSERT_TRUE(server_.Await([](const auto& requests) { return requests.back().seen_version == 1 && requests.back().wait_ms > 0; }));
  server_.Publish({.version = 2});
  EXPECT_TRUE(Applies(2));
  EXPECT_TRUE(syncer_->last_answer());
}

TEST_F(SyncerTest, AChangeIsReportedWhileThePollIsParked) {
  Start();
  ASSERT_TRUE(Applies(1));
  ASSERT_TRUE(server_.Await([](const auto& requests) { return requests.back().seen_version == 1 && requests.back().wait_ms > 0; }));
  {
    const std::lock_guard lock(mutex_);
    nodes_.resize(1);
    nodes_[0].node_id = "n";
  }
  syncer_->Notify();
  ASSERT_TRUE(server_.Await([](const auto& requests) { return requests.back().wait_ms == 0 && requests.back().nodes.size() == 1; }));
  EXPECT_TRUE(server_.Await([](const auto& requests) {
    for (size_t i = 1; i < requests.size(); ++i) {
      if (requests[i].boot_id != requests[0].boot_id || requests[i].sequence <= requests[i - 1].sequence) return false;
    }
    return true;
  })) << "sequence numbers rise";
}

TEST_F(SyncerTest, OutlivesARestartOfTheServer) {
  Start();
  ASSERT_TRUE(Applies(1));
  const uint16_t port = server_.port();
  server_.Close();
  syncer_->Notify();  // has to be told as soon as somebody listens
  server_.Listen(port);
  server_.Publish({.version = 5});
  EXPECT_TRUE(Applies(5));
  EXPECT_TRUE(server_.Await([](const auto& requests) { return requests.back().seen_version == 5; }));
}

TEST_F(SyncerTest, TakesAnOlderVersionForWhatItIsARestoredServer) {
  Start();
  server_.Publish({.version = 9});
  ASSERT_TRUE(Applies(9));
  ASSERT_TRUE(server_.Await([](const auto& requests) { return requests.back().seen_version == 9 && requests.back().wait_ms > 0; }));
  server_.Publish({.version = 3});
  EXPECT_TRUE(Applies(3)) << "each node judges for itself by its generation";
}

TEST_F(SyncerTest, WaitsForAServerThatIsNotThereYet) {
  const uint16_t port = server_.port();
  server_.Close();
  Start();
  server_.Listen(port);
  EXPECT_TRUE(Applies(1));
  EXPECT_EQ(server_.joins, 1);
}

}  // namespace
}  // namespace latchkey
