#include "kms/azure/key_id.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>

#include <algorithm>

#include "base/status.h"

namespace latchkey {
namespace {

struct Cloud {
  std::string_view suffix, authority;
};

constexpr std::string_view kPublic = "https://login.microsoftonline.com";
constexpr std::string_view kChina = "https://login.chinacloudapi.cn";
constexpr std::string_view kGovernment = "https://login.microsoftonline.us";
constexpr Cloud kClouds[] = {
    {"vault.azure.net", kPublic},    {"managedhsm.azure.net", kPublic},        {"vault.azure.cn", kChina},
    {"managedhsm.azure.cn", kChina}, {"vault.usgovcloudapi.net", kGovernment}, {"managedhsm.usgovcloudapi.net", kGovernment},
};

constexpr size_t kMaxName = 127, kVersionSize = 32, kUuidSize = 36;

bool IsNameCharacter(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-'; }
bool IsLowerHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

std::string Lower(std::string_view text) { return absl::AsciiStrToLower(ToAbsl(text)); }

// 3 to 24 letters, digits and single hyphens, beginning with a letter and not ending with a hyphen.
bool IsVaultName(std::string_view name) {
  return name.size() >= 3 && name.size() <= 24 && absl::ascii_isalpha(static_cast<unsigned char>(name.front())) && name.back() != '-' &&
         name.find("--") == std::string_view::npos && std::ranges::all_of(name, IsNameCharacter);
}

}  // namespace

bool IsAzureKeyVersion(std::string_view text) { return text.size() == kVersionSize && std::ranges::all_of(text, IsLowerHex); }

bool SameAzureKeyName(std::string_view a, std::string_view b) { return absl::EqualsIgnoreCase(ToAbsl(a), ToAbsl(b)); }

absl::StatusOr<std::string> ParseAzureTenant(std::string_view text) {
  std::string tenant = Lower(text);
  bool good = tenant.size() == kUuidSize;
  for (size_t i = 0; good && i < tenant.size(); ++i) {
    const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    good = hyphen ? tenant[i] == '-' : IsLowerHex(tenant[i]);
  }
  if (!good) return InvalidArgument("must be the id of a tenant (a UUID)");
  return tenant;
}

absl::StatusOr<AzureKeyId> ParseAzureKeyId(std::string_view uri) {
  constexpr std::string_view kScheme = "https://", kKeys = "/keys/";
  if (!uri.starts_with(kScheme)) return InvalidArgument("must begin with https://");
  uri.remove_prefix(kScheme.size());
  AzureKeyId id;
  const size_t slash = uri.find('/');
  id.host = Lower(uri.substr(0, slash));
  const size_t dot = id.host.find('.');
  const std::string_view suffix = dot == std::string::npos ? std::string_view() : std::string_view(id.host).substr(dot + 1);
  const auto* cloud = std::ranges::find(kClouds, suffix, &Cloud::suffix);
  if (cloud == std::end(kClouds) || !IsVaultName(std::string_view(id.host).substr(0, dot))) {
    return InvalidArgument("must name a vault (<name>.vault.azure.net) or a Managed HSM (<name>.managedhsm.azure.net), without a port");
  }
  id.suffix = cloud->suffix;
  id.authority = cloud->authority;
  std::string_view path = slash == std::string_view::npos ? std::string_view() : uri.substr(slash);
  if (!path.starts_with(kKeys)) return InvalidArgument("must go on with /keys/<name> after the vault");
  path.remove_prefix(kKeys.size());
  const size_t end = path.find('/');
  id.name = std::string(path.substr(0, end));
  if (id.name.empty() || id.name.size() > kMaxName || !std::ranges::all_of(id.name, IsNameCharacter)) {
    return InvalidArgument("the key's name must be 1 to ", kMaxName, " letters, digits and hyphens");
  }
  if (end != std::string_view::npos) {
    id.version = Lower(path.substr(end + 1));
    if (!IsAzureKeyVersion(id.version))
      return InvalidArgument("the key's version must be ", kVersionSize, " hexadecimal digits, or absent");
  }
  return id;
}

}  // namespace latchkey
