// One node's volume as the runner drives it. The real one speaks to the volume daemon; tests put fakes here.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <functional>
#include <memory>
#include <string>

#include "agent/config.h"
#include "agent/reconcile.h"
#include "base/clock.h"
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
  // Whether the mount point is a mount now. Does not touch it.
  virtual bool Mounted() = 0;
  // Removes volume.json, durably: from then on nobody can open the volume. It is sealed. Again is OK. FailedPrecondition when another
  // volume's file is there; NotFound when there is no folder of a volume, as where a disk is not mounted.
  virtual absl::Status EraseKeys(const std::string& volume_id) = 0;
  // Removes the ciphertext, after EraseKeys().
  virtual absl::Status Remove() = 0;
};

struct RealNodeVolumeOptions {
  std::string program;  // the latchkey binary
  NodePaths paths;
  std::optional<UserIds> user;
  bool fuse_io_uring = true;  // VolumeDaemonOptions
  // How long an answer is waited for, and how long a daemon that gives none is only VolumeFacts::silent: its lower disk may be slow. (The
  // lease runs on meanwhile.)
  absl::Duration status_timeout = absl::Seconds(2);
  absl::Duration longest_silence = absl::Seconds(15);
  Clock* clock = &Clock::Real();
};
std::unique_ptr<NodeVolume> NewNodeVolume(RealNodeVolumeOptions options);

// Makes a folder owned by `user` (unset: by us) with mode 0700. The last part of the path is never followed when it is a link.
absl::Status MakeFolderFor(const std::string& path, const std::optional<UserIds>& user);

// Makes the folder that the volume is mounted on. As root it stays root's, with mode 0555, so that without the mount no engine can write
// there; anybody else must own what he mounts on. FailedPrecondition when something is mounted there.
absl::Status MakeMountPoint(const std::string& path);

}  // namespace latchkey
