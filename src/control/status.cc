#include "control/status.h"

#include <absl/strings/match.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/status.h"
#include "control/messages.h"

namespace latchkey {
namespace {

bool HasAccepted(const RegionModel& region, const NodeModel& node) {
  return node.report && node.report->highest_generation >= region.row.change_generation;
}
bool HasApplied(const RegionModel& region, const NodeModel& node) {
  return node.report && node.report->applied_generation >= region.row.change_generation;
}

bool Runs(const RegionModel& region, const NodeModel& node) {
  return HasApplied(region, node) && node.report->volume == VolumeState::kOpen && node.report->engine == EngineState::kRunning;
}

// Every wrapping of every DEK is by the KEK in force (no older one is left), and new files take a DEK of the wanted generation.
bool IsRewrapped(const RegionModel& region, const NodeModel& node) {
  const WrappedKek* kek = region.CurrentKek();
  if (kek == nullptr || !HasApplied(region, node) || node.report->deks.empty()) return false;
  bool current = false;
  for (const ObservedDek& dek : node.report->deks) {
    if (dek.kek_id != kek->id) return false;
    current |= dek.current && dek.generation >= region.row.dek_generation;
  }
  return current;
}

// A host that was never told to open cannot hold keys; one that was must say that they are gone.
bool IsSealedForRevocation(const RegionModel& region, const NodeModel& node) {
  if (!node.row.told_open) return true;
  if (!node.report || node.report->applied_generation < region.row.revoked_generation) return false;
  switch (node.report->volume) {
    case VolumeState::kSealed:
    case VolumeState::kDeleted:
    case VolumeState::kMissing:  // its disk is away; applied says that no daemon, mount or database of it is left
      return true;
    case VolumeState::kNone:
      return node.row.volume_id.empty();
    default:
      return false;
  }
}

bool IsSealedByKms(const RegionModel& region, const NodeModel& node) {
  if (!HasAccepted(region, node)) return false;
  const ObservedNode& r = *node.report;
  if (r.volume != VolumeState::kSealed && r.volume != VolumeState::kSealing && r.volume != VolumeState::kOpening) return false;
  return r.seal_reason == "KMS_REFUSED" || (r.key.failure && IsRefusal(*r.key.failure) && r.key.confirmed);
}

// A volume that is being sealed or opened may have keys in memory still, or already.
bool HoldsNoKeys(const RegionModel& region, const NodeModel& node) {
  if (!node.row.told_open) return true;
  if (!HasAccepted(region, node)) return false;
  switch (node.report->volume) {
    case VolumeState::kNone:
    case VolumeState::kMissing:
    case VolumeState::kSealed:
    case VolumeState::kDeleted:
      return node.report->engine != EngineState::kRunning;
    default:
      return false;
  }
}

// The host cannot do what is asked as things are. A refusal that nothing has confirmed may be one that passes, for a minute.
bool CannotUseKey(const RegionModel& region, const NodeModel& node, absl::Time now) {
  if (!HasAccepted(region, node)) return false;
  const KeyHealth& key = node.report->key;
  if (absl::StartsWith(node.report->problem, "ROOT_REFUSED")) return true;
  if (key.ok || !key.failure) return false;
  if (*key.failure == FailureClass::kUnsuitable || *key.failure == FailureClass::kCorrupt) return true;
  if (!IsRefusal(*key.failure)) return false;
  absl::Time since;
  return key.confirmed || (absl::ParseTime(absl::RFC3339_full, key.since, &since, nullptr) && now - since > absl::Minutes(1));
}

bool CannotCreate(const RegionModel& region, const NodeModel& node, absl::Time now) {
  if (CannotUseKey(region, node, now)) return true;
  if (!HasAccepted(region, node)) return false;
  return node.report->volume == VolumeState::kMissing || node.report->engine == EngineState::kDataMissing ||
         node.report->engine == EngineState::kFailed;
}

int Badness(const KeyHealth& health) {
  if (health.ok) return 1;
  if (!health.failure) return 0;
  if (IsRefusal(*health.failure)) return health.confirmed ? 6 : 4;
  if (*health.failure == FailureClass::kCorrupt) return 5;
  return *health.failure == FailureClass::kUnsuitable ? 3 : 2;
}

void CountBytes(const RegionModel& region, RegionStatus& status, bool& former_left) {
  int64_t former = 0, total = 0;
  bool known = !region.nodes.empty();
  for (const NodeModel& node : region.nodes) {
    if (!node.report || node.report->deks.empty()) {
      known = false;
      continue;
    }
    std::set<std::string> counted;  // a DEK has an entry for each of its wrappings
    for (const ObservedDek& dek : node.report->deks) {
      if (!counted.insert(dek.id).second) continue;
      const bool is_former = dek.generation < region.row.owner_dek_generation;
      if (dek.bytes < 0) {
        known = false;
        former_left |= is_former;
        continue;
      }
      total += dek.bytes;
      if (is_former) former += dek.bytes;
    }
  }
  former_left |= former > 0;
  if (!known) return;
  status.bytes_under_former_keys = former;
  status.bytes_total = total;
}

bool All(const RegionModel& region, const std::function<bool(const NodeModel&)>& predicate) {
  return !region.nodes.empty() && std::all_of(region.nodes.begin(), region.nodes.end(), predicate);
}
bool Any(const RegionModel& region, const std::function<bool(const NodeModel&)>& predicate) {
  return std::any_of(region.nodes.begin(), region.nodes.end(), predicate);
}

void DeriveChange(const RegionModel& region, absl::Time now, RegionStatus& status) {
  const std::string& kind = region.row.change_kind;
  if (kind.empty()) return;
  if (kind == kChangeEnable || kind == kChangeRotate) {
    status.change_done = All(region, [&](const NodeModel& n) { return IsRewrapped(region, n); });
    status.change_failed = !status.change_done && Any(region, [&](const NodeModel& n) { return CannotUseKey(region, n, now); });
  } else {
    status.change_done = All(region, [&](const NodeModel& n) { return Runs(region, n); });
    if (kind == kChangeCreate) {
      status.change_failed = !status.change_done && Any(region, [&](const NodeModel& n) { return CannotCreate(region, n, now); });
    }
  }
}

void DeriveRevocation(const RegionModel& region, const Hosts& hosts, absl::Time now, RegionStatus& status) {
  for (const NodeModel& node : region.nodes) {
    if (!IsSealedForRevocation(region, node)) status.waiting_for.push_back(HostWithLastHeard(hosts(node.row.agent_id), now));
  }
  status.status = status.waiting_for.empty() ? "REVOKED" : "REVOKING";
  status.message = status.waiting_for.empty() ? RevokedMessage(region.row) : RevokingMessage(status.waiting_for);
}

std::string Progress(const RegionModel& region, const Hosts& hosts, absl::Time now) {
  std::vector<std::string> waiting;
  for (const NodeModel& node : region.nodes) {
    if (!IsRewrapped(region, node)) waiting.push_back(HostWithLastHeard(hosts(node.row.agent_id), now));
  }
  return absl::StrCat("waiting for host ", absl::StrJoin(waiting, ", "),
                      region.CurrentKek() == nullptr ? " to mint a key encryption key under this key"
                                                     : " to wrap its data keys under this key and to erase the old wrapping");
}

// What a silent host reported last may no longer be so, and "all is well" should not hide it.
std::string SilentHosts(const RegionModel& region, const Hosts& hosts, absl::Time now) {
  std::vector<std::string> sentences;
  for (const NodeModel& node : region.nodes) {
    const HostFacts host = hosts(node.row.agent_id);
    if (host.last_heard && now - *host.last_heard <= kSilentAfter) continue;
    sentences.push_back(SilentMessage(host, now));
  }
  return JoinSentences(sentences);
}

std::string ResumeProgress(const RegionModel& region, const Hosts& hosts, absl::Time now) {
  std::vector<std::string> waiting;
  for (const NodeModel& node : region.nodes) {
    if (!Runs(region, node)) waiting.push_back(HostWithLastHeard(hosts(node.row.agent_id), now));
  }
  return absl::StrCat("restored; waiting for host ", absl::StrJoin(waiting, ", "), " to open the volume and start the database");
}

}  // namespace

RegionStatus DeriveRegion(const RegionModel& region, const Hosts& hosts, absl::Time now) {
  RegionStatus status;
  DeriveChange(region, now, status);
  std::string problem;
  bool lease_ended = false;
  for (const NodeModel& node : region.nodes) {
    if (!HasAccepted(region, node)) continue;
    if (Badness(node.report->key) > Badness(status.health)) status.health = node.report->key;
    // RFC 3339 in UTC sorts as time does.
    if (node.report->key_facts.read_at > status.facts.read_at) status.facts = node.report->key_facts;
    if (problem.empty()) problem = node.report->problem;
    lease_ended |= node.report->volume == VolumeState::kSealed && node.report->seal_reason == "LEASE_ENDED";
  }
  if (!status.health.ok && status.health.failure) status.next_step = std::string(NextStep(*status.health.failure));
  // A revocation that a host remembers holds even where this store, an old copy, knows of no owner key.
  if (region.row.root_is_escrow && !region.row.revoked) {
    status.status = "DISABLED";
    return status;
  }
  bool former_left = false;
  CountBytes(region, status, former_left);
  if (region.row.revoked) {
    DeriveRevocation(region, hosts, now, status);
    status.message = JoinSentences({status.message, region.row.notice});
    return status;
  }

  const std::string& kind = region.row.change_kind;
  const bool enabling = kind == kChangeEnable && !status.change_done, rotating = kind == kChangeRotate && !status.change_done;
  const bool some_sealed = Any(region, [&](const NodeModel& n) { return IsSealedByKms(region, n); });
  const std::string health = HealthMessage(status.health);

  if (enabling || rotating) {
    status.change_failed |= some_sealed;
    status.status =
        enabling ? (status.change_failed ? "ENABLE_FAILED" : "ENABLING") : (status.change_failed ? "ROTATE_FAILED" : "ROTATING");
    status.message = JoinSentences({health, problem, status.change_failed ? "" : Progress(region, hosts, now)});
  } else if (some_sealed) {
    for (const NodeModel& node : region.nodes) {
      if (!HoldsNoKeys(region, node)) status.waiting_for.push_back(HostWithLastHeard(hosts(node.row.agent_id), now));
    }
    status.status = status.waiting_for.empty() ? "REVOKED" : "REVOKING";
    if (health.empty()) {
      status.message = "The key answers again; the volume is being opened.";
    } else {
      const std::string waiting =
          status.waiting_for.empty() ? "" : absl::StrCat("Waiting for host ", absl::StrJoin(status.waiting_for, ", "), " to report sealed");
      status.message = JoinSentences({health, problem, waiting});
    }
  } else if (kind == kChangeRestore && !status.change_done) {
    status.status = "ENABLING";
    status.message = JoinSentences({health, problem, ResumeProgress(region, hosts, now)});
  } else {
    status.status = "ENABLED";
    std::string former;
    if (former_left) former = FormerKeyMessage(status.bytes_under_former_keys, status.bytes_total);
    status.message =
        JoinSentences({health, lease_ended ? "The volume sealed itself when its lease ended; it serves again when the KMS answers." : "",
                       problem, former, SilentHosts(region, hosts, now)});
  }
  status.message = JoinSentences({status.message, region.row.notice});
  return status;
}

std::string KeyStatusWord(const RegionModel& region, size_t index, const RegionStatus& status) {
  const bool changing = (region.row.change_kind == kChangeEnable || region.row.change_kind == kChangeRotate) && !status.change_done;
  if (index > 0) return index == 1 && changing ? "DISABLING" : "DISABLED";
  if (status.status == "ROTATING") return "ENABLING";
  if (status.status == "ROTATE_FAILED") return "ENABLE_FAILED";
  return status.status;
}

std::string CmekStatusWord(const std::vector<std::string>& region_words) {
  static constexpr std::array<std::string_view, 8> kWorstFirst = {"ENABLE_FAILED", "ROTATE_FAILED", "REVOKING", "ENABLING",
                                                                  "ROTATING",      "REVOKED",       "ENABLED",  "DISABLED"};
  for (const std::string_view word : kWorstFirst) {
    if (std::find(region_words.begin(), region_words.end(), word) != region_words.end()) return std::string(word);
  }
  return "DISABLED";
}

ClusterStatus DeriveCluster(const ClusterModel& model, const std::vector<RegionStatus>& regions) {
  ClusterStatus status{.state = "CREATED", .operation_status = "UNSPECIFIED"};
  if (model.deleted()) {
    status.state = "DELETED";
    return status;
  }
  bool creating = false, creation_failed = false, running = false, failed = false;
  for (size_t i = 0; i < regions.size(); ++i) {
    const RegionRow& row = model.regions[i].row;
    const bool unfinished = !row.change_kind.empty() && !regions[i].change_done;
    if (row.change_kind == kChangeCreate) {
      creation_failed |= unfinished && regions[i].change_failed;
      creating |= unfinished && !regions[i].change_failed;
    } else {
      running |= (unfinished && !regions[i].change_failed && !row.revoked) || (row.revoked && regions[i].status == "REVOKING");
      failed |= unfinished && regions[i].change_failed && !row.revoked;
    }
    // Under a revocation nothing goes on that another change would have to wait for.
    if (unfinished && !regions[i].change_failed && !row.revoked && row.change_kind != kChangeRestore && !status.busy) {
      status.busy = true;
      status.busy_with = absl::StrCat(row.name, " is ", row.change_kind == kChangeCreate ? "being created" : regions[i].status);
    }
  }
  if (creation_failed) {
    status.state = "CREATION_FAILED";
  } else if (creating) {
    status.state = "CREATING";
  } else if (status.busy) {
    status.state = "LOCKED";
  }
  if (failed) {
    status.operation_status = "CRDB_CMEK_OPERATION_FAILED";
  } else if (running) {
    status.operation_status = "CRDB_CMEK_OPERATION_RUNNING";
  }
  return status;
}

std::string NodeStatusWord(const NodeModel& node, const HostFacts& host, absl::Time now) {
  const bool heard = host.last_heard && now - *host.last_heard <= kSilentAfter;
  const bool runs = node.report && node.report->volume == VolumeState::kOpen && node.report->engine == EngineState::kRunning;
  return heard && runs ? "LIVE" : "NOT_READY";
}

}  // namespace latchkey
