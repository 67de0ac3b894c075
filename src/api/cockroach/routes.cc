#include "api/cockroach/routes.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/status.h"
#include "http/message.h"

namespace latchkey::cockroach {
namespace {

constexpr std::string_view kPrefix = "/api/v1/";
constexpr size_t kMostSegments = 8;

enum Method : size_t { kGet, kPost, kPut, kPatch, kDelete, kMethods };
constexpr std::array<std::string_view, kMethods> kMethodNames = {"GET", "POST", "PUT", "PATCH", "DELETE"};

struct Operation {
  Method method;
  Route route;  // kUnimplemented: known, not built
};
struct Pattern {
  std::string_view path;  // below /api/v1; "{}" is any one segment
  std::vector<Operation> operations;
};

constexpr Route kNo = Route::kUnimplemented;

// Literal segments stand before "{}" where both would match. The first block is built; the rest is the original's table of operations, kept
// so that a client is told "not built here" instead of "no such thing".
const std::vector<Pattern>& Patterns() {
  static const auto* patterns = new std::vector<Pattern>{
      {"/clusters/{}/cmek",
       {{kGet, Route::kGetCmek}, {kPost, Route::kEnableCmek}, {kPut, Route::kUpdateCmek}, {kPatch, Route::kPatchCmek}}},
      {"/clusters", {{kGet, Route::kListClusters}, {kPost, Route::kCreateCluster}}},
      {"/clusters/available-regions", {{kGet, Route::kListRegions}}},
      {"/clusters/{}", {{kGet, Route::kGetCluster}, {kPatch, Route::kUpdateCluster}, {kDelete, Route::kDeleteCluster}}},
      {"/clusters/{}/nodes", {{kGet, Route::kListNodes}}},
      {"/clusters/{}/backups-config", {{kGet, Route::kGetBackupsConfig}, {kPatch, kNo}}},
      {"/auditlogevents", {{kGet, Route::kListAudit}}},
      {"/organization", {{kGet, Route::kGetOrganization}}},
      {"/key-tests", {{kPost, Route::kTestKey}}},

      {"/latchkey/agents", {{kGet, Route::kListAgents}}},
      {"/latchkey/agents/{}", {{kDelete, Route::kRemoveAgent}}},
      {"/latchkey/join-tokens", {{kPost, Route::kCreateJoinToken}}},
      {"/latchkey/api-keys", {{kGet, Route::kListApiKeys}, {kPost, Route::kCreateApiKey}}},
      {"/latchkey/api-keys/{}", {{kDelete, Route::kDeleteApiKey}}},
      {"/latchkey/clusters/{}/nodes", {{kGet, Route::kNodeDetails}}},
      {"/latchkey/audit", {{kGet, Route::kOwnAudit}}},

      {"/api-keys", {{kGet, kNo}, {kPost, kNo}}},
      {"/api-keys/{}", {{kGet, kNo}, {kPatch, kNo}, {kDelete, kNo}}},
      {"/cluster-versions", {{kGet, kNo}}},
      {"/clusters/{}/backups", {{kGet, kNo}}},
      {"/clusters/{}/client-ca-cert", {{kGet, kNo}, {kPost, kNo}, {kPatch, kNo}, {kDelete, kNo}}},
      {"/clusters/{}/connection-string", {{kGet, kNo}}},
      {"/clusters/{}/databases", {{kGet, kNo}, {kPost, kNo}, {kPatch, kNo}}},
      {"/clusters/{}/databases/{}", {{kPatch, kNo}, {kDelete, kNo}}},
      {"/clusters/{}/disrupt", {{kGet, kNo}, {kPut, kNo}}},
      {"/clusters/{}/maintenance-window", {{kGet, kNo}, {kPut, kNo}, {kDelete, kNo}}},
      {"/clusters/{}/networking/allowlist", {{kGet, kNo}, {kPost, kNo}}},
      {"/clusters/{}/networking/allowlist/{}/{}", {{kPut, kNo}, {kPatch, kNo}, {kDelete, kNo}}},
      {"/clusters/{}/restores", {{kGet, kNo}, {kPost, kNo}}},
      {"/clusters/{}/restores/{}", {{kGet, kNo}}},
      {"/clusters/{}/sql-users", {{kGet, kNo}, {kPost, kNo}}},
      {"/clusters/{}/sql-users/{}", {{kDelete, kNo}}},
      {"/clusters/{}/sql-users/{}/password", {{kPut, kNo}}},
      {"/clusters/{}/version-deferral", {{kGet, kNo}, {kPut, kNo}}},
      {"/folders", {{kGet, kNo}, {kPost, kNo}}},
      {"/folders/{}", {{kGet, kNo}, {kPatch, kNo}, {kDelete, kNo}}},
      {"/folders/{}/contents", {{kGet, kNo}}},
      {"/roles", {{kGet, kNo}}},
      {"/roles/{}", {{kGet, kNo}, {kPut, kNo}}},
      {"/roles/{}/{}/{}/{}", {{kPost, kNo}, {kDelete, kNo}}},
      {"/service-accounts", {{kGet, kNo}, {kPost, kNo}}},
      {"/service-accounts/{}", {{kGet, kNo}, {kPatch, kNo}, {kDelete, kNo}}},
      {"/users/persons-by-email", {{kGet, kNo}}},
  };
  return *patterns;
}

struct Segments {
  std::array<std::string_view, kMostSegments> parts;
  size_t count = 0;
};

// Of a path without its leading slash; nullopt when there are too many or an empty one.
std::optional<Segments> Split(std::string_view path) {
  Segments s;
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || s.count == kMostSegments) return std::nullopt;
    s.parts[s.count++] = part;
    if (slash == std::string_view::npos) return s;
    path.remove_prefix(slash + 1);
  }
}

