// One slot of FUSE over io_uring (Linux 6.14, Documentation/filesystems/fuse/fuse-io-uring.rst): one system call sends an answer and brings
// the next request, on the processor of the program that asks.
//
// Over /dev/fuse any thread may be woken, on whatever processor it ran last, and wakes the asking program again from there: two processors
// take part in every durable write, and on a busy host each is another wait. Here the kernel keeps a queue for each processor, and a thread
// of ours for a queue runs on its processor (but see Placement in fuse_session.cc).
#pragma once

#include <absl/status/statusor.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace latchkey {

class FuseRing {
 public:
  // Whether the kernel lets this process hand over slots at all, asked before FUSE_INIT was read: once it was answered with slots, the
  // kernel serves nobody until each queue has one, and falls back to /dev/fuse only for what FUSE itself refuses, not for what a security
  // module or a system call filter does.
  static absl::Status Probe(int connection, size_t payload_bytes);

  // `connection` is a descriptor of the connection, borrowed. `payload_bytes` is a multiple of the page's, and at least max_write and
  // max_pages in bytes. UNAVAILABLE or another error where the kernel has no io_uring for us (kernel.io_uring_disabled, a container's
  // filter).
  static absl::StatusOr<std::unique_ptr<FuseRing>> Create(int connection, uint16_t queue, size_t payload_bytes);
  // Wipes what requests and answers have left in memory.
  virtual ~FuseRing() = default;

  // Sends the answer to the last request, if there was one, and waits for the next: as it would be read from /dev/fuse, a fuse_in_header
  // with all that follows, writable. Header and first argument are valid until the next call, the rest until Answer(). The first call,
  // after FUSE_INIT was answered, gives the slot to the kernel. All calls are one thread's. Empty when the connection has ended.
  // UNAVAILABLE when FUSE does not take the slot, and then goes on over /dev/fuse; INTERNAL when a slot is lost on which programs may wait.
  virtual absl::StatusOr<std::span<uint8_t>> Next() = 0;

  // The answer to the last request, as it would be written to /dev/fuse, the first part a fuse_out_header. It is kept, and sent by Next():
  // the kernel may put another request into our memory as soon as it has the answer, while the caller may still look at the first. So it
  // leaves after the request's admission to the keys has ended, and a volume that is idle (Keyring::WaitUntilIdle) may have answers on
  // their way: whoever waits for one holds the page, or the file, for which sealing waits and kills. And nobody is told of an answer that
  // does not arrive; that is the end of the connection. False, and nothing is kept, for what is no answer to that request.
  virtual bool Answer(const iovec* parts, int count) = 0;

  // payload_bytes of memory, page-aligned, free for the answer to a request that has no more than its fixed first argument (a read): what
  // is made at its beginning is not copied. The request itself does not lie there.
  virtual std::span<uint8_t> AnswerMemory() = 0;
};

}  // namespace latchkey
