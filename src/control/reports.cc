#include "control/reports.h"

#include <algorithm>

#include "base/log.h"
#include "base/status.h"
#include "base/utf8.h"
#include "store/keks.h"

namespace latchkey {
namespace {

// Generations come from outside: one beyond this would soon leave no room to rise.
constexpr int64_t kMostGeneration = int64_t{1} << 53;
constexpr size_t kMostText = 2048;

constexpr size_t kMostTime = 64;
constexpr size_t kMostDeks = 64;

void Cut(std::string& text, size_t most = kMostText) { text = CutUtf8(text, most); }

bool IsHexId(const std::string& id) {
  return !id.empty() && id.size() <= 64 &&
         std::all_of(id.begin(), id.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsVolumeId(const std::string& id) {
  return !id.empty() && id.size() <= 64 &&
         std::all_of(id.begin(), id.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-'; });
}

// Empty when the KEK may be stored; otherwise why not.
std::string_view RefusalOf(const ClusterModel& cluster, const RegionModel& region, const WrappedKek& kek) {
  if (cluster.deleted() || region.row.revoked) return "the region wants no KEK now";
  if (kek.context.cluster != cluster.row.id || kek.context.region != region.row.name) return "it belongs to another region";
  if (kek.context.generation != region.row.kek_generation) return "its generation is not wanted";
  if (region.CurrentKek() != nullptr) return "there is one of its generation already";
  if (kek.root != region.row.root) return "it is wrapped by another root key";
  if (!region.keks.empty()) {
    const WrappedKek& last = region.keks.back();
    const bool chained = kek.previous && kek.previous->id == last.id && last.context.generation + 1 == kek.context.generation;
    if (!chained || kek.link.empty()) return "it does not link to the KEK before it";
  }
  return "";
}

absl::Status StoreMinted(Core& core, Transaction& tx, const ClusterModel& cluster, RegionModel& region, const WrappedKek& kek,
                         const AgentRow& agent) {
  std::string_view refusal = RefusalOf(cluster, region, kek);
  if (refusal.empty() && kek.context.organization != core.organization) refusal = "it belongs to another organization";
  if (!refusal.empty()) {
    Log(LogLevel::kWarning, "a minted KEK is ignored",
        {{"cluster", cluster.row.id}, {"region", region.row.name}, {"host", agent.hostname}, {"because", refusal}});
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const bool stored, Keks(tx).InsertFirst(kek, core.Now()));
  if (!stored) return absl::OkStatus();
  region.keks.push_back(kek);
  region.Raise();
  RETURN_IF_ERROR(core.Audit(
      tx, AgentCaller(agent.id), "KEK_STORED", &cluster.row,
      {{"region", region.row.name}, {"generation", kek.context.generation}, {"kek", kek.id}, {"root", kek.root.uri}, {"agent", agent.id}}));
  Log(LogLevel::kInfo, "KEK stored",
      {{"cluster", cluster.row.id},
       {"region", region.row.name},
       {"generation", kek.context.generation},
       {"kek", kek.id},
       {"host", agent.hostname}});
  return absl::OkStatus();
}

absl::Status CatchUp(Core& core, Transaction& tx, ClusterModel& cluster, RegionModel& region, const ObservedNode& observed,
                     const AgentRow& agent) {
  const int64_t own = region.row.generation;
  region.row.generation = observed.highest_generation;
  // What hosts applied under those numbers was asked by another history: it fulfils nothing that this one asks.
  region.row.change_generation = region.Raise();
  std::string notice = absl::StrCat("This server's store is older than what host ", agent.hostname, " has seen (generation ", own,
                                    " here, ", observed.highest_generation, " there): it was restored from an old copy.");
  const bool keep = observed.revoked_mark && !region.row.revoked;
  if (keep) {
    region.row.revoked = true;
    region.row.revoked_by = absl::StrCat("the mark that host ", agent.hostname, " kept");
    region.row.revoked_at = core.Now();
    absl::StrAppend(&notice, " The revocation that the host remembers is kept; restore it to lift it.");
  }
  if (region.row.revoked) region.row.revoked_generation = region.row.generation;
  const bool unknown_kek = std::any_of(observed.deks.begin(), observed.deks.end(), [&](const ObservedDek& dek) {
    return std::none_of(region.keks.begin(), region.keks.end(), [&](const WrappedKek& kek) { return kek.id == dek.kek_id; });
  });
  if (unknown_kek)
    absl::StrAppend(&notice, " The host's data keys are wrapped by a KEK that this server does not know: bring its newest copy back.");
  region.row.notice = notice;
  Log(LogLevel::kError, "a host has seen a newer state than this server's store",
      {{"cluster", cluster.row.id},
       {"region", region.row.name},
       {"host", agent.hostname},
       {"generation", own},
       {"seen", observed.highest_generation}});
  return core.Audit(tx, AgentCaller(agent.id), keep ? "CMEK_REVOCATION_KEPT" : "GENERATION_RAISED", &cluster.row,
                    {{"region", region.row.name}, {"host", agent.hostname}, {"generation", own}, {"seen", observed.highest_generation}});
}

}  // namespace

bool IsGone(const ClusterModel& cluster, const RegionModel& region, const NodeModel& node, const ObservedNode& observed) {
  if (!cluster.deleted() || observed.applied_generation < region.row.change_generation) return false;
  return observed.volume == VolumeState::kDeleted || (observed.volume == VolumeState::kNone && node.row.volume_id.empty());
}

std::string StoredForm(ObservedNode observed) {
  observed.minted.reset();
  Cut(observed.engine_message);
  Cut(observed.problem);
  Cut(observed.key.message);
  Cut(observed.host, 255);
  Cut(observed.seal_reason, 64);
  Cut(observed.lease_end, kMostTime);
  Cut(observed.key.since, kMostTime);
  Cut(observed.key.last_success, kMostTime);
  if (!observed.volume_id.empty() && !IsVolumeId(observed.volume_id)) Cut(observed.volume_id, 64);
  std::erase_if(observed.deks, [](const ObservedDek& dek) { return !IsHexId(dek.id) || !IsHexId(dek.kek_id); });
  if (observed.deks.size() > kMostDeks) observed.deks.resize(kMostDeks);
  return json::serialize(observed.ToJson());
}

bool IsNews(const ClusterModel& cluster, const RegionModel& region, const NodeModel& node, const ObservedNode& observed) {
  if (observed.minted && RefusalOf(cluster, region, *observed.minted).empty()) return true;
  return StoredForm(observed) != node.row.report;
}

absl::Status ApplyReport(Core& core, Transaction& tx, ClusterModel& cluster, RegionModel& region, NodeModel& node,
                         const ObservedNode& observed, const AgentRow& agent) {
  ObservedNode report = observed;
  report.minted.reset();
  Nodes nodes(tx);
  if (IsVolumeId(report.volume_id)) {
    if (node.row.volume_id.empty()) {
      ASSIGN_OR_RETURN(const bool set, nodes.SetVolume(node.row.id, report.volume_id));
      if (set) {
        node.row.volume_id = report.volume_id;
        region.Raise();
        RETURN_IF_ERROR(core.Audit(tx, AgentCaller(agent.id), "VOLUME_BOUND", &cluster.row,
                                   {{"node", node.row.id}, {"volume", report.volume_id}, {"agent", agent.id}}));
      }
    } else if (node.row.volume_id != report.volume_id) {
      Log(LogLevel::kError, "a host reports another volume than the node's",
          {{"node", node.row.id}, {"host", agent.hostname}, {"reported", report.volume_id}, {"stored", node.row.volume_id}});
    }
  }
  if (report.highest_generation > region.row.generation) {
    if (report.highest_generation > kMostGeneration) {
      Log(LogLevel::kError, "a report with an impossible generation is ignored", {{"node", node.row.id}, {"host", agent.hostname}});
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(CatchUp(core, tx, cluster, region, report, agent));
  }
  if (observed.minted) RETURN_IF_ERROR(StoreMinted(core, tx, cluster, region, *observed.minted, agent));
  if (IsGone(cluster, region, node, report)) {
    RETURN_IF_ERROR(nodes.SetGone(node.row.id));
    node.row.gone = true;
    RETURN_IF_ERROR(core.Audit(tx, AgentCaller(agent.id), "NODE_DELETED", &cluster.row,
                               {{"node", node.row.id}, {"volume", node.row.volume_id}, {"agent", agent.id}}));
  }
  node.row.report = StoredForm(report);
  node.report = ReportOf(node.row);
  return nodes.SetReport(node.row.id, node.row.report, core.Now());
}

}  // namespace latchkey
