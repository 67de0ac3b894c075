#include "control/cluster_service.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "base/status.h"
#include "base/utf8.h"
#include "control/views.h"

namespace latchkey {
namespace {

constexpr std::string_view kEngine = "postgresql";
constexpr std::string_view kEngineVersion = "15";
constexpr size_t kMostLabels = 50;
constexpr size_t kMostLabelText = 128;

bool IsOneOf(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

absl::Status CheckName(const std::string& name) {
  const bool fine =
      name.size() >= 6 && name.size() <= 20 && name.front() != '-' && name.back() != '-' &&
      std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
  if (fine) return absl::OkStatus();
  return InvalidArgument("name: must be 6 to 20 lower-case letters, digits and dashes, without a dash at either end");
}

absl::Status CheckRequest(const CreateCluster& request, const std::set<std::string>& known_regions) {
  RETURN_IF_ERROR(CheckName(request.name));
  if (!IsOneOf(request.provider, {"AWS", "GCP", "AZURE"})) return InvalidArgument("provider: must be AWS, GCP or AZURE");
  if (IsOneOf(request.plan, {"BASIC", "STANDARD"})) return absl::UnimplementedError("plan: only ADVANCED clusters can be made");
  if (request.plan != "ADVANCED") return InvalidArgument("plan: must be ADVANCED");
  if (!IsOneOf(request.delete_protection, {"ENABLED", "DISABLED"}))
    return InvalidArgument("delete_protection: must be ENABLED or DISABLED");
  if (!IsOneOf(request.network_visibility, {"PUBLIC", "PRIVATE"})) return InvalidArgument("network_visibility: must be PUBLIC or PRIVATE");
  if (request.labels.size() > kMostLabels) return InvalidArgument("labels: more than ", kMostLabels);
  for (const auto& [name, value] : request.labels) {
    if (name.empty() || name.size() > kMostLabelText || value.size() > kMostLabelText) {
      return InvalidArgument("labels: names must have 1 to ", kMostLabelText, " bytes, values at most as many");
    }
  }
  if (request.region_nodes.empty()) return InvalidArgument("region_nodes: must name a region");
  int64_t nodes = 0;
  for (const auto& [region, count] : request.region_nodes) {
    if (!known_regions.contains(region)) {
      return InvalidArgument("region_nodes.", CutUtf8(region, 64), ": unknown region: no host that joined serves it");
    }
    if (count < 1 || count > 1000) return InvalidArgument("region_nodes.", region, ": must be 1 to 1000");
    nodes += count;
  }
  if (nodes > 1) return absl::UnimplementedError("region_nodes: a PostgreSQL cluster has one node in one region; more is not built yet");
  return absl::OkStatus();
}

json::object PayloadOf(const CreateCluster& request) {
  json::object regions, labels;
  for (const auto& [region, count] : request.region_nodes) regions[CutUtf8(region, 64)] = count;
  for (const auto& [name, value] : request.labels) labels[name] = value;
  return {{"name", CutUtf8(request.name, 64)},
          {"provider", CutUtf8(request.provider, 64)},
          {"region_nodes", regions},
          {"labels", labels},
          {"delete_protection", CutUtf8(request.delete_protection, 64)}};
}

class Service : public ClusterService {
 public:
  explicit Service(Core& core) : core_(core) {}

  absl::StatusOr<ClusterView> Create(const Caller& caller, const CreateCluster& request) override {
    auto id = TryCreate(caller, request);
    if (!id.ok()) {
      core_.AuditRefusal(caller, "CLUSTER_CREATE", "", PayloadOf(request), id.status());
      return id.status();
    }
    return Get(*id);
  }

  absl::StatusOr<ClusterPage> List(const Page& page, bool show_inactive) override {
    if (page.limit < 1 || page.limit > 500) return InvalidArgument("pagination.limit: must be 1 to 500");
    std::string after_name, after_id;
    if (!page.after.empty()) {
      const auto cursor = page.after.size() <= 256 ? Base64UrlDecode(page.after) : absl::InvalidArgumentError("");
      const std::string text = cursor.ok() ? std::string(AsText(*cursor)) : "";
      const size_t slash = text.find('/');
      if (slash == std::string::npos || slash == 0 || slash + 1 == text.size()) {
        return InvalidArgument("pagination.page: is not a cursor that an earlier page gave");
      }
      after_name = text.substr(0, slash);
      after_id = text.substr(slash + 1);
    }
    std::vector<Clusters::Name> names;
    if (const absl::Status done = core_.database->Read([&](Transaction& tx) -> absl::Status {
          ASSIGN_OR_RETURN(names, Clusters(tx).Names(after_name, after_id, page.descending, show_inactive, page.limit + 1));
          return absl::OkStatus();
        });
        !done.ok())
      return done;
    ClusterPage answer;
    if (names.size() > static_cast<size_t>(page.limit)) {
      names.pop_back();
      answer.next = Base64UrlEncode(AsBytes(names.back().name + "/" + names.back().id));
    }
    for (const Clusters::Name& name : names) {
      ASSIGN_OR_RETURN(const auto model, core_.snapshots->Get(name.id));
      answer.clusters.push_back(MakeClusterView(core_, *model));
    }
    return answer;
  }

  absl::StatusOr<ClusterView> Get(const std::string& id) override {
    ASSIGN_OR_RETURN(const auto model, core_.snapshots->Get(id));
    return MakeClusterView(core_, *model);
  }

  absl::StatusOr<ClusterView> Delete(const Caller& caller, const std::string& id) override {
    const absl::Status status = TryDelete(caller, id);
    if (!status.ok()) {
      core_.AuditRefusal(caller, "CLUSTER_DELETE", id, {}, status);
      return status;
    }
    return Get(id);
  }

  absl::StatusOr<ClusterView> SetDeleteProtection(const Caller& caller, const std::string& id, bool enabled) override {
    const std::string word = enabled ? "ENABLED" : "DISABLED";
    const json::object payload = {{"delete_protection", word}};
    const absl::Status status = core_.ChangeCluster(id, [&](Transaction& tx, ClusterModel& model) -> absl::Status {
      if (model.deleted()) return NoSuchCluster(id);
      if (model.row.delete_protection == word) return absl::OkStatus();
      const ClusterStatus now = DeriveCluster(model, core_.Derive(model));
      // What protects is never refused: delete is not, either. A creation that never ends (its host is gone) could not be deleted if its
      // protection could not be lifted. Other changes can be revoked, and under a revocation nothing is busy.
      if (!enabled && now.busy && now.state != "CREATING") return Busy(now);
      RETURN_IF_ERROR(Clusters(tx).SetDeleteProtection(id, word, core_.Now()));
      return core_.Audit(tx, caller, "CLUSTER_UPDATE", &model.row, payload);
    });
    if (!status.ok()) {
      core_.AuditRefusal(caller, "CLUSTER_UPDATE", id, payload, status);
      return status;
    }
    return Get(id);
  }

  absl::StatusOr<std::vector<NodeView>> Nodes(const std::string& id, const std::string& region) override {
    ASSIGN_OR_RETURN(const auto model, core_.snapshots->Get(id));
    return MakeNodeViews(core_, *model, region);
  }

  absl::StatusOr<std::vector<RegionView>> AvailableRegions(const std::string& provider) override {
    if (!provider.empty() && !IsOneOf(provider, {"AWS", "GCP", "AZURE"})) return InvalidArgument("provider: must be AWS, GCP or AZURE");
    std::vector<RegionView> regions;
    for (const std::string& name : core_.directory.RegionNames()) regions.push_back({name, provider.empty() ? "AWS" : provider, name});
    return regions;
  }

 private:
  // The host of the region that was heard of lately and has the fewest nodes.
  absl::StatusOr<std::string> Schedule(Transaction& tx, const std::string& region) {
    std::optional<std::pair<int64_t, std::string>> best;
    for (const AgentRow& agent : core_.directory.Fresh(region, core_.Now())) {
      ASSIGN_OR_RETURN(const int64_t count, latchkey::Nodes(tx).CountOfAgent(agent.id));
      if (!best || count < best->first) best = {count, agent.id};
    }
    if (!best)
      return Unavailable("region_nodes.", region, ": no host of this region was heard of within the last minute; try again when one is");
    return best->second;
  }

  absl::StatusOr<std::string> TryCreate(const Caller& caller, const CreateCluster& request) {
    RETURN_IF_ERROR(CheckRequest(request, core_.directory.RegionNames()));
    const absl::Time now = core_.Now();
    ClusterRow row{.id = NewUuid(*core_.options.random),
                   .name = request.name,
                   .provider = request.provider,
                   .plan = request.plan,
                   .engine = std::string(kEngine),
                   .engine_version = std::string(kEngineVersion),
                   .creator_id = caller.api_key_id,
                   .delete_protection = request.delete_protection,
                   .network_visibility = request.network_visibility,
                   .created_at = now,
                   .updated_at = now};
    row.labels = json::serialize(PayloadOf(request).at("labels"));
    const absl::Status status = core_.CreateCluster([&](Transaction& tx) -> absl::StatusOr<std::string> {
      const absl::Status inserted = Clusters(tx).Insert(row);
      if (absl::IsAlreadyExists(inserted))
        return absl::AlreadyExistsError(absl::StrCat("name: a cluster named ", request.name, " exists already"));
      RETURN_IF_ERROR(inserted);
      for (const auto& [region, count] : request.region_nodes) {
        RETURN_IF_ERROR(
            Regions(tx).Insert({.cluster_id = row.id, .name = region, .change_kind = std::string(kChangeCreate), .root = core_.escrow}));
        for (int64_t n = 1; n <= count; ++n) {
          ASSIGN_OR_RETURN(const std::string agent_id, Schedule(tx, region));
          RETURN_IF_ERROR(latchkey::Nodes(tx).Insert({.id = NewUuid(*core_.options.random),
                                                      .cluster_id = row.id,
                                                      .region = region,
                                                      .name = absl::StrCat(row.name, "-", region, "-", n),
                                                      .agent_id = agent_id,
                                                      .created_at = now}));
        }
      }
      RETURN_IF_ERROR(core_.Audit(tx, caller, "CLUSTER_CREATE", &row, PayloadOf(request)));
      return row.id;
    });
    if (!status.ok()) return status;
    return row.id;
  }

  absl::Status TryDelete(const Caller& caller, const std::string& id) {
    return core_.ChangeCluster(id, [&](Transaction& tx, ClusterModel& model) -> absl::Status {
      // Sent again by a client that got no answer: the answer is the same.
      if (model.deleted()) return absl::OkStatus();
      if (model.row.delete_protection == "ENABLED")
        return FailedPrecondition("delete_protection: is ENABLED for this cluster; disable it first");
      RETURN_IF_ERROR(Clusters(tx).MarkDeleted(id, core_.Now()));
      model.row.deleted_at = core_.Now();
      for (RegionModel& region : model.regions) {
        region.row.change_kind.clear();
        region.row.change_generation = region.Raise();
        for (NodeModel& node : region.nodes) {
          if (node.row.told_open) continue;
          RETURN_IF_ERROR(latchkey::Nodes(tx).SetGone(node.row.id));
          node.row.gone = true;
        }
      }
      return core_.Audit(tx, caller, "CLUSTER_DELETE", &model.row, {});
    });
  }

  Core& core_;
};

}  // namespace

std::unique_ptr<ClusterService> MakeClusterService(Core& core) { return std::make_unique<Service>(core); }

}  // namespace latchkey
