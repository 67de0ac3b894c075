// The audit trail: entries are added and read, and the database itself refuses to change or delete one.
#pragma once

#include <string>
#include <vector>

#include "store/database.h"

namespace latchkey {

struct AuditRow {
  int64_t id = 0;  // given by Append, rising
  absl::Time created_at;
  std::string source;  // the way in: "API", "CLI" or "INTERNAL"; never taken from a name
  std::string action, actor, remote, cluster_id, cluster_name;
  std::string payload;  // JSON, no secrets
  std::string error;    // empty unless the change was refused
};

class AuditTrail {
 public:
  explicit AuditTrail(Transaction& tx) : tx_(tx) {}
  absl::Status Append(const AuditRow& row);
  // By rising id, those above `after_id`; at most `limit`.
  absl::StatusOr<std::vector<AuditRow>> List(int64_t after_id, int64_t limit);

 private:
  Transaction& tx_;
};

}  // namespace latchkey
