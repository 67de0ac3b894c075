// Azure RBAC on the data plane of a vault: what each built-in role lets its bearer do
// (learn.microsoft.com/azure/role-based-access-control/built-in-roles/security).
#pragma once

#include <string>
#include <string_view>

#include "emulator/azure/world.h"

namespace latchkey::emulator::azure {

bool IsRole(std::string_view role);

enum class Access { kGranted, kNotGranted, kDenied };
// Whether the identity may do `action` ("keys/unwrap/action") on the key, or on the whole vault when `key` is empty. A denial goes before
// every role.
Access Decide(const Vault& vault, std::string_view client_id, std::string_view key, std::string_view action);

}  // namespace latchkey::emulator::azure