struct Row {
  Segments segments;
  const Pattern* pattern;
};

const std::vector<Row>& Rows() {
  static const auto* rows = [] {
    auto* all = new std::vector<Row>;
    for (const Pattern& p : Patterns()) all->push_back({*Split(p.path.substr(1)), &p});
    return all;
  }();
  return *rows;
}

bool Matches(const Segments& pattern, const Segments& path) {
  if (pattern.count != path.count) return false;
  for (size_t i = 0; i < path.count; ++i) {
    if (pattern.parts[i] != "{}" && pattern.parts[i] != path.parts[i]) return false;
  }
  return true;
}

constexpr std::array<std::string_view, kRouteCount> kNames = {
    "clusters.list",   "clusters.create", "clusters.get",       "clusters.update",  "clusters.delete",
    "nodes.list",      "regions.list",    "backups-config.get", "cmek.get",         "cmek.enable",
    "cmek.update",     "cmek.patch",      "audit.list",         "organization.get", "key-tests.create",
    "agents.list",     "agents.remove",   "join-tokens.create", "api-keys.list",    "api-keys.create",
    "api-keys.delete", "nodes.details",   "audit.own",          "unimplemented",    "wrong-method",
    "unknown"};

}  // namespace

std::string_view RouteName(Route route) { return kNames[static_cast<size_t>(route)]; }

bool IsChange(Route route) {
  switch (route) {
    case Route::kCreateCluster:
    case Route::kUpdateCluster:
    case Route::kDeleteCluster:
    case Route::kEnableCmek:
    case Route::kUpdateCmek:
    case Route::kPatchCmek:
    case Route::kRemoveAgent:
    case Route::kCreateJoinToken:
    case Route::kCreateApiKey:
    case Route::kDeleteApiKey:
      return true;
    default:
      return false;
  }
}

bool IsSlow(Route route) { return route == Route::kEnableCmek || route == Route::kUpdateCmek || route == Route::kTestKey; }

Match FindRoute(std::string_view method, std::string_view path) {
  Match match;
  if (path.substr(0, kPrefix.size()) != kPrefix) return match;
  const std::optional<Segments> segments = Split(path.substr(kPrefix.size()));
  if (!segments) return match;
  const std::vector<Row>& rows = Rows();
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return Matches(r.segments, *segments); });
  if (row == rows.end()) return match;
  match.pattern = row->pattern->path;
  match.route = Route::kWrongMethod;
  for (const Operation& operation : row->pattern->operations) {
    if (kMethodNames[operation.method] == method) match.route = operation.route;
  }
  if (match.route == Route::kWrongMethod) {
    for (const Operation& operation : row->pattern->operations) {
      absl::StrAppend(&match.allow, match.allow.empty() ? "" : ", ", ToAbsl(kMethodNames[operation.method]));
    }
  }
  size_t next = 0;
  for (size_t i = 0; i < segments->count && next < match.parameters.size(); ++i) {
    if (row->segments.parts[i] != "{}") continue;
    std::optional<std::string> decoded = PercentDecode(segments->parts[i]);
    if (!decoded) return Match{};
    match.parameters[next++] = *std::move(decoded);
  }
  return match;
}

}  // namespace latchkey::cockroach
