#include "emulator/azure/world.h"

#include <algorithm>

#include "emulator/azure/key_material.h"
#include "emulator/azure/rotation.h"

namespace latchkey::emulator::azure {

std::string LowerCase(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    if (hyphen != (text[i] == '-')) return false;
    if (!hyphen && std::string_view("0123456789abcdef").find(text[i]) == std::string_view::npos) return false;
  }
  return true;
}

namespace {
bool IsOfLettersDigitsAndHyphens(std::string_view text) {
  return text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}
}  // namespace

bool IsVaultName(std::string_view text) {
  return text.size() >= 3 && text.size() <= 24 && IsOfLettersDigitsAndHyphens(text) && text.front() != '-' && text.back() != '-' &&
         text.find("--") == std::string_view::npos && text.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string_view::npos;
}

bool IsKeyName(std::string_view text) { return !text.empty() && text.size() <= 127 && IsOfLettersDigitsAndHyphens(text); }

KeyVersion* VaultKey::Version(std::string_view id) {
  if (id.empty()) return &versions.back();
  const auto found = std::find_if(versions.begin(), versions.end(), [&](const KeyVersion& v) { return v.id == id; });
  return found == versions.end() ? nullptr : &*found;
}

std::string Vault::Host() const { return name + (managed_hsm ? ".managedhsm.azure.net" : ".vault.azure.net"); }

// Purge protection is on exactly when the word lacks "Purgeable"; a retention below the default makes it "Customized".
std::string Vault::RecoveryLevel() const {
  std::string level = retention_days < 90 ? "CustomizedRecoverable" : "Recoverable";
  if (!purge_protection) level += "+Purgeable";
  return level;
}

VaultKey* Vault::Find(std::string_view key_name) {
  const auto found = keys.find(LowerCase(key_name));
  return found == keys.end() ? nullptr : &found->second;
}

World::World(Random& random) : token_key(random.Secret(32)), identity_header(SecretBytes::CopyOf(RandomHex(random, 16))) {}

std::string World::TenantOf(std::string_view name) const {
  const std::string wanted = LowerCase(name);
  if (tenants.contains(wanted)) return wanted;
  for (const auto& [id, domain] : tenants) {
    if (!domain.empty() && domain == wanted) return id;
  }
  return "";
}

ServicePrincipal* World::Principal(std::string_view tenant, std::string_view client_id) {
  const auto found = std::find_if(principals.begin(), principals.end(),
                                  [&](const ServicePrincipal& p) { return p.tenant == tenant && p.client_id == client_id; });
  return found == principals.end() ? nullptr : &*found;
}

size_t World::MadeCertificates() const {
  size_t total = 0;
  for (const auto& [id, application] : applications) {
    for (const ClientCertificate& c : application.certificates) total += c.private_key_pem.empty() ? 0 : 1;
  }
  return total;
}

size_t World::Keys() const {
  size_t total = 0;
  for (const auto& [host, vault] : vaults) total += vault.keys.size();
  return total;
}

size_t World::Versions() const {
  size_t total = 0;
  for (const auto& [host, vault] : vaults) {
    for (const auto& [name, key] : vault.keys) total += key.versions.size();
  }
  return total;
}

bool World::Settle(absl::Time now, Random& random) {
  bool changed = false;
  for (auto& [host, vault] : vaults) {
    changed |= std::erase_if(vault.keys, [&](const auto& item) { return item.second.purge_at && *item.second.purge_at <= now; }) > 0;
    for (auto& [name, key] : vault.keys) {
      if (key.deleted || !RotationIsDue(key, now) || Versions() >= kMostVersions) continue;
      changed |= AddVersion(key, now, random).ok();
    }
  }
  return changed;
}

}  // namespace latchkey::emulator::azure
