#include "emulator/azure/rotation.h"

#include "base/json.h"
#include "base/status.h"

namespace latchkey::emulator::azure {
namespace {

// Rotation cannot be asked for sooner than this after creation or before expiry.
constexpr absl::Duration kShortest = absl::Hours(24 * 7);

json::object Action(const char* trigger, const std::string& when, const char* type) {
  json::object trigger_json, action_json, out;
  trigger_json[trigger] = when;
  action_json["type"] = type;
  out["trigger"] = std::move(trigger_json);
  out["action"] = std::move(action_json);
  return out;
}

}  // namespace

std::optional<absl::Duration> ParseIsoDays(std::string_view text) {
  if (text.size() < 3 || text.size() > 32 || text[0] != 'P') return std::nullopt;
  int64_t days = 0, number = 0;
  bool digits = false;
  std::string_view units = "YMWD";
  for (const char c : text.substr(1)) {
    if (c >= '0' && c <= '9') {
      number = number * 10 + (c - '0');
      digits = true;
      if (number > 100'000) return std::nullopt;
      continue;
    }
    const size_t unit = units.find(c);
    if (!digits || unit == std::string_view::npos) return std::nullopt;
    days += number * (c == 'Y' ? 365 : c == 'M' ? 30 : c == 'W' ? 7 : 1);
    units.remove_prefix(unit + 1);  // in this order, each at most once
    number = 0;
    digits = false;
  }
  if (digits || days == 0 || days > 36'500) return std::nullopt;
  return absl::Hours(24) * days;
}

bool RotationIsDue(const VaultKey& key, absl::Time now) {
  if (!key.rotation) return false;
  const KeyVersion& version = key.current();
  if (const auto after = ParseIsoDays(key.rotation->rotate_after_create)) return version.created + *after <= now;
  if (const auto before = ParseIsoDays(key.rotation->rotate_before_expiry)) return version.expires && *version.expires - *before <= now;
  return false;
}

std::optional<absl::Time> ExpiryOfNewVersion(const VaultKey& key, absl::Time now) {
  const auto lives = key.rotation ? ParseIsoDays(key.rotation->expiry_time) : std::nullopt;
  return lives ? std::optional(now + *lives) : std::nullopt;
}

absl::StatusOr<RotationPolicy> ReadRotationPolicy(const json::object& body) {
  JsonReader reader(body);
  RotationPolicy policy;
  if (const json::object* attributes = reader.OptionalObject("attributes")) {
    JsonReader inner(*attributes, "attributes");
    policy.expiry_time = inner.OptionalString("expiryTime");
    if (!policy.expiry_time.empty() && ParseIsoDays(policy.expiry_time).value_or(absl::ZeroDuration()) < 4 * kShortest) {
      inner.Fault("expiryTime", "must be an ISO 8601 duration of at least 28 days");
    }
    RETURN_IF_ERROR(inner.status());
  }
  const json::array* actions = reader.OptionalArray("lifetimeActions");
  RETURN_IF_ERROR(reader.status());
  for (const json::value& item : actions == nullptr ? json::array() : *actions) {
    if (!item.is_object()) return InvalidArgument("lifetimeActions: must hold objects");
    JsonReader one(item.get_object(), "lifetimeActions");
    const json::object* trigger = one.Object("trigger");
    const json::object* action = one.Object("action");
    RETURN_IF_ERROR(one.status());
    JsonReader when(*trigger, "lifetimeActions.trigger"), what(*action, "lifetimeActions.action");
    const std::string after = when.OptionalString("timeAfterCreate"), before = when.OptionalString("timeBeforeExpiry");
    const std::string type = LowerCase(what.String("type"));
    RETURN_IF_ERROR(when.status());
    RETURN_IF_ERROR(what.status());
    if (type != "rotate" && type != "notify") return InvalidArgument("lifetimeActions.action.type: must be rotate or notify");
    if (after.empty() == before.empty())
      return InvalidArgument("lifetimeActions.trigger: needs one of timeAfterCreate and timeBeforeExpiry");
    if (ParseIsoDays(after.empty() ? before : after).value_or(absl::ZeroDuration()) < kShortest) {
      return InvalidArgument("lifetimeActions.trigger: must be an ISO 8601 duration of at least 7 days");
    }
    std::string& place = type == "rotate" ? (after.empty() ? policy.rotate_before_expiry : policy.rotate_after_create)
                                          : (after.empty() ? policy.notify_before_expiry : policy.notify_after_create);
    if (!place.empty()) return InvalidArgument("lifetimeActions: has two of one kind");
    place = after.empty() ? before : after;
  }
  if (!policy.rotate_after_create.empty() && !policy.rotate_before_expiry.empty()) {
    return InvalidArgument("lifetimeActions: can rotate by one trigger only");
  }
  if (!policy.rotate_before_expiry.empty() && policy.expiry_time.empty()) {
    return InvalidArgument("attributes.expiryTime: is needed to rotate before expiry");
  }
  return policy;
}

json::object RotationPolicyJson(const std::optional<RotationPolicy>& policy, const std::string& key_address) {
  json::array actions;
  json::object attributes, out;
  if (!policy) {
    actions.push_back(Action("timeBeforeExpiry", "P30D", "Notify"));
  } else {
    if (!policy->rotate_after_create.empty()) actions.push_back(Action("timeAfterCreate", policy->rotate_after_create, "Rotate"));
    if (!policy->rotate_before_expiry.empty()) actions.push_back(Action("timeBeforeExpiry", policy->rotate_before_expiry, "Rotate"));
    if (!policy->notify_after_create.empty()) actions.push_back(Action("timeAfterCreate", policy->notify_after_create, "Notify"));
    if (!policy->notify_before_expiry.empty()) actions.push_back(Action("timeBeforeExpiry", policy->notify_before_expiry, "Notify"));
    if (!policy->expiry_time.empty()) attributes["expiryTime"] = policy->expiry_time;
    attributes["created"] = absl::ToUnixSeconds(policy->created);
    attributes["updated"] = absl::ToUnixSeconds(policy->updated);
  }
  out["id"] = key_address + "/rotationpolicy";
  out["lifetimeActions"] = std::move(actions);
  out["attributes"] = std::move(attributes);
  return out;
}

}  // namespace latchkey::emulator::azure
