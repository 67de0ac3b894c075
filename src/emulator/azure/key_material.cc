#include "emulator/azure/key_material.h"

#include <algorithm>

#include "base/status.h"
#include "emulator/azure/rotation.h"

namespace latchkey::emulator::azure {
namespace {

constexpr size_t kMostTags = 15, kLongestTag = 256;

absl::Status Fill(KeyVersion& version, std::string_view type, int bits, absl::Time now, Random& random) {
  version.id = RandomHex(random, 16);
  version.created = version.updated = now;
  if (type == "oct-HSM") {
    version.octets = random.Secret(32);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(RsaPrivateKey key, RsaPrivateKey::Generate(bits));
  version.rsa = std::make_shared<const RsaPrivateKey>(std::move(key));
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTags(const boost::json::object& tags) {
  if (tags.size() > kMostTags) return InvalidArgument("tags: there are more than ", kMostTags);
  for (const auto& item : tags) {
    if (!item.value().is_string() || item.key().size() > kLongestTag || item.value().get_string().size() > kLongestTag) {
      return InvalidArgument("tags: must be strings of at most ", kLongestTag, " bytes");
    }
  }
  return absl::OkStatus();
}

std::vector<std::string> AllOperations(std::string_view type) {
  if (type == "oct-HSM") return {"encrypt", "decrypt", "wrapKey", "unwrapKey"};
  return {"encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"};
}

absl::StatusOr<VaultKey*> CreateKey(World& world, Vault& vault, NewVaultKey wanted, absl::Time now, Random& random) {
  if (!IsKeyName(wanted.name)) return InvalidArgument("name: must be 1 to 127 letters, digits and hyphens");
  if (wanted.type == "RSA" || wanted.type == "RSA-HSM") {
    if (wanted.bits == 0) wanted.bits = 2048;
    if (wanted.bits != 2048 && wanted.bits != 3072 && wanted.bits != 4096) return InvalidArgument("key_size: must be 2048, 3072 or 4096");
  } else if (wanted.type == "oct-HSM") {
    if (wanted.bits == 0) wanted.bits = 256;
    if (wanted.bits != 256) return InvalidArgument("key_size: this emulator makes oct-HSM keys of 256 bits only");
  } else {
    return InvalidArgument("kty: must be RSA, RSA-HSM or oct-HSM");
  }
  const std::vector<std::string> all = AllOperations(wanted.type);
  for (const std::string& operation : wanted.operations) {
    if (std::find(all.begin(), all.end(), operation) == all.end()) return InvalidArgument("key_ops: an operation is not of this type");
  }
  if (wanted.operations.empty()) wanted.operations = all;
  RETURN_IF_ERROR(CheckTags(wanted.tags));
  VaultKey* existing = vault.Find(wanted.name);
  if (existing != nullptr && existing->deleted) {
    return FailedPrecondition("Key ", existing->name,
                              " is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the key can "
                              "only be recovered or purged.");
  }
  if (existing != nullptr && existing->type != wanted.type) return InvalidArgument("kty: the key is of type ", existing->type);
  if (world.Versions() >= World::kMostVersions || (existing == nullptr && world.Keys() >= World::kMostKeys)) {
    return absl::ResourceExhaustedError("the emulator holds as many keys as it takes");
  }
  KeyVersion version{.operations = std::move(wanted.operations),
                     .tags = std::move(wanted.tags),
                     .enabled = wanted.enabled,
                     .not_before = wanted.not_before,
                     .expires = wanted.expires};
  RETURN_IF_ERROR(Fill(version, wanted.type, static_cast<int>(wanted.bits), now, random));
  VaultKey& key = existing != nullptr ? *existing : vault.keys[LowerCase(wanted.name)];
  if (existing == nullptr) key.name = wanted.name;
  key.type = wanted.type;
  key.bits = static_cast<int>(wanted.bits);
  key.versions.push_back(std::move(version));
  return &key;
}

absl::Status AddVersion(VaultKey& key, absl::Time now, Random& random) {
  const KeyVersion& last = key.current();
  KeyVersion version{.operations = last.operations, .tags = last.tags, .expires = ExpiryOfNewVersion(key, now)};
  RETURN_IF_ERROR(Fill(version, key.type, key.bits, now, random));
  key.versions.push_back(std::move(version));
  return absl::OkStatus();
}

void DeleteKey(const Vault& vault, VaultKey& key, absl::Time now) {
  key.deleted = now;
  key.purge_at = now + absl::Hours(24) * vault.retention_days;
}

}  // namespace latchkey::emulator::azure
