// Waiting for what goes on at the server, with a progress line for whoever looks on.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <unistd.h>

#include <functional>
#include <string>

namespace latchkey {

struct WaitOptions {
  absl::Duration timeout;
  int progress_fd = STDERR_FILENO;
  // The pause after the first look; each further one is half as long again, up to eight times this.
  absl::Duration first_pause = absl::Milliseconds(250);
};

// Returns whether it is done, and sets what to show; an error ends the wait, unless it is Unavailable or DeadlineExceeded: a server that
// restarts meanwhile is no reason to give up.
using Look = std::function<absl::StatusOr<bool>(std::string& progress)>;

// Looks at once and then again and again until it is done. On a terminal there is one line that is written over, cut to the terminal's
// width and wiped at the end; elsewhere a line whenever it changes. DeadlineExceeded with the last progress when `timeout` is over, at
// least one look later.
absl::Status WaitUntil(const WaitOptions& options, const Look& look);

}  // namespace latchkey
