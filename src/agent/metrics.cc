#include "agent/metrics.h"

#include <absl/strings/numbers.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "base/status.h"

namespace latchkey {
namespace {

// Ready: the server was heard within two long polls.
constexpr absl::Duration kReadyFor = absl::Seconds(60);

HttpResponse Ready(const AgentSnapshot& snapshot) {
  if (!snapshot.since_last_sync) return HttpResponse::Text(503, "the server has not answered yet\n");
  if (*snapshot.since_last_sync > kReadyFor) return HttpResponse::Text(503, "the server has not answered for a minute\n");
  return HttpResponse::Text(200, "ready\n");
}

}  // namespace

std::string RenderMetrics(const AgentSnapshot& snapshot, absl::Time now) {
  prometheus::Registry registry;
  auto& asked = prometheus::BuildCounter()
                    .Name("latchkey_agent_kms_checks_total")
                    .Help("Answers of KMSs to lease checks, by outcome")
                    .Register(registry);
  asked.Add({{"outcome", "success"}}).Increment(static_cast<double>(snapshot.kms.successes));
  asked.Add({{"outcome", "refusal"}}).Increment(static_cast<double>(snapshot.kms.refusals));
  asked.Add({{"outcome", "outage"}}).Increment(static_cast<double>(snapshot.kms.outages));
  asked.Add({{"outcome", "corrupt"}}).Increment(static_cast<double>(snapshot.kms.corrupt));
  prometheus::BuildCounter()
      .Name("latchkey_agent_failed_renewals_total")
      .Help("Leases that a volume did not renew although the KMS answered")
      .Register(registry)
      .Add({})
      .Increment(static_cast<double>(snapshot.kms.failed_renewals));
  prometheus::BuildCounter()
      .Name("latchkey_agent_sync_failures_total")
      .Help("Failed exchanges with the server")
      .Register(registry)
      .Add({})
      .Increment(static_cast<double>(snapshot.sync_failures));
  if (snapshot.since_last_sync) {
    prometheus::BuildGauge()
        .Name("latchkey_agent_seconds_since_sync")
        .Help("Since the server last answered")
        .Register(registry)
        .Add({})
        .Set(absl::ToDoubleSeconds(*snapshot.since_last_sync));
  }
  auto& open = prometheus::BuildGauge().Name("latchkey_agent_volume_open").Help("1 while the volume is open").Register(registry);
  auto& running = prometheus::BuildGauge().Name("latchkey_agent_engine_running").Help("1 while the database answers").Register(registry);
  auto& key_ok = prometheus::BuildGauge().Name("latchkey_agent_key_ok").Help("1 while the root key answers").Register(registry);
  auto& lease =
      prometheus::BuildGauge().Name("latchkey_agent_lease_seconds").Help("Until the lease ends; absent without one").Register(registry);
  auto& problem = prometheus::BuildGauge().Name("latchkey_agent_node_problem").Help("1 while something stops the node").Register(registry);
  for (const auto& [name, node] : snapshot.nodes) {
    const prometheus::Labels labels = {{"node", name}, {"node_id", node.node_id}};
    open.Add(labels).Set(node.volume == VolumeState::kOpen ? 1 : 0);
    running.Add(labels).Set(node.engine == EngineState::kRunning ? 1 : 0);
    key_ok.Add(labels).Set(node.key.ok ? 1 : 0);
    problem.Add(labels).Set(node.problem.empty() ? 0 : 1);
    absl::Time end;
    if (!node.lease_end.empty() && absl::ParseTime(absl::RFC3339_full, node.lease_end, &end, nullptr))
      lease.Add(labels).Set(absl::ToDoubleSeconds(end - now));
  }
  return prometheus::TextSerializer().Serialize(registry.Collect());
}

absl::StatusOr<std::unique_ptr<HttpServer>> ServeMetrics(const std::string& address, std::function<AgentSnapshot()> snapshot) {
  const size_t colon = address.rfind(':');
  int port = -1;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 || port > 65535) {
    return InvalidArgument("metrics_address: must be like \"127.0.0.1:7795\"");
  }
  HttpServerOptions options;
  options.address = address.substr(0, colon);
  options.port = static_cast<uint16_t>(port);
  options.handler_threads = 1;
  options.max_connections = 64;
  options.max_body = 1024;
  options.handler = [snapshot = std::move(snapshot)](HttpRequest request, HttpResponder respond) {
    if (request.method != "GET") return respond(HttpResponse::Text(405, "GET only\n"));
    if (request.path == "/healthz") return respond(HttpResponse::Text(200, "ok\n"));
    if (request.path == "/readyz") return respond(Ready(snapshot()));
    if (request.path != "/metrics") return respond(HttpResponse::Text(404, "no such path\n"));
    respond({.status = 200,
             .headers = {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}},
             .body = RenderMetrics(snapshot(), absl::Now())});
  };
  auto server = HttpServer::Start(std::move(options));
  if (!server.ok()) return Prefixed(server.status(), "metrics_address");
  return server;
}

}  // namespace latchkey
