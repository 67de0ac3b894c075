#include "emulator/gcp/names.h"

#include <algorithm>
#include <array>

#include "base/status.h"
#include "emulator/arn.h"

namespace latchkey::emulator::gcp {
namespace {

constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kProjectLetters = "abcdefghijklmnopqrstuvwxyz0123456789-";
constexpr std::string_view kIdLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
constexpr std::string_view kAccountDomain = ".iam.gserviceaccount.com";

bool OnlyOf(std::string_view text, std::string_view letters) { return text.find_first_not_of(letters) == std::string_view::npos; }

bool StartsWith(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

// "us-east1", "northamerica-northeast2": words joined by hyphens, and a number at the end.
bool IsRegionName(std::string_view text) {
  const size_t digits = text.find_last_not_of("0123456789");
  if (digits == std::string_view::npos || digits + 1 == text.size() || text.size() - digits > 3) return false;
  const std::string_view words = text.substr(0, digits + 1);
  const size_t hyphen = words.find('-');
  return hyphen != std::string_view::npos && hyphen > 0 && hyphen + 1 < words.size() && OnlyOf(words.substr(0, hyphen), kLower) &&
         OnlyOf(words.substr(hyphen + 1), kLower);
}

// Digits without a leading zero, up to 9 of them; 0 for anything else.
int64_t PositiveNumber(std::string_view text) {
  if (text.empty() || text.size() > 9 || text.front() == '0' || !OnlyOf(text, "0123456789")) return 0;
  int64_t out = 0;
  for (const char c : text) out = out * 10 + (c - '0');
  return out;
}

}  // namespace

std::string ResourceName::Location() const { return absl::StrCat("projects/", project, "/locations/", location); }
std::string ResourceName::Ring() const { return absl::StrCat(Location(), "/keyRings/", ring); }
std::string ResourceName::Key() const { return absl::StrCat(Ring(), "/cryptoKeys/", key); }
std::string ResourceName::VersionName(const std::string& key, int64_t version) { return absl::StrCat(key, "/cryptoKeyVersions/", version); }
std::string ResourceName::Text() const {
  if (ring.empty()) return Location();
  if (key.empty()) return Ring();
  return version == 0 ? Key() : Version();
}

std::vector<std::string_view> SplitText(std::string_view text, char at) {
  std::vector<std::string_view> out;
  while (true) {
    const size_t end = text.find(at);
    out.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

absl::StatusOr<ResourceName> ParseResourceName(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kCollections = {"projects", "locations", "keyRings", "cryptoKeys", "cryptoKeyVersions"};
  const auto malformed = [&] {
    return InvalidArgument("Invalid resource name: ", Quotable(name), ". It must be projects/*/locations/*/keyRings/*/cryptoKeys/*",
                           "/cryptoKeyVersions/* or a part of that.");
  };
  if (name.size() > 512) return malformed();
  const std::vector<std::string_view> parts = SplitText(name, '/');
  if (parts.size() % 2 != 0 || parts.size() < 4 || parts.size() > 10) return malformed();
  for (size_t i = 0; i < parts.size(); i += 2) {
    if (parts[i] != kCollections[i / 2]) return malformed();
  }
  ResourceName out{.project = std::string(parts[1]), .location = std::string(parts[3])};
  if (!IsProjectId(parts[1]) || !IsResourceId(parts[3])) return malformed();
  if (parts.size() > 4) out.ring = parts[5];
  if (parts.size() > 6) out.key = parts[7];
  if (parts.size() > 4 && !IsResourceId(out.ring)) return malformed();
  if (parts.size() > 6 && !IsResourceId(out.key)) return malformed();
  if (parts.size() > 8) {
    out.version = PositiveNumber(parts[9]);
    if (out.version == 0) return malformed();
  }
  return out;
}

bool IsProjectId(std::string_view text) {
  return text.size() >= 6 && text.size() <= 30 && OnlyOf(text, kProjectLetters) && kLower.find(text.front()) != std::string_view::npos &&
         text.back() != '-';
}

bool IsResourceId(std::string_view text) { return !text.empty() && text.size() <= 63 && OnlyOf(text, kIdLetters); }

bool IsAccountName(std::string_view text) { return IsProjectId(text); }

bool IsAccountEmail(std::string_view text) {
  const size_t at = text.find('@');
  if (at == std::string_view::npos || text.size() < at + 1 + kAccountDomain.size()) return false;
  const std::string_view domain = text.substr(at + 1);
  return domain.substr(domain.size() - kAccountDomain.size()) == kAccountDomain && IsAccountName(text.substr(0, at)) &&
         IsProjectId(domain.substr(0, domain.size() - kAccountDomain.size()));
}

bool IsServedLocation(std::string_view text) {
  static constexpr std::array<std::string_view, 16> kMultiRegions = {"global", "us",   "europe", "asia", "ca",   "eur3",  "eur4", "eur5",
                                                                     "eur6",   "nam3", "nam4",   "nam6", "nam9", "asia1", "in",   "au"};
  return std::find(kMultiRegions.begin(), kMultiRegions.end(), text) != kMultiRegions.end() || IsRegionName(text);
}

bool IsMember(std::string_view text) {
  if (text.size() > 512 || Quotable(text, text.size()) != text || text.find_first_of(" \"\\") != std::string_view::npos) return false;
  if (text == "allAuthenticatedUsers") return true;
  constexpr std::string_view kServiceAccount = "serviceAccount:";
  if (StartsWith(text, kServiceAccount)) return IsAccountEmail(text.substr(kServiceAccount.size()));
  for (const std::string_view prefix : {"user:", "principal://iam.googleapis.com/", "principalSet://iam.googleapis.com/"}) {
    if (StartsWith(text, prefix) && text.size() > prefix.size()) return true;
  }
  return false;
}

std::string WireTime(absl::Time t) { return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E6SZ", t, absl::UTCTimeZone()); }

std::string WireDuration(absl::Duration d) {
  const int64_t seconds = absl::ToInt64Seconds(d);
  const int64_t micros = absl::ToInt64Microseconds(d - absl::Seconds(seconds));
  if (micros == 0) return absl::StrCat(seconds, "s");
  return absl::StrCat(seconds, ".", absl::Dec(micros, absl::kZeroPad6), "s");
}

std::optional<absl::Time> ReadWireTime(std::string_view text) {
  absl::Time out;
  std::string why;
  if (text.size() > 40 || !absl::ParseTime(absl::RFC3339_full, ToAbsl(text), &out, &why)) return std::nullopt;
  return out;
}

std::optional<absl::Duration> ReadWireDuration(std::string_view text) {
  if (text.size() < 2 || text.size() > 32 || text.back() != 's') return std::nullopt;
  text.remove_suffix(1);
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  if (whole.empty() || whole.size() > 12 || !OnlyOf(whole, "0123456789")) return std::nullopt;
  int64_t seconds = 0;
  for (const char c : whole) seconds = seconds * 10 + (c - '0');
  absl::Duration out = absl::Seconds(seconds);
  if (point == std::string_view::npos) return out;
  const std::string_view fraction = text.substr(point + 1);
  if (fraction.empty() || fraction.size() > 9 || !OnlyOf(fraction, "0123456789")) return std::nullopt;
  int64_t nanos = 0;
  for (size_t i = 0; i < 9; ++i) nanos = nanos * 10 + (i < fraction.size() ? fraction[i] - '0' : 0);
  return out + absl::Nanoseconds(nanos);
}

}  // namespace latchkey::emulator::gcp
