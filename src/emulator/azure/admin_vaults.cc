// Azure itself: vaults, who may do what there, and their keys.
#include <algorithm>

#include "base/json.h"
#include "base/status.h"
#include "emulator/arn.h"
#include "emulator/azure/admin.h"
#include "emulator/azure/key_json.h"
#include "emulator/azure/key_material.h"
#include "emulator/azure/roles.h"

namespace latchkey::emulator::azure {
namespace {

std::string Official(const Vault& vault) { return "https://" + vault.Host(); }

json::object VaultFacts(const Vault& vault) {
  return {{"vault", vault.name},
          {"host", vault.Host()},
          {"uri", Official(vault)},
          {"tenant", vault.tenant},
          {"location", vault.location},
          {"recovery_level", vault.RecoveryLevel()},
          {"retention_days", vault.retention_days},
          {"firewall_closed", vault.firewall_closed}};
}

}  // namespace

absl::StatusOr<Vault*> Admin::VaultNamed(std::string_view name) {
  const std::string host = LowerCase(name);
  auto found = world_.vaults.find(host);
  if (found == world_.vaults.end()) found = world_.vaults.find(host + ".vault.azure.net");
  if (found == world_.vaults.end()) return NotFound("vault: there is no vault ", Quotable(name));
  return &found->second;
}

absl::StatusOr<Admin::Named> Admin::KeyNamed(std::string_view address, bool deleted) {
  constexpr std::string_view kScheme = "https://";
  std::vector<std::string> parts;
  if (address.substr(0, kScheme.size()) == kScheme) {
    for (std::string_view rest = address.substr(kScheme.size()); !rest.empty();) {
      const size_t end = std::min(rest.find('/'), rest.size());
      parts.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  if (parts.size() < 3 || parts.size() > 4 || parts[1] != "keys") {
    return InvalidArgument("key: must be https://<vault>.vault.azure.net/keys/<name>[/<version>]");
  }
  ASSIGN_OR_RETURN(Vault * vault, VaultNamed(parts[0]));
  VaultKey* key = vault->Find(parts[2]);
  Named named{.vault = vault, .key = key, .version = parts.size() == 4 ? parts[3] : ""};
  if (key == nullptr || key->Version(named.version) == nullptr) return NotFound("key: there is no key ", Quotable(address));
  if (key->deleted.has_value() != deleted)
    return FailedPrecondition("key: ", Quotable(address), deleted ? " is not deleted" : " is deleted");
  return named;
}

absl::StatusOr<Admin::Named> Admin::ReadKey(const Body& body, bool deleted) {
  JsonReader reader(body);
  const std::string address = reader.String("key");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  return KeyNamed(address, deleted);
}

json::object Admin::Shown(const Named& named) const {
  return KeyBundle(*named.vault, Official(*named.vault), *named.key, *named.key->Version(named.version));
}

Admin::Result Admin::CreateVault(const Body& body) {
  JsonReader reader(body);
  const std::string tenant_name = reader.String("tenant");
  Vault vault;
  vault.name = reader.String("name");
  vault.managed_hsm = reader.OptionalBool("managed_hsm", false);
  vault.location = reader.OptionalString("location", "westeurope");
  vault.retention_days = reader.OptionalInt("retention_days", 90);
  vault.purge_protection = reader.OptionalBool("purge_protection", false);
  if (!IsVaultName(vault.name)) reader.Fault("name", "must be 3 to 24 lower-case letters, digits and single hyphens");
  if (vault.retention_days < 7 || vault.retention_days > 90) reader.Fault("retention_days", "must be 7 to 90");
  if (vault.location.size() > 40 || !IsKeyName(vault.location)) reader.Fault("location", "must be a name like westeurope");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(vault.tenant, TenantNamed(tenant_name));
  const std::string host = vault.Host();
  if (world_.vaults.contains(host)) return absl::AlreadyExistsError("name: there is such a vault already");
  if (world_.vaults.size() >= World::kMostVaults) return absl::ResourceExhaustedError("there are as many vaults as may be");
  json::object out = VaultFacts(vault);
  world_.vaults.insert_or_assign(host, std::move(vault));
  return out;
}

Admin::Result Admin::RemoveVault(const Body& body) {
  JsonReader reader(body);
  const std::string name = reader.String("vault");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(const Vault* vault, VaultNamed(name));
  json::object out = VaultFacts(*vault);
  world_.vaults.erase(vault->Host());
  return out;
}

absl::StatusOr<RoleAssignment> Admin::ReadRole(const Body& body, Vault** vault) {
  JsonReader reader(body);
  const std::string vault_name = reader.String("vault"), tenant_name = reader.OptionalString("tenant");
  RoleAssignment role{
      .role = reader.String("role"), .client_id = LowerCase(reader.String("principal")), .key = reader.OptionalString("key")};
  if (!IsRole(role.role))
    reader.Fault("role",
                 "must be Key Vault Crypto Service Encryption User, Key Vault Crypto User, Key Vault Crypto "
                 "Officer or Key Vault Reader");
  if (!role.key.empty() && !IsKeyName(role.key)) reader.Fault("key", "must be the name of a key");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(*vault, VaultNamed(vault_name));
  if (!tenant_name.empty() && world_.TenantOf(tenant_name) != (*vault)->tenant) {
    return InvalidArgument("tenant: is not the vault's; only principals of its own tenant can have a role there");
  }
  if (world_.Principal((*vault)->tenant, role.client_id) == nullptr) {
    return NotFound("principal: ", Quotable(role.client_id), " is not in the vault's tenant; consent to the application first");
  }
  return role;
}

Admin::Result Admin::AssignRole(const Body& body) {
  Vault* vault = nullptr;
  ASSIGN_OR_RETURN(RoleAssignment role, ReadRole(body, &vault));
  if (std::find(vault->roles.begin(), vault->roles.end(), role) != vault->roles.end()) return Body{};
  if (vault->roles.size() >= World::kMostRoles) return absl::ResourceExhaustedError("vault: has as many role assignments as may be");
  vault->roles.push_back(std::move(role));
  return Body{};
}

Admin::Result Admin::RemoveRole(const Body& body) {
  Vault* vault = nullptr;
  ASSIGN_OR_RETURN(const RoleAssignment role, ReadRole(body, &vault));
  if (std::erase(vault->roles, role) == 0) return NotFound("role: is not assigned so");
  return Body{};
}

absl::StatusOr<Denial> Admin::ReadDenial(const Body& body, Vault** vault) {
  JsonReader reader(body);
  const std::string vault_name = reader.String("vault");
  Denial denial{.client_id = LowerCase(reader.String("principal")), .key = reader.OptionalString("key")};
  if (!IsUuid(denial.client_id)) reader.Fault("principal", "must be a client id");
  if (!denial.key.empty() && !IsKeyName(denial.key)) reader.Fault("key", "must be the name of a key");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(*vault, VaultNamed(vault_name));
  return denial;
}

Admin::Result Admin::Deny(const Body& body) {
  Vault* vault = nullptr;
  ASSIGN_OR_RETURN(Denial denial, ReadDenial(body, &vault));
  if (std::find(vault->denials.begin(), vault->denials.end(), denial) != vault->denials.end()) return Body{};
  if (vault->denials.size() >= World::kMostRoles) return absl::ResourceExhaustedError("vault: has as many denials as may be");
  vault->denials.push_back(std::move(denial));
  return Body{};
}

Admin::Result Admin::Undeny(const Body& body) {
  Vault* vault = nullptr;
  ASSIGN_OR_RETURN(const Denial denial, ReadDenial(body, &vault));
  if (std::erase(vault->denials, denial) == 0) return NotFound("principal: there is no such denial");
  return Body{};
}

Admin::Result Admin::SetFirewall(const Body& body) {
  JsonReader reader(body);
  const std::string name = reader.String("vault");
  const bool closed = reader.OptionalBool("closed", true);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(Vault * vault, VaultNamed(name));
  vault->firewall_closed = closed;
  return VaultFacts(*vault);
}

Admin::Result Admin::SetStrictness(const Body& body) {
  JsonReader reader(body);
  const std::string wraps = reader.String("wrap_on_disabled");
  if (wraps != "refused" && wraps != "allowed") reader.Fault("wrap_on_disabled", "must be refused or allowed");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  world_.wrap_on_disabled = wraps == "allowed";
  return Body{{"wrap_on_disabled", wraps}};
}

Admin::Result Admin::CreateVaultKey(const Body& body) {
  JsonReader reader(body);
  const std::string vault_name = reader.String("vault");
  NewVaultKey wanted{.name = reader.String("name")};
  wanted.type = reader.OptionalString("kty", "RSA");
  wanted.bits = reader.OptionalInt("key_size", 0);
  wanted.enabled = reader.OptionalBool("enabled", true);
  if (const json::array* operations = reader.OptionalArray("key_ops")) {
    for (const json::value& item : *operations) {
      if (item.is_string()) {
        wanted.operations.emplace_back(item.get_string());
      } else {
        reader.Fault("key_ops", "must hold strings");
      }
    }
  }
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(Vault * vault, VaultNamed(vault_name));
  ASSIGN_OR_RETURN(VaultKey * key, CreateKey(world_, *vault, std::move(wanted), now_, random_));
  return Shown({.vault = vault, .key = key, .version = ""});
}

Admin::Result Admin::SwitchKey(const Body& body, bool enabled) {
  ASSIGN_OR_RETURN(const Named named, ReadKey(body, /*deleted=*/false));
  for (KeyVersion& version : named.key->versions) {
    if (!named.version.empty() && named.version != version.id) continue;
    version.enabled = enabled;
    version.updated = now_;
  }
  return Shown(named);
}

Admin::Result Admin::SetExpiry(const Body& body) {
  JsonReader reader(body);
  const std::string address = reader.String("key");
  // Absent: as it is. Null: none.
  const auto read = [&](const char* name, std::optional<absl::Time> now) -> std::optional<absl::Time> {
    if (!body.contains(name)) return now;
    if (body.at(name).is_null()) return std::nullopt;
    return absl::FromUnixSeconds(reader.Int(name));
  };
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(const Named named, KeyNamed(address, /*deleted=*/false));
  KeyVersion& version = *named.key->Version(named.version);
  const std::optional<absl::Time> expires = read("exp", version.expires), from = read("nbf", version.not_before);
  for (const auto& item : body) {
    if (item.key() != "key" && item.key() != "exp" && item.key() != "nbf")
      return InvalidArgument(Quotable(item.key(), 64), ": is not known");
  }
  RETURN_IF_ERROR(reader.status());
  version.expires = expires;
  version.not_before = from;
  version.updated = now_;
  return Shown(named);
}

Admin::Result Admin::RotateKey(const Body& body) {
  ASSIGN_OR_RETURN(const Named named, ReadKey(body, /*deleted=*/false));
  if (world_.Versions() >= World::kMostVersions) return absl::ResourceExhaustedError("there are as many key versions as may be");
  RETURN_IF_ERROR(AddVersion(*named.key, now_, random_));
  return Shown({.vault = named.vault, .key = named.key, .version = ""});
}

Admin::Result Admin::DeleteVaultKey(const Body& body) {
  ASSIGN_OR_RETURN(const Named named, ReadKey(body, /*deleted=*/false));
  DeleteKey(*named.vault, *named.key, now_);
  return Shown(named);
}

Admin::Result Admin::RecoverKey(const Body& body) {
  ASSIGN_OR_RETURN(const Named named, ReadKey(body, /*deleted=*/true));
  named.key->deleted.reset();
  named.key->purge_at.reset();
  return Shown(named);
}

Admin::Result Admin::PurgeKey(const Body& body) {
  ASSIGN_OR_RETURN(const Named named, ReadKey(body, /*deleted=*/true));
  if (named.vault->purge_protection) return FailedPrecondition("key: purge protection is enabled for its vault");
  json::object out = Shown(named);
  named.vault->keys.erase(LowerCase(named.key->name));
  return out;
}

}  // namespace latchkey::emulator::azure
