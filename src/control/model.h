// A cluster as the store knows it: what was asked of every region, and what each node said last. Status is derived from nothing else.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/node.h"
#include "store/clusters.h"
#include "store/keys.h"
#include "store/nodes.h"
#include "store/regions.h"

namespace latchkey {

// RegionRow::change_kind.
inline constexpr std::string_view kChangeCreate = "CREATE";
inline constexpr std::string_view kChangeEnable = "ENABLE";
inline constexpr std::string_view kChangeRotate = "ROTATE";
inline constexpr std::string_view kChangeRestore = "RESTORE";

struct NodeModel {
  NodeRow row;
  std::optional<ObservedNode> report;  // absent before the first
};

struct RegionModel {
  RegionRow row;
  RegionRow stored;                // as it was loaded: what differs is written back
  std::vector<RegionKeyRow> keys;  // newest first; empty before CMEK
  std::vector<WrappedKek> keks;    // by rising generation
  std::vector<NodeModel> nodes;    // by name

  // The KEK of row.kek_generation, once one is minted and stored.
  const WrappedKek* CurrentKek() const;
  // Counts as a change of what nodes are told. Returns the new generation.
  int64_t Raise();
};

struct ClusterModel {
  ClusterRow row;
  std::vector<RegionModel> regions;  // by name

  bool deleted() const { return row.deleted_at.has_value(); }
  RegionModel* FindRegion(std::string_view name);
  const RegionModel* FindRegion(std::string_view name) const { return const_cast<ClusterModel*>(this)->FindRegion(name); }
  struct Found {
    RegionModel* region = nullptr;
    NodeModel* node = nullptr;
  };
  // Null pointers when the cluster has no such node.
  Found FindNode(std::string_view node_id);
};

// The report that a row holds, with a problem of its own when it is about another volume than the node's. Nothing when there is none, or it
// cannot be read.
std::optional<ObservedNode> ReportOf(const NodeRow& row);

// Nothing when there is no such cluster. Deleted ones are found.
absl::StatusOr<std::optional<ClusterModel>> LoadCluster(Transaction& tx, const std::string& id);

}  // namespace latchkey
