#include "control/views.h"

#include "control/reports.h"

namespace latchkey {

CmekView MakeCmekView(const Core& core, const ClusterModel& model) {
  CmekView view;
  std::vector<std::string> words;
  const std::vector<RegionStatus> statuses = core.Derive(model);
  for (size_t i = 0; i < model.regions.size(); ++i) {
    const RegionModel& region = model.regions[i];
    // A region that never had an owner key has nothing to show, and official clients cannot digest one that they do not know.
    if (region.keys.empty() && !region.row.revoked) continue;
    const RegionStatus& status = statuses[i];
    CmekRegionView& r = view.regions.emplace_back();
    r.region = region.row.name;
    r.status = status.status;
    r.bytes_under_former_keys = status.bytes_under_former_keys;
    r.bytes_total = status.bytes_total;
    r.waiting_for = status.waiting_for;
    words.push_back(status.status);
    for (size_t k = 0; k < region.keys.size(); ++k) {
      const RegionKeyRow& row = region.keys[k];
      KeyView& key = r.keys.emplace_back();
      key.spec = row.key;
      key.status = KeyStatusWord(region, k, status);
      key.created_at = latchkey::FormatTime(row.created_at);
      key.updated_at = latchkey::FormatTime(row.updated_at);
      if (k > 0) continue;
      key.user_message = status.message;
      key.health = status.health;
      key.next_step = status.next_step;
      key.facts = status.facts;
      key.warnings = KeyWarnings(status.facts, core.Now(), status.health.ok);
    }
    if (!region.keys.empty()) continue;
    // Revoked by a host's word, in a store that lost the owner's key: what it has stands in, so that the status has a place to be shown.
    KeyView& key = r.keys.emplace_back();
    key.spec = region.row.root;
    key.status = status.status;
    key.user_message = status.message;
    key.health = status.health;
    key.next_step = status.next_step;
    key.created_at = latchkey::FormatTime(region.row.revoked_at.value_or(model.row.updated_at));
    key.updated_at = key.created_at;
  }
  view.status = CmekStatusWord(words);
  return view;
}

ClusterView MakeClusterView(const Core& core, const ClusterModel& model) {
  const ClusterRow& row = model.row;
  const ClusterStatus status = DeriveCluster(model, core.Derive(model));
  ClusterView view;
  view.id = row.id;
  view.name = row.name;
  view.cloud_provider = row.provider;
  view.plan = row.plan;
  view.engine = row.engine;
  view.engine_version = row.engine_version;
  view.state = status.state;
  view.operation_status = status.operation_status;
  view.creator_id = row.creator_id;
  view.created_at = row.created_at;
  view.updated_at = row.updated_at;
  view.deleted_at = row.deleted_at;
  for (const RegionModel& region : model.regions) view.regions.push_back({region.row.name, static_cast<int>(region.nodes.size())});
  if (const auto labels = ParseJsonObject(row.labels); labels.ok()) {
    for (const auto& [name, value] : *labels) {
      if (const json::string* text = value.if_string()) view.labels[std::string(name)] = std::string(*text);
    }
  }
  view.delete_protection = row.delete_protection;
  view.network_visibility = row.network_visibility;
  view.account_id = core.options.account_id;
  return view;
}

std::vector<NodeView> MakeNodeViews(const Core& core, const ClusterModel& model, const std::string& wanted) {
  std::vector<NodeView> views;
  for (const RegionModel& region : model.regions) {
    if (!wanted.empty() && region.row.name != wanted) continue;
    for (const NodeModel& node : region.nodes) {
      const HostFacts host = core.directory.Facts(node.row.agent_id);
      if (model.deleted() && (!node.row.told_open || (node.report && IsGone(model, region, node, *node.report)))) continue;
      NodeView& view = views.emplace_back();
      view.id = node.row.id;
      view.name = node.row.name;
      view.region = region.row.name;
      view.status = NodeStatusWord(node, host, core.Now());
      view.host_name = host.hostname;
      view.endpoint_host = host.advertise_host;
      view.last_heard = host.last_heard;
      view.volume_state = VolumeStateName(node.report ? node.report->volume : VolumeState::kNone);
      view.engine_state = EngineStateName(node.report ? node.report->engine : EngineState::kNone);
      if (host.removed) view.problem = "HOST_REMOVED: this node's host was removed before it had reported the data as deleted";
      if (!node.report) continue;
      if (!node.report->host.empty()) view.endpoint_host = node.report->host;
      view.endpoint_port = node.report->port;
      if (view.problem.empty()) view.problem = node.report->problem;
      if (view.problem.empty() && node.report->engine == EngineState::kFailed) view.problem = node.report->engine_message;
      view.lease_end = node.report->lease_end;
      view.seal_reason = node.report->seal_reason;
    }
  }
  return views;
}

}  // namespace latchkey
