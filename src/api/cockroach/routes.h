// The paths of the dialect. Matching compares segments; no regular expressions, no allocation for a match without percent-escapes.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace latchkey::cockroach {

enum class Route {
  kListClusters,
  kCreateCluster,
  kGetCluster,
  kUpdateCluster,  // delete protection alone
  kDeleteCluster,
  kListNodes,
  kListRegions,
  kGetBackupsConfig,
  kGetCmek,
  kEnableCmek,
  kUpdateCmek,
  kPatchCmek,
  kListAudit,
  kGetOrganization,
  kTestKey,  // ours, beside the original's
  // Our own, under /api/v1/latchkey/ where no path of the original can come to lie.
  kListAgents,
  kRemoveAgent,
  kCreateJoinToken,
  kListApiKeys,
  kCreateApiKey,
  kDeleteApiKey,
  kNodeDetails,
  kOwnAudit,
  // Not operations.
  kUnimplemented,  // known in the original and not built here
  kWrongMethod,
  kUnknown,
};
inline constexpr size_t kRouteCount = static_cast<size_t>(Route::kUnknown) + 1;

// Stable names for metrics and logs: "clusters.list", "cmek.get", …
std::string_view RouteName(Route route);
// Changes something when it succeeds.
bool IsChange(Route route);
// May wait for an agent to test a key.
bool IsSlow(Route route);

struct Match {
  Route route = Route::kUnknown;
  std::array<std::string, 2> parameters;  // decoded, in the order of the path
  std::string allow;                      // for kWrongMethod: the methods that exist, "GET, POST"
  std::string_view pattern;               // "/clusters/{}/cmek"; empty when unknown
};
// `path` is percent-encoded and starts with "/api/v1/".
Match FindRoute(std::string_view method, std::string_view path);

}  // namespace latchkey::cockroach
