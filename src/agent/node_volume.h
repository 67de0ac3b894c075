// One node's volume as the runner drives it. The real one speaks to the volume daemon; tests put fakes here.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <functional>
#include <memory>
#include <string>

#include "agent/config.h"
#include "agent/reconcile.h"
#include "volume/client.h"

namespace latchkey {

// Renew() is called from the key desk's threads, everything else from the node's own.
class NodeVolume {
 public:
  virtual ~NodeVolume() = default;
  // What is there now. Never touches the mount itself: a dead one would hang or fail.
  virtual VolumeFacts Look() = 0;
  // Starts a daemon unless one answers, and opens or creates the volume.
  virtual absl::StatusOr<VolumeStatus> Open(const VolumeOpenRequest& request) = 0;
  virtual absl::StatusOr<VolumeStatus> Rewrap(const VolumeRewrapRequest& request) = 0;
  virtual absl::Status Renew(const Kek& kek, absl::Duration asked_at, absl::Duration grace) = 0;
  virtual absl::Status SetEngine(const ProcessId& engine) = 0;
  // Orders the daemon to seal; one that does not obey in time is killed and its mount cleaned up. OK only when nothing is left of either.
  virtual absl::Status Seal(const std::string& reason, const ProcessId& engine) = 0;
  virtual absl::Status CleanUp(const ProcessId& engine) = 0;
  // Removes the ciphertext. The volume is sealed.
  virtual absl::Status Remove() = 0;
};

struct RealNodeVolumeOptions {
  std::string program;  // the latchkey binary
  NodePaths paths;
  std::optional<UserIds> user;
};
std::unique_ptr<NodeVolume> NewNodeVolume(RealNodeVolumeOptions options);

// Makes a folder owned by `user` (unset: by us) with mode 0700. The last part of the path is never followed when it is a link.
absl::Status MakeFolderFor(const std::string& path, const std::optional<UserIds>& user);

}  // namespace latchkey
