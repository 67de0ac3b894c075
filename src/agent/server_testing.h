// A server that joins, renews and syncs as the real one does, and does what a test orders. For tests only.
#pragma once

#include <absl/time/clock.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/testing.h"
#include "crypto/certificate.h"
#include "http/server.h"
#include "protocol/sync.h"

namespace latchkey {

inline constexpr char kAgentId[] = "99999999-9999-4999-8999-999999999999";

inline LeafOptions Leaf(const std::string& name) {
  LeafOptions leaf{.common_name = name, .now = absl::Now(), .valid = absl::Hours(24)};
  leaf.ip_addresses = {"127.0.0.1"};
  return leaf;
}

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
  // When each sync arrived, also those that were refused.
  std::vector<absl::Time> Arrivals() const {
    const std::lock_guard lock(mutex_);
    return arrivals_;
  }
  bool AwaitArrivals(size_t count) {
    std::unique_lock lock(mutex_);
    return event_.wait_for(lock, std::chrono::seconds(20), [&] { return arrivals_.size() >= count; });
  }
  std::string Url() const { return absl::StrCat("https://127.0.0.1:", port_); }
  uint16_t port() const { return port_; }
  JoinToken Token() const {
    return {.id = "0123456789abcdef", .secret = std::string(43, 'A'), .ca_sha256 = ReadCertificate(ca_.certificate_pem)->sha256_hex};
  }
  CertifiedKey ca_;
  std::atomic<int> joins = 0, renewals = 0, join_status = 200;
  std::atomic<int> sync_status = 200;  // another one refuses every sync

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
    {
      const std::lock_guard lock(mutex_);
      arrivals_.push_back(absl::Now());
    }
    if (const int status = sync_status; status != 200) {
      event_.notify_all();
      return respond(HttpResponse::Json(status, "{}"));
    }
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

  mutable std::mutex mutex_;
  std::condition_variable event_;
  std::vector<absl::Time> arrivals_;
  std::deque<SyncRequest> requests_;
  std::vector<HttpResponder> parked_;
  SyncResponse answer_{.version = 1};
  uint16_t port_ = 0;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace latchkey
