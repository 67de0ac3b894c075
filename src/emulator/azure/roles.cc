#include "emulator/azure/roles.h"

#include <algorithm>
#include <array>

namespace latchkey::emulator::azure {
namespace {

constexpr std::string_view kEncryptionUser = "Key Vault Crypto Service Encryption User";
constexpr std::string_view kUser = "Key Vault Crypto User";
constexpr std::string_view kOfficer = "Key Vault Crypto Officer";
constexpr std::string_view kReader = "Key Vault Reader";

bool RoleAllows(std::string_view role, std::string_view action) {
  if (role == kOfficer) return true;
  if (action == "keys/read") return role == kReader || role == kEncryptionUser || role == kUser;
  if (action == "keys/wrap/action" || action == "keys/unwrap/action") return role == kEncryptionUser || role == kUser;
  if (action == "keys/encrypt/action" || action == "keys/decrypt/action" || action == "keys/update/action") return role == kUser;
  return false;
}

// Whether something that is set on `scope` (a key, or the whole vault) covers `key`.
bool Covers(std::string_view scope, std::string_view key) { return scope.empty() || LowerCase(scope) == LowerCase(key); }

}  // namespace

bool IsRole(std::string_view role) {
  constexpr std::array kRoles = {kEncryptionUser, kUser, kOfficer, kReader};
  return std::find(kRoles.begin(), kRoles.end(), role) != kRoles.end();
}

Access Decide(const Vault& vault, std::string_view client_id, std::string_view key, std::string_view action) {
  for (const Denial& denial : vault.denials) {
    if (denial.client_id == client_id && Covers(denial.key, key)) return Access::kDenied;
  }
  const bool granted = std::any_of(vault.roles.begin(), vault.roles.end(), [&](const RoleAssignment& r) {
    return r.client_id == client_id && Covers(r.key, key) && RoleAllows(r.role, action);
  });
  return granted ? Access::kGranted : Access::kNotGranted;
}

}  // namespace latchkey::emulator::azure
