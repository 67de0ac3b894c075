// What a region, a key, a cluster and a node are, derived from what was asked and what hosts report. Pure functions: the same facts give
// the same words.
//
// Which reports count: for an unfinished change those of hosts that have accepted it (highest_generation at or above change_generation),
// and it is done only by hosts that have applied it; for a revocation those applied at or above revoked_generation.
//
//   asked          reports                                              region             newest key       older keys
//   revoked        a host that was ever told to open is not sealed      REVOKING           REVOKING         DISABLED
//                  all are                                              REVOKED            REVOKED          DISABLED
//   ENABLE         going on / a host cannot                             ENABLING / _FAILED ENABLING/_FAILED DISABLING
//   ROTATE         going on / a host cannot                             ROTATING / _FAILED ENABLING/_FAILED DISABLING
//   RESTORE        not yet running again                                ENABLING           ENABLING         DISABLED
//   nothing        the KMS refuses: no host holds keys / some may       REVOKED / REVOKING the same         DISABLED
//                  otherwise                                            ENABLED            ENABLED          DISABLED
//
// A failed change is not given up: hosts go on trying, and it becomes ENABLED by itself when the cause is gone.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/model.h"
#include "protocol/node.h"

namespace latchkey {

struct HostFacts {
  std::string hostname;
  std::string advertise_host;
  std::optional<absl::Time> last_heard;
  bool removed = false;
};
// Of an agent id; empty facts for one that is not known.
using Hosts = std::function<HostFacts(const std::string& agent_id)>;

// A host that was not heard of for longer than this is silent.
inline constexpr absl::Duration kSilentAfter = absl::Seconds(60);

struct RegionStatus {
  std::string status;                    // DISABLED where the root key is the operator's
  std::string message;                   // what is going on and what to do; empty when all is well
  bool change_done = false;              // what reports say fulfils the stored change
  bool change_failed = false;            // a host cannot fulfil it as things are
  std::vector<std::string> waiting_for;  // "h1 (last heard 12 s ago)", while REVOKING, for either reason
  KeyHealth health;                      // the worst that a host of the region reports of the key in force
  std::string next_step;
  RootKeyFacts facts;  // of the key in force, the latest that a host has read
  // File bytes under DEKs that the operator's escrow key could open once, and all; −1 when a host has not counted yet. A later owner key
  // does not count as former here: what it could open was its owner's own.
  int64_t bytes_under_former_keys = -1, bytes_total = -1;
};
RegionStatus DeriveRegion(const RegionModel& region, const Hosts& hosts, absl::Time now);

// Of region.keys[index].
std::string KeyStatusWord(const RegionModel& region, size_t index, const RegionStatus& status);

// Of the whole cluster, from its regions with an owner key: the worst of them; DISABLED when there is none.
std::string CmekStatusWord(const std::vector<std::string>& region_words);

struct ClusterStatus {
  std::string state;             // CREATING, CREATION_FAILED, LOCKED, CREATED, DELETED
  std::string operation_status;  // UNSPECIFIED, CRDB_CMEK_OPERATION_RUNNING, CRDB_CMEK_OPERATION_FAILED
  bool busy = false;             // an unfinished creation, enabling or rotation: other changes are refused
  std::string busy_with;         // "us-east-1 is ENABLING", for the refusal
};
// `regions` in the order of model.regions.
ClusterStatus DeriveCluster(const ClusterModel& model, const std::vector<RegionStatus>& regions);

// LIVE when it was heard of lately and its database runs on an open volume; NOT_READY otherwise.
std::string NodeStatusWord(const NodeModel& node, const HostFacts& host, absl::Time now);

}  // namespace latchkey
