#include "volume/client.h"

#include <absl/time/clock.h>
#include <signal.h>
#include <unistd.h>

#include <cstring>

#include "base/clock.h"
#include "base/file.h"
#include "base/status.h"
#include "keys/volume_file.h"
#include "volume/control_messages.h"

namespace latchkey {
namespace {

// Opening a volume may replay nothing yet, but its disk may be slow to wake up.
constexpr absl::Duration kOpenTimeout = absl::Seconds(60);
constexpr absl::Duration kCallTimeout = absl::Seconds(20);
constexpr absl::Duration kCountTimeout = absl::Minutes(10);
constexpr absl::Duration kLockTimeout = absl::Seconds(2);
constexpr absl::Duration kStartTimeout = absl::Seconds(30);

SecretBytes Joined(const SecretBytes& a, const SecretBytes& b) {
  SecretBytes both(a.size() + b.size());
  const auto to = both.RevealMutable(SecretAccess{});
  std::memcpy(to.data(), a.Reveal(SecretAccess{}).data(), a.size());
  std::memcpy(to.data() + a.size(), b.Reveal(SecretAccess{}).data(), b.size());
  return both;
}

absl::StatusOr<VolumeStatus> CallForStatus(const std::string& socket, ControlMessage request, absl::Duration timeout) {
  ASSIGN_OR_RETURN(const ControlMessage answer, ControlCall(socket, std::move(request), timeout));
  return VolumeStatusFromJson(answer.body);
}

}  // namespace

absl::StatusOr<VolumeStatus> VolumeClient::Status() const {
  ControlMessage request;
  request.body = {{"op", "status"}};
  return CallForStatus(socket_, std::move(request), kCallTimeout);
}

absl::StatusOr<VolumeStatus> VolumeClient::Count() const {
  ControlMessage request;
  request.body = {{"op", "count"}};
  return CallForStatus(socket_, std::move(request), kCountTimeout);
}

absl::StatusOr<VolumeStatus> VolumeClient::Open(const VolumeOpenRequest& open) const {
  if (open.kek == nullptr || open.kek_record == nullptr) return InvalidArgument("opening a volume needs a KEK and its record");
  ControlMessage request;
  request.body = {{"op", "open"},
                  {"kek", open.kek_record->ToJson()},
                  {"grace_ns", ToNanoseconds(open.grace)},
                  {"create_volume_id", open.create_volume_id},
                  {"dek_generation", open.dek_generation},
                  {"expect_volume_id", open.expect_volume_id}};
  if (open.asked_at) request.body["asked_at_ns"] = ToNanoseconds(*open.asked_at);
  request.secret = open.kek->bytes().Clone();
  return CallForStatus(socket_, std::move(request), kOpenTimeout);
}

absl::Status VolumeClient::Renew(const Kek& kek, absl::Duration asked_at, absl::Duration grace) const {
  ControlMessage request;
  request.body = {
      {"op", "renew"}, {"context", ToJson(kek.context())}, {"asked_at_ns", ToNanoseconds(asked_at)}, {"grace_ns", ToNanoseconds(grace)}};
  request.secret = kek.bytes().Clone();
  return ControlCall(socket_, std::move(request), kCallTimeout).status();
}

absl::StatusOr<VolumeStatus> VolumeClient::Rewrap(const VolumeRewrapRequest& rewrap) const {
  if (rewrap.from == nullptr || rewrap.to == nullptr || rewrap.to_record == nullptr) return InvalidArgument("a re-wrap needs both KEKs");
  ControlMessage request;
  request.body = {{"op", "rewrap"},
                  {"from", ToJson(rewrap.from->context())},
                  {"to", rewrap.to_record->ToJson()},
                  {"new_dek_generation", rewrap.new_dek_generation},
                  {"grace_ns", ToNanoseconds(rewrap.grace)}};
  if (rewrap.asked_at) request.body["asked_at_ns"] = ToNanoseconds(*rewrap.asked_at);
  request.secret = Joined(rewrap.from->bytes(), rewrap.to->bytes());
  return CallForStatus(socket_, std::move(request), kOpenTimeout);
}

absl::Status VolumeClient::SetEngine(const ProcessId& engine) const {
  ControlMessage request;
  request.body = {{"op", "engine"}, {"pid", engine.pid}, {"start_ticks", static_cast<int64_t>(engine.start_ticks)}};
  return ControlCall(socket_, std::move(request), kCallTimeout).status();
}

absl::Status VolumeClient::Seal(const std::string& reason, absl::Duration timeout) const {
  ControlMessage request;
  request.body = {{"op", "seal"}, {"reason", reason}, {"timeout_ns", ToNanoseconds(timeout)}};
  return ControlCall(socket_, std::move(request), timeout + kCallTimeout).status();
}

absl::StatusOr<ProcessId> StartVolumeDaemon(const VolumeDaemonOptions& options) {
  if (options.user && geteuid() != 0) return PermissionDenied("only root can start a volume daemon as another user");
  if (!PathExists(options.lower_folder)) return NotFound("no folder ", options.lower_folder);
  const std::string lock_path = options.lower_folder + "/" + kVolumeLockName;
  {
    // Only to say it early; the daemon takes it for itself. One that has just sealed and answered may need a moment to be gone.
    absl::StatusOr<UniqueFd> lock = LockFile(lock_path);
    for (const absl::Time give_up = absl::Now() + kLockTimeout; absl::IsFailedPrecondition(lock.status()) && absl::Now() < give_up;) {
      absl::SleepFor(absl::Milliseconds(10));
      lock = LockFile(lock_path);
    }
    if (!lock.ok()) return lock.status();
    if (options.user && fchown(lock->get(), options.user->uid, options.user->gid) != 0) return ErrnoStatus(errno, lock_path);
  }
  if (IsMountPoint(options.mount_point)) return FailedPrecondition(options.mount_point, " is a mount point: clean a dead mount up first");
  SpawnOptions spawn;
  spawn.argv = {options.program,
                "volume-daemon",
                "--lower",
                options.lower_folder,
                "--mount",
                options.mount_point,
                "--control",
                options.control_socket,
                "--lease-poll-ms",
                absl::StrCat(absl::ToInt64Milliseconds(options.lease_poll)),
                "--seal-patience-ms",
                absl::StrCat(absl::ToInt64Milliseconds(options.seal_patience)),
                "--fuse-io-uring",
                options.fuse_io_uring ? "yes" : "no"};
  if (!options.log_file.empty()) spawn.argv.insert(spawn.argv.end(), {"--log", options.log_file});
  if (options.user) {
    spawn.argv.insert(spawn.argv.end(), {"--uid", absl::StrCat(options.user->uid), "--gid", absl::StrCat(options.user->gid)});
  }
  spawn.env = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}};
  spawn.output_file = options.log_file;
  ASSIGN_OR_RETURN(const ProcessId started, Spawn(spawn));
  const VolumeClient client(options.control_socket);
  const absl::Time deadline = absl::Now() + kStartTimeout;
  for (;;) {
    const absl::StatusOr<VolumeStatus> status = client.Status();
    // An earlier daemon's socket could still answer.
    if (status.ok() && status->lower_folder == options.lower_folder) return status->daemon;
    if (!IsRunning(started)) return Internal("the volume daemon ended while starting; see ", options.log_file);
    if (absl::Now() > deadline) {
      SendSignal(started, SIGTERM).IgnoreError();
      return absl::DeadlineExceededError(absl::StrCat("the volume daemon does not answer on ", options.control_socket));
    }
    WaitForExit(started, absl::Milliseconds(10));
  }
}

}  // namespace latchkey
