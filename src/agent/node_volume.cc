#include "agent/node_volume.h"

#include <absl/strings/match.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <mutex>

#include "base/clock.h"
#include "base/control_socket.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/process_record.h"
#include "keys/volume_file.h"
#include "volume/control_messages.h"

namespace latchkey {
namespace {

constexpr int kLeastSilences = 3;  // one long one may be this host's own sleep
constexpr absl::Duration kExitTimeout = absl::Seconds(5);
constexpr absl::Duration kSealTimeout = absl::Seconds(10);

// The process of user `uid` that listens on a control socket, told by the kernel, so that it need not answer. NotFound: nobody listens.
// DeadlineExceeded: somebody does, and its queue is full.
absl::StatusOr<ProcessId> ListenerOf(const std::string& path, uid_t uid) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return InvalidArgument("the path of a control socket is too long: ", path);
  std::memcpy(address.sun_path, path.data(), path.size());
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return ErrnoStatus(errno, "cannot make a socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return NotFound("nobody listens at ", path);
    if (errno == EAGAIN) return absl::DeadlineExceededError(absl::StrCat(path, " does not take connections"));
    return ErrnoStatus(errno, "cannot connect to " + path);
  }
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return ErrnoStatus(errno, "cannot identify who listens at " + path);
  const auto listener = Identify(peer.pid);
  if (absl::IsNotFound(listener.status())) return FailedPrecondition("the process that listened at ", path, " left its socket to another");
  RETURN_IF_ERROR(listener.status());
  // That user can put a link to somebody else's socket there, and nobody else is killed for that. (The socket itself was made before the
  // daemon became that user, so its own owner says nothing.)
  ASSIGN_OR_RETURN(const std::string status, ReadFile(absl::StrCat("/proc/", peer.pid, "/status"), 64 << 10));
  if (!absl::StrContains(status, absl::StrCat("\nUid:\t", uid, "\t", uid, "\t"))) {
    return PermissionDenied("process ", peer.pid, ", which listens at ", path, ", is another user's");
  }
  return listener;
}

class RealNodeVolume : public NodeVolume {
 public:
  explicit RealNodeVolume(RealNodeVolumeOptions options)
      : options_(std::move(options)),
        client_(options_.paths.control_socket),
        daemon_record_(options_.paths.state_folder + "/volume-daemon.json"),
        daemon_(FindRecordedProcess(daemon_record_).value_or(ProcessId{})) {}

  VolumeFacts Look() override {
    VolumeFacts facts;
    facts.mounted = IsMountPoint(options_.paths.mount_point);
    const auto status = StatusSoon();
    if (status.ok()) {
      facts.daemon = true;
      if (!daemon_.valid() || !IsRunning(daemon_)) Know(Listener());
      Heard();
      facts.open = status->state == VolumeState::kOpen;
      facts.sealing = status->state == VolumeState::kSealing;
      facts.lease_end = status->lease_end;
      facts.unsynced_headers = status->unsynced_headers;
      if (facts.open || facts.sealing) {
        facts.file = VolumeFacts::File::kThere;
        facts.volume_id = status->volume_id;
        facts.revision = status->revision;
        facts.deks = status->deks;
        last_heard_ = facts;
        return facts;
      }
    } else {
      LookAtSilentDaemon(status.status(), facts);
      if (facts.silent && last_heard_) {
        const bool mounted = facts.mounted;
        facts = *last_heard_;
        facts.mounted = mounted;
        facts.silent = true;
        return facts;
      }
    }
    const auto file = VolumeFile::Load(options_.paths.lower_folder);
    if (file.ok()) {
      facts.file = VolumeFacts::File::kThere;
      facts.volume_id = file->volume_id;
      facts.revision = file->revision;
      for (const VolumeDek& dek : file->deks) {
        for (const WrappedDek& wrapped : dek.wrapped) {
          facts.deks.push_back(
              {.id = dek.id, .generation = dek.generation, .kek_id = wrapped.kek_id, .current = dek.id == file->current_dek});
        }
      }
    } else if (!absl::IsNotFound(file.status())) {
      facts.file = VolumeFacts::File::kUnreadable;
      facts.file_error = std::string(FromAbsl(file.status().message()));
    }
    return facts;
  }

