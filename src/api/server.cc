#include "api/server.h"

#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "api/agent/agent_api.h"
#include "api/cockroach/api.h"
#include "api/health/health.h"
#include "api/health/metrics.h"
#include "api/status_reply.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "http/server.h"

namespace latchkey {
namespace {

// An agent's calls are short: parse, one transaction, park.
constexpr int kAgentThreads = 4;
constexpr int kMostIoThreads = 4;

// A handler may run as long as a key is tested, and its client must not be dropped meanwhile.
constexpr absl::Duration kIdle = absl::Seconds(75);

std::vector<std::string_view> PublicRoutes() {
  std::vector<std::string_view> names;
  for (size_t i = 0; i < cockroach::kRouteCount; ++i) names.push_back(cockroach::RouteName(static_cast<cockroach::Route>(i)));
  return names;
}
std::vector<std::string_view> AgentRoutes() { return {"ca", "join", "sync", "renew", "unknown"}; }

// The path without what is neither a word of ours nor an id: whoever mistakes an API key for its id puts it there.
std::string PathForLog(std::string_view path) {
  constexpr size_t kLongest = 36;  // an id
  std::vector<absl::string_view> segments = absl::StrSplit(ToAbsl(path), '/');
  for (absl::string_view& segment : segments) {
    const bool ours =
        segment.size() <= kLongest && segment.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") == absl::string_view::npos;
    if (!ours) segment = "…";
  }
  return absl::StrJoin(segments, "/");
}

// Never a header or a body: those hold keys and tokens. The query is left out for the same reason.
void LogAccess(std::string_view listener, const HttpRequest& request, std::string_view route, int status, absl::Duration took) {
  Log(LogLevel::kDebug, "request",
      {{"listener", boost::json::string_view(listener.data(), listener.size())},
       {"method", request.method},
       {"path", PathForLog(request.path)},
       {"route", boost::json::string_view(route.data(), route.size())},
       {"remote", request.peer_address},
       {"status", status},
       {"microseconds", absl::ToInt64Microseconds(took)}});
}

class RealServer : public Server {
 public:
  RealServer(const ServerConfig& config, std::unique_ptr<Control> control)
      : config_(config),
        control_(std::move(control)),
        public_metrics_(registry_, "public", PublicRoutes()),
        agent_metrics_(registry_, "agents", AgentRoutes()),
        agent_api_(control_.get()),
        health_(control_.get(), &registry_, [this] { return agent_api_.parked(); }),
        api_({.control = control_.get(),
              .organization_name = config.organization_name,
              .most_slow_calls = std::max(1, config.handler_threads / 2),
              .requests_per_second_per_key = config.requests_per_second_per_key}) {}
  ~RealServer() override { RealServer::Stop(); }

  absl::Status Start() {
    RETURN_IF_ERROR(StartPublic());
    RETURN_IF_ERROR(StartAgents());
    if (config_.health_listen) RETURN_IF_ERROR(StartHealth());
    Log(LogLevel::kInfo, "server listens",
        {{"public_port", public_port()},
         {"agent_port", agent_port()},
         {"health_port", health_port()},
         {"tls", config_.has_tls()},
         {"organization", control_->organization_id()}});
    if (!config_.has_tls() && !IsLoopback(config_.public_listen.address)) {
      Log(LogLevel::kWarning, "API keys travel readable: the public listener has no TLS and is not on loopback");
    }
    return absl::OkStatus();
  }

  uint16_t public_port() const override { return public_->port(); }
  uint16_t agent_port() const override { return agents_->port(); }
  uint16_t health_port() const override { return health_server_ ? health_server_->port() : public_port(); }
  Control& control() override { return *control_; }

  void Stop() override {
    if (stopped_.exchange(true)) return;
    // First the parked syncs, which hold connections of the agents' listener.
    control_->Stop();
    if (public_) public_->Stop();
    if (agents_) agents_->Stop();
    if (health_server_) health_server_->Stop();
  }

 private:
  absl::Status StartPublic() {
    HttpServerOptions options;
    options.address = config_.public_listen.address;
    options.port = config_.public_listen.port;
    options.handler_threads = config_.handler_threads;
    options.io_threads = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMostIoThreads);
    options.idle_timeout = kIdle;
    if (config_.has_tls()) {
      absl::StatusOr<std::string> certificate = ReadFile(config_.public_certificate_file);
      if (!certificate.ok()) return Prefixed(certificate.status(), "public.certificate_file");
      absl::StatusOr<std::string> key = ReadFile(config_.public_private_key_file);
      if (!key.ok()) return Prefixed(key.status(), "public.private_key_file");
      options.certificate_pem = *std::move(certificate);
      options.private_key_pem = *std::move(key);
    }
    options.handler = [this](HttpRequest request, HttpResponder respond) { respond(AnswerPublic(request)); };
    options.early_error = [tls = config_.has_tls()](int status, std::string_view message) {
      HttpResponse response = EarlyErrorReply(status, message);
      AddSecurityHeaders(response, tls);
      return response;
    };
    return Listen(std::move(options), "public.listen", public_);
  }

