// Prometheus metrics of the server.
//
//   latchkey_http_requests_total{listener, route, code="2xx"}   latchkey_http_request_seconds{listener, route} (histogram; a sync's wait is
//   in it) latchkey_clusters{state}   latchkey_regions{cmek_status}   latchkey_agents   latchkey_agents_silent   latchkey_stray_nodes
//   latchkey_parked_syncs   latchkey_process_resident_bytes
#pragma once

#include <absl/time/time.h>
#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control/services.h"

namespace latchkey {

// Counts of one listener. Every series is made at the start, so that recording neither allocates nor looks anything up. Thread-safe.
class RequestMetrics {
 public:
  RequestMetrics(prometheus::Registry& registry, const std::string& listener, const std::vector<std::string_view>& routes);
  // `route` is an index into `routes`.
  void Record(size_t route, int http_status, absl::Duration took);

 private:
  struct Route {
    std::array<prometheus::Counter*, 6> by_class;  // [0]: no answer; [2]: 2xx …
    prometheus::Histogram* seconds;
  };
  std::vector<Route> routes_;
};

// The text form (version 0.0.4) of `registry` and of the counts of the control plane, taken at the moment of the call. `control` and
// `parked` may be null.
std::string MetricsText(const prometheus::Registry& registry, Control* control, const std::function<int64_t()>& parked);

// Of this process, from /proc/self/statm; 0 when it cannot be read.
int64_t ResidentBytes();

}  // namespace latchkey
