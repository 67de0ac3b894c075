// What the process functions share about /proc; not for other rooms.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/process.h"

namespace latchkey::internal {

struct ProcessStat {
  ProcessId id;
  pid_t parent = 0;
  bool running = false;  // neither a zombie nor dead
};
// What /proc/PID/stat says; nothing when there is no such process.
std::optional<ProcessStat> ReadProcessStat(pid_t pid);
// The entries of a folder of /proc that are numbers; empty when it cannot be read.
std::vector<pid_t> NumericEntries(const std::string& folder);
std::vector<pid_t> AllPids();

}  // namespace latchkey::internal
