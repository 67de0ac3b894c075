#include "volume/mount_host.h"

#include <unistd.h>

#include <mutex>

#include "base/status.h"
#include "volume/mount.h"

namespace latchkey {
namespace {

class DirectMountHost : public MountHost {
 public:
  explicit DirectMountHost(std::string mount_point) : mount_point_(std::move(mount_point)) {}

  absl::StatusOr<FuseSession::Connection> Mount() override {
    std::lock_guard lock(mutex_);
    if (!MountsAt(mount_point_).empty()) return FailedPrecondition(mount_point_, " is a mount point already");
    ASSIGN_OR_RETURN(FuseSession::Connection connection, MountAsUser(mount_point_));
    const auto mounts = MountsAt(mount_point_);
    if (mounts.empty()) return Unavailable(mount_point_, " is not mounted: it must be given as an absolute path without symbolic links");
    device_ = mounts.back().device;
    return connection;
  }
  void ReadAheadFar() override {
    std::lock_guard lock(mutex_);
    if (geteuid() == 0) SetReadAhead(device_, kReadAheadKib).IgnoreError();
  }
  void SetEngine(const ProcessId& engine) override {
    std::lock_guard lock(mutex_);
    engine_ = engine;
  }
  std::vector<pid_t> KillUsers(absl::Duration timeout) override {
    std::lock_guard lock(mutex_);
    if (device_ == 0) return {};  // never mounted
    return latchkey::KillUsers(device_, engine_, timeout);
  }
  absl::Status Unmount() override {
    std::lock_guard lock(mutex_);
    return latchkey::Unmount(mount_point_);
  }
  void EndConnection() override {
    std::lock_guard lock(mutex_);
    latchkey::EndConnection(mount_point_);
  }
  void Leave() override {}

 private:
  const std::string mount_point_;
  std::mutex mutex_;
  dev_t device_ = 0;
  ProcessId engine_;
};

}  // namespace

std::unique_ptr<MountHost> NewDirectMountHost(std::string mount_point) { return std::make_unique<DirectMountHost>(std::move(mount_point)); }

}  // namespace latchkey
