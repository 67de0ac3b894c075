// Files: whole reads with a bound, durable replacement, an owned descriptor, a lock.
#pragma once

#include <absl/status/statusor.h>
#include <sys/types.h>

#include <string>
#include <string_view>

namespace latchkey {

// A file descriptor that closes itself. Not thread-safe.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { Reset(); }
  UniqueFd(UniqueFd&& o) noexcept : fd_(o.Release()) {}
  UniqueFd& operator=(UniqueFd&& o) noexcept {
    if (this != &o) Reset(o.Release());
    return *this;
  }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset(int fd = -1);

 private:
  int fd_ = -1;
};

// The whole file; OutOfRange when it is longer than `limit` bytes, NotFound when absent.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t limit = 16 << 20);

// Replaces `path` durably: writes a new file beside it, fsyncs it, renames it over, fsyncs the folder. After a crash at any moment the
// old content or the new is there, never a mixture. `mode` is exact (no umask). On error the old file is untouched.
absl::Status WriteFileAtomically(const std::string& path, std::string_view content, mode_t mode = 0600);

// mkdir -p; existing folders keep their mode. New ones get `mode` exactly.
absl::Status MakeFolders(const std::string& path, mode_t mode = 0700);
// fsync of a folder, so that renames and creations in it survive a power cut.
absl::Status SyncFolder(const std::string& path);
bool PathExists(const std::string& path);
// rm -r, not following links and not crossing into other file systems. OK when absent.
absl::Status RemoveTree(const std::string& path);

// Opens (creating) and locks a file exclusively without waiting; FailedPrecondition "in use by another process" when held elsewhere.
// The lock is an OFD lock: it goes with the last copy of the descriptor.
absl::StatusOr<UniqueFd> LockFile(const std::string& path);

}  // namespace latchkey
