#include "store/nodes.h"

#include "base/status.h"

namespace latchkey {

absl::Status Nodes::Insert(const NodeRow& row) {
  return tx_
      .Execute(
          "INSERT INTO nodes (id, cluster_id, region, name, agent_id, volume_id, told_open, gone, report, reported_at, created_at) "
          "VALUES (:id, :cluster_id, :region, :name, :agent_id, :volume_id, :told_open, :gone, :report, :reported_at, :created_at)",
          {{"id", row.id},
           {"cluster_id", row.cluster_id},
           {"region", row.region},
           {"name", row.name},
           {"agent_id", row.agent_id},
           {"volume_id", row.volume_id},
           {"told_open", SqlBool(row.told_open)},
           {"gone", SqlBool(row.gone)},
           {"report", row.report},
           {"reported_at", SqlTime(row.reported_at)},
           {"created_at", SqlTime(row.created_at)}})
      .status();
}

absl::StatusOr<std::vector<NodeRow>> Nodes::OfCluster(const std::string& cluster_id) {
  ASSIGN_OR_RETURN(
      const auto rows,
      tx_.Query("SELECT id, cluster_id, region, name, agent_id, volume_id, told_open, gone, report, reported_at, created_at FROM nodes "
                "WHERE cluster_id = :cluster_id ORDER BY region, name",
                {{"cluster_id", cluster_id}}));
  std::vector<NodeRow> nodes;
  for (const Row& row : rows) {
    nodes.push_back({.id = row.Text("id"),
                     .cluster_id = row.Text("cluster_id"),
                     .region = row.Text("region"),
                     .name = row.Text("name"),
                     .agent_id = row.Text("agent_id"),
                     .volume_id = row.Text("volume_id"),
                     .told_open = row.Bool("told_open"),
                     .gone = row.Bool("gone"),
                     .report = row.Text("report"),
                     .reported_at = row.OptionalTime("reported_at"),
                     .created_at = row.Time("created_at")});
  }
  return nodes;
}

absl::StatusOr<std::vector<Nodes::Place>> Nodes::OfAgent(const std::string& agent_id) {
  ASSIGN_OR_RETURN(const auto rows, tx_.Query("SELECT id, cluster_id FROM nodes WHERE agent_id = :agent_id AND gone = 0 ORDER BY id",
                                              {{"agent_id", agent_id}}));
  std::vector<Place> places;
  for (const Row& row : rows) places.push_back({row.Text("id"), row.Text("cluster_id")});
  return places;
}

absl::StatusOr<int64_t> Nodes::CountOfAgent(const std::string& agent_id) {
  ASSIGN_OR_RETURN(const auto row,
                   tx_.QueryOne("SELECT COUNT(*) AS nodes FROM nodes WHERE agent_id = :agent_id AND gone = 0", {{"agent_id", agent_id}}));
  return row ? row->Int("nodes") : 0;
}

absl::StatusOr<int64_t> Nodes::CountLiveOfAgent(const std::string& agent_id) {
  ASSIGN_OR_RETURN(const auto row, tx_.QueryOne("SELECT COUNT(*) AS nodes FROM nodes JOIN clusters ON clusters.id = nodes.cluster_id "
                                                "WHERE nodes.agent_id = :agent_id AND nodes.gone = 0 AND clusters.deleted_at IS NULL",
                                                {{"agent_id", agent_id}}));
  return row ? row->Int("nodes") : 0;
}

absl::StatusOr<bool> Nodes::SetVolume(const std::string& id, const std::string& volume_id) {
  ASSIGN_OR_RETURN(const int64_t changed, tx_.Execute("UPDATE nodes SET volume_id = :volume_id WHERE id = :id AND volume_id = ''",
                                                      {{"volume_id", volume_id}, {"id", id}}));
  return changed == 1;
}

absl::Status Nodes::SetReport(const std::string& id, const std::string& report, absl::Time now) {
  return tx_
      .Execute("UPDATE nodes SET report = :report, reported_at = :now WHERE id = :id",
               {{"report", report}, {"now", SqlTime(now)}, {"id", id}})
      .status();
}

absl::Status Nodes::SetToldOpen(const std::string& id) {
  return tx_.Execute("UPDATE nodes SET told_open = 1 WHERE id = :id", {{"id", id}}).status();
}

absl::Status Nodes::SetGone(const std::string& id) {
  return tx_.Execute("UPDATE nodes SET gone = 1 WHERE id = :id", {{"id", id}}).status();
}

absl::Status Nodes::SetAllGone(const std::string& agent_id) {
  return tx_.Execute("UPDATE nodes SET gone = 1 WHERE agent_id = :agent_id", {{"agent_id", agent_id}}).status();
}

}  // namespace latchkey