  absl::StatusOr<VolumeStatus> Open(const VolumeOpenRequest& request) override {
    if (!client_.Status().ok()) {
      if (!request.create_volume_id.empty()) RETURN_IF_ERROR(MakeFolderFor(options_.paths.lower_folder, options_.user));
      RETURN_IF_ERROR(MakeFolderFor(options_.paths.run_folder, options_.user));
      RETURN_IF_ERROR(MakeMountPoint(options_.paths.mount_point));
      const auto started = StartVolumeDaemon({.program = options_.program,
                                              .lower_folder = options_.paths.lower_folder,
                                              .mount_point = options_.paths.mount_point,
                                              .control_socket = options_.paths.control_socket,
                                              .log_file = options_.paths.state_folder + "/volume.log",
                                              .user = options_.user,
                                              .fuse_io_uring = options_.fuse_io_uring});
      RETURN_IF_ERROR(started.status());
      Know(started);
    }
    return client_.Open(request);
  }

  absl::StatusOr<VolumeStatus> Rewrap(const VolumeRewrapRequest& request) override { return client_.Rewrap(request); }
  absl::Status Renew(const Kek& kek, absl::Duration asked_at, absl::Duration grace) override { return client_.Renew(kek, asked_at, grace); }
  absl::Status SetEngine(const ProcessId& engine) override { return client_.SetEngine(engine); }

  absl::Status Seal(const std::string& reason, const ProcessId& engine) override {
    // One that does not even tell its status in time would let the order wait much longer.
    const absl::Status heard = StatusSoon().status();
    const absl::Status sealed = absl::IsDeadlineExceeded(heard) ? heard : client_.Seal(reason, kSealTimeout);
    if (sealed.ok() && !IsMountPoint(options_.paths.mount_point)) return absl::OkStatus();
    Log(LogLevel::kWarning, "the volume daemon did not seal; it is killed", {{"error", std::string(FromAbsl(sealed.message()))}});
    return CleanUp(engine);
  }

  absl::Status CleanUp(const ProcessId& engine) override {
    RETURN_IF_ERROR(EndDaemon());
    return CleanUpDeadMount(options_.paths.mount_point, engine, kSealTimeout);
  }

  bool Mounted() override { return IsMountPoint(options_.paths.mount_point); }

  absl::Status EraseKeys(const std::string& volume_id) override {
    const std::string& folder = options_.paths.lower_folder;
    const std::string path = folder + "/" + kVolumeFileName;
    const auto file = VolumeFile::Load(folder);
    if (absl::IsNotFound(file.status())) {
      // Every volume's folder has a lock file. One without is the place of a disk that is not mounted.
      if (!PathExists(folder + "/" + kVolumeLockName)) return NotFound(folder, " is not the folder of a volume; is its disk mounted?");
    } else {
      RETURN_IF_ERROR(file.status());
      if (file->volume_id != volume_id) return FailedPrecondition(folder, " holds another volume, ", file->volume_id);
      if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, "cannot remove " + path);
    }
    return SyncFolder(folder);
  }

  absl::Status Remove() override { return RemoveTree(options_.paths.lower_folder); }

 private:
  // VolumeClient::Status() waits long for a busy daemon; a revocation must not wait for one that hangs.
  absl::StatusOr<VolumeStatus> StatusSoon() const {
    ControlMessage request;
    request.body = {{"op", "status"}};
    ASSIGN_OR_RETURN(const ControlMessage answer, ControlCall(options_.paths.control_socket, std::move(request), options_.status_timeout));
    return VolumeStatusFromJson(answer.body);
  }

  void Heard() {
    silent_since_.reset();
    silences_ = 0;
    last_heard_.reset();
  }

