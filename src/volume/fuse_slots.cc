#include "volume/fuse_slots.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/file.h"
#include "base/log.h"

namespace latchkey {
namespace {

constexpr char kEnableParameter[] = "/sys/module/fuse/parameters/enable_uring";
constexpr int kMajor = 6, kMinor = 18;
// A slot is a thread with two megabytes of memory, of which it touches what its requests need. 8 threads serve /dev/fuse.
constexpr size_t kUsualSlots = 8, kMostSlots = 128;
constexpr int kMostProcessors = 1 << 16;

std::optional<std::vector<int>> ParseProcessors(const std::string& list) {
  std::vector<int> found;
  for (const absl::string_view range : absl::StrSplit(absl::StripAsciiWhitespace(list), ',')) {
    const std::vector<absl::string_view> ends = absl::StrSplit(range, '-');
    int first = 0, last = 0;
    if (ends.size() > 2 || !absl::SimpleAtoi(ends.front(), &first) || !absl::SimpleAtoi(ends.back(), &last)) return std::nullopt;
    if (first < 0 || last < first || last >= kMostProcessors) return std::nullopt;
    for (int i = first; i <= last; ++i) found.push_back(i);
  }
  return found;
}

bool KernelIsTrusted(const std::string& release) {
  const std::vector<std::string> numbers = absl::StrSplit(release, absl::MaxSplits(absl::ByAnyChar(".-+~_"), 2));
  int major = 0, minor = 0;
  if (numbers.size() < 2 || !absl::SimpleAtoi(numbers[0], &major) || !absl::SimpleAtoi(numbers[1], &minor)) return false;
  return major > kMajor || (major == kMajor && minor >= kMinor);
}

std::string Line(const char* path) {
  const auto text = ReadFile(path, 4096);
  return text.ok() ? std::string(absl::StripAsciiWhitespace(*text)) : "";
}

}  // namespace

FuseSlotFacts ReadFuseSlotFacts() {
  utsname name{};
  uname(&name);
  return {.kernel_release = name.release,
          .enabled = Line(kEnableParameter),
          .possible = Line("/sys/devices/system/cpu/possible"),
          .online = Line("/sys/devices/system/cpu/online")};
}

std::vector<uint16_t> FuseSlots(const FuseSlotFacts& facts) {
  if (!KernelIsTrusted(facts.kernel_release) || facts.enabled != "Y") return {};
  const auto possible = ParseProcessors(facts.possible);
  const auto online = ParseProcessors(facts.online);
  if (!possible || !online) return {};
  const int queues = static_cast<int>(possible->size());
  // The kernel counts its queues and takes a processor's number for the queue's.
  if (possible->back() != queues - 1) return {};
  for (size_t each = std::max<size_t>(4, kUsualSlots / online->size()); each >= 2; each /= 2) {
    std::vector<uint16_t> slots;
    for (int queue = 0; queue < queues && slots.size() <= kMostSlots; ++queue) {
      const bool is_online = std::find(online->begin(), online->end(), queue) != online->end();
      slots.insert(slots.end(), is_online ? each : 1, static_cast<uint16_t>(queue));
    }
    if (slots.size() <= kMostSlots) return slots;
  }
  return {};
}

void AllowFuseRings() {
  // Loads the module, where it is one and nobody has used it yet.
  static_cast<void>(UniqueFd(open("/dev/fuse", O_RDWR | O_CLOEXEC)));
  FuseSlotFacts facts = ReadFuseSlotFacts();
  if (facts.enabled != "N") return;
  facts.enabled = "Y";
  if (FuseSlots(facts).empty()) return;
  const UniqueFd fd(open(kEnableParameter, O_WRONLY | O_CLOEXEC));
  if (!fd.valid() || write(fd.get(), "Y", 1) != 1) return;
  Log(LogLevel::kInfo, "FUSE over io_uring is now allowed on this host", {{"parameter", std::string(kEnableParameter)}});
}

}  // namespace latchkey
