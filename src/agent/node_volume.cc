#include "agent/node_volume.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <mutex>

#include "base/clock.h"
#include "base/control_socket.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "keys/volume_file.h"
#include "volume/control_messages.h"

namespace latchkey {
namespace {

constexpr absl::Duration kStatusTimeout = absl::Seconds(2);
constexpr absl::Duration kExitTimeout = absl::Seconds(5);
constexpr absl::Duration kSealTimeout = absl::Seconds(10);

class RealNodeVolume : public NodeVolume {
 public:
  explicit RealNodeVolume(RealNodeVolumeOptions options) : options_(std::move(options)), client_(options_.paths.control_socket) {}

  VolumeFacts Look() override {
    VolumeFacts facts;
    facts.mounted = IsMountPoint(options_.paths.mount_point);
    const auto status = StatusSoon();
    if (status.ok()) {
      facts.daemon = true;
      daemon_ = status->daemon;
      silent_since_.reset();
      facts.open = status->state == VolumeState::kOpen;
      facts.sealing = status->state == VolumeState::kSealing;
      facts.lease_end = status->lease_end;
      facts.unsynced_headers = status->unsynced_headers;
      if (facts.open || facts.sealing) {
        facts.file = VolumeFacts::File::kThere;
        facts.volume_id = status->volume_id;
        facts.revision = status->revision;
        facts.deks = status->deks;
        return facts;
      }
    } else {
      LookAtSilentDaemon(status.status(), facts);
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
      RETURN_IF_ERROR(MakeFolderFor(options_.paths.mount_point, options_.user));
      ASSIGN_OR_RETURN(daemon_, StartVolumeDaemon({.program = options_.program,
                                                   .lower_folder = options_.paths.lower_folder,
                                                   .mount_point = options_.paths.mount_point,
                                                   .control_socket = options_.paths.control_socket,
                                                   .log_file = options_.paths.state_folder + "/volume.log",
                                                   .user = options_.user}));
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
    if (daemon_.valid()) {
      RETURN_IF_ERROR(SendSignal(daemon_, SIGKILL));
      if (!WaitForExit(daemon_, absl::Seconds(5)))
        return absl::DeadlineExceededError(absl::StrCat("the volume daemon ", daemon_.pid, " does not end"));
      daemon_ = {};
    }
    return CleanUpDeadMount(options_.paths.mount_point, engine, kSealTimeout);
  }

  absl::Status Remove() override { return RemoveTree(options_.paths.lower_folder); }

 private:
  // VolumeClient::Status() waits long for a busy daemon; a revocation must not wait for one that hangs.
  absl::StatusOr<VolumeStatus> StatusSoon() const {
    ControlMessage request;
    request.body = {{"op", "status"}};
    ASSIGN_OR_RETURN(const ControlMessage answer, ControlCall(options_.paths.control_socket, std::move(request), kStatusTimeout));
    return VolumeStatusFromJson(answer.body);
  }

  // No answer, but a process: one that listens no more is on its way out after sealing, and one that does not answer in time hangs. So does
  // one that never gets out.
  void LookAtSilentDaemon(const absl::Status& status, VolumeFacts& facts) {
    if (!daemon_.valid() || !IsRunning(daemon_)) {
      silent_since_.reset();
      return;
    }
    const absl::Duration now = Clock::Real().BootTime();
    if (!silent_since_) silent_since_ = now;
    facts.daemon_hangs = absl::IsDeadlineExceeded(status) || now - *silent_since_ > kExitTimeout;
    facts.sealing = !facts.daemon_hangs;
  }

  const RealNodeVolumeOptions options_;
  const VolumeClient client_;
  std::optional<absl::Duration> silent_since_;
  ProcessId daemon_;  // last known; for one that does not answer
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

}  // namespace latchkey
