#include "volume/fuse_session.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/log.h"
#include "base/status.h"

namespace latchkey {
namespace {

#ifndef FUSE_HANDLE_KILLPRIV_V2
constexpr uint32_t kHandleKillprivV2 = 1u << 28;
#else
constexpr uint32_t kHandleKillprivV2 = FUSE_HANDLE_KILLPRIV_V2;
#endif
// Shared mappings of handles that pass the page cache by (Linux 6.6); bit 36 of the flags, which libfuse 3.14 does not know.
constexpr uint32_t kDirectIoAllowMmap2 = 1u << 4;
constexpr int kNotifyIncEpoch = 8;

thread_local int own_fd = -1;

// The request FUSE_INIT of the session that is starting, and what the kernel offers in it.
thread_local uint64_t init_unique = 0;
thread_local bool killpriv_offered = false;
thread_local bool direct_mmap_offered = false;

ssize_t ReadRequest(int fd, void* buffer, size_t size, void*) {
  const ssize_t n = read(own_fd >= 0 ? own_fd : fd, buffer, size);
  if (n >= static_cast<ssize_t>(sizeof(fuse_in_header) + 16)) {
    const auto* header = static_cast<const fuse_in_header*>(buffer);
    if (header->opcode == FUSE_INIT) {
      const auto* init = reinterpret_cast<const fuse_init_in*>(header + 1);
      init_unique = header->unique;
      killpriv_offered = (init->flags & kHandleKillprivV2) != 0;
      direct_mmap_offered = n >= static_cast<ssize_t>(sizeof(fuse_in_header) + sizeof(fuse_init_in)) &&
                            (init->flags & FUSE_INIT_EXT) != 0 && (init->flags2 & kDirectIoAllowMmap2) != 0;
    }
  }
  return n;
}

ssize_t WriteReply(int fd, iovec* parts, int count, void*) {
  auto* header = static_cast<fuse_out_header*>(parts[0].iov_base);
  // What libfuse 3.14 does not know, put into its answer to FUSE_INIT.
  if (init_unique != 0 && header->unique == init_unique && header->error == 0 && count == 2 && parts[1].iov_len >= 16) {
    auto* init = static_cast<fuse_init_out*>(parts[1].iov_base);
    // Without this the kernel asks for security.capability before every single write. We may promise it: the lower file system drops
    // set-user-id bits and capabilities when it is written to, truncated or given away.
    if (killpriv_offered) init->flags |= kHandleKillprivV2;
    if (direct_mmap_offered && parts[1].iov_len >= sizeof(fuse_init_out)) {
      init->flags |= FUSE_INIT_EXT;
      init->flags2 |= kDirectIoAllowMmap2;
    }
    init_unique = 0;
  }
  return writev(own_fd >= 0 ? own_fd : fd, parts, count);
}

}  // namespace

absl::StatusOr<std::unique_ptr<FuseSession>> FuseSession::Start(Filesystem& filesystem, Connection connection) {
  std::unique_ptr<FuseSession> self(new FuseSession);
  char program[] = "latchkey";
  char* arguments[] = {program, nullptr};
  fuse_args args = FUSE_ARGS_INIT(1, arguments);
  self->session_ = fuse_session_new(&args, &Filesystem::Operations(), sizeof(fuse_lowlevel_ops), &filesystem);
  fuse_opt_free_args(&args);
  if (self->session_ == nullptr) return Internal("libfuse makes no session");
  const fuse_custom_io io = {.writev = WriteReply, .read = ReadRequest, .splice_receive = nullptr, .splice_send = nullptr};
  if (fuse_session_custom_io(self->session_, &io, connection.main.get()) != 0) return Internal("libfuse takes no connection");
  self->main_fd_ = connection.main.Release();
  self->clones_ = std::move(connection.clones);
  for (int i = 0; i < kFuseThreads; ++i) {
    self->threads_.emplace_back([raw = self.get()] {
      raw->Serve();
      std::lock_guard lock(raw->threads_mutex_);
      ++raw->threads_ended_;
      raw->thread_ended_.notify_all();
    });
  }
  return self;
}

FuseSession::~FuseSession() {
  for (std::thread& thread : threads_) thread.join();
  if (session_ != nullptr) fuse_session_destroy(session_);
}

bool FuseSession::WaitForThreads(absl::Duration timeout) {
  std::unique_lock lock(threads_mutex_);
  return thread_ended_.wait_for(lock, absl::ToChronoNanoseconds(timeout), [this] { return threads_ended_ == threads_.size(); });
}

void FuseSession::Serve() {
  pthread_setname_np(pthread_self(), "fuse");
  // A file mode creation mask of our own: making a file takes the mask of the program that asks.
  unshare(CLONE_FS);
  umask(0);
  const size_t mine = next_clone_.fetch_add(1);
  // The first thread reads the connection itself, so that it is always served.
  if (mine > 0 && mine <= clones_.size()) own_fd = clones_[mine - 1].get();
  fuse_buf buffer{};
  while (fuse_session_exited(session_) == 0) {
    const int n = fuse_session_receive_buf(session_, &buffer);
    if (n == -EINTR || n == -EAGAIN) continue;
    if (n <= 0) break;
    fuse_session_process_buf(session_, &buffer);
  }
  if (buffer.mem != nullptr) Wipe(buffer.mem, buffer.size);
  std::free(buffer.mem);
  if (ended_.exchange(true)) return;
  std::lock_guard lock(mutex_);
  if (on_end_) on_end_();
}

void FuseSession::OnEnd(std::function<void()> f) {
  std::lock_guard lock(mutex_);
  on_end_ = std::move(f);
  if (ended_ && on_end_) on_end_();
}

void FuseSession::Invalidate(fuse_ino_t node) { fuse_lowlevel_notify_inval_inode(session_, node, 0, 0); }

bool FuseSession::InvalidateNames() {
  fuse_out_header notice{};
  notice.len = sizeof(notice);
  notice.error = kNotifyIncEpoch;
  return write(main_fd_, &notice, sizeof(notice)) == sizeof(notice);
}

}  // namespace latchkey
