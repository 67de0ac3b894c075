#include "protocol/key_facts.h"

#include <algorithm>

#include "base/status.h"
#include "protocol/fields.h"

namespace latchkey {
namespace {

constexpr int kStages[] = {1, 7, 30};

void PutIf(json::object& object, const char* name, const std::string& text) {
  if (!text.empty()) object[name] = text;
}

std::optional<bool> ReadOptionalBool(JsonReader& reader, const json::object& object, const char* name) {
  if (!object.contains(name)) return std::nullopt;
  return reader.OptionalBool(name, false);
}

std::optional<int> StageOf(absl::Time when, absl::Time now) {
  if (when <= now) return 0;
  for (const int days : kStages) {
    if (when - now <= absl::Hours(24 * days)) return days;
  }
  return std::nullopt;
}

void Warn(std::vector<KeyWarning>& warnings, const char* code, const std::string& date, absl::Time now, std::string_view ahead,
          std::string_view past) {
  absl::Time when;
  if (date.empty() || !absl::ParseTime(absl::RFC3339_full, date, &when, nullptr)) return;
  const std::optional<int> stage = StageOf(when, now);
  if (!stage) return;
  warnings.push_back({code, *stage, absl::StrCat(*stage == 0 ? ToAbsl(past) : ToAbsl(ahead), " (", date, ").")});
}

}  // namespace

json::object RootKeyFacts::ToJson() const {
  json::object object = {{"read_at", read_at}, {"state", state}, {"version", version}};
  PutIf(object, "unusable_because", unusable_because);
  PutIf(object, "wrapped_version", wrapped_version);
  PutIf(object, "protection_level", protection_level);
  PutIf(object, "deletion_date", deletion_date);
  PutIf(object, "expires_at", expires_at);
  PutIf(object, "next_rotation", next_rotation);
  if (rotation_enabled) object["rotation_enabled"] = *rotation_enabled;
  if (purge_protected) object["purge_protected"] = *purge_protected;
  return object;
}

absl::StatusOr<RootKeyFacts> RootKeyFacts::FromJson(const json::object& object, const std::string& path) {
  JsonReader reader(object, path);
  RootKeyFacts facts;
  facts.read_at = reader.OptionalString("read_at");
  facts.state = reader.OptionalString("state");
  facts.version = reader.OptionalString("version");
  facts.unusable_because = reader.OptionalString("unusable_because");
  facts.wrapped_version = reader.OptionalString("wrapped_version");
  facts.protection_level = reader.OptionalString("protection_level");
  facts.deletion_date = reader.OptionalString("deletion_date");
  facts.expires_at = reader.OptionalString("expires_at");
  facts.next_rotation = reader.OptionalString("next_rotation");
  facts.rotation_enabled = ReadOptionalBool(reader, object, "rotation_enabled");
  facts.purge_protected = ReadOptionalBool(reader, object, "purge_protected");
  RETURN_IF_ERROR(reader.status());
  return facts;
}

std::vector<KeyWarning> KeyWarnings(const RootKeyFacts& facts, absl::Time now, bool opens) {
  std::vector<KeyWarning> warnings;
  Warn(warnings, "DELETION_AHEAD", facts.deletion_date, now,
       "The key is going to be deleted; cancel its deletion in the KMS, or rotate to another key before then, or the data is lost",
       "The key's date of deletion is past; what only it can open is lost unless the KMS still brings it back");
  Warn(warnings, "EXPIRY_AHEAD", facts.expires_at, now,
       "The key is going to expire; move its expiry in the KMS, or rotate to another key or version before then",
       "The key has expired; move its expiry in the KMS, or rotate to another key or version");
  // The nearer date first. (libstdc++ 12's stable_sort uses what clang 19 warns of in C++20.)
  if (warnings.size() == 2 && warnings[1].stage < warnings[0].stage) std::swap(warnings[0], warnings[1]);
  if (opens && !facts.unusable_because.empty()) {
    const std::string version =
        facts.wrapped_version.empty() ? "the version in use" : absl::StrCat("version ", facts.wrapped_version, ", which is in use,");
    warnings.insert(warnings.begin(), {"NOT_USABLE", -1,
                                       absl::StrCat("The KMS says of the key: ", facts.unusable_because, ". While ", version,
                                                    " still opens, the data is not taken away by that: close every version, or revoke.")});
  }
  if (facts.newer_version()) {
    warnings.push_back({"NEWER_VERSION", -1,
                        absl::StrCat("The key has a newer version (", facts.version, ") than the one in use (", facts.wrapped_version,
                                     "); rotate to the same key to move to it.")});
  }
  return warnings;
}

}  // namespace latchkey
