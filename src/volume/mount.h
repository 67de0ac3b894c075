// Mounting, finding and removing the mounts of volumes. Nothing here touches a mount by its path: a dead daemon's mount would block or
// fail.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "volume/fuse_session.h"

namespace latchkey {

// The type in /proc/self/mountinfo of every volume's mount.
inline constexpr char kMountType[] = "fuse.latchkey";

struct MountEntry {
  dev_t device = 0;
  std::string type;
};
// What is mounted exactly at `path`, the uppermost last. `path` is absolute and names no symbolic link.
std::vector<MountEntry> MountsAt(const std::string& path);

// Opens /dev/fuse and mounts, as root, for one user: only that user's processes can reach it, not even root's. With a clone for each
// thread.
absl::StatusOr<FuseSession::Connection> MountAsRoot(const std::string& mount_point, UserIds user);
// Mounts through fusermount3, as the calling user (root: directly).
absl::StatusOr<FuseSession::Connection> MountAsUser(const std::string& mount_point);

inline constexpr int kReadAheadKib = 4096;
// Lets the kernel read ahead this far (root only): the kernel's own 128 KiB make cold reads slow. After the first request was answered.
absl::Status SetReadAhead(dev_t device, int kib);

// Detaches the mount and ends its connection, so that processes stuck in it get errors. As root by umount2, otherwise by fusermount3. OK
// when it is gone.
absl::Status Unmount(const std::string& mount_point);

// Ends the connection of a volume's mount, so that processes stuck in it get errors, and leaves the mount in its place while somebody uses
// it.
void EndConnection(const std::string& mount_point);

// Kills, again and again, the engine's tree and every visible process that uses the file system, until none is left. The pids that are left
// when `timeout` has passed.
std::vector<pid_t> KillUsers(dev_t device, const ProcessId& engine, absl::Duration timeout);

}  // namespace latchkey
