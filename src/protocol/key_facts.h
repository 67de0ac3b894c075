// What a KMS tells about a root key, for people: read now and then by a host that uses the key, never the base of a decision.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace latchkey {

struct RootKeyFacts {
  std::string read_at;           // RFC 3339; empty: nothing was read yet
  std::string state;             // the provider's word: "Enabled", "ENABLED", …
  std::string version;           // the current one of the key
  std::string unusable_because;  // why nothing new could be wrapped by the key as it is; what is wrapped may open all the same
  // What the KEK in force is wrapped by; empty where the KMS does not tell. Another one than `version`: there is a newer version.
  std::string wrapped_version;
  std::string protection_level;                           // the provider's word; empty where it does not tell
  std::string deletion_date, expires_at, next_rotation;   // RFC 3339; empty: none, or not told
  std::optional<bool> rotation_enabled, purge_protected;  // unset: not told

  bool operator==(const RootKeyFacts&) const = default;
  bool newer_version() const { return !version.empty() && !wrapped_version.empty() && version != wrapped_version; }
  boost::json::object ToJson() const;
  static absl::StatusOr<RootKeyFacts> FromJson(const boost::json::object& object, const std::string& path);
};

// What lies ahead, the most urgent first, each one sentence with a date and what to do: deletion and expiry from 30 days before (and past
// ones), and a newer version of the key. `stage` is what alarms go by: 30, 7 or 1 days before, 0 when past; −1 for what has no date.
struct KeyWarning {
  std::string code;  // "NOT_USABLE", "DELETION_AHEAD", "EXPIRY_AHEAD", "NEWER_VERSION"
  int stage = -1;
  std::string message;
  bool operator==(const KeyWarning&) const = default;
};
// `opens`: what is in use does open now; only then is a key that says otherwise of itself worth a warning.
std::vector<KeyWarning> KeyWarnings(const RootKeyFacts& facts, absl::Time now, bool opens = true);

}  // namespace latchkey
