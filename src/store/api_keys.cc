#include "store/api_keys.h"

#include "base/status.h"

namespace latchkey {
namespace {

ApiKeyRow FromRow(const Row& row) {
  return {.id = row.Text("id"),
          .name = row.Text("name"),
          .secret_sha256 = row.Text("secret_sha256"),
          .created_by = row.Text("created_by"),
          .created_at = row.Time("created_at")};
}

}  // namespace

absl::Status ApiKeys::Insert(const ApiKeyRow& row) {
  return tx_
      .Execute(
          "INSERT INTO api_keys (id, name, secret_sha256, created_by, created_at) VALUES (:id, :name, :secret_sha256, :created_by, "
          ":created_at)",
          {{"id", row.id},
           {"name", row.name},
           {"secret_sha256", row.secret_sha256},
           {"created_by", row.created_by},
           {"created_at", SqlTime(row.created_at)}})
      .status();
}

absl::StatusOr<std::optional<ApiKeyRow>> ApiKeys::Find(const std::string& id) {
  ASSIGN_OR_RETURN(const auto row,
                   tx_.QueryOne("SELECT id, name, secret_sha256, created_by, created_at FROM api_keys WHERE id = :id", {{"id", id}}));
  if (!row) return std::optional<ApiKeyRow>();
  return std::optional<ApiKeyRow>(FromRow(*row));
}

absl::StatusOr<std::vector<ApiKeyRow>> ApiKeys::List() {
  ASSIGN_OR_RETURN(const auto rows,
                   tx_.Query("SELECT id, name, secret_sha256, created_by, created_at FROM api_keys ORDER BY created_at, id"));
  std::vector<ApiKeyRow> keys;
  for (const Row& row : rows) keys.push_back(FromRow(row));
  return keys;
}

absl::StatusOr<bool> ApiKeys::Delete(const std::string& id) {
  ASSIGN_OR_RETURN(const int64_t deleted, tx_.Execute("DELETE FROM api_keys WHERE id = :id", {{"id", id}}));
  return deleted > 0;
}

}  // namespace latchkey
