// What agents ask: /agent/v1/ca, join, sync, renew (see protocol/sync.h). The listener is TLS with Latchkey's CA; a client certificate is
// asked for and verified by it, and required here for everything but the CA and joining.
#pragma once

#include <atomic>
#include <cstdint>

#include "control/services.h"
#include "http/message.h"
#include "http/server.h"

namespace latchkey {

inline constexpr size_t kMaxSyncBody = 4 << 20;
inline constexpr size_t kMaxJoinBody = 64 << 10;

// For metrics, in the order of AgentRouteNames().
enum class AgentRoute { kCa, kJoin, kSync, kRenew, kUnknown };

class AgentApi {
 public:
  explicit AgentApi(Control* control) : control_(*control) {}  // outlives this

  static AgentRoute RouteOf(const HttpRequest& request);
  // Answers through `respond`, for a sync possibly much later and from another thread. Thread-safe. Errors have the form of
  // api/status_reply.h.
  void Handle(HttpRequest request, HttpResponder respond);
  // Syncs that wait for news.
  int64_t parked() const { return parked_->load(); }

 private:
  void Sync(const HttpRequest& request, const HttpResponder& respond);
  HttpResponse Join(const HttpRequest& request);
  HttpResponse Renew(const HttpRequest& request);

  Control& control_;
  // Outlives this in callbacks that are still parked.
  std::shared_ptr<std::atomic<int64_t>> parked_ = std::make_shared<std::atomic<int64_t>>(0);
};

}  // namespace latchkey
