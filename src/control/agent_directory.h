// The agents that joined, in memory: who they are, when they were heard of, and the version of what each shall do. The store holds the
// same, a little later for what changes at every poll.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/status.h"
#include "store/agents.h"

namespace latchkey {

// Thread-safe.
class AgentDirectory {
 public:
  // Replaces everything by what the store has.
  absl::Status Load(Database& database);
  void Put(const AgentRow& row);
  // Removed ones too.
  std::optional<AgentRow> Find(const std::string& id) const;
  std::vector<AgentRow> List() const;  // not the removed ones; by host name, then id

  // Takes over what a host said of itself (all but desired_version, serials, removal).
  void SetHeard(const AgentRow& row);
  void SetSerials(const std::string& id, const std::string& serial, const std::string& previous_serial);
  void SetRemoved(const std::string& id, absl::Time now);
  int64_t Version(const std::string& id) const;
  void RaiseVersion(const std::string& id, int64_t version);  // never falls

  HostFacts Facts(const std::string& id) const;
  Hosts AsHosts() const {
    return [this](const std::string& id) { return Facts(id); };
  }
  // Region names that a joined agent serves.
  std::set<std::string> RegionNames() const;
  // Agents of a region that were heard of within kSilentAfter, the last heard first.
  std::vector<AgentRow> Fresh(const std::string& region, absl::Time now) const;

  // One sync of an agent is worked on at a time, and one more may wait for it: who sends more holds up himself only.
  struct Turn {
    std::mutex mutex;
    std::atomic<int> inside = 0;  // that run or wait
  };
  std::shared_ptr<Turn> SyncTurn(const std::string& id);

 private:
  struct Entry {
    AgentRow row;
    std::shared_ptr<Turn> turn = std::make_shared<Turn>();
  };
  mutable std::mutex mutex_;
  std::map<std::string, Entry> agents_;
};

}  // namespace latchkey
