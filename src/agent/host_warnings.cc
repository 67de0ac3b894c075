#include "agent/host_warnings.h"

#include <absl/strings/str_cat.h>

#include <sstream>

#include "base/file.h"

namespace latchkey {
namespace {

// dm-crypt devices carry a uuid that begins with CRYPT- (cryptsetup's libdevmapper naming).
bool IsEncryptedDevice(const std::string& device) {
  if (device.find("/zram") != std::string::npos) return true;
  const size_t slash = device.rfind('/');
  const auto uuid = ReadFile("/sys/block/" + device.substr(slash + 1) + "/dm/uuid", 4096);
  return uuid.ok() && uuid->starts_with("CRYPT-");
}

}  // namespace

std::vector<std::string> SwapWarnings(std::string_view proc_swaps) {
  std::istringstream lines{std::string(proc_swaps)};
  std::string line;
  std::getline(lines, line);  // the header
  std::vector<std::string> warnings;
  while (std::getline(lines, line)) {
    const std::string device = line.substr(0, line.find_first_of(" \t"));
    if (device.empty() || IsEncryptedDevice(device)) continue;
    warnings.push_back(absl::StrCat("swap on ", device, " may not be encrypted: memory of the databases can reach that disk in plaintext"));
  }
  return warnings;
}

std::vector<std::string> HostWarnings() {
  const auto swaps = ReadFile("/proc/swaps", 64 << 10);
  return swaps.ok() ? SwapWarnings(*swaps) : std::vector<std::string>();
}

}  // namespace latchkey
