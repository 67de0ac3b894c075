// Agents that joined, and the tokens that let them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/database.h"

namespace latchkey {

struct AgentRow {
  std::string id, hostname, region, advertise_host;
  std::string serial;           // of the certificate in use, hex
  std::string previous_serial;  // still good until the renewed one is seen; empty otherwise
  absl::Time joined_at;
  std::optional<absl::Time> last_heard;
  std::string boot_id;
  std::string past_boots;  // boot ids that were replaced, newest first, with blanks between
  int64_t sequence = 0;
  std::string warnings = "[]";  // JSON list of strings
  std::string strays = "[]";    // JSON list of strings: node ids
  std::string version;
  int64_t desired_version = 1;  // rises with every change of what this host shall do
  std::optional<absl::Time> removed_at;
};

struct JoinTokenRow {
  std::string id;
  std::string secret_sha256;  // hex
  std::string created_by;
  absl::Time created_at, expires_at;
  std::optional<absl::Time> used_at;
};

class Agents {
 public:
  explicit Agents(Transaction& tx) : tx_(tx) {}
  absl::Status Insert(const AgentRow& row);
  absl::StatusOr<std::optional<AgentRow>> Find(const std::string& id);
  absl::StatusOr<std::vector<AgentRow>> List();  // removed ones too; by id
  // What the host says of itself, and when it was heard.
  absl::Status UpdateHeard(const AgentRow& row);
  absl::Status UpdateSerials(const std::string& id, const std::string& serial, const std::string& previous_serial);
  absl::Status Remove(const std::string& id, absl::Time now);
  // Raises the desired version of one agent by one, or to `at_least` where that is more; the new one.
  absl::StatusOr<int64_t> RaiseVersion(const std::string& id, int64_t at_least = 0);

 private:
  Transaction& tx_;
};

class JoinTokens {
 public:
  explicit JoinTokens(Transaction& tx) : tx_(tx) {}
  absl::Status Insert(const JoinTokenRow& row);
  absl::StatusOr<std::optional<JoinTokenRow>> Find(const std::string& id);
  // True for exactly one caller, and only before the token expires.
  absl::StatusOr<bool> Use(const std::string& id, absl::Time now);
  absl::Status DeleteExpired(absl::Time now);

 private:
  Transaction& tx_;
};

}  // namespace latchkey
