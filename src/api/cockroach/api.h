// The CockroachDB Cloud dialect: one call in, one answer out. Thin: it authenticates, routes, parses, calls one service and prints.
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <string>

#include "api/admission.h"
#include "api/cockroach/routes.h"
#include "base/clock.h"
#include "control/services.h"
#include "http/message.h"

namespace latchkey::cockroach {

struct ApiOptions {
  Control* control = nullptr;  // outlives the Api
  const Clock* clock = &Clock::Real();
  std::string organization_name = "latchkey";
  int most_slow_calls = 8;                 // POST and PUT cmek, and key tests, at a time; further ones get 503
  double requests_per_second_per_key = 0;  // 0: no limit
};

class Api {
 public:
  explicit Api(ApiOptions options);

  struct Answer {
    HttpResponse response;
    Route route = Route::kUnknown;  // for metrics; kUnknown as long as the caller is not known
  };
  // For every path under /api/. Blocks for as long as the service does (a key test: up to 20 s). Thread-safe.
  Answer Handle(const HttpRequest& request);

  // Who a request comes from, by its Bearer key; Unauthenticated without saying why.
  absl::StatusOr<Caller> Authenticate(const HttpRequest& request);

 private:
  using Result = absl::StatusOr<boost::json::object>;
  Result Dispatch(const Match& match, const HttpRequest& request, const Caller& caller);
  Result ListClusters(const HttpRequest& request);
  Result CreateOne(const HttpRequest& request, const Caller& caller);
  Result GetOne(const std::string& id);
  Result UpdateOne(const HttpRequest& request, const std::string& id, const Caller& caller);
  Result DeleteOne(const std::string& id, const Caller& caller);
  Result ListNodes(const HttpRequest& request, const std::string& id, bool details);
  Result ListRegions(const HttpRequest& request);
  Result BackupsConfig(const std::string& id);
  Result ChangeCmek(Route route, const HttpRequest& request, const std::string& id, const Caller& caller);
  Result Organization();
  Result ListAgents();
  Result ListApiKeys();

  const ApiOptions options_;
  Control& control_;
  SlowGate slow_;
  RateLimiter rate_;
};

}  // namespace latchkey::cockroach
