#include "volume/fuse_ring.h"

#include <absl/time/clock.h>
#include <liburing.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/secret_bytes.h"
#include "base/status.h"

namespace latchkey {
namespace {

// What a slot's memory holds (include/uapi/linux/fuse.h of Linux 6.14; Debian 12's headers are older):
//
//   headers  0    a fuse_in_header; for the answer a fuse_out_header
//            128  the request's first argument, whose size the opcode tells
//            256  SlotState
//   payload  0    the request's other arguments in a row; the answer's arguments
struct SlotState {
  uint64_t flags;
  uint64_t commit_id;  // to be said with the answer
  uint32_t payload_size;
  uint32_t padding;
  uint64_t reserved;
};
constexpr size_t kInOutBytes = 128, kArgumentBytes = 128;
struct SlotHeaders {
  uint8_t in_out[kInOutBytes];
  uint8_t argument[kArgumentBytes];
  SlotState state;
};
static_assert(sizeof(SlotHeaders) == 288);

// In the 80 bytes of a long submission entry.
struct SlotCommand {
  uint64_t flags;
  uint64_t commit_id;
  uint16_t queue;
  uint8_t padding[6];
};
static_assert(sizeof(SlotCommand) == 24);
constexpr uint32_t kRegister = 1, kCommitAndFetch = 2;

constexpr size_t kPage = 4096;

class UringFuseRing : public FuseRing {
 public:
  UringFuseRing(int connection, uint16_t queue, size_t payload_bytes)
      : connection_(connection), queue_(queue), payload_bytes_(payload_bytes), map_bytes_(2 * kPage + payload_bytes) {}

  ~UringFuseRing() override {
    if (ring_made_) io_uring_queue_exit(&ring_);
    if (map_ == nullptr) return;
    // Only what was used: the rest would have to be made first.
    if (registered_) Wipe(map_, std::min(map_bytes_, 2 * kPage + most_used_));
    munmap(map_, map_bytes_);
  }

  absl::Status Open() {
    void* map = mmap(nullptr, map_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) return ErrnoStatus(errno, "no memory for requests");
    map_ = static_cast<uint8_t*>(map);
    madvise(map_, map_bytes_, MADV_DONTDUMP);
    // Requests are then brought to the waiting thread by itself, and by nobody else's interrupt. The kernel takes the thread that enables
    // the ring for that one: hence disabled until the first call.
    const int made = io_uring_queue_init(
        4, &ring_, IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED);
    if (made != 0) return ErrnoStatus(-made, "io_uring");
    ring_made_ = true;
    return absl::OkStatus();
  }

  absl::StatusOr<std::span<uint8_t>> Next() override {
    const bool first = !registered_;
    if (first) {
      RETURN_IF_ERROR(Enable());
    } else if (!answered_) {
      // Requests without an answer (FORGET) come over /dev/fuse. Whatever stays without one here, the slot is given back all the same.
      const fuse_out_header nothing{sizeof(fuse_out_header), -EIO, unique_};
      std::memcpy(headers()->in_out, &nothing, sizeof(nothing));
      headers()->state.payload_size = 0;
    }
    registered_ = true;
    ASSIGN_OR_RETURN(const int result, Submit(first ? kRegister : kCommitAndFetch));
    if (result == -ENOTCONN || result == -ECONNABORTED || result == -ENODEV) return std::span<uint8_t>();
    if (result < 0 && first) return Unavailable("the kernel does not take the slot: ", std::string(strerror(-result)));
    // The end of the connection may come between the kernel's look at it and at the request.
    if (result < 0 && ConnectionIsGone()) return std::span<uint8_t>();
    if (result < 0) return Lost(-result);
    return Assemble();
  }

  bool Answer(const iovec* parts, int count) override {
    if (count < 1 || parts[0].iov_len != sizeof(fuse_out_header) || answered_) return false;
    const auto* header = static_cast<const fuse_out_header*>(parts[0].iov_base);
    if (header->unique != unique_ || header->len > sizeof(fuse_out_header) + payload_bytes_) return false;
    const std::span rest(parts + 1, static_cast<size_t>(count) - 1);
    size_t used = 0;
    for (const iovec& part : rest) used += part.iov_len;
    if (sizeof(*header) + used != header->len) return false;
    // What was made in AnswerMemory() comes first: what is copied before it would overwrite it.
    for (size_t i = 1; i < rest.size(); ++i) {
      const auto* base = static_cast<const uint8_t*>(rest[i].iov_base);
      if (rest[i].iov_len > 0 && base >= payload() && base < payload() + payload_bytes_) return false;
    }
    uint8_t* to = payload();
    for (const iovec& part : rest) {
      if (part.iov_len > 0 && part.iov_base != to) std::memmove(to, part.iov_base, part.iov_len);
      to += part.iov_len;
    }
    std::memcpy(headers()->in_out, header, sizeof(*header));
    headers()->state.payload_size = static_cast<uint32_t>(used);
    most_used_ = std::max(most_used_, used);
    answered_ = true;
    return true;
  }

