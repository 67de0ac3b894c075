// The conversation with the kernel: a fixed set of threads that read requests, and the notices that make the kernel forget.
//
// libfuse's own multi-threaded loop clones the connection by opening /dev/fuse, which an unprivileged daemon may be unable to do, and makes
// and ends threads as it likes. Here each thread has a descriptor of its own, made by whoever mounted (FUSE_DEV_IOC_CLONE): replies go
// where the request came from, and the threads live as long as the mount. Where the kernel has FUSE over io_uring for us, a second set of
// threads serves nearly everything (fuse_ring.h), and the first what the kernel sends over /dev/fuse alone.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "volume/filesystem.h"
#include "volume/fuse_ring.h"

namespace latchkey {

inline constexpr int kFuseThreads = 8;

class FuseSession {
 public:
  struct Connection {
    UniqueFd main;                 // of the mount
    std::vector<UniqueFd> clones;  // each thread takes one; those beyond share `main`
  };
  // Serves a mount that was made by somebody else. `filesystem` outlives the session. `ring_queues`: the queue of each slot of FUSE over
  // io_uring (FuseSlots); empty: over /dev/fuse alone, as it is where the kernel offers nothing else.
  static absl::StatusOr<std::unique_ptr<FuseSession>> Start(Filesystem& filesystem, Connection connection,
                                                            const std::vector<uint16_t>& ring_queues);
  // Waits for the threads, which end when the mount is gone.
  ~FuseSession();

  // True when all threads have ended by then.
  bool WaitForThreads(absl::Duration timeout);

  // Writes back and drops the kernel's pages and attributes of a file. Blocks until it is done, which needs our threads: never call it from
  // a request.
  void Invalidate(fuse_ino_t node);
  // Makes every name that the kernel remembers be asked for again (Linux 6.16, FUSE_NOTIFY_INC_EPOCH). False on older kernels.
  bool InvalidateNames();
  // Called once, from one of the threads, when the connection ends, or when it can no longer be served.
  void OnEnd(std::function<void()> f);

 private:
  // FUSE over io_uring is offered and taken in FUSE_INIT, the first request: until it was answered nobody knows.
  enum class Rings { kUndecided, kTaken, kNot };

  FuseSession() = default;
  void Run(std::function<void()> serve);
  void ServeDevice();
  void ServeRing(std::unique_ptr<FuseRing> ring, int processor);
  void Decide(Rings rings);
  void End();

  fuse_session* session_ = nullptr;
  int main_fd_ = -1;  // owned by session_
  bool rings_wanted_ = false;
  std::vector<UniqueFd> clones_;
  std::vector<std::thread> threads_;
  std::atomic<size_t> next_clone_ = 0;
  std::atomic<bool> ended_ = false;
  std::mutex mutex_, threads_mutex_;
  std::condition_variable thread_ended_, rings_decided_;
  Rings rings_ = Rings::kUndecided;  // guarded by mutex_
  size_t threads_ended_ = 0;         // guarded by threads_mutex_
  std::function<void()> on_end_;
};

}  // namespace latchkey
