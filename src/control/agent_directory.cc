#include "control/agent_directory.h"

#include <algorithm>

#include "base/status.h"

namespace latchkey {

absl::Status AgentDirectory::Load(Database& database) {
  std::vector<AgentRow> rows;
  if (const absl::Status done = database.Read([&](Transaction& tx) -> absl::Status {
        ASSIGN_OR_RETURN(rows, Agents(tx).List());
        return absl::OkStatus();
      });
      !done.ok())
    return done;
  std::lock_guard lock(mutex_);
  agents_.clear();
  for (AgentRow& row : rows) {
    std::string id = row.id;
    agents_[std::move(id)].row = std::move(row);
  }
  return absl::OkStatus();
}

void AgentDirectory::Put(const AgentRow& row) {
  std::lock_guard lock(mutex_);
  agents_[row.id].row = row;
}

std::optional<AgentRow> AgentDirectory::Find(const std::string& id) const {
  std::lock_guard lock(mutex_);
  const auto it = agents_.find(id);
  if (it == agents_.end()) return std::nullopt;
  return it->second.row;
}

std::vector<AgentRow> AgentDirectory::List() const {
  std::vector<AgentRow> rows;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, entry] : agents_) {
      if (!entry.row.removed_at) rows.push_back(entry.row);
    }
  }
  std::sort(rows.begin(), rows.end(),
            [](const AgentRow& a, const AgentRow& b) { return std::tie(a.hostname, a.id) < std::tie(b.hostname, b.id); });
  return rows;
}

void AgentDirectory::SetHeard(const AgentRow& row) {
  std::lock_guard lock(mutex_);
  const auto it = agents_.find(row.id);
  if (it == agents_.end()) return;
  AgentRow& own = it->second.row;
  own.hostname = row.hostname;
  own.advertise_host = row.advertise_host;
  own.last_heard = row.last_heard;
  own.boot_id = row.boot_id;
  own.past_boots = row.past_boots;
  own.sequence = row.sequence;
  own.warnings = row.warnings;
  own.strays = row.strays;
  own.version = row.version;
}

void AgentDirectory::SetSerials(const std::string& id, const std::string& serial, const std::string& previous_serial) {
  std::lock_guard lock(mutex_);
  const auto it = agents_.find(id);
  if (it == agents_.end()) return;
  it->second.row.serial = serial;
  it->second.row.previous_serial = previous_serial;
}

void AgentDirectory::SetRemoved(const std::string& id, absl::Time now) {
  std::lock_guard lock(mutex_);
  const auto it = agents_.find(id);
  if (it != agents_.end()) it->second.row.removed_at = now;
}

int64_t AgentDirectory::Version(const std::string& id) const {
  std::lock_guard lock(mutex_);
  const auto it = agents_.find(id);
  return it == agents_.end() ? 0 : it->second.row.desired_version;
}

void AgentDirectory::RaiseVersion(const std::string& id, int64_t version) {
  std::lock_guard lock(mutex_);
  const auto it = agents_.find(id);
  if (it != agents_.end()) it->second.row.desired_version = std::max(it->second.row.desired_version, version);
}

HostFacts AgentDirectory::Facts(const std::string& id) const {
  std::lock_guard lock(mutex_);
  const auto it = agents_.find(id);
  if (it == agents_.end()) return {};
  return {it->second.row.hostname, it->second.row.advertise_host, it->second.row.last_heard, it->second.row.removed_at.has_value()};
}

std::set<std::string> AgentDirectory::RegionNames() const {
  std::lock_guard lock(mutex_);
  std::set<std::string> names;
  for (const auto& [id, entry] : agents_) {
    if (!entry.row.removed_at) names.insert(entry.row.region);
  }
  return names;
}

std::vector<AgentRow> AgentDirectory::Fresh(const std::string& region, absl::Time now) const {
  std::vector<AgentRow> rows;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, entry] : agents_) {
      const AgentRow& row = entry.row;
      if (!row.removed_at && row.region == region && row.last_heard && now - *row.last_heard <= kSilentAfter) rows.push_back(row);
    }
  }
  std::sort(rows.begin(), rows.end(), [](const AgentRow& a, const AgentRow& b) { return *a.last_heard > *b.last_heard; });
  return rows;
}

std::shared_ptr<AgentDirectory::Turn> AgentDirectory::SyncTurn(const std::string& id) {
  std::lock_guard lock(mutex_);
  const auto it = agents_.find(id);
  return it == agents_.end() ? std::make_shared<Turn>() : it->second.turn;
}

}  // namespace latchkey
