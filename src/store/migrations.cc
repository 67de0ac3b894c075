#include "store/migrations.h"

#include <algorithm>

#include "base/status.h"

namespace latchkey {
namespace {

struct Migration {
  int64_t version;
  std::vector<std::string_view> statements;         // the same on every engine
  std::vector<std::string_view> sqlite_statements;  // triggers are spelled differently everywhere
};

const std::vector<Migration>& Migrations() {
  static const std::vector<Migration> all = {
      {1,
       {
           "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
           "CREATE TABLE counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
           "CREATE TABLE agents (id TEXT PRIMARY KEY, hostname TEXT NOT NULL, region TEXT NOT NULL, advertise_host TEXT NOT NULL, serial "
           "TEXT NOT NULL, "
           "previous_serial TEXT NOT NULL, joined_at BIGINT NOT NULL, last_heard BIGINT, boot_id TEXT NOT NULL, past_boots TEXT NOT NULL, "
           "sequence BIGINT NOT NULL, warnings TEXT NOT NULL, version TEXT NOT NULL, desired_version BIGINT NOT NULL, removed_at BIGINT)",
           "CREATE TABLE join_tokens (id TEXT PRIMARY KEY, secret_sha256 TEXT NOT NULL, created_by TEXT NOT NULL, created_at BIGINT NOT "
           "NULL, "
           "expires_at BIGINT NOT NULL, used_at BIGINT)",
           "CREATE TABLE api_keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, secret_sha256 TEXT NOT NULL, created_by TEXT NOT NULL, "
           "created_at BIGINT NOT NULL)",
           "CREATE TABLE clusters (id TEXT PRIMARY KEY, name TEXT NOT NULL, provider TEXT NOT NULL, plan TEXT NOT NULL, engine TEXT NOT "
           "NULL, "
           "engine_version TEXT NOT NULL, creator_id TEXT NOT NULL, labels TEXT NOT NULL, delete_protection TEXT NOT NULL, "
           "network_visibility TEXT NOT NULL, paused BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, deleted_at "
           "BIGINT)",
           "CREATE UNIQUE INDEX clusters_by_name ON clusters (name) WHERE deleted_at IS NULL",
           "CREATE TABLE regions (cluster_id TEXT NOT NULL REFERENCES clusters (id), name TEXT NOT NULL, generation BIGINT NOT NULL, "
           "change_kind TEXT NOT NULL, change_generation BIGINT NOT NULL, root_type TEXT NOT NULL, root_uri TEXT NOT NULL, root_principal "
           "TEXT NOT NULL, "
           "root_external_id TEXT NOT NULL, root_is_escrow BIGINT NOT NULL, kek_generation BIGINT NOT NULL, dek_generation BIGINT NOT "
           "NULL, "
           "owner_dek_generation BIGINT NOT NULL, revoked BIGINT NOT NULL, revoked_by TEXT NOT NULL, revoked_at BIGINT, "
           "revoked_generation BIGINT NOT NULL, notice TEXT NOT NULL, PRIMARY KEY (cluster_id, name))",
           "CREATE TABLE nodes (id TEXT PRIMARY KEY, cluster_id TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, "
           "agent_id TEXT NOT NULL REFERENCES agents (id), volume_id TEXT NOT NULL, told_open BIGINT NOT NULL, gone BIGINT NOT NULL, "
           "report TEXT NOT NULL, "
           "reported_at BIGINT, created_at BIGINT NOT NULL, FOREIGN KEY (cluster_id, region) REFERENCES regions (cluster_id, name))",
           "CREATE INDEX nodes_by_cluster ON nodes (cluster_id)",
           "CREATE INDEX nodes_by_agent ON nodes (agent_id)",
           "CREATE TABLE region_keys (id TEXT PRIMARY KEY, cluster_id TEXT NOT NULL, region TEXT NOT NULL, position BIGINT NOT NULL, type "
           "TEXT NOT NULL, "
           "uri TEXT NOT NULL, auth_principal TEXT NOT NULL, external_id TEXT NOT NULL, status TEXT NOT NULL, created_at BIGINT NOT NULL, "
           "updated_at BIGINT NOT NULL, UNIQUE (cluster_id, region, position), FOREIGN KEY (cluster_id, region) REFERENCES regions "
           "(cluster_id, name))",
           "CREATE TABLE keks (cluster_id TEXT NOT NULL, region TEXT NOT NULL, generation BIGINT NOT NULL, id TEXT NOT NULL UNIQUE, record "
           "TEXT NOT NULL, "
           "created_at BIGINT NOT NULL, PRIMARY KEY (cluster_id, region, generation), "
           "FOREIGN KEY (cluster_id, region) REFERENCES regions (cluster_id, name))",
           "CREATE TABLE audit (id BIGINT PRIMARY KEY, created_at BIGINT NOT NULL, action TEXT NOT NULL, source TEXT NOT NULL, actor TEXT "
           "NOT NULL, remote TEXT "
           "NOT NULL, "
           "cluster_id TEXT NOT NULL, cluster_name TEXT NOT NULL, payload TEXT NOT NULL, error TEXT NOT NULL)",
       },
       {
           "CREATE TRIGGER audit_keeps_entries BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit entries stay'); END",
           "CREATE TRIGGER audit_keeps_words BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit entries stay as they are'); END",
       }},
      {2, {"ALTER TABLE agents ADD COLUMN strays TEXT NOT NULL DEFAULT '[]'"}, {}},
  };
  return all;
}

// Reads the version inside the writing transaction: of two programs that start at once, the second finds the work done.
absl::Status Apply(Transaction& tx, const Migration& migration, absl::Time now) {
  ASSIGN_OR_RETURN(const auto row, tx.QueryOne("SELECT COALESCE(MAX(version), 0) AS version FROM schema_versions"));
  const int64_t found = row ? row->Int("version") : 0;
  if (found > SchemaVersion()) {
    return FailedPrecondition("the database has schema version ", found, " and this program knows ", SchemaVersion(),
                              ": it was written by a newer latchkey; use that one");
  }
  if (found >= migration.version) return absl::OkStatus();
  for (const std::string_view statement : migration.statements) RETURN_IF_ERROR(tx.Execute(statement).status());
  if (tx.dialect() == Dialect::kSqlite) {
    for (const std::string_view statement : migration.sqlite_statements) RETURN_IF_ERROR(tx.Execute(statement).status());
  }
  return tx
      .Execute("INSERT INTO schema_versions (version, applied_at) VALUES (:version, :now)",
               {{"version", migration.version}, {"now", SqlTime(now)}})
      .status();
}

}  // namespace

int64_t SchemaVersion() { return Migrations().back().version; }

absl::Status Migrate(Database& database, absl::Time now) {
  RETURN_IF_ERROR(database.Write([&](Transaction& tx) {
    return tx.Execute("CREATE TABLE IF NOT EXISTS schema_versions (version BIGINT PRIMARY KEY, applied_at BIGINT NOT NULL)").status();
  }));
  for (const Migration& migration : Migrations()) {
    const absl::Status status = database.Write([&](Transaction& tx) { return Apply(tx, migration, now); });
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace latchkey
