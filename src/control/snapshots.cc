#include "control/snapshots.h"

#include "base/status.h"
#include "base/utf8.h"

namespace latchkey {

absl::Status NoSuchCluster(const std::string& cluster_id) { return NotFound("cluster '", CutUtf8(cluster_id, 64), "' not found"); }

absl::StatusOr<std::shared_ptr<const ClusterModel>> Snapshots::Get(const std::string& cluster_id) {
  uint64_t seen;
  {
    std::lock_guard lock(mutex_);
    if (const auto it = clusters_.find(cluster_id); it != clusters_.end()) return it->second;
    seen = invalidations_;
  }
  std::optional<ClusterModel> loaded;
  if (const absl::Status done = database_.Read([&](Transaction& tx) -> absl::Status {
        ASSIGN_OR_RETURN(loaded, LoadCluster(tx, cluster_id));
        return absl::OkStatus();
      });
      !done.ok())
    return done;
  if (!loaded) return NoSuchCluster(cluster_id);
  auto snapshot = std::make_shared<const ClusterModel>(*std::move(loaded));
  std::lock_guard lock(mutex_);
  // What was read while something was thrown away may be older than that change: it is good for this caller, who asked before, and for
  // nobody else.
  if (seen == invalidations_) {
    if (clusters_.size() >= most_) clusters_.erase(clusters_.begin());
    clusters_[cluster_id] = snapshot;
  }
  return snapshot;
}

void Snapshots::Invalidate(const std::string& cluster_id) {
  std::lock_guard lock(mutex_);
  ++invalidations_;
  clusters_.erase(cluster_id);
}

size_t Snapshots::size() const {
  std::lock_guard lock(mutex_);
  return clusters_.size();
}

}  // namespace latchkey
