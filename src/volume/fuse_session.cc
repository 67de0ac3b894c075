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
#include <cstring>
#include <system_error>

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
// FUSE over io_uring (Linux 6.14), bit 41.
constexpr uint32_t kOverIoUring2 = 1u << 9;
constexpr int kNotifyIncEpoch = 8;

// What libfuse's calls for input and output find about the thread that they are made on.
thread_local int own_fd = -1;
thread_local FuseRing* own_ring = nullptr;

// The request FUSE_INIT, on the thread that reads it: what the kernel offers in it, and what we take in the answer.
struct Init {
  uint64_t unique = 0;
  bool killpriv_offered = false;
  bool direct_mmap_offered = false;
  bool rings_offered = false;
  bool rings_wanted = false;
  bool answered = false;
  bool rings_taken = false;
};
thread_local Init own_init;

ssize_t ReadRequest(int fd, void* buffer, size_t size, void*) {
  const ssize_t n = read(own_fd >= 0 ? own_fd : fd, buffer, size);
  if (n >= static_cast<ssize_t>(sizeof(fuse_in_header) + 16)) {
    const auto* header = static_cast<const fuse_in_header*>(buffer);
    if (header->opcode == FUSE_INIT) {
      const auto* init = reinterpret_cast<const fuse_init_in*>(header + 1);
      own_init.unique = header->unique;
      own_init.killpriv_offered = (init->flags & kHandleKillprivV2) != 0;
      const bool is_long = n >= static_cast<ssize_t>(sizeof(fuse_in_header) + sizeof(fuse_init_in));
      const uint32_t flags2 = is_long && (init->flags & FUSE_INIT_EXT) != 0 ? init->flags2 : 0;
      own_init.direct_mmap_offered = (flags2 & kDirectIoAllowMmap2) != 0;
      own_init.rings_offered = (flags2 & kOverIoUring2) != 0;
    }
  }
  return n;
}

ssize_t WriteReply(int fd, iovec* parts, int count, void*) {
  if (own_ring != nullptr && own_ring->Answer(parts, count)) return static_cast<const fuse_out_header*>(parts[0].iov_base)->len;
  auto* header = static_cast<fuse_out_header*>(parts[0].iov_base);
  // What libfuse 3.14 does not know, put into its answer to FUSE_INIT.
  const bool answers_init = own_init.unique != 0 && header->unique == own_init.unique;
  bool takes_rings = false;
  if (answers_init && header->error == 0 && count == 2 && parts[1].iov_len >= 16) {
    auto* init = static_cast<fuse_init_out*>(parts[1].iov_base);
    // Without this the kernel asks for security.capability before every single write. We may promise it: the lower file system drops
    // set-user-id bits and capabilities when it is written to, truncated or given away.
    if (own_init.killpriv_offered) init->flags |= kHandleKillprivV2;
    if (parts[1].iov_len >= sizeof(fuse_init_out)) {
      takes_rings = own_init.rings_offered && own_init.rings_wanted;
      if (own_init.direct_mmap_offered) init->flags2 |= kDirectIoAllowMmap2;
      if (takes_rings) init->flags2 |= kOverIoUring2;
      if (init->flags2 != 0) init->flags |= FUSE_INIT_EXT;
    }
  }
  const ssize_t written = writev(own_fd >= 0 ? own_fd : fd, parts, count);
  if (answers_init) {
    own_init.unique = 0;
    own_init.answered = true;
    own_init.rings_taken = takes_rings && written > 0;
  }
  return written;
}

std::vector<std::unique_ptr<FuseRing>> MakeRings(int connection, const std::vector<uint16_t>& queues) {
  std::vector<std::unique_ptr<FuseRing>> rings;
  if (queues.empty()) return rings;
  if (const absl::Status status = FuseRing::Probe(connection, Scratch::kBytes); !status.ok()) {
    Log(LogLevel::kWarning, "the volume is served without FUSE over io_uring", {{"error", std::string(status.message())}});
    return rings;
  }
  for (const uint16_t queue : queues) {
    auto ring = FuseRing::Create(connection, queue, Scratch::kBytes);
    if (!ring.ok()) {
      Log(LogLevel::kWarning, "the volume is served without FUSE over io_uring", {{"error", std::string(ring.status().message())}});
      return {};
    }
    rings.push_back(std::move(*ring));
  }
  return rings;
}

// Where a slot's thread runs. A program waits for a write, and for a small read: both are served on its processor, which it leaves to us
// meanwhile, and nobody wakes another one. Large reads are the kernel reading ahead of a program that goes on: they want a processor of
// their own.
class Placement {
 public:
  explicit Placement(int processor) {
    CPU_ZERO(&one_);
    if (processor < CPU_SETSIZE) CPU_SET(static_cast<unsigned>(processor), &one_);
    CPU_ZERO(&any_);
    has_any_ = sched_getaffinity(0, sizeof(any_), &any_) == 0;
    // The administrator may have kept us from it (taskset, CPUAffinity=).
    CPU_AND(&one_, &one_, &any_);
    has_any_ = has_any_ && CPU_COUNT(&one_) > 0;
    Bind(true);
  }
  // Before a request is served.
  void Saw(std::span<const uint8_t> request) {
    const bool ahead = ReadSize(request) >= kLarge;
    others_ = ahead ? 0 : others_ + 1;
    if (ahead && bound_) Bind(false);
    if (others_ >= kOthersToReturn && !bound_) Bind(true);
  }

 private:
  static constexpr size_t kLarge = size_t{64} << 10;
  static constexpr int kOthersToReturn = 16;  // a mixture of both must not move the thread at each

