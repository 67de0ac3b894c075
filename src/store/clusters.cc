#include "store/clusters.h"

#include "base/status.h"

namespace latchkey {

#define CLUSTER_COLUMNS                                                                                                               \
  "id, name, provider, plan, engine, engine_version, creator_id, labels, delete_protection, network_visibility, paused, created_at, " \
  "updated_at, deleted_at"

absl::Status Clusters::Insert(const ClusterRow& row) {
  return tx_
      .Execute("INSERT INTO clusters (" CLUSTER_COLUMNS
               ") VALUES (:id, :name, :provider, :plan, :engine, :engine_version, :creator_id, :labels, "
               ":delete_protection, :network_visibility, :paused, :created_at, :updated_at, :deleted_at)",
               {{"id", row.id},
                {"name", row.name},
                {"provider", row.provider},
                {"plan", row.plan},
                {"engine", row.engine},
                {"engine_version", row.engine_version},
                {"creator_id", row.creator_id},
                {"labels", row.labels},
                {"delete_protection", row.delete_protection},
                {"network_visibility", row.network_visibility},
                {"paused", SqlBool(row.paused)},
                {"created_at", SqlTime(row.created_at)},
                {"updated_at", SqlTime(row.updated_at)},
                {"deleted_at", SqlTime(row.deleted_at)}})
      .status();
}

absl::StatusOr<std::optional<ClusterRow>> Clusters::Find(const std::string& id) {
  ASSIGN_OR_RETURN(const auto row, tx_.QueryOne("SELECT " CLUSTER_COLUMNS " FROM clusters WHERE id = :id", {{"id", id}}));
  if (!row) return std::optional<ClusterRow>();
  return std::optional<ClusterRow>({.id = row->Text("id"),
                                    .name = row->Text("name"),
                                    .provider = row->Text("provider"),
                                    .plan = row->Text("plan"),
                                    .engine = row->Text("engine"),
                                    .engine_version = row->Text("engine_version"),
                                    .creator_id = row->Text("creator_id"),
                                    .labels = row->Text("labels"),
                                    .delete_protection = row->Text("delete_protection"),
                                    .network_visibility = row->Text("network_visibility"),
                                    .paused = row->Bool("paused"),
                                    .created_at = row->Time("created_at"),
                                    .updated_at = row->Time("updated_at"),
                                    .deleted_at = row->OptionalTime("deleted_at")});
}

absl::Status Clusters::Touch(const std::string& id, absl::Time now) {
  return tx_.Execute("UPDATE clusters SET updated_at = :now WHERE id = :id", {{"now", SqlTime(now)}, {"id", id}}).status();
}

absl::Status Clusters::MarkDeleted(const std::string& id, absl::Time now) {
  return tx_
      .Execute("UPDATE clusters SET updated_at = :now, deleted_at = :deleted_at WHERE id = :id AND deleted_at IS NULL",
               {{"now", SqlTime(now)}, {"deleted_at", SqlTime(now)}, {"id", id}})
      .status();
}

absl::Status Clusters::SetDeleteProtection(const std::string& id, const std::string& word, absl::Time now) {
  return tx_
      .Execute("UPDATE clusters SET delete_protection = :word, updated_at = :now WHERE id = :id",
               {{"word", word}, {"now", SqlTime(now)}, {"id", id}})
      .status();
}

absl::StatusOr<std::vector<Clusters::Name>> Clusters::Names(const std::string& after_name, const std::string& after_id, bool descending,
                                                            bool with_deleted, int64_t limit) {
  std::string sql = "SELECT id, name FROM clusters WHERE (:any_deleted = 1 OR deleted_at IS NULL) AND (:from_start = 1 OR ";
  // Spelled out instead of as a row value, which old engines lack.
  sql += descending ? "name < :name1 OR (name = :name2 AND id < :after_id)) ORDER BY name DESC, id DESC"
                    : "name > :name1 OR (name = :name2 AND id > :after_id)) ORDER BY name, id";
  sql += " LIMIT :most";
  ASSIGN_OR_RETURN(const auto rows, tx_.Query(sql, {{"any_deleted", SqlBool(with_deleted)},
                                                    {"from_start", SqlBool(after_id.empty())},
                                                    {"name1", after_name},
                                                    {"name2", after_name},
                                                    {"after_id", after_id},
                                                    {"most", limit}}));
  std::vector<Name> names;
  names.reserve(rows.size());
  for (const Row& row : rows) names.push_back({row.Text("id"), row.Text("name")});
  return names;
}

}  // namespace latchkey
