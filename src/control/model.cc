#include "control/model.h"

#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "base/utf8.h"
#include "store/keks.h"

namespace latchkey {
std::optional<ObservedNode> ReportOf(const NodeRow& row) {
  if (row.report.empty()) return std::nullopt;
  absl::StatusOr<ObservedNode> report = absl::InternalError("");
  if (const auto object = ParseJsonObject(row.report); object.ok()) report = ObservedNode::FromJson(*object, "report");
  if (!report.ok()) {
    // It counts as none: the agent's next one replaces it.
    Log(LogLevel::kWarning, "a stored report cannot be read and is left out", {{"node", row.id}});
    return std::nullopt;
  }
  if (!row.volume_id.empty() && !report->volume_id.empty() && report->volume_id != row.volume_id) {
    report->problem = absl::StrCat("VOLUME_MISMATCH: the host reports volume ", CutUtf8(report->volume_id, 64),
                                   " and the node's volume is ", row.volume_id);
  }
  return *std::move(report);
}

const WrappedKek* RegionModel::CurrentKek() const {
  for (const WrappedKek& kek : keks) {
    if (kek.context.generation == row.kek_generation) return &kek;
  }
  return nullptr;
}

int64_t RegionModel::Raise() { return ++row.generation; }

RegionModel* ClusterModel::FindRegion(std::string_view name) {
  for (RegionModel& region : regions) {
    if (region.row.name == name) return &region;
  }
  return nullptr;
}

ClusterModel::Found ClusterModel::FindNode(std::string_view node_id) {
  for (RegionModel& region : regions) {
    for (NodeModel& node : region.nodes) {
      if (node.row.id == node_id) return {&region, &node};
    }
  }
  return {};
}

absl::StatusOr<std::optional<ClusterModel>> LoadCluster(Transaction& tx, const std::string& id) {
  ASSIGN_OR_RETURN(auto row, Clusters(tx).Find(id));
  if (!row) return std::optional<ClusterModel>();
  ClusterModel model;
  model.row = *std::move(row);
  ASSIGN_OR_RETURN(auto regions, Regions(tx).OfCluster(id));
  for (RegionRow& region : regions) {
    RegionModel& r = model.regions.emplace_back();
    r.stored = region;
    r.row = std::move(region);
  }
  ASSIGN_OR_RETURN(auto keys, RegionKeys(tx).OfCluster(id));
  for (RegionKeyRow& key : keys) {
    if (RegionModel* region = model.FindRegion(key.region)) region->keys.push_back(std::move(key));
  }
  ASSIGN_OR_RETURN(auto keks, Keks(tx).OfCluster(id));
  for (WrappedKek& kek : keks) {
    if (RegionModel* region = model.FindRegion(kek.context.region)) region->keks.push_back(std::move(kek));
  }
  ASSIGN_OR_RETURN(auto nodes, Nodes(tx).OfCluster(id));
  for (NodeRow& node : nodes) {
    if (RegionModel* region = model.FindRegion(node.region)) {
      auto report = ReportOf(node);
      region->nodes.push_back({std::move(node), std::move(report)});
    }
  }
  return std::optional<ClusterModel>(std::move(model));
}

}  // namespace latchkey
