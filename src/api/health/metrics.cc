#include "api/health/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "base/log.h"

namespace latchkey {
namespace {

constexpr std::array<std::string_view, 6> kClasses = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

using Samples = std::vector<std::pair<std::string, int64_t>>;  // label value (or empty), count

prometheus::MetricFamily Gauge(const std::string& name, const std::string& help, const std::string& label, const Samples& samples) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Gauge;
  for (const auto& [value, count] : samples) {
    prometheus::ClientMetric metric;
    if (!label.empty()) metric.label.push_back({label, value});
    metric.gauge.value = static_cast<double>(count);
    family.metric.push_back(std::move(metric));
  }
  return family;
}

void AppendCounts(std::vector<prometheus::MetricFamily>& families, Control& control) {
  const absl::StatusOr<ControlCounts> counts = control.Counts();
  if (!counts.ok()) {
    Log(LogLevel::kError, "no counts for the metrics", {{"cause", counts.status().ToString()}});
    return;
  }
  const auto samples = [](const std::map<std::string, int64_t>& by) { return Samples(by.begin(), by.end()); };
  families.push_back(Gauge("latchkey_clusters", "Clusters by state.", "state", samples(counts->clusters_by_state)));
  families.push_back(Gauge("latchkey_regions", "Cluster regions by CMEK status.", "cmek_status", samples(counts->regions_by_cmek_status)));
  families.push_back(Gauge("latchkey_agents", "Hosts that joined.", "", {{"", counts->agents}}));
  families.push_back(Gauge("latchkey_agents_silent", "Hosts not heard of for a minute.", "", {{"", counts->agents_silent}}));
  families.push_back(Gauge("latchkey_stray_nodes", "Nodes that hosts have and the server does not name.", "", {{"", counts->strays}}));
}

}  // namespace

RequestMetrics::RequestMetrics(prometheus::Registry& registry, const std::string& listener, const std::vector<std::string_view>& routes) {
  auto& requests = prometheus::BuildCounter().Name("latchkey_http_requests_total").Help("Answered requests.").Register(registry);
  auto& seconds = prometheus::BuildHistogram().Name("latchkey_http_request_seconds").Help("Time to the answer.").Register(registry);
  const prometheus::Histogram::BucketBoundaries bounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30};
  for (const std::string_view name : routes) {
    const std::string route(name);
    Route series;
    for (size_t i = 0; i < kClasses.size(); ++i) {
      series.by_class[i] = &requests.Add({{"listener", listener}, {"route", route}, {"code", std::string(kClasses[i])}});
    }
    series.seconds = &seconds.Add({{"listener", listener}, {"route", route}}, bounds);
    routes_.push_back(series);
  }
}

void RequestMetrics::Record(size_t route, int http_status, absl::Duration took) {
  const int status_class = std::clamp(http_status / 100, 0, 5);
  routes_[route].by_class[status_class]->Increment();
  routes_[route].seconds->Observe(absl::ToDoubleSeconds(took));
}

std::string MetricsText(const prometheus::Registry& registry, Control* control, const std::function<int64_t()>& parked) {
  std::vector<prometheus::MetricFamily> families = registry.Collect();
  // Series that nothing was ever counted in would be most of the text.
  for (prometheus::MetricFamily& family : families) {
    std::erase_if(family.metric, [&](const prometheus::ClientMetric& m) {
      return family.type == prometheus::MetricType::Counter ? m.counter.value == 0 : m.histogram.sample_count == 0;
    });
  }
  if (control != nullptr) AppendCounts(families, *control);
  if (parked) families.push_back(Gauge("latchkey_parked_syncs", "Agents that wait for news.", "", {{"", parked()}}));
  families.push_back(Gauge("latchkey_process_resident_bytes", "Resident memory of the process.", "", {{"", ResidentBytes()}}));
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total = 0, resident = 0;
  if (!(statm >> total >> resident)) return 0;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace latchkey
