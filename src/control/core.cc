#include "control/core.h"

#include <unistd.h>

#include <cstdlib>

#include "base/log.h"
#include "base/status.h"
#include "base/utf8.h"
#include "store/agents.h"
#include "store/audit.h"

namespace latchkey {

namespace {

constexpr size_t kMostPayload = 16 << 10;

// Who gave a command here: the user that became root for it, if sudo says so. It is a hint among the operator's own people, not a proof.
std::string LocalActor() {
  const char* user = getuid() == 0 ? std::getenv("SUDO_USER") : nullptr;
  if (user != nullptr && *user != '\0') return absl::StrCat("local:", CutUtf8(user, 64));
  return absl::StrCat("local:", getuid());
}

bool IsLocal(const Caller& caller) { return caller.api_key_id == "local"; }

std::string_view SourceOf(const Caller& caller) {
  if (IsLocal(caller)) return "CLI";
  return caller.api_key_id.starts_with("LKEY1_") ? "API" : "INTERNAL";
}

AuditRow EntryOf(const Caller& caller, std::string_view action, absl::Time now) {
  return {.created_at = now,
          .source = std::string(SourceOf(caller)),
          .action = std::string(action),
          .actor = CutUtf8(ActorName(caller), 255),
          .remote = CutUtf8(caller.remote, 255),
          .cluster_id = "",
          .cluster_name = "",
          .payload = "",
          .error = ""};
}

// What was asked may be anything, so its size ends here.
std::string PayloadText(const json::object& payload) {
  const std::string text = json::serialize(payload);
  return text.size() > kMostPayload ? R"({"omitted":"too large"})" : CutUtf8(text, text.size());
}

}  // namespace

std::string ActorName(const Caller& caller) {
  if (IsLocal(caller)) return LocalActor();
  if (caller.name.empty()) return caller.api_key_id;
  return absl::StrCat(caller.name, " (", caller.api_key_id, ")");
}

Caller AgentCaller(const std::string& agent_id) { return {.api_key_id = "agent " + agent_id, .name = "", .remote = ""}; }

absl::Status Busy(const ClusterStatus& status) {
  return Unavailable("the cluster is busy: ", status.busy_with, "; try again when it is done");
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
  AuditRow entry = EntryOf(caller, action, Now());
  if (cluster != nullptr) entry.cluster_id = cluster->id, entry.cluster_name = cluster->name;
  entry.payload = PayloadText(payload);
  return AuditTrail(tx).Append(entry);
}

void Core::AuditRefusal(const Caller& caller, std::string_view action, const std::string& cluster_id, const json::object& payload,
                        const absl::Status& status) {
  AuditRow entry = EntryOf(caller, action, Now());
  entry.cluster_id = CutUtf8(cluster_id, 64);
  if (const auto model = snapshots->Get(cluster_id); model.ok()) entry.cluster_name = (*model)->row.name;
  entry.payload = PayloadText(payload);
  entry.error = CutUtf8(FromAbsl(status.message()), 2048);
  const absl::Status written = database->Write([&](Transaction& tx) { return AuditTrail(tx).Append(entry); });
  if (!written.ok()) {
    Log(LogLevel::kError, "a refused change could not be audited",
        {{"action", action}, {"actor", ActorName(caller)}, {"error", std::string(written.message())}});
  }
}

}  // namespace latchkey
