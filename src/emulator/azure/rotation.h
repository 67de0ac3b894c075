// Rotation policies of keys: durations in ISO 8601 and what is due by them.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <optional>
#include <string_view>

#include "emulator/azure/world.h"

namespace latchkey::emulator::azure {

// "P90D", "P18M", "P2Y", "P1Y6M": years of 365 and months of 30 days. nullopt for other forms, for nothing, and for more than 100 years.
std::optional<absl::Duration> ParseIsoDays(std::string_view text);

// Whether the current version is old enough, or near enough to its expiry, for the policy to make a new one.
bool RotationIsDue(const VaultKey& key, absl::Time now);
std::optional<absl::Time> ExpiryOfNewVersion(const VaultKey& key, absl::Time now);

// {"lifetimeActions": [{"trigger": {"timeAfterCreate" | "timeBeforeExpiry": "P90D"}, "action": {"type": "rotate" | "notify"}}],
//  "attributes": {"expiryTime": "P2Y"}}; errors name the field.
absl::StatusOr<RotationPolicy> ReadRotationPolicy(const boost::json::object& body);
// With the default of a key that has none: a notification 30 days before expiry.
boost::json::object RotationPolicyJson(const std::optional<RotationPolicy>& policy, const std::string& key_address);

}  // namespace latchkey::emulator::azure
