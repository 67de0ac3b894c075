#include "cli/wait.h"

#include <absl/time/clock.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstdio>

#include "base/clock.h"
#include "base/status.h"
#include "cli/table.h"

namespace latchkey {
namespace {

class ProgressLine {
 public:
  explicit ProgressLine(int fd) : fd_(fd), terminal_(isatty(fd) == 1) {}

  void Show(const std::string& progress, absl::Duration since) {
    const std::string text = Printable(progress);
    if (terminal_) {
      const std::string time = " (" + absl::FormatDuration(absl::Trunc(since, absl::Seconds(1))) + ")";
      // A line that wraps cannot be written over.
      dprintf(fd_, "\r\033[K%s%s", CutToWidth(text, Columns() - std::min(Columns(), time.size() + 1)).c_str(), time.c_str());
    } else if (text != shown_) {
      dprintf(fd_, "%s\n", text.c_str());
    }
    shown_ = text;
  }
  void Wipe() const {
    if (terminal_) dprintf(fd_, "\r\033[K");
  }

 private:
  size_t Columns() const {
    winsize size{};
    return ioctl(fd_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
  }

  const int fd_;
  const bool terminal_;
  std::string shown_;
};

}  // namespace

absl::Status WaitUntil(const WaitOptions& options, const Look& look) {
  ProgressLine line(options.progress_fd);
  const Clock& clock = Clock::Real();
  const absl::Duration start = clock.BootTime();
  absl::Duration pause = options.first_pause;
  for (;;) {
    std::string progress;
    absl::StatusOr<bool> done = look(progress);
    if (absl::IsUnavailable(done.status()) || absl::IsDeadlineExceeded(done.status())) {
      progress = std::string(done.status().message());
      done = false;
    }
    const absl::Duration since = clock.BootTime() - start;
    line.Show(progress, since);
    const bool ends = !done.ok() || *done || since >= options.timeout;
    if (ends) line.Wipe();
    if (!done.ok()) return done.status();
    if (*done) return absl::OkStatus();
    if (ends) return absl::DeadlineExceededError(absl::StrCat("not done after ", absl::FormatDuration(options.timeout), ": ", progress));
    absl::SleepFor(std::min(pause, options.timeout - since));
    pause = std::min(pause * 1.5, options.first_pause * 8);
  }
}

}  // namespace latchkey
