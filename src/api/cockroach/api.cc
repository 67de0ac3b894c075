#include "api/cockroach/api.h"

#include <algorithm>
#include <array>
#include <optional>

#include "api/cockroach/audit.h"
#include "api/cockroach/clusters.h"
#include "api/cockroach/cmek.h"
#include "api/cockroach/own.h"
#include "api/cockroach/page.h"
#include "api/status_reply.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "base/utf8.h"
#include "crypto/certificate.h"

namespace latchkey::cockroach {
namespace {

namespace json = boost::json;

constexpr std::string_view kBearer = "bearer ";
constexpr size_t kLongestKey = 512;
constexpr std::string_view kLatestVersion = "2024-09-16";
constexpr std::array<std::string_view, 5> kVersions = {"latest", "2022-03-31", "2022-09-20", "2023-04-10", kLatestVersion};

std::string Shown(std::string_view text) { return CutUtf8(text, 64); }

bool NamesOneCluster(const Match& match) { return match.pattern.find("clusters/{}") != std::string_view::npos; }

}  // namespace

Api::Api(ApiOptions options)
    : options_(std::move(options)),
      control_(*options_.control),
      slow_(options_.most_slow_calls),
      rate_(options_.requests_per_second_per_key, options_.clock) {}

absl::StatusOr<Caller> Api::Authenticate(const HttpRequest& request) {
  const std::string header = request.Header("authorization");
  const std::string_view text = header;
  const auto same = [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); };
  if (text.size() <= kBearer.size() || text.size() > kLongestKey || !std::equal(kBearer.begin(), kBearer.end(), text.begin(), same)) {
    return absl::UnauthenticatedError("unauthenticated");
  }
  ASSIGN_OR_RETURN(Caller caller, control_.api_keys().Authenticate(text.substr(kBearer.size())));
  caller.remote = request.peer_address;
  return caller;
}

Api::Answer Api::Handle(const HttpRequest& request) {
  Answer answer;
  const std::string version = request.Header("cc-version", kLatestVersion);
  const bool version_known = std::find(kVersions.begin(), kVersions.end(), version) != kVersions.end();
  const auto reply = [&](HttpResponse response) {
    response.headers["cc-version"] = version_known ? version : std::string(kLatestVersion);
    answer.response = std::move(response);
    return answer;
  };

  const absl::StatusOr<Caller> caller = Authenticate(request);
  if (!caller.ok()) return reply(ErrorReply(caller.status()));
  if (!rate_.Admit(caller->api_key_id)) {
    HttpResponse response = ErrorReply(429, 8, "rate limit exceeded");
    response.headers["retry-after"] = "1";
    return reply(std::move(response));
  }
  if (!version_known) return reply(ErrorReply(400, 3, "invalid Cc-Version"));

  const Match match = FindRoute(request.method, request.path);
  answer.route = match.route;
  if (match.route == Route::kUnknown) return reply(ErrorReply(404, 5, "no such path"));
  if (match.route == Route::kUnimplemented) {
    return reply(ErrorReply(
        501, 12, absl::StrCat("UNIMPLEMENTED: ", Shown(request.method), " /api/v1", std::string(match.pattern), " is not built")));
  }
  if (match.route == Route::kWrongMethod) {
    HttpResponse response = ErrorReply(405, 12, absl::StrCat("method not allowed; this path knows ", match.allow));
    response.headers["allow"] = match.allow;
    return reply(std::move(response));
  }

  std::optional<SlowGate::Place> place;
  if (IsSlow(match.route)) {
    place.emplace(slow_.Enter());
    if (!*place) return reply(ErrorReply(absl::UnavailableError("too many keys are being tested at this moment; try again")));
  }
  const Result result = Dispatch(match, request, *caller);
  if (IsChange(match.route)) {
    Log(LogLevel::kInfo, "change",
        {{"operation", json::string_view(RouteName(match.route).data(), RouteName(match.route).size())},
         {"subject", Shown(match.parameters[0])},
         {"caller", caller->api_key_id},
         {"remote", caller->remote},
         {"outcome", result.ok() ? std::string("OK") : absl::StatusCodeToString(result.status().code())}});
  }
  return reply(result.ok() ? JsonReply(*result) : ErrorReply(result.status()));
}

