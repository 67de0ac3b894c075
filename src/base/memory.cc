#include "base/memory.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/file.h"

namespace latchkey {
namespace {

constexpr size_t kLongestFile = 64 << 10;
constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

// "max" of version 2 is no number; version 1 has a number beyond all memory for it.
uint64_t LimitIn(const std::string& path) {
  const auto text = ReadFile(path, kLongestFile);
  uint64_t bytes = 0;
  return text.ok() && absl::SimpleAtoi(absl::StripAsciiWhitespace(*text), &bytes) && bytes > 0 ? bytes : kNoLimit;
}

// The least of a group and of those above it: each holds for all below.
uint64_t LeastAbove(const std::string& hierarchy, std::string group, const std::string& file) {
  uint64_t least = LimitIn(absl::StrCat(hierarchy, "/", file));
  while (group.size() > 1 && group.front() == '/') {
    least = std::min(least, LimitIn(absl::StrCat(hierarchy, group, "/", file)));
    group.resize(group.rfind('/'));
  }
  return least;
}

}  // namespace

uint64_t UsableMemory(const std::string& root) {
  uint64_t least = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const auto groups = ReadFile(root + "/proc/self/cgroup", kLongestFile);
  if (!groups.ok()) return least;
  // number:controllers:path; version 2 has number 0 and no controllers.
  for (const absl::string_view line : absl::StrSplit(*groups, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    if (parts[0] == "0" && parts[1].empty()) {
      least = std::min(least, LeastAbove(root + "/sys/fs/cgroup", parts[2], "memory.max"));
    } else if (parts[1] == "memory") {
      least = std::min(least, LeastAbove(root + "/sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes"));
    }
  }
  return least;
}

}  // namespace latchkey
