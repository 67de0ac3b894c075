#include "store/agents.h"

#include <algorithm>

#include "base/status.h"

namespace latchkey {
namespace {

#define AGENT_COLUMNS                                                                                                               \
  "id, hostname, region, advertise_host, serial, previous_serial, joined_at, last_heard, boot_id, past_boots, sequence, warnings, " \
  "strays, version, desired_version, removed_at"

AgentRow AgentFrom(const Row& row) {
  return {.id = row.Text("id"),
          .hostname = row.Text("hostname"),
          .region = row.Text("region"),
          .advertise_host = row.Text("advertise_host"),
          .serial = row.Text("serial"),
          .previous_serial = row.Text("previous_serial"),
          .joined_at = row.Time("joined_at"),
          .last_heard = row.OptionalTime("last_heard"),
          .boot_id = row.Text("boot_id"),
          .past_boots = row.Text("past_boots"),
          .sequence = row.Int("sequence"),
          .warnings = row.Text("warnings"),
          .strays = row.Text("strays"),
          .version = row.Text("version"),
          .desired_version = row.Int("desired_version"),
          .removed_at = row.OptionalTime("removed_at")};
}

absl::Status OneRow(const absl::StatusOr<int64_t>& changed, std::string_view what) {
  RETURN_IF_ERROR(changed.status());
  if (*changed != 1) return NotFound(ToAbsl(what), " is not in the store");
  return absl::OkStatus();
}

}  // namespace

absl::Status Agents::Insert(const AgentRow& row) {
  return tx_
      .Execute("INSERT INTO agents (" AGENT_COLUMNS
               ") VALUES (:id, :hostname, :region, :advertise_host, :serial, :previous_serial, :joined_at, "
               ":last_heard, :boot_id, :past_boots, :sequence, :warnings, :strays, :version, :desired_version, :removed_at)",
               {{"id", row.id},
                {"hostname", row.hostname},
                {"region", row.region},
                {"advertise_host", row.advertise_host},
                {"serial", row.serial},
                {"previous_serial", row.previous_serial},
                {"joined_at", SqlTime(row.joined_at)},
                {"last_heard", SqlTime(row.last_heard)},
                {"boot_id", row.boot_id},
                {"past_boots", row.past_boots},
                {"sequence", row.sequence},
                {"warnings", row.warnings},
                {"strays", row.strays},
                {"version", row.version},
                {"desired_version", row.desired_version},
                {"removed_at", SqlTime(row.removed_at)}})
      .status();
}

absl::StatusOr<std::optional<AgentRow>> Agents::Find(const std::string& id) {
  ASSIGN_OR_RETURN(const auto row, tx_.QueryOne("SELECT " AGENT_COLUMNS " FROM agents WHERE id = :id", {{"id", id}}));
  if (!row) return std::optional<AgentRow>();
  return std::optional<AgentRow>(AgentFrom(*row));
}

absl::StatusOr<std::vector<AgentRow>> Agents::List() {
  ASSIGN_OR_RETURN(const auto rows, tx_.Query("SELECT " AGENT_COLUMNS " FROM agents ORDER BY id"));
  std::vector<AgentRow> agents;
  for (const Row& row : rows) agents.push_back(AgentFrom(row));
  return agents;
}

absl::Status Agents::UpdateHeard(const AgentRow& row) {
  return OneRow(
      tx_.Execute(
          "UPDATE agents SET hostname = :hostname, advertise_host = :advertise_host, last_heard = :last_heard, boot_id = :boot_id, "
          "past_boots = :past_boots, sequence = :sequence, warnings = :warnings, strays = :strays, version = :version WHERE id = :id",
          {{"hostname", row.hostname},
           {"advertise_host", row.advertise_host},
           {"last_heard", SqlTime(row.last_heard)},
           {"boot_id", row.boot_id},
           {"past_boots", row.past_boots},
           {"sequence", row.sequence},
           {"warnings", row.warnings},
           {"strays", row.strays},
           {"version", row.version},
           {"id", row.id}}),
      "the agent");
}

absl::Status Agents::UpdateSerials(const std::string& id, const std::string& serial, const std::string& previous_serial) {
  return OneRow(tx_.Execute("UPDATE agents SET serial = :serial, previous_serial = :previous_serial WHERE id = :id AND removed_at IS NULL",
                            {{"serial", serial}, {"previous_serial", previous_serial}, {"id", id}}),
                "the agent");
}

absl::Status Agents::Remove(const std::string& id, absl::Time now) {
  return OneRow(
      tx_.Execute("UPDATE agents SET removed_at = :now WHERE id = :id AND removed_at IS NULL", {{"now", SqlTime(now)}, {"id", id}}),
      "the agent");
}

absl::StatusOr<int64_t> Agents::RaiseVersion(const std::string& id, int64_t at_least) {
  RETURN_IF_ERROR(
      OneRow(tx_.Execute("UPDATE agents SET desired_version = CASE WHEN desired_version < :floor THEN :target ELSE desired_version + 1 END "
                         "WHERE id = :id",
                         {{"floor", at_least}, {"target", at_least}, {"id", id}}),
             "the agent"));
  ASSIGN_OR_RETURN(const auto row, tx_.QueryOne("SELECT desired_version FROM agents WHERE id = :id", {{"id", id}}));
  return row ? row->Int("desired_version") : 0;
}

absl::Status JoinTokens::Insert(const JoinTokenRow& row) {
  return tx_
      .Execute(
          "INSERT INTO join_tokens (id, secret_sha256, created_by, created_at, expires_at, used_at) "
          "VALUES (:id, :secret_sha256, :created_by, :created_at, :expires_at, :used_at)",
          {{"id", row.id},
           {"secret_sha256", row.secret_sha256},
           {"created_by", row.created_by},
           {"created_at", SqlTime(row.created_at)},
           {"expires_at", SqlTime(row.expires_at)},
           {"used_at", SqlTime(row.used_at)}})
      .status();
}

absl::StatusOr<std::optional<JoinTokenRow>> JoinTokens::Find(const std::string& id) {
  ASSIGN_OR_RETURN(
      const auto row,
      tx_.QueryOne("SELECT id, secret_sha256, created_by, created_at, expires_at, used_at FROM join_tokens WHERE id = :id", {{"id", id}}));
  if (!row) return std::optional<JoinTokenRow>();
  return std::optional<JoinTokenRow>({.id = row->Text("id"),
                                      .secret_sha256 = row->Text("secret_sha256"),
                                      .created_by = row->Text("created_by"),
                                      .created_at = row->Time("created_at"),
                                      .expires_at = row->Time("expires_at"),
                                      .used_at = row->OptionalTime("used_at")});
}

absl::StatusOr<bool> JoinTokens::Use(const std::string& id, absl::Time now) {
  ASSIGN_OR_RETURN(const int64_t used,
                   tx_.Execute("UPDATE join_tokens SET used_at = :used_at WHERE id = :id AND used_at IS NULL AND expires_at > :now",
                               {{"used_at", SqlTime(now)}, {"id", id}, {"now", SqlTime(now)}}));
  return used == 1;
}

absl::Status JoinTokens::DeleteExpired(absl::Time now) {
  return tx_.Execute("DELETE FROM join_tokens WHERE expires_at <= :now", {{"now", SqlTime(now)}}).status();
}

}  // namespace latchkey
