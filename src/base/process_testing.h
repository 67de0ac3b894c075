// Waiting for a started process to say that it has come to a point; for tests only.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"

namespace latchkey {

// A pipe whose writing end a child gets as $FD: `echo >/proc/self/fd/$FD` in a shell.
class ReadyPipe {
 public:
  ReadyPipe() {
    int ends[2] = {-1, -1};
    [[maybe_unused]] const int made = pipe2(ends, O_CLOEXEC);
    reader_ = UniqueFd(ends[0]);
    writer_ = UniqueFd(ends[1]);
  }
  void GiveTo(SpawnOptions& options) const {
    options.keep_fds.push_back(writer_.get());
    options.env["FD"] = std::to_string(writer_.get());
  }
  int writer() const { return writer_.get(); }
  // True when something was written within the time.
  bool Wait(absl::Duration timeout) const {
    pollfd p{reader_.get(), POLLIN, 0};
    if (poll(&p, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) != 1 || (p.revents & POLLIN) == 0) return false;
    char c;
    return read(reader_.get(), &c, 1) == 1;
  }

 private:
  UniqueFd reader_, writer_;
};

}  // namespace latchkey
