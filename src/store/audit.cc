#include "store/audit.h"

#include "base/status.h"
#include "store/settings.h"

namespace latchkey {

absl::Status AuditTrail::Append(const AuditRow& row) {
  ASSIGN_OR_RETURN(const int64_t id, Settings(tx_).Next("audit"));
  return tx_
      .Execute(
          "INSERT INTO audit (id, created_at, action, source, actor, remote, cluster_id, cluster_name, payload, error) "
          "VALUES (:id, :created_at, :action, :source, :actor, :remote, :cluster_id, :cluster_name, :payload, :error)",
          {{"id", id},
           {"created_at", SqlTime(row.created_at)},
           {"action", row.action},
           {"source", row.source},
           {"actor", row.actor},
           {"remote", row.remote},
           {"cluster_id", row.cluster_id},
           {"cluster_name", row.cluster_name},
           {"payload", row.payload},
           {"error", row.error}})
      .status();
}

absl::StatusOr<std::vector<AuditRow>> AuditTrail::List(int64_t after_id, int64_t limit) {
  ASSIGN_OR_RETURN(const auto rows,
                   tx_.Query("SELECT id, created_at, action, source, actor, remote, cluster_id, cluster_name, payload, error FROM audit "
                             "WHERE id > :after_id ORDER BY id LIMIT :most",
                             {{"after_id", after_id}, {"most", limit}}));
  std::vector<AuditRow> entries;
  entries.reserve(rows.size());
  for (const Row& row : rows) {
    entries.push_back({.id = row.Int("id"),
                       .created_at = row.Time("created_at"),
                       .source = row.Text("source"),
                       .action = row.Text("action"),
                       .actor = row.Text("actor"),
                       .remote = row.Text("remote"),
                       .cluster_id = row.Text("cluster_id"),
                       .cluster_name = row.Text("cluster_name"),
                       .payload = row.Text("payload"),
                       .error = row.Text("error")});
  }
  return entries;
}

}  // namespace latchkey
