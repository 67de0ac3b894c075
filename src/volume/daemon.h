// The serving half of a volume daemon: keys, mount, lease and sealing of one volume. See client.h for what is asked of it.
//
// Sealing runs once, on the thread that calls Run(), whoever ordered it (control socket, end of the lease, signal, an unmount from
// outside):
//
//   1  programs' requests are refused with EIO. While the lease lasts, what the kernel writes back is still taken (Keyring, kDraining), so
//   that
//      acknowledged writes reach the disk; after the lease's end nothing is, and only what was fsynced is there
//   2  every inode is invalidated from a thread of its own, which first makes the kernel write back; at the latest after kDrainTimeout, or
//   when
//      the lease ends, everything is refused, and the running requests are waited for
//   3  every inode again, and all names: held descriptors read EIO, mappings get SIGBUS
//   4  the engine's tree and every process that uses the mount is killed, until none is left
//   5  keys, ciphers and names are wiped
//   6  the mount is detached and its connection ended; the threads end. While a process is left that cannot be killed, only the connection
//   is
//      ended: the mount stays, so that nobody takes the volume for sealed
//
// A lower disk that never answers must not keep keys or programs alive: where a request to it, or a change of keys, does not end in time,
// the connection is ended, the arena wiped, the programs killed, and the process ends at once (EndAtOnce).
//
// Then whoever waits in Seal() is answered, the control socket goes, the whole arena is wiped, and the process ends.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/control_socket.h"
#include "base/json.h"
#include "base/random.h"
#include "keys/dek.h"
#include "keys/volume_file.h"
#include "volume/client.h"
#include "volume/filesystem.h"
#include "volume/fuse_session.h"
#include "volume/keyring.h"
#include "volume/mount_host.h"

namespace latchkey {

class VolumeDaemon {
 public:
  struct Options {
    std::string lower_folder;
    std::string mount_point;
    absl::Duration lease_poll = absl::Milliseconds(200);
    // How long sealing waits for one step: for the kernel to write back, then for running requests, each time.
    absl::Duration seal_patience = absl::Seconds(10);
    // How long an opening waits for the first request to its mount: for a busy lower disk, and less than callers wait for an opening.
    absl::Duration first_request = absl::Seconds(30);
    FilesystemLimits limits;
    std::vector<uint16_t> ring_queues;  // FuseSlots; empty: /dev/fuse alone
  };
  VolumeDaemon(Options options, std::unique_ptr<MountHost> host, Clock& clock, Random& random);
  ~VolumeDaemon();

  // One request of the control protocol (control_messages.h). Thread-safe.
  absl::StatusOr<ControlMessage> Handle(ControlMessage request);
  // Orders sealing; returns at once. The first reason counts.
  void RequestSeal(const std::string& reason);
  // Waits until sealing is ordered, and seals. Whoever waits in Seal() is released when it returns.
  void Run();

 private:
  absl::StatusOr<ControlMessage> HandleOpen(const json::object& body, const SecretBytes& secret);
  absl::StatusOr<ControlMessage> HandleRenew(const json::object& body, const SecretBytes& secret);
  absl::StatusOr<ControlMessage> HandleRewrap(const json::object& body, const SecretBytes& secret);
  absl::StatusOr<ControlMessage> HandleEngine(const json::object& body);
  absl::StatusOr<ControlMessage> HandleSeal(const json::object& body);
  absl::StatusOr<ControlMessage> HandleCount();

  // daemon_open.cc; the caller holds change_mutex_.
  absl::Status LoadKeys(const Kek& kek, const WrappedKek& record, const std::string& create_volume_id, int64_t dek_generation,
                        const std::string& expect_volume_id);
  absl::Status CreateVolume(const Kek& kek, const WrappedKek& record, const std::string& volume_id, int64_t dek_generation);
  absl::Status StartServing();
  void StopServing();
  absl::Status CheckWrappings(const Kek& kek) const;
  absl::Status UseNewDek(Dek dek);

  absl::Status CheckNotSealing();
  ControlMessage StatusMessage();
  VolumeStatus Status();
  absl::Status CountNow();
  void WatchLease();
  void CountAtIntervals();

  // daemon_seal.cc
  void Seal();
  void DrainKernel();
  void InvalidateAll();
  void InvalidateOrEnd();
  [[noreturn]] void EndAtOnce(const std::string& why);

  const Options options_;
  std::vector<uint16_t> ring_queues_ = options_.ring_queues;  // guarded by change_mutex_
  const std::unique_ptr<MountHost> host_;
  Clock& clock_;
  Random& random_;
  Keyring keyring_;

  std::timed_mutex change_mutex_;  // one change of keys, lease or mount at a time; taken before state_mutex_
  std::vector<Dek> deks_;          // all of volume.json, by rising generation; guarded by change_mutex_
  std::unique_ptr<Filesystem> filesystem_;
  std::unique_ptr<FuseSession> session_;

  std::mutex state_mutex_;
  std::condition_variable changed_;
  VolumeState state_ = VolumeState::kSealed;
  VolumeFile file_;
  std::map<std::string, int64_t> bytes_by_dek_;
  std::string seal_reason_;
  bool seal_ordered_ = false;
  bool seal_done_ = false;
  absl::Duration kill_timeout_ = absl::Seconds(30);
  std::vector<pid_t> left_;  // processes that could not be killed
  absl::Status unmounted_;
  std::atomic<bool> stopping_ = false;
  std::thread lease_watcher_, counter_;
};

}  // namespace latchkey
