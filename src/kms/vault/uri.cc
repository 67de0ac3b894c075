#include "kms/vault/uri.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/status.h"

namespace latchkey {
namespace {

constexpr std::string_view kScheme = "vault://";
constexpr size_t kMaxUri = 512;
constexpr size_t kMaxPart = 128;
constexpr size_t kMaxParts = 16;
constexpr std::array<std::string_view, 4> kReserved = {"sys", "auth", "identity", "cubbyhole"};

}  // namespace

bool IsVaultPathPart(std::string_view part) {
  if (part.empty() || part.size() > kMaxPart || part.find_first_not_of('.') == std::string_view::npos) return false;
  return std::all_of(part.begin(), part.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

absl::StatusOr<VaultKeyName> ParseVaultUri(std::string_view uri) {
  if (uri.size() > kMaxUri) return InvalidArgument("must have at most ", kMaxUri, " bytes");
  if (!uri.starts_with(kScheme)) return InvalidArgument("must be of the form vault://<connection>/<mount>/<key>");
  std::string_view rest = uri.substr(kScheme.size());
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t slash = rest.find('/');
    parts.push_back(rest.substr(0, slash));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (parts.size() < 3 || parts.size() > kMaxParts) return InvalidArgument("must be of the form vault://<connection>/<mount>/<key>");
  if (!std::all_of(parts.begin(), parts.end(), IsVaultPathPart)) {
    return InvalidArgument("each part must be 1 to ", kMaxPart, " letters, digits, '-', '_' or '.', and not dots alone");
  }
  if (std::find(kReserved.begin(), kReserved.end(), parts[1]) != kReserved.end()) {
    return InvalidArgument("no Transit engine can be mounted under ", ToAbsl(parts[1]));
  }
  VaultKeyName name{.connection = std::string(parts.front()), .mount = std::string(parts[1]), .key = std::string(parts.back())};
  for (size_t i = 2; i + 1 < parts.size(); ++i) name.mount.append("/").append(parts[i]);
  return name;
}

}  // namespace latchkey