  static size_t ReadSize(std::span<const uint8_t> request) {
    fuse_in_header header;
    fuse_read_in read;
    if (request.size() < sizeof(header) + sizeof(read)) return 0;
    std::memcpy(&header, request.data(), sizeof(header));
    std::memcpy(&read, request.data() + sizeof(header), sizeof(read));
    return header.opcode == FUSE_READ ? read.size : 0;
  }
  // Fails for a processor that is not there yet, or not for us: then the thread runs anywhere.
  void Bind(bool bind) {
    if (has_any_) sched_setaffinity(0, sizeof(cpu_set_t), bind ? &one_ : &any_);
    bound_ = bind;
  }

  cpu_set_t one_, any_;
  bool has_any_ = false, bound_ = false;
  int others_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<FuseSession>> FuseSession::Start(Filesystem& filesystem, Connection connection,
                                                                const std::vector<uint16_t>& ring_queues) {
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
  // All before the first request is read: once FUSE_INIT was answered, the kernel waits for every slot.
  std::vector<std::unique_ptr<FuseRing>> rings = MakeRings(self->main_fd_, ring_queues);
  self->rings_wanted_ = !rings.empty();
  FuseSession* raw = self.get();
  try {
    for (size_t i = 0; i < rings.size(); ++i) {
      auto ring = std::make_shared<std::unique_ptr<FuseRing>>(std::move(rings[i]));  // std::function wants what can be copied
      self->Run([raw, ring, processor = ring_queues[i]] { raw->ServeRing(std::move(*ring), processor); });
    }
  } catch (const std::system_error& error) {
    // A limit of tasks (pids.max, RLIMIT_NPROC): those that were made end.
    Log(LogLevel::kWarning, "the volume is served without FUSE over io_uring", {{"error", std::string(error.what())}});
    self->rings_wanted_ = false;
    self->Decide(Rings::kNot);
  }
  for (int i = 0; i < kFuseThreads; ++i) self->Run([raw] { raw->ServeDevice(); });
  return self;
}

void FuseSession::Run(std::function<void()> serve) {
  threads_.emplace_back([this, serve = std::move(serve)] {
    // A file mode creation mask of our own: making a file takes the mask of the program that asks.
    unshare(CLONE_FS);
    umask(0);
    serve();
    std::lock_guard lock(threads_mutex_);
    ++threads_ended_;
    thread_ended_.notify_all();
  });
}

FuseSession::~FuseSession() {
  for (std::thread& thread : threads_) thread.join();
  if (session_ != nullptr) fuse_session_destroy(session_);
}

bool FuseSession::WaitForThreads(absl::Duration timeout) {
  std::unique_lock lock(threads_mutex_);
  return thread_ended_.wait_for(lock, absl::ToChronoNanoseconds(timeout), [this] { return threads_ended_ == threads_.size(); });
}

void FuseSession::ServeDevice() {
  pthread_setname_np(pthread_self(), "fuse");
  own_init.rings_wanted = rings_wanted_;
  const size_t mine = next_clone_.fetch_add(1);
  // The first thread reads the connection itself, so that it is always served.
  if (mine > 0 && mine <= clones_.size()) own_fd = clones_[mine - 1].get();
  fuse_buf buffer{};
  while (fuse_session_exited(session_) == 0) {
    const int n = fuse_session_receive_buf(session_, &buffer);
    if (n == -EINTR || n == -EAGAIN) continue;
    if (n <= 0) break;
    fuse_session_process_buf(session_, &buffer);
    if (own_init.answered) {
      own_init.answered = false;
      Log(LogLevel::kInfo, "the volume is served", {{"over", std::string(own_init.rings_taken ? "io_uring" : "/dev/fuse")}});
      Decide(own_init.rings_taken ? Rings::kTaken : Rings::kNot);
    }
  }
  if (buffer.mem != nullptr) Wipe(buffer.mem, buffer.size);
  std::free(buffer.mem);
  End();
}

void FuseSession::ServeRing(std::unique_ptr<FuseRing> ring, int processor) {
  pthread_setname_np(pthread_self(), "fuse-ring");
  {
    std::unique_lock lock(mutex_);
    rings_decided_.wait(lock, [this] { return rings_ != Rings::kUndecided; });
    if (rings_ == Rings::kNot) return;
  }
  Placement placement(processor);
  Scratch answers(ring->AnswerMemory().first<Scratch::kBytes>());
  Filesystem::UseForReads(&answers);
  own_ring = ring.get();
  for (;;) {
    const absl::StatusOr<std::span<uint8_t>> request = ring->Next();
    if (absl::IsUnavailable(request.status())) {
      Log(LogLevel::kWarning, "a slot of FUSE over io_uring is not used", {{"error", std::string(request.status().message())}});
      return;
    }
    if (!request.ok()) {
      // Programs may wait for ever on the queue that has lost it. An end that is told to all is better.
      Log(LogLevel::kError, "the volume can no longer be served", {{"error", std::string(request.status().message())}});
      break;
    }
    if (request->empty()) break;
    placement.Saw(*request);
    fuse_buf buffer{};
    buffer.mem = request->data();
    buffer.size = request->size();
    fuse_session_process_buf(session_, &buffer);
  }
  End();
}

void FuseSession::Decide(Rings rings) {
  std::lock_guard lock(mutex_);
  if (rings_ == Rings::kUndecided) rings_ = rings;
  rings_decided_.notify_all();
}

void FuseSession::End() {
  Decide(Rings::kNot);
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