Api::Result Api::Dispatch(const Match& match, const HttpRequest& request, const Caller& caller) {
  const std::string& id = match.parameters[0];
  // Cluster ids are UUIDs; anything else cannot exist, and need not reach the store.
  if (NamesOneCluster(match) && !IsUuid(id)) return NotFound("cluster '", Shown(id), "' not found");
  switch (match.route) {
    case Route::kListClusters:
      return ListClusters(request);
    case Route::kCreateCluster:
      return CreateOne(request, caller);
    case Route::kGetCluster:
      return GetOne(id);
    case Route::kUpdateCluster:
      return UpdateOne(request, id, caller);
    case Route::kDeleteCluster:
      return DeleteOne(id, caller);
    case Route::kListNodes:
      return ListNodes(request, id, false);
    case Route::kNodeDetails:
      return ListNodes(request, id, true);
    case Route::kListRegions:
      return ListRegions(request);
    case Route::kGetBackupsConfig:
      return BackupsConfig(id);
    case Route::kGetCmek: {
      ASSIGN_OR_RETURN(const CmekView view, control_.cmek().Get(id));
      return CmekJson(view);
    }
    case Route::kEnableCmek:
    case Route::kUpdateCmek:
    case Route::kPatchCmek:
      return ChangeCmek(match.route, request, id, caller);
    case Route::kListAudit: {
      ASSIGN_OR_RETURN(const AuditQuery query, ReadAuditQuery(request));
      return AuditPage(control_, query);
    }
    case Route::kOwnAudit:
      return OwnAuditPage(control_, request);
    case Route::kGetOrganization:
      return Organization();
    case Route::kTestKey: {
      ASSIGN_OR_RETURN(const RegionKeySpec spec, ParseKeyTest(request.body));
      ASSIGN_OR_RETURN(const KeyTestView view, control_.cmek().Test(caller, spec));
      return KeyTestJson(view);
    }
    case Route::kListAgents:
      return ListAgents();
    case Route::kRemoveAgent:
      RETURN_IF_ERROR(control_.agents().Remove(caller, id));
      return json::object();
    case Route::kCreateJoinToken: {
      RETURN_IF_ERROR(ParseEmptyBody(request.body));
      ASSIGN_OR_RETURN(const JoinToken token, control_.agents().CreateJoinToken(caller));
      return JoinTokenJson(token);
    }
    case Route::kListApiKeys:
      return ListApiKeys();
    case Route::kCreateApiKey: {
      ASSIGN_OR_RETURN(const std::string name, ParseApiKeyName(request.body));
      ASSIGN_OR_RETURN(const NewApiKey key, control_.api_keys().Create(caller, name));
      return NewApiKeyJson(key, name);
    }
    case Route::kDeleteApiKey:
      RETURN_IF_ERROR(control_.api_keys().Delete(caller, id));
      return json::object();
    case Route::kUnimplemented:
    case Route::kWrongMethod:
    case Route::kUnknown:
      break;
  }
  return Internal("no handler for ", std::string(RouteName(match.route)));
}

Api::Result Api::ListClusters(const HttpRequest& request) {
  ASSIGN_OR_RETURN(const Page page, ReadPage(request, true));
  ASSIGN_OR_RETURN(const bool show_inactive, ReadBool(request, "show_inactive"));
  ASSIGN_OR_RETURN(const ClusterPage found, control_.clusters().List(page, show_inactive));
  json::array clusters;
  clusters.reserve(found.clusters.size());
  for (const ClusterView& cluster : found.clusters) clusters.push_back(ClusterJson(cluster));
  return json::object{{"clusters", std::move(clusters)}, {"pagination", PaginationJson(found.next)}};
}

Api::Result Api::CreateOne(const HttpRequest& request, const Caller& caller) {
  ASSIGN_OR_RETURN(const CreateCluster wanted, ParseCreateCluster(request.body));
  ASSIGN_OR_RETURN(const ClusterView cluster, control_.clusters().Create(caller, wanted));
  return ClusterJson(cluster);
}

Api::Result Api::GetOne(const std::string& id) {
  ASSIGN_OR_RETURN(const ClusterView cluster, control_.clusters().Get(id));
  // A deleted cluster has no nodes to ask for.
  if (cluster.deleted_at) return ClusterJson(cluster);
  ASSIGN_OR_RETURN(const std::vector<NodeView> nodes, control_.clusters().Nodes(id, ""));
  return ClusterJson(cluster, nodes);
}

Api::Result Api::UpdateOne(const HttpRequest& request, const std::string& id, const Caller& caller) {
  ASSIGN_OR_RETURN(const bool enabled, ParseDeleteProtection(request.body));
  ASSIGN_OR_RETURN(const ClusterView cluster, control_.clusters().SetDeleteProtection(caller, id, enabled));
  ASSIGN_OR_RETURN(const std::vector<NodeView> nodes, control_.clusters().Nodes(id, ""));
  return ClusterJson(cluster, nodes);
}

