#include "store/keys.h"

#include "base/status.h"

namespace latchkey {

absl::Status RegionKeys::Insert(const RegionKeyRow& row) {
  return tx_
      .Execute(
          "INSERT INTO region_keys (id, cluster_id, region, position, type, uri, auth_principal, external_id, status, created_at, "
          "updated_at) "
          "VALUES (:id, :cluster_id, :region, :position, :type, :uri, :auth_principal, :external_id, :status, :created_at, :updated_at)",
          {{"id", row.id},
           {"cluster_id", row.cluster_id},
           {"region", row.region},
           {"position", row.position},
           {"type", row.key.type},
           {"uri", row.key.uri},
           {"auth_principal", row.key.auth_principal},
           {"external_id", row.key.external_id},
           {"status", row.status},
           {"created_at", SqlTime(row.created_at)},
           {"updated_at", SqlTime(row.updated_at)}})
      .status();
}

absl::Status RegionKeys::SetStatus(const std::string& id, const std::string& status, absl::Time now) {
  return tx_
      .Execute("UPDATE region_keys SET status = :status, updated_at = :now WHERE id = :id",
               {{"status", status}, {"now", SqlTime(now)}, {"id", id}})
      .status();
}

absl::StatusOr<std::vector<RegionKeyRow>> RegionKeys::OfCluster(const std::string& cluster_id) {
  ASSIGN_OR_RETURN(const auto rows, tx_.Query("SELECT id, cluster_id, region, position, type, uri, auth_principal, external_id, status, "
                                              "created_at, updated_at FROM region_keys "
                                              "WHERE cluster_id = :cluster_id ORDER BY region, position DESC",
                                              {{"cluster_id", cluster_id}}));
  std::vector<RegionKeyRow> keys;
  for (const Row& row : rows) {
    keys.push_back({.id = row.Text("id"),
                    .cluster_id = row.Text("cluster_id"),
                    .region = row.Text("region"),
                    .position = row.Int("position"),
                    .key = {row.Text("type"), row.Text("uri"), row.Text("auth_principal"), row.Text("external_id")},
                    .status = row.Text("status"),
                    .created_at = row.Time("created_at"),
                    .updated_at = row.Time("updated_at")});
  }
  return keys;
}

}  // namespace latchkey
