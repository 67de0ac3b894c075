// Which process an engine is, remembered outside the volume: when the mount dies, whatever the engine keeps inside is out of reach.
#pragma once

#include <absl/status/status.h>
#include <absl/time/time.h>

#include <optional>
#include <string>
#include <vector>

#include "base/process.h"

namespace latchkey {

// {"pid", "start_ticks", "boot_id"}, replaced atomically, mode 0600.
absl::Status WriteProcessRecord(const std::string& path, const ProcessId& id);
// The recorded process while that very process runs in this boot; nullopt otherwise, also when the file is absent or malformed.
std::optional<ProcessId> FindRecordedProcess(const std::string& path);

struct StopStep {
  int signal = 0;
  absl::Duration wait;
};
// Sends each step's signal to `root` and waits until it *and* every descendant seen meanwhile is gone; in the end the rest is killed.
// Children that get their own session (PostgreSQL's do) or lose their parent are followed too. DeadlineExceeded when something survives
// SIGKILL for five seconds.
absl::Status StopProcessTree(const ProcessId& root, const std::vector<StopStep>& steps);

}  // namespace latchkey
