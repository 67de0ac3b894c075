#include <absl/strings/str_join.h>

#include <thread>

#include "base/log.h"
#include "volume/daemon.h"

namespace latchkey {
namespace {

constexpr absl::Duration kDrainTimeout = absl::Seconds(10);
constexpr absl::Duration kIdleTimeout = absl::Seconds(10);

}  // namespace

void VolumeDaemon::InvalidateAll() {
  for (const fuse_ino_t node : filesystem_->KernelNodes()) session_->Invalidate(node);
}

// Refuses programs, lets the kernel write back while it may, and drops what it knows.
void VolumeDaemon::DrainKernel() {
  bool done = false;
  std::mutex mutex;
  std::condition_variable condition;
  std::thread invalidator([&] {
    InvalidateAll();
    std::lock_guard lock(mutex);
    done = true;
    condition.notify_all();
  });
  {
    absl::Duration longest = kDrainTimeout;
    if (const auto end = keyring_.lease_end(); end) longest = std::min(longest, *end - clock_.BootTime());
    std::unique_lock lock(mutex);
    const bool drained = condition.wait_for(lock, absl::ToChronoNanoseconds(std::max(longest, absl::ZeroDuration())), [&] { return done; });
    if (!drained) Log(LogLevel::kWarning, "sealing before the kernel has written everything back: what was not synced is lost");
  }
  // Whatever still waits is answered with EIO now, and the invalidator comes to its end.
  keyring_.Refuse();
  invalidator.join();
}

void VolumeDaemon::Seal() {
  // A change under way comes to its end; further ones see the order and refuse.
  std::lock_guard change(change_mutex_);
  Log(LogLevel::kInfo, "sealing", {{"volume", file_.volume_id}, {"reason", seal_reason_}});
  if (session_ != nullptr) {
    session_->OnEnd(nullptr);
    DrainKernel();
    if (!keyring_.WaitUntilIdle(kIdleTimeout)) Log(LogLevel::kError, "a request to the lower disk does not end");
    session_->InvalidateNames();
    InvalidateAll();
    std::vector<pid_t> left = host_->KillUsers(kill_timeout_);
    // What died meanwhile may have brought pages back by a last fault: there is nothing to read them from, but their like may be cached.
    InvalidateAll();
    if (!left.empty()) Log(LogLevel::kError, "processes that use the volume cannot be killed", {{"pids", absl::StrJoin(left, ", ")}});
    std::lock_guard lock(state_mutex_);
    left_ = std::move(left);
  }
  keyring_.Refuse();
  deks_.clear();
  keyring_.Clear();
  if (filesystem_ != nullptr) filesystem_->Clear();
  if (session_ != nullptr) {
    const absl::Status status = host_->Unmount();
    // Its threads end with the connection; without that they would be waited for in vain.
    if (status.ok()) {
      session_.reset();
    } else {
      Log(LogLevel::kError, "the mount cannot be removed", {{"error", std::string(status.message())}});
      static_cast<void>(session_.release());
    }
    std::lock_guard lock(state_mutex_);
    unmounted_ = status;
  }
  Log(LogLevel::kInfo, "sealed", {{"volume", file_.volume_id}, {"reason", seal_reason_}});
}

}  // namespace latchkey
