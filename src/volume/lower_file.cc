#include "volume/lower_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace latchkey {

int LowerDescriptor::Read(uint64_t offset, std::span<uint8_t> out, size_t* got) {
  *got = 0;
  while (*got < out.size()) {
    const ssize_t n = pread(fd_, out.data() + *got, out.size() - *got, static_cast<off_t>(offset + *got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) break;
    *got += static_cast<size_t>(n);
  }
  return 0;
}

namespace {
std::atomic<bool> writing_is_stopped = false;
}  // namespace

void LowerDescriptor::StopWriting() { writing_is_stopped = true; }

int LowerDescriptor::Write(uint64_t offset, std::span<const uint8_t> in) {
  while (!in.empty()) {
    if (writing_is_stopped) return EIO;
    const ssize_t n = pwrite(fd_, in.data(), in.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) return EIO;
    offset += static_cast<uint64_t>(n);
    in = in.subspan(static_cast<size_t>(n));
  }
  return 0;
}

int LowerDescriptor::Truncate(uint64_t size) { return ftruncate(fd_, static_cast<off_t>(size)) == 0 ? 0 : errno; }

int LowerDescriptor::Allocate(int mode, uint64_t offset, uint64_t size) {
  while (fallocate(fd_, mode, static_cast<off_t>(offset), static_cast<off_t>(size)) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

int LowerDescriptor::Sync(bool data_only) { return (data_only ? fdatasync(fd_) : fsync(fd_)) == 0 ? 0 : errno; }

int LowerDescriptor::Size(uint64_t* size) {
  struct stat st;
  if (fstat(fd_, &st) != 0) return errno;
  *size = static_cast<uint64_t>(st.st_size);
  return 0;
}

}  // namespace latchkey
