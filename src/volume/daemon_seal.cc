#include <absl/strings/str_join.h>
#include <signal.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "base/log.h"
#include "base/secret_bytes.h"
#include "volume/bounded.h"
#include "volume/daemon.h"
#include "volume/lower_file.h"

namespace latchkey {
namespace {

void StopHere(int) {
  for (;;) pause();
}

}  // namespace

void VolumeDaemon::InvalidateAll() {
  for (const fuse_ino_t node : filesystem_->KernelNodes()) session_->Invalidate(node);
}

void VolumeDaemon::InvalidateOrEnd() {
  if (!Bounded([this] { InvalidateAll(); }).Wait(options_.seal_patience)) EndAtOnce("the kernel does not let go of its pages");
}

// Refuses programs, lets the kernel write back while it may, and drops what it knows.
void VolumeDaemon::DrainKernel() {
  const Bounded invalidation([this] { InvalidateAll(); });
  absl::Duration longest = options_.seal_patience;
  if (const auto end = keyring_.lease_end(); end) longest = std::min(longest, *end - clock_.BootTime());
  if (!invalidation.Wait(longest))
    Log(LogLevel::kWarning, "sealing before the kernel has written everything back: what was not synced is lost");
  // Whatever still waits is answered with EIO now, and the invalidation comes to its end, unless a request hangs in the lower disk.
  keyring_.Refuse();
  if (!invalidation.Wait(options_.seal_patience) || !keyring_.WaitUntilIdle(options_.seal_patience)) {
    EndAtOnce("a request to the lower disk does not end");
  }
}

// Waits for nothing that the lower disk could hold up. What is left then (a thread in the disk's driver) has no keys, no connection, and
// no way to write what it holds.
void VolumeDaemon::EndAtOnce(const std::string& why) {
  Log(LogLevel::kError, "sealing at once", {{"volume", file_.volume_id}, {"reason", seal_reason_}, {"why", why}});
  keyring_.Refuse();
  host_->EndConnection();
  LowerDescriptor::StopWriting();
  // OpenSSL's memory is wiped under threads that end now and would clean it up: one that stumbles stops there, and does not take the
  // process with it before the rest is done.
  for (const int fault : {SIGSEGV, SIGBUS, SIGABRT}) signal(fault, StopHere);
  SecretArena::WipeAll();
  const std::vector<pid_t> left = host_->KillUsers(kill_timeout_);
  if (left.empty()) {
    if (const absl::Status status = host_->Unmount(); !status.ok())
      Log(LogLevel::kError, "the mount cannot be removed", {{"error", std::string(status.message())}});
  } else {
    Log(LogLevel::kError, "processes that use the volume cannot be killed", {{"pids", absl::StrJoin(left, ", ")}});
  }
  host_->Leave();
  _exit(1);
}

void VolumeDaemon::Seal() {
  // A change under way comes to its end; further ones see the order and refuse.
  std::unique_lock change(change_mutex_, absl::ToChronoNanoseconds(options_.seal_patience));
  if (!change.owns_lock()) EndAtOnce("a change of keys or of the mount does not end");
  Log(LogLevel::kInfo, "sealing", {{"volume", file_.volume_id}, {"reason", seal_reason_}});
  bool is_left = false;
  if (session_ != nullptr) {
    session_->OnEnd(nullptr);
    DrainKernel();
    session_->InvalidateNames();
    InvalidateOrEnd();
    std::vector<pid_t> left = host_->KillUsers(kill_timeout_);
    // What died meanwhile may have brought pages back by a last fault: there is nothing to read them from, but their like may be cached.
    InvalidateOrEnd();
    if (!left.empty()) Log(LogLevel::kError, "processes that use the volume cannot be killed", {{"pids", absl::StrJoin(left, ", ")}});
    is_left = !left.empty();
    std::lock_guard lock(state_mutex_);
    left_ = std::move(left);
  }
  keyring_.Refuse();
  deks_.clear();
  keyring_.Clear();
  if (filesystem_ != nullptr) filesystem_->Clear();
  if (session_ != nullptr) {
    absl::Status status;
    if (is_left) {
      // Somebody still has pages of it: the mount stays and shows that.
      host_->EndConnection();
      status = absl::DeadlineExceededError("processes still use the volume");
    } else {
      status = host_->Unmount();
    }
    if (!status.ok()) Log(LogLevel::kError, "the mount cannot be removed", {{"error", std::string(status.message())}});
    // Its threads end with the connection. One that closes a file on a dead disk does not, and must not be waited for.
    if ((status.ok() || is_left) && session_->WaitForThreads(options_.seal_patience)) {
      session_.reset();
    } else {
      static_cast<void>(session_.release());
    }
    std::lock_guard lock(state_mutex_);
    unmounted_ = status;
  }
  Log(LogLevel::kInfo, "sealed", {{"volume", file_.volume_id}, {"reason", seal_reason_}});
}

}  // namespace latchkey
