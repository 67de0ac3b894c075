// /healthz: the process answers. /readyz: the store answers too. /metrics: Prometheus text.
#pragma once

#include <prometheus/registry.h>

#include <functional>
#include <string_view>

#include "control/services.h"
#include "http/message.h"

namespace latchkey {

class HealthApi {
 public:
  // All outlive this.
  HealthApi(Control* control, const prometheus::Registry* registry, std::function<int64_t()> parked)
      : control_(*control), registry_(*registry), parked_(std::move(parked)) {}

  static bool Knows(std::string_view path);
  static bool IsMetrics(std::string_view path) { return path == "/metrics"; }
  // 404 for other paths, 405 for other methods than GET and HEAD. Thread-safe.
  HttpResponse Handle(const HttpRequest& request) const;

 private:
  Control& control_;
  const prometheus::Registry& registry_;
  const std::function<int64_t()> parked_;
};

}  // namespace latchkey
