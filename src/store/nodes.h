// Nodes, where they run and what their agent said of them last.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/database.h"

namespace latchkey {

struct NodeRow {
  std::string id, cluster_id, region, name, agent_id;
  std::string volume_id;   // set by the first report that names one, and never again
  bool told_open = false;  // its agent was ever given a desired state under which the volume opens
  bool gone = false;       // its cluster is deleted, and so is its volume
  std::string report;      // the last ObservedNode as JSON; empty before the first
  std::optional<absl::Time> reported_at;
  absl::Time created_at;
};

class Nodes {
 public:
  explicit Nodes(Transaction& tx) : tx_(tx) {}
  absl::Status Insert(const NodeRow& row);
  absl::StatusOr<std::vector<NodeRow>> OfCluster(const std::string& cluster_id);  // by region, then name
  struct Place {
    std::string node_id, cluster_id;
  };
  // Those that are not gone.
  absl::StatusOr<std::vector<Place>> OfAgent(const std::string& agent_id);
  absl::StatusOr<int64_t> CountOfAgent(const std::string& agent_id);
  // Those of clusters that are not deleted.
  absl::StatusOr<int64_t> CountLiveOfAgent(const std::string& agent_id);
  // False, and nothing changes, when the node has a volume already.
  absl::StatusOr<bool> SetVolume(const std::string& id, const std::string& volume_id);
  absl::Status SetReport(const std::string& id, const std::string& report, absl::Time now);
  absl::Status SetToldOpen(const std::string& id);
  absl::Status SetGone(const std::string& id);
  absl::Status SetAllGone(const std::string& agent_id);

 private:
  Transaction& tx_;
};

}  // namespace latchkey
