#include <fcntl.h>
#include <linux/falloc.h>

#include <algorithm>
#include <cerrno>

#include "volume/testing.h"

namespace latchkey {

int ForgetfulLower::Read(uint64_t offset, std::span<uint8_t> out, size_t* got) {
  *got = offset >= now_.size() ? 0 : std::min<size_t>(out.size(), now_.size() - offset);
  std::copy_n(now_.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(offset, now_.size())), *got, out.begin());
  return 0;
}

int ForgetfulLower::Write(uint64_t offset, std::span<const uint8_t> in) {
  int error = 0;
  if (in.size() > room_) {
    in = in.first(room_);
    error = ENOSPC;
  }
  room_ -= in.size();
  if (offset + in.size() > now_.size() && !in.empty()) {
    // The disk may keep the length and lose the bytes: the worst that a file system does.
    now_.resize(offset + in.size(), '\0');
    since_.push_back({true, now_.size(), ""});
  }
  for (size_t done = 0; done < in.size();) {
    const size_t n = std::min<size_t>(in.size() - done, 512 - (offset + done) % 512);
    std::string sector(reinterpret_cast<const char*>(in.data()) + done, n);
    std::copy(sector.begin(), sector.end(), now_.begin() + static_cast<ptrdiff_t>(offset + done));
    since_.push_back({false, offset + done, std::move(sector)});
    done += n;
  }
  return error;
}

int ForgetfulLower::Truncate(uint64_t size) {
  now_.resize(size, '\0');
  since_.push_back({true, size, ""});
  return 0;
}

int ForgetfulLower::Allocate(int mode, uint64_t offset, uint64_t size) {
  if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) == 0) return 0;
  if (offset >= now_.size()) return 0;
  const std::vector<uint8_t> zeros(std::min<uint64_t>(size, now_.size() - offset), 0);
  return Write(offset, zeros);
}

int ForgetfulLower::Sync(bool) {
  durable_ = now_;
  since_.clear();
  return 0;
}

int ForgetfulLower::Size(uint64_t* size) {
  *size = now_.size();
  return 0;
}

}  // namespace latchkey
