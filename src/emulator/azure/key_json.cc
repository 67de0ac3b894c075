#include "emulator/azure/key_json.h"

#include "base/encoding.h"
#include "base/json.h"

namespace latchkey::emulator::azure {
namespace {

json::object Attributes(const Vault& vault, const VaultKey& key, const KeyVersion& version) {
  json::object out{{"enabled", version.enabled},
                   {"created", absl::ToUnixSeconds(version.created)},
                   {"updated", absl::ToUnixSeconds(version.updated)},
                   {"recoveryLevel", vault.RecoveryLevel()},
                   {"recoverableDays", vault.retention_days},
                   {"exportable", false},
                   {"hsmPlatform", key.type == "RSA" ? "0" : "2"}};
  if (version.not_before) out["nbf"] = absl::ToUnixSeconds(*version.not_before);
  if (version.expires) out["exp"] = absl::ToUnixSeconds(*version.expires);
  return out;
}

void AddTagsAndDeletion(const std::string& base, const VaultKey& key, const KeyVersion& version, json::object& out) {
  if (!version.tags.empty()) out["tags"] = version.tags;
  if (!key.deleted) return;
  out["recoveryId"] = base + "/deletedkeys/" + key.name;
  out["deletedDate"] = absl::ToUnixSeconds(*key.deleted);
  out["scheduledPurgeDate"] = absl::ToUnixSeconds(*key.purge_at);
}

}  // namespace

std::string KeyAddress(const std::string& base, const VaultKey& key) { return base + "/keys/" + key.name; }

std::string VersionAddress(const std::string& base, const VaultKey& key, const KeyVersion& version) {
  return KeyAddress(base, key) + "/" + version.id;
}

json::object KeyBundle(const Vault& vault, const std::string& base, const VaultKey& key, const KeyVersion& version) {
  json::object web_key{{"kid", VersionAddress(base, key, version)}, {"kty", key.type}};
  web_key["key_ops"] = json::array(version.operations.begin(), version.operations.end());
  if (version.rsa != nullptr) {
    const RsaPublicNumbers numbers = version.rsa->public_numbers();
    web_key["n"] = Base64UrlEncode(numbers.modulus);
    web_key["e"] = Base64UrlEncode(numbers.exponent);
  }
  json::object out;
  out["key"] = std::move(web_key);
  out["attributes"] = Attributes(vault, key, version);
  AddTagsAndDeletion(base, key, version, out);
  return out;
}

json::object KeyItem(const Vault& vault, const std::string& base, const VaultKey& key, const KeyVersion& version, bool versioned) {
  json::object out{{"kid", versioned ? VersionAddress(base, key, version) : KeyAddress(base, key)}};
  out["attributes"] = Attributes(vault, key, version);
  AddTagsAndDeletion(base, key, version, out);
  return out;
}

}  // namespace latchkey::emulator::azure
