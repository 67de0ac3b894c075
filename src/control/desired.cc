#include "control/desired.h"

#include <algorithm>

#include "base/clock.h"

namespace latchkey {
namespace {

std::vector<WrappedKek> KeksFor(const RegionModel& region, const NodeModel& node) {
  std::optional<size_t> oldest;
  bool unknown = !node.report || node.report->deks.empty();
  if (node.report) {
    for (const ObservedDek& dek : node.report->deks) {
      const auto it = std::find_if(region.keks.begin(), region.keks.end(), [&](const WrappedKek& kek) { return kek.id == dek.kek_id; });
      if (it == region.keks.end()) {
        unknown = true;
        continue;
      }
      const size_t index = static_cast<size_t>(it - region.keks.begin());
      oldest = std::min(oldest.value_or(index), index);
    }
  }
  size_t from = unknown || !oldest ? 0 : *oldest;
  if (region.keks.size() >= 2) from = std::min(from, region.keks.size() - 2);
  from = std::min(from, region.keks.size());
  return {region.keks.begin() + static_cast<ptrdiff_t>(from), region.keks.end()};
}

}  // namespace

DesiredNode BuildDesired(const ClusterModel& cluster, const RegionModel& region, const NodeModel& node, const std::string& organization) {
  DesiredNode desired;
  desired.node_id = node.row.id;
  desired.node_name = node.row.name;
  desired.organization = organization;
  desired.cluster_id = cluster.row.id;
  desired.cluster_name = cluster.row.name;
  desired.region = region.row.name;
  desired.volume_id = node.row.volume_id;
  desired.engine = cluster.row.engine;
  desired.generation = region.row.generation;
  desired.paused = cluster.row.paused;
  desired.revoked = region.row.revoked;
  if (region.row.revoked) {
    desired.revoked_by = region.row.revoked_by;
    if (region.row.revoked_at) desired.revoked_at = latchkey::FormatTime(*region.row.revoked_at);
  }
  desired.deleted = cluster.deleted();
  desired.root = region.row.root;
  desired.root_is_escrow = region.row.root_is_escrow;
  desired.kek_generation = region.row.kek_generation;
  desired.wrapped_keks = KeksFor(region, node);
  desired.dek_generation = region.row.dek_generation;
  return desired;
}

bool LetsOpen(const DesiredNode& desired) { return !desired.paused && !desired.revoked && !desired.deleted; }

}  // namespace latchkey
