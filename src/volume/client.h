// The volume daemon as its neighbours on the host see it: how it is started and what is said over its control socket.
//
// One daemon serves one volume. It is started sealed (no keys); Open hands it a KEK for the length of one call, and from then on it holds
// the DEKs and the moment (CLOCK_BOOTTIME) until which it may use them. It outlives the agent. It is the only writer of volume.json.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "keys/kek.h"
#include "protocol/node.h"

namespace latchkey {

struct VolumeDaemonOptions {
  std::string program;         // path of the latchkey binary; runs `latchkey volume-daemon …`
  std::string lower_folder;    // volume.json, volume.lock, data/, work/
  std::string mount_point;     // exists, empty; under a root agent root's own, 0555, so that nobody writes beside the mount
  std::string control_socket;  // under 108 bytes
  std::string log_file;
  std::optional<UserIds> user;  // root agent: /dev/fuse is opened and mounted by the caller and handed over, the daemon runs as this user.
                                // Unset: the daemon mounts by itself (fusermount3), as the calling user
  absl::Duration lease_poll = absl::Milliseconds(200);  // how late a lease's end may be noticed without requests
  // How long sealing waits for the lower disk, at each of two steps, before it goes on without it.
  absl::Duration seal_patience = absl::Seconds(10);
  // Whether FUSE over io_uring is used where the kernel has it; a daemon of root's then allows it for the host (AllowFuseRings).
  bool fuse_io_uring = true;
};
// Starts a daemon, detached, and waits until its control socket answers. The mount is not there before Open. FailedPrecondition when
// another process holds volume.lock. Needs the lower folder to exist.
absl::StatusOr<ProcessId> StartVolumeDaemon(const VolumeDaemonOptions& options);

struct VolumeStatus {
  std::string volume_id;                     // empty before creation
  VolumeState state = VolumeState::kSealed;  // kSealed (fresh, no keys), kOpen, kSealing
  int64_t revision = 0;
  std::vector<ObservedDek> deks;            // from memory and volume.json; bytes from the last walk
  std::optional<absl::Duration> lease_end;  // boot clock; nullopt: no lease (escrow until restart, or on_denied: keep)
  std::string mount_point, lower_folder;
  ProcessId daemon;
  std::string seal_reason;       // while sealing
  int64_t unsynced_headers = 0;  // files opened whose header was never synced
};

struct VolumeOpenRequest {
  const Kek* kek = nullptr;  // borrowed
  const WrappedKek* kek_record = nullptr;
  // Boot clock, taken before the KMS call that gave this KEK; with `grace` it makes the lease. nullopt: without a lease.
  std::optional<absl::Duration> asked_at;
  absl::Duration grace;
  // Creation: not empty only when the volume shall be made now; AlreadyExists if volume.json is there, or anything in data/.
  std::string create_volume_id;
  int64_t dek_generation = 1;
  // Otherwise: FailedPrecondition if volume.json has another volume id. Empty accepts any (`latchkey volume mount`).
  std::string expect_volume_id;
};

struct VolumeRewrapRequest {
  const Kek* from = nullptr;  // both freshly unwrapped in the same step
  const Kek* to = nullptr;
  const WrappedKek* to_record = nullptr;
  int64_t new_dek_generation = 0;          // > current generation: make a new DEK, wrapped by `to` only, and use it for new files. 0: keep
  std::optional<absl::Duration> asked_at;  // the new lease, as in Open
  absl::Duration grace;
};

// One exchange a call, over the control socket; thread-safe. Unavailable: no daemon there.
class VolumeClient {
 public:
  explicit VolumeClient(std::string control_socket) : socket_(std::move(control_socket)) {}
  absl::StatusOr<VolumeStatus> Status() const;
  // Opens the DEKs, verifies volume.json, mounts, serves. FailedPrecondition when open already.
  absl::StatusOr<VolumeStatus> Open(const VolumeOpenRequest& request) const;
  // Each DEK's wrapping by `kek` is opened and compared with the DEK in memory, then the lease is asked_at + grace. Nothing else lengthens
  // a lease; a lease never gets shorter by this. DataLoss when a comparison fails (the lease stays).
  absl::Status Renew(const Kek& kek, absl::Duration asked_at, absl::Duration grace) const;
  // Idempotent: a second call with the same `to` (and a new_dek_generation that is current already) changes nothing.
  absl::StatusOr<VolumeStatus> Rewrap(const VolumeRewrapRequest& request) const;
  // The root of the engine's process tree, to be killed when sealing. Replaces an earlier one; invalid id clears it.
  absl::Status SetEngine(const ProcessId& engine) const;
  // Seals and ends the daemon: returns after the mount is gone and no process that can be seen holds anything of it, or DeadlineExceeded
  // with the pids.
  absl::Status Seal(const std::string& reason, absl::Duration timeout) const;
  // Counts the bytes under each DEK now (a walk of all headers) instead of at the next interval.
  absl::StatusOr<VolumeStatus> Count() const;

 private:
  std::string socket_;
};

// What is left of a daemon that died without sealing (kill -9): kills every visible process that uses the mount, then unmounts. Called by
// whoever finds a dead daemon's mount, before a new daemon may be started. OK when there is nothing.
absl::Status CleanUpDeadMount(const std::string& mount_point, const ProcessId& engine, absl::Duration timeout);
// True when `path` is a mount point now (from /proc/self/mountinfo: never touches the mount).
bool IsMountPoint(const std::string& path);

// The body of the hidden command `latchkey volume-daemon`; returns the exit code.
int RunVolumeDaemon(int argc, char** argv);

}  // namespace latchkey
