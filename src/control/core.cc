#include "control/core.h"

#include "base/log.h"
#include "base/status.h"
#include "store/agents.h"
#include "store/audit.h"

namespace latchkey {

std::string ActorName(const Caller& caller) {
  if (caller.name.empty()) return caller.api_key_id;
  return absl::StrCat(caller.name, " (", caller.api_key_id, ")");
}

absl::StatusOr<std::shared_ptr<const ClusterModel>> LiveCluster(Core& core, const std::string& id) {
  ASSIGN_OR_RETURN(auto model, core.snapshots->Get(id));
  if (model->deleted()) return NoSuchCluster(id);
  return model;
}

std::vector<RegionStatus> Core::Derive(const ClusterModel& model) const {
  const Hosts hosts = directory.AsHosts();
  std::vector<RegionStatus> statuses;
  statuses.reserve(model.regions.size());
  for (const RegionModel& region : model.regions) statuses.push_back(DeriveRegion(region, hosts, Now()));
  return statuses;
}

absl::Status Core::Save(Transaction& tx, ClusterModel& model, Versions& raised) {
  const std::vector<RegionStatus> statuses = Derive(model);
  bool touched = false;
  for (size_t i = 0; i < model.regions.size(); ++i) {
    RegionModel& region = model.regions[i];
    // Done is done: a volume that is sealed later must not look like a change that was never finished.
    const bool settled = statuses[i].change_done && !region.row.change_kind.empty();
    for (size_t k = 0; k < region.keys.size(); ++k) {
      const std::string word = KeyStatusWord(region, k, statuses[i]);
      if (word != region.keys[k].status) RETURN_IF_ERROR(RegionKeys(tx).SetStatus(region.keys[k].id, word, Now()));
    }
    if (settled) region.row.change_kind.clear();
    if (region.row == region.stored) continue;
    touched = true;
    RETURN_IF_ERROR(Regions(tx).Update(region.row, region.stored.generation));
    if (region.row.generation == region.stored.generation) continue;
    for (const NodeModel& node : region.nodes) {
      if (node.row.gone || raised.contains(node.row.agent_id)) continue;
      ASSIGN_OR_RETURN(raised[node.row.agent_id], Agents(tx).RaiseVersion(node.row.agent_id));
    }
  }
  return touched ? Clusters(tx).Touch(model.row.id, Now()) : absl::OkStatus();
}

void Core::Announce(const std::string& cluster_id, const Versions& raised) {
  snapshots->Invalidate(cluster_id);
  for (const auto& [agent_id, version] : raised) {
    directory.RaiseVersion(agent_id, version);
    hub.Notify(agent_id);
  }
}

absl::Status Core::ChangeCluster(const std::string& cluster_id, const std::function<absl::Status(Transaction&, ClusterModel&)>& body) {
  Versions raised;
  if (const absl::Status done = database->Write([&](Transaction& tx) -> absl::Status {
        ASSIGN_OR_RETURN(auto model, LoadCluster(tx, cluster_id));
        if (!model) return NoSuchCluster(cluster_id);
        const absl::Status status = body(tx, *model);
        return status.ok() ? Save(tx, *model, raised) : status;
      });
      !done.ok())
    return done;
  Announce(cluster_id, raised);
  return absl::OkStatus();
}

absl::Status Core::CreateCluster(const std::function<absl::StatusOr<std::string>(Transaction&)>& body) {
  Versions raised;
  std::string id;
  if (const absl::Status done = database->Write([&](Transaction& tx) -> absl::Status {
        ASSIGN_OR_RETURN(id, body(tx));
        ASSIGN_OR_RETURN(auto nodes, Nodes(tx).OfCluster(id));
        for (const NodeRow& node : nodes) {
          if (raised.contains(node.agent_id)) continue;
          ASSIGN_OR_RETURN(raised[node.agent_id], Agents(tx).RaiseVersion(node.agent_id));
        }
        return absl::OkStatus();
      });
      !done.ok())
    return done;
  Announce(id, raised);
  return absl::OkStatus();
}

absl::Status Core::Audit(Transaction& tx, const Caller& caller, std::string_view action, const ClusterRow* cluster,
                         const json::object& payload) {
  return AuditTrail(tx).Append({.created_at = Now(),
                                .action = std::string(action),
                                .actor = ActorName(caller),
                                .remote = caller.remote,
                                .cluster_id = cluster != nullptr ? cluster->id : "",
                                .cluster_name = cluster != nullptr ? cluster->name : "",
                                .payload = json::serialize(payload)});
}

void Core::AuditRefusal(const Caller& caller, std::string_view action, const std::string& cluster_id, const json::object& payload,
                        const absl::Status& status) {
  std::string name;
  if (const auto model = snapshots->Get(cluster_id); model.ok()) name = (*model)->row.name;
  // What was asked may be anything, so its size ends here.
  std::string text = json::serialize(payload);
  if (text.size() > 16 << 10) text = R"({"omitted":"too large"})";
  const absl::Status written = database->Write([&](Transaction& tx) {
    return AuditTrail(tx).Append({.created_at = Now(),
                                  .action = std::string(action),
                                  .actor = ActorName(caller),
                                  .remote = caller.remote,
                                  .cluster_id = cluster_id.substr(0, 64),
                                  .cluster_name = name,
                                  .payload = text,
                                  .error = std::string(status.message().substr(0, 2048))});
  });
  if (!written.ok()) {
    Log(LogLevel::kError, "a refused change could not be audited",
        {{"action", action}, {"actor", ActorName(caller)}, {"error", std::string(written.message())}});
  }
}

}  // namespace latchkey
