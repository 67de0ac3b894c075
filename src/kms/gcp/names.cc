#include "kms/gcp/names.h"

#include <algorithm>
#include <vector>

#include "base/status.h"

namespace latchkey {
namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kLowerAndDigits = "abcdefghijklmnopqrstuvwxyz0123456789";
constexpr std::string_view kLabel = "abcdefghijklmnopqrstuvwxyz0123456789-";
constexpr std::string_view kIdentifier = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
constexpr std::string_view kServiceAccounts = ".gserviceaccount.com";
constexpr std::string_view kVersions = "/cryptoKeyVersions/";

bool AllOf(std::string_view text, std::string_view allowed) { return text.find_first_not_of(allowed) == std::string_view::npos; }
bool IsNumber(std::string_view text) { return !text.empty() && text.size() <= 19 && AllOf(text, kDigits); }

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

// A label of a host name.
bool IsLabel(std::string_view text) {
  return !text.empty() && text.size() <= 63 && AllOf(text, kLabel) && text.front() != '-' && text.back() != '-';
}
bool IsDomain(std::string_view text) {
  if (text.size() > 253 || text.find('.') == std::string_view::npos) return false;
  const auto labels = Split(text, '.');
  return std::all_of(labels.begin(), labels.end(), IsLabel);
}

bool IsProject(std::string_view text) {
  if (IsNumber(text)) return true;
  // Old projects of organizations carry their domain before the id.
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    if (!IsDomain(text.substr(0, colon))) return false;
    text.remove_prefix(colon + 1);
  }
  return text.size() >= 4 && text.size() <= 63 && AllOf(text, kLabel) && text.front() >= 'a' && text.front() <= 'z' && text.back() != '-';
}
bool IsIdentifier(std::string_view text) { return !text.empty() && text.size() <= 63 && AllOf(text, kIdentifier); }

}  // namespace

absl::StatusOr<GcpKeyName> ParseGcpKeyName(std::string_view text) {
  constexpr char kForm[] =
      "must be the resource name of a key, projects/<project>/locations/<location>/keyRings/<key ring>/cryptoKeys/<key>";
  if (text.size() > 512) return InvalidArgument(kForm);
  const std::vector<std::string_view> parts = Split(text, '/');
  if (parts.size() >= 10 && parts[8] == "cryptoKeyVersions") {
    return InvalidArgument("is the name of a key version; name the key itself, whose primary version wraps");
  }
  if (parts.size() != 8 || parts[0] != "projects" || parts[2] != "locations" || parts[4] != "keyRings" || parts[6] != "cryptoKeys") {
    return InvalidArgument(kForm);
  }
  if (!IsProject(parts[1])) return InvalidArgument("has no project id or number; ", kForm);
  if (!IsLabel(parts[3])) return InvalidArgument("has no location; ", kForm);
  if (!IsIdentifier(parts[5])) return InvalidArgument("has no key ring of 1 to 63 letters, digits, _ and -; ", kForm);
  if (!IsIdentifier(parts[7])) return InvalidArgument("has no key of 1 to 63 letters, digits, _ and -; ", kForm);
  return GcpKeyName{std::string(parts[1]), std::string(parts[3]), std::string(parts[5]), std::string(parts[7])};
}

absl::Status CheckServiceAccount(std::string_view email) {
  constexpr char kForm[] = "must be the e-mail address of a service account, <name>@<project>.iam.gserviceaccount.com";
  const size_t at = email.find('@');
  if (at == std::string_view::npos || email.size() > 254) return InvalidArgument(kForm);
  const std::string_view name = email.substr(0, at), domain = email.substr(at + 1);
  const bool good = !name.empty() && name.size() <= 64 && AllOf(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") &&
                    AllOf(name.substr(0, 1), kLowerAndDigits) && domain.size() > kServiceAccounts.size() &&
                    domain.ends_with(kServiceAccounts) && IsDomain(domain);
  return good ? absl::OkStatus() : InvalidArgument(kForm);
}

bool IsSameGcpKey(std::string_view asked, std::string_view answered) {
  const auto a = ParseGcpKeyName(asked), b = ParseGcpKeyName(answered);
  if (!a.ok() || !b.ok()) return false;
  const bool same_project = a->project == b->project || IsNumber(a->project) != IsNumber(b->project);
  return same_project && a->location == b->location && a->key_ring == b->key_ring && a->crypto_key == b->crypto_key;
}

std::optional<std::string> VersionOfGcpKey(std::string_view asked, std::string_view answered) {
  const size_t at = answered.find(kVersions);
  if (at == std::string_view::npos || !IsSameGcpKey(asked, answered.substr(0, at))) return std::nullopt;
  const std::string_view version = answered.substr(at + kVersions.size());
  return IsNumber(version) ? std::optional<std::string>(version) : std::nullopt;
}

}  // namespace latchkey