Api::Result Api::DeleteOne(const std::string& id, const Caller& caller) {
  ASSIGN_OR_RETURN(const ClusterView cluster, control_.clusters().Delete(caller, id));
  return ClusterJson(cluster);
}

Api::Result Api::ListNodes(const HttpRequest& request, const std::string& id, bool details) {
  ASSIGN_OR_RETURN(const Page page, ReadPage(request));
  ASSIGN_OR_RETURN(std::vector<NodeView> nodes, control_.clusters().Nodes(id, request.Query("region_name")));
  // NUL sorts below every character of a name, so that the key sorts as (region, name) does.
  const auto key = [](const NodeView& node) { return node.region + std::string(1, '\0') + node.name; };
  ASSIGN_OR_RETURN(const std::string next, TakePage(nodes, page, key));
  json::array list;
  for (const NodeView& node : nodes) list.push_back(details ? NodeDetailsJson(node) : NodeJson(node));
  return json::object{{"nodes", std::move(list)}, {"pagination", PaginationJson(next)}};
}

Api::Result Api::ListRegions(const HttpRequest& request) {
  ASSIGN_OR_RETURN(const Page page, ReadPage(request));
  ASSIGN_OR_RETURN(const std::string provider, ReadWord(request, "provider", {"AWS", "GCP", "AZURE"}));
  ASSIGN_OR_RETURN(const bool serverless, ReadBool(request, "serverless"));
  ASSIGN_OR_RETURN(std::vector<RegionView> regions, control_.clusters().AvailableRegions(provider));
  if (serverless) regions.clear();
  const auto key = [](const RegionView& region) { return region.name; };
  std::sort(regions.begin(), regions.end(), [&](const RegionView& a, const RegionView& b) { return a.name < b.name; });
  ASSIGN_OR_RETURN(const std::string next, TakePage(regions, page, key));
  json::array list;
  for (const RegionView& region : regions) list.push_back(RegionJson(region));
  return json::object{{"regions", std::move(list)}, {"pagination", PaginationJson(next)}};
}

// Backups are not built, and this says so: enabled is false. The Terraform provider reads the resource with every cluster, so it has to be
// there; the schema requires the two numbers, which mean nothing while it is disabled and are of the sets that clients accept. PATCH
// answers 501.
Api::Result Api::BackupsConfig(const std::string& id) {
  RETURN_IF_ERROR(control_.clusters().Get(id).status());
  return json::object{{"enabled", false}, {"frequency_minutes", 1440}, {"retention_days", 30}};
}

Api::Result Api::ChangeCmek(Route route, const HttpRequest& request, const std::string& id, const Caller& caller) {
  if (route == Route::kPatchCmek) {
    ASSIGN_OR_RETURN(const CmekAction action, ParseCmekAction(request.body));
    ASSIGN_OR_RETURN(const CmekView view,
                     action == CmekAction::kRevoke ? control_.cmek().Revoke(caller, id) : control_.cmek().Restore(caller, id));
    return CmekJson(view);
  }
  ASSIGN_OR_RETURN(const std::vector<RegionKeySpec> specs, ParseRegionSpecs(request.body));
  ASSIGN_OR_RETURN(const CmekView view,
                   route == Route::kEnableCmek ? control_.cmek().Enable(caller, id, specs) : control_.cmek().Update(caller, id, specs));
  return CmekJson(view);
}

Api::Result Api::Organization() {
  // The CA is made together with the organization, when the store is new.
  ASSIGN_OR_RETURN(const CertificateFacts ca, ReadCertificate(control_.agents().ca_pem()));
  return json::object{{"id", control_.organization_id()},
                      {"label", options_.organization_name},
                      {"name", options_.organization_name},
                      {"created_at", latchkey::FormatTime(ca.not_before)}};
}

Api::Result Api::ListAgents() {
  ASSIGN_OR_RETURN(const std::vector<AgentView> agents, control_.agents().List());
  json::array list;
  for (const AgentView& agent : agents) list.push_back(AgentJson(agent));
  return json::object{{"agents", std::move(list)}};
}

Api::Result Api::ListApiKeys() {
  ASSIGN_OR_RETURN(const std::vector<ApiKeyView> keys, control_.api_keys().List());
  json::array list;
  for (const ApiKeyView& key : keys) list.push_back(ApiKeyJson(key));
  return json::object{{"api_keys", std::move(list)}};
}

}  // namespace latchkey::cockroach
