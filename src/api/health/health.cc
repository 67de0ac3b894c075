#include "api/health/health.h"

#include "api/health/metrics.h"
#include "base/log.h"

namespace latchkey {

bool HealthApi::Knows(std::string_view path) { return path == "/healthz" || path == "/readyz" || path == "/metrics"; }

HttpResponse HealthApi::Handle(const HttpRequest& request) const {
  if (!Knows(request.path)) return HttpResponse::Text(404, "no such path\n");
  if (request.method != "GET" && request.method != "HEAD") {
    HttpResponse response = HttpResponse::Text(405, "method not allowed\n");
    response.headers["allow"] = "GET, HEAD";
    return response;
  }
  if (request.path == "/healthz") return HttpResponse::Text(200, "ok\n");
  if (request.path == "/readyz") {
    const absl::Status ready = control_.Ready();
    if (ready.ok()) return HttpResponse::Text(200, "ready\n");
    Log(LogLevel::kWarning, "not ready", {{"cause", ready.ToString()}});
    return HttpResponse::Text(503, "not ready: the store does not answer\n");
  }
  return HttpResponse{.headers = {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}},
                      .body = MetricsText(registry_, &control_, parked_)};
}

}  // namespace latchkey