  // No answer, but a process: one that listens no more is on its way out after sealing, and hangs when it never gets out. One that does not
  // answer in time, whoever it is, may be held up by its disk, and hangs when that lasts.
  void LookAtSilentDaemon(const absl::Status& status, VolumeFacts& facts) {
    const bool late = absl::IsDeadlineExceeded(status);
    if (late && (!daemon_.valid() || !IsRunning(daemon_))) Know(Listener());
    if (!late && (!daemon_.valid() || !IsRunning(daemon_))) {
      Heard();
      return;
    }
    const absl::Duration now = options_.clock->BootTime();
    if (!silent_since_) {
      silent_since_ = now;
      Log(LogLevel::kWarning, "the volume daemon does not answer", {{"error", std::string(FromAbsl(status.message()))}});
    }
    ++silences_;
    const absl::Duration silence = now - *silent_since_;
    const bool sealing = last_heard_ && last_heard_->sealing;  // no database is served any more, so nothing is waited for
    const bool long_silent = silence > options_.longest_silence && silences_ >= kLeastSilences;
    facts.daemon_hangs = late ? sealing || long_silent : silence > kExitTimeout;
    facts.silent = late && !facts.daemon_hangs;
    facts.sealing = !late && !facts.daemon_hangs;
    if (!late) last_heard_.reset();
  }

  // Kills the daemon, and whoever else listens in its place. OK only when nobody is left.
  absl::Status EndDaemon() {
    for (int round = 0; round < 3; ++round) {
      if (!daemon_.valid() || !IsRunning(daemon_)) {
        const auto listener = Listener();
        if (absl::IsNotFound(listener.status())) {
          daemon_ = {};
          return absl::OkStatus();
        }
        if (!listener.ok()) return Prefixed(listener.status(), "a volume daemon that cannot be identified");
        Know(listener);
      }
      RETURN_IF_ERROR(SendSignal(daemon_, SIGKILL));
      if (!WaitForExit(daemon_, kExitTimeout))
        return absl::DeadlineExceededError(absl::StrCat("the volume daemon ", daemon_.pid, " does not end"));
    }
    return absl::DeadlineExceededError("volume daemons are started as fast as they are killed");
  }

  absl::StatusOr<ProcessId> Listener() const {
    return ListenerOf(options_.paths.control_socket, options_.user ? options_.user->uid : geteuid());
  }

  // Written down: after a restart of the agent a daemon that hangs may not be able to take even a connection.
  void Know(const absl::StatusOr<ProcessId>& daemon) {
    if (!daemon.ok() || daemon_ == *daemon) return;
    daemon_ = *daemon;
    if (const absl::Status written = WriteProcessRecord(daemon_record_, daemon_); !written.ok()) {
      Log(LogLevel::kWarning, "the volume daemon's process was not written down", {{"error", std::string(FromAbsl(written.message()))}});
    }
  }

  const RealNodeVolumeOptions options_;
  const VolumeClient client_;
  const std::string daemon_record_;
  std::optional<absl::Duration> silent_since_;
  int silences_ = 0;
  std::optional<VolumeFacts> last_heard_;  // while the volume was open or sealing
  ProcessId daemon_;                       // last known; for one that does not answer
};

}  // namespace

std::unique_ptr<NodeVolume> NewNodeVolume(RealNodeVolumeOptions options) { return std::make_unique<RealNodeVolume>(std::move(options)); }

absl::Status MakeFolderFor(const std::string& path, const std::optional<UserIds>& user) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus(errno, "cannot make " + path);
  if (!user) return absl::OkStatus();
  const UniqueFd folder(open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder.valid()) return ErrnoStatus(errno, "cannot use " + path);
  struct stat st{};
  if (fstat(folder.get(), &st) != 0) return ErrnoStatus(errno, "cannot look at " + path);
  if (st.st_uid == user->uid && st.st_gid == user->gid) return absl::OkStatus();
  if (fchownat(folder.get(), "", user->uid, user->gid, AT_EMPTY_PATH) != 0) return ErrnoStatus(errno, "cannot hand over " + path);
  return absl::OkStatus();
}

absl::Status MakeMountPoint(const std::string& path) {
  if (IsMountPoint(path)) return FailedPrecondition(path, " is a mount point: clean a dead mount up first");
  if (geteuid() != 0) return MakeFolderFor(path, std::nullopt);
  if (mkdir(path.c_str(), 0555) != 0 && errno != EEXIST) return ErrnoStatus(errno, "cannot make " + path);
  const UniqueFd folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder.valid()) return ErrnoStatus(errno, "cannot use " + path);
  // An earlier version handed it to the engine's user.
  if (fchown(folder.get(), 0, 0) != 0 || fchmod(folder.get(), 0555) != 0) return ErrnoStatus(errno, "cannot keep " + path);
  return absl::OkStatus();
}

}  // namespace latchkey