  std::span<uint8_t> AnswerMemory() override { return {payload(), payload_bytes_}; }

  // The kernel's word on a first slot before FUSE_INIT was answered: EAGAIN, from FUSE itself.
  absl::Status Probe() {
    RETURN_IF_ERROR(Enable());
    ASSIGN_OR_RETURN(const int result, Submit(kRegister));
    return result == -EAGAIN ? absl::OkStatus() : Unavailable("the kernel does not let us: ", std::string(strerror(-result)));
  }

 private:
  absl::Status Enable() {
    // io_uring_enable_rings(), which liburing 2.3 declares and does not export.
    if (syscall(SYS_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0) != 0) return Lost(errno);
    ring_.flags &= ~IORING_SETUP_R_DISABLED;
    regions_[0] = {headers(), sizeof(SlotHeaders)};
    regions_[1] = {payload(), payload_bytes_};
    return absl::OkStatus();
  }

  // The kernel's result for one command, which may take as long as no program asks for anything.
  absl::StatusOr<int> Submit(uint32_t what) {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) return Internal("the ring is full");
    const bool with_memory = what == kRegister;
    io_uring_prep_rw(IORING_OP_URING_CMD, entry, connection_, with_memory ? regions_ : nullptr, with_memory ? 2 : 0, 0);
    entry->cmd_op = what;
    const SlotCommand command{.flags = 0, .commit_id = commit_id_, .queue = queue_, .padding = {}};
    std::memcpy(entry->cmd, &command, sizeof(command));
    io_uring_cqe* completion = nullptr;
    do {
      const int submitted = io_uring_submit_and_wait(&ring_, 1);
      if (submitted == -EAGAIN || submitted == -EBUSY) {
        absl::SleepFor(absl::Milliseconds(1));  // no memory for it now
      } else if (submitted < 0 && submitted != -EINTR) {
        return Lost(-submitted);
      }
    } while (io_uring_peek_cqe(&ring_, &completion) != 0);
    const int result = completion->res;
    io_uring_cqe_seen(&ring_, completion);
    return result;
  }

  bool ConnectionIsGone() const {
    pollfd polled{connection_, POLLIN, 0};
    return poll(&polled, 1, 0) > 0 && (polled.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
  }

  absl::Status Lost(int error) const {
    return Internal("a slot of the kernel's queue ", queue_, " is lost: ", std::string(strerror(error)));
  }

  SlotHeaders* headers() { return reinterpret_cast<SlotHeaders*>(map_); }
  // A page boundary, with room for header and first argument before it: so that a request lies in one piece and what is written in it is
  // not copied again.
  uint8_t* payload() { return map_ + 2 * kPage; }

  absl::StatusOr<std::span<uint8_t>> Assemble() {
    fuse_in_header header;
    std::memcpy(&header, headers()->in_out, sizeof(header));
    const SlotState state = headers()->state;
    const size_t rest = sizeof(header) + state.payload_size;
    if (state.payload_size > payload_bytes_ || header.len < rest || header.len - rest > kArgumentBytes) {
      return Internal("the kernel's request has impossible sizes");
    }
    const size_t argument = header.len - rest;
    uint8_t* start = payload() - argument - sizeof(header);
    std::memcpy(start, &header, sizeof(header));
    std::memcpy(start + sizeof(header), headers()->argument, argument);
    most_used_ = std::max<size_t>(most_used_, state.payload_size);
    if (fuse_read_in read; header.opcode == FUSE_READ && argument >= sizeof(read)) {
      // Read in AnswerMemory(), with the blocks around it, whether it ends in an answer or in an error.
      std::memcpy(&read, headers()->argument, sizeof(read));
      most_used_ = std::max<size_t>(most_used_, size_t{read.size} + 2 * kPage);
    }
    unique_ = header.unique;
    commit_id_ = state.commit_id;
    answered_ = false;
    return std::span(start, header.len);
  }

  const int connection_;
  const uint16_t queue_;
  const size_t payload_bytes_, map_bytes_;
  uint8_t* map_ = nullptr;
  iovec regions_[2] = {};
  io_uring ring_{};
  bool ring_made_ = false, registered_ = false, answered_ = true;
  uint64_t unique_ = 0, commit_id_ = 0;
  size_t most_used_ = 0;  // of the payload
};

}  // namespace

absl::Status FuseRing::Probe(int connection, size_t payload_bytes) {
  UringFuseRing ring(connection, 0, payload_bytes);
  RETURN_IF_ERROR(ring.Open());
  return ring.Probe();
}

absl::StatusOr<std::unique_ptr<FuseRing>> FuseRing::Create(int connection, uint16_t queue, size_t payload_bytes) {
  auto ring = std::make_unique<UringFuseRing>(connection, queue, payload_bytes);
  RETURN_IF_ERROR(ring->Open());
  return ring;
}

}  // namespace latchkey
