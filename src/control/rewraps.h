// The policy that regions follow new versions of their owner's key by themselves.
//
// A key whose KMS makes a new version goes on unwrapping what older ones wrapped; who relies on the newest one protecting the data has to
// re-wrap. With the policy on, a region whose facts show a newer version is given the same change as by an update (PUT) with the same key:
// the key is tested first, everything is audited, the actor is "policy".
//
// Facts are what hosts say and some KMS name one version in two ways, so they start little: a region is ENABLED, its key healthy and its
// cluster not busy; each version is tried once, whatever comes of it; and there is at least an hour between two tries of a region. What
// was tried is in the store. Only a try that nobody answered (KMS out of reach, host silent, cluster busy meanwhile) is made again.
#pragma once

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "control/core.h"

namespace latchkey {

struct DueRewrap {
  RegionKeySpec spec;   // the key in force
  std::string version;  // the one that the KMS shows
};
// The regions that may be re-wrapped as things are, what was tried left aside. `statuses` in the order of model.regions.
std::vector<DueRewrap> DueRewraps(const ClusterModel& model, const std::vector<RegionStatus>& statuses);

// Has a thread of its own, since testing a key takes an answer of the host that has just reported. Thread-safe.
class Rewraps {
 public:
  static constexpr absl::Duration kBetween = absl::Hours(1);
  // Clusters that wait for their turn; what comes on top is considered at its next report.
  static constexpr size_t kMostWaiting = 1000;

  // Both outlive it.
  Rewraps(Core& core, CmekService& cmek);
  ~Rewraps();
  Rewraps(const Rewraps&) = delete;
  Rewraps& operator=(const Rewraps&) = delete;

  // Quick; what is to be done is done later.
  void Consider(const std::string& cluster_id);
  void Stop();

 private:
  void Run();
  void Work(const std::string& cluster_id);
  // Whether it is this version's turn; if so, it counts as tried from now on.
  absl::StatusOr<bool> Take(const std::string& cluster_id, const DueRewrap& due, absl::Time now);
  absl::Status Remember(const std::string& cluster_id, const std::string& region, const std::string& tried, absl::Time at);

  Core& core_;
  CmekService& cmek_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::set<std::string> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace latchkey
