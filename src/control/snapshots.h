// Clusters as they were read last, shared and never changed, so that reading status costs no SQL. A change throws its cluster's copy away.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "control/model.h"

namespace latchkey {

// Thread-safe. Correct while this process is the only one that writes to the store; several servers on one store would have to compare a
// version here.
class Snapshots {
 public:
  explicit Snapshots(Database& database, size_t most = 10'000) : database_(database), most_(most) {}
  // NotFound when there is no such cluster; deleted ones are found.
  absl::StatusOr<std::shared_ptr<const ClusterModel>> Get(const std::string& cluster_id);
  // After every commit that changed something of the cluster.
  void Invalidate(const std::string& cluster_id);
  size_t size() const;

 private:
  Database& database_;
  const size_t most_;
  mutable std::mutex mutex_;
  uint64_t invalidations_ = 0;
  std::unordered_map<std::string, std::shared_ptr<const ClusterModel>> clusters_;
};

// The error for an id that no cluster has; the id is cut, since anybody may have sent anything.
absl::Status NoSuchCluster(const std::string& cluster_id);

}  // namespace latchkey
