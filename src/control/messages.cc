#include "control/messages.h"

#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>

#include "base/status.h"

namespace latchkey {
namespace {

std::string Ago(absl::Duration d) {
  const int64_t seconds = std::max<int64_t>(0, absl::ToInt64Seconds(d));
  if (seconds < 120) return absl::StrCat(seconds, " s ago");
  if (seconds < 7200) return absl::StrCat(seconds / 60, " min ago");
  if (seconds < 172'800) return absl::StrCat(seconds / 3600, " h ago");
  return absl::StrCat(seconds / 86'400, " days ago");
}

std::string WholeSeconds(absl::Time t) { return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", t, absl::UTCTimeZone()); }

}  // namespace

std::string HostWithLastHeard(const HostFacts& host, absl::Time now) {
  const std::string name = host.hostname.empty() ? "unknown" : host.hostname;
  if (!host.last_heard) return absl::StrCat(name, " (never heard of)");
  return absl::StrCat(name, " (last heard ", Ago(now - *host.last_heard), ")");
}

std::string SilentMessage(const HostFacts& host, absl::Time now) {
  const std::string name = host.hostname.empty() ? "unknown" : host.hostname;
  if (!host.last_heard) return absl::StrCat("Host ", name, " was never heard of.");
  return absl::StrCat("Host ", name, " was last heard ", Ago(now - *host.last_heard), "; what is shown is from then.");
}

std::string HealthMessage(const KeyHealth& health) {
  if (health.ok || !health.failure) return "";
  std::string text(FailureClassName(*health.failure));
  absl::Time since;
  if (absl::ParseTime(absl::RFC3339_full, health.since, &since, nullptr)) absl::StrAppend(&text, " since ", WholeSeconds(since));
  if (!health.message.empty()) absl::StrAppend(&text, ": ", health.message);
  return JoinSentences({text, std::string(NextStep(*health.failure))});
}

std::string RevokingMessage(const std::vector<std::string>& waiting_for) {
  return absl::StrCat("waiting for host ", absl::StrJoin(waiting_for, ", "), " to report sealed; deny the key in the KMS to bound it");
}

std::string RevokedMessage(const RegionRow& region) {
  std::string text = absl::StrCat("Revoked by ", region.revoked_by.empty() ? "an unknown caller" : region.revoked_by);
  if (region.revoked_at) absl::StrAppend(&text, " at ", WholeSeconds(*region.revoked_at));
  return absl::StrCat(text, ". Every host has reported that its keys are gone. Restore the key to open the data again.");
}

std::string FormerKeyMessage(int64_t bytes, int64_t total) {
  if (bytes < 0 || total < 0) {
    return "Some file data is still under the data key that the former root key could open (not counted yet); new files use the new one.";
  }
  return absl::StrCat(FormatBytes(bytes), " of ", FormatBytes(total),
                      " of file data is still under the data key that the former root key could open; new files use the new one.");
}

std::string JoinSentences(const std::vector<std::string>& sentences) {
  std::string text;
  for (const std::string& sentence : sentences) {
    if (sentence.empty()) continue;
    if (!text.empty()) text += ' ';
    text += sentence;
    if (text.back() != '.' && text.back() != '!' && text.back() != '?') text += '.';
  }
  return text;
}

std::string FormatBytes(int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  std::string number = unit == 0 ? absl::StrFormat("%.0f", value) : absl::StrFormat("%.1f", value);
  if (number.size() > 2 && number.ends_with(".0")) number.resize(number.size() - 2);
  return absl::StrCat(number, " ", kUnits[unit]);
}

}  // namespace latchkey