  absl::Status StartAgents() {
    HttpServerOptions options;
    options.address = config_.agent_listen.address;
    options.port = config_.agent_listen.port;
    options.handler_threads = kAgentThreads;
    options.max_body = kMaxSyncBody;
    options.max_body_without_certificate = kMaxJoinBody;
    options.idle_timeout = kIdle;
    options.certificate_pem = control_->agent_listener_certificate_pem();
    options.private_key_pem = control_->agent_listener_key_pem();
    options.client_ca_pem = control_->agents().ca_pem();
    options.handler = [this](HttpRequest request, HttpResponder respond) { AnswerAgent(std::move(request), std::move(respond)); };
    options.early_error = EarlyErrorReply;
    return Listen(std::move(options), "agents.listen", agents_);
  }

  absl::Status StartHealth() {
    HttpServerOptions options;
    options.address = config_.health_listen->address;
    options.port = config_.health_listen->port;
    options.handler_threads = 1;
    options.max_body = 1 << 10;
    options.max_connections = 64;
    options.handler = [this](HttpRequest request, HttpResponder respond) {
      HttpResponse response = health_.Handle(request);
      AddSecurityHeaders(response, false);
      respond(std::move(response));
    };
    return Listen(std::move(options), "health.listen", health_server_);
  }

  absl::Status Listen(HttpServerOptions options, std::string_view key, std::unique_ptr<HttpServer>& out) {
    absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Start(std::move(options));
    if (!server.ok()) return Prefixed(server.status(), key);
    out = *std::move(server);
    return absl::OkStatus();
  }

  HttpResponse AnswerPublic(const HttpRequest& request) {
    const absl::Duration begin = Clock::Real().BootTime();
    cockroach::Api::Answer answer;
    const bool health = HealthApi::Knows(request.path);
    if (health) {
      answer.response = AnswerHealthOnPublic(request);
    } else if (request.path.rfind("/api/", 0) == 0) {
      answer = api_.Handle(request);
    } else {
      answer.response = ErrorReply(404, 5, "no such path");
    }
    AddSecurityHeaders(answer.response, config_.has_tls());
    const absl::Duration took = Clock::Real().BootTime() - begin;
    // Probes come every second or so and would drown the rest.
    if (!health) public_metrics_.Record(static_cast<size_t>(answer.route), answer.response.status, took);
    LogAccess("public", request, health ? "health" : cockroach::RouteName(answer.route), answer.response.status, took);
    return std::move(answer.response);
  }

  // What the metrics tell (how many clusters, in which state) is not for everybody who reaches a public address.
  HttpResponse AnswerHealthOnPublic(const HttpRequest& request) {
    if (HealthApi::IsMetrics(request.path) && !IsLoopback(config_.public_listen.address)) {
      if (const auto caller = api_.Authenticate(request); !caller.ok()) return ErrorReply(caller.status());
    }
    return health_.Handle(request);
  }

  void AnswerAgent(HttpRequest request, HttpResponder respond) {
    const absl::Duration begin = Clock::Real().BootTime();
    const auto route = static_cast<size_t>(AgentApi::RouteOf(request));
    HttpRequest shown;
    shown.method = request.method;
    shown.path = request.path;
    shown.peer_address = request.peer_address;
    HttpResponder counted([this, begin, route, shown = std::move(shown), respond = std::move(respond)](HttpResponse response) {
      AddSecurityHeaders(response, true);
      const absl::Duration took = Clock::Real().BootTime() - begin;
      agent_metrics_.Record(route, response.status, took);
      LogAccess("agents", shown, AgentRoutes()[route], response.status, took);
      respond(std::move(response));
    });
    agent_api_.Handle(std::move(request), std::move(counted));
  }

  const ServerConfig config_;
  std::unique_ptr<Control> control_;
  prometheus::Registry registry_;
  RequestMetrics public_metrics_, agent_metrics_;
  AgentApi agent_api_;
  HealthApi health_;
  cockroach::Api api_;
  std::unique_ptr<HttpServer> public_, agents_, health_server_;
  std::atomic<bool> stopped_{false};
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> StartServer(const ServerConfig& config, std::unique_ptr<Control> control) {
  RETURN_IF_ERROR(CheckServerConfig(config));
  auto server = std::make_unique<RealServer>(config, std::move(control));
  RETURN_IF_ERROR(server->Start());
  return server;
}

absl::StatusOr<std::unique_ptr<Server>> StartServer(const ServerConfig& config) {
  RETURN_IF_ERROR(CheckServerConfig(config));
  ControlOptions options;
  options.database = config.store_path;
  options.escrow = config.escrow;
  options.account_id = config.account_id;
  options.key_test_timeout = config.key_test_timeout;
  options.rewrap_new_versions = config.rewrap_new_versions;
  options.server_names = config.agent_names;
  ASSIGN_OR_RETURN(std::unique_ptr<Control> control, Control::Open(std::move(options)));
  return StartServer(config, std::move(control));
}

}  // namespace latchkey
