// Key rings and keys.
#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "emulator/arn.h"
#include "emulator/gcp/errors.h"
#include "emulator/gcp/kms_api.h"
#include "emulator/gcp/page.h"
#include "emulator/gcp/wire.h"

namespace latchkey::emulator::gcp {
namespace {

json::object KeyRingJson(const std::string& name, absl::Time created) { return {{"name", name}, {"createTime", WireTime(created)}}; }

absl::StatusOr<std::optional<absl::Duration>> DurationField(const json::object& object, std::string_view name) {
  ASSIGN_OR_RETURN(const std::string text, TextField(object, name, 64));
  if (text.empty()) return std::optional<absl::Duration>();
  std::optional<absl::Duration> out = ReadWireDuration(text);
  if (!out) return InvalidArgument("Invalid value at '", ToAbsl(name), "', a duration such as \"86400s\" is expected.");
  return out;
}

absl::StatusOr<std::optional<absl::Time>> TimeField(const json::object& object, std::string_view name) {
  ASSIGN_OR_RETURN(const std::string text, TextField(object, name, 64));
  if (text.empty()) return std::optional<absl::Time>();
  std::optional<absl::Time> out = ReadWireTime(text);
  if (!out) return InvalidArgument("Invalid value at '", ToAbsl(name), "', an RFC 3339 time is expected.");
  return out;
}

// "next_rotation_time" and "nextRotationTime" are one field; masks come in both forms.
std::string CamelCase(std::string_view text) {
  std::string out;
  bool raise = false;
  for (const char c : text) {
    if (c == '_') {
      raise = true;
      continue;
    }
    out.push_back(raise && c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c);
    raise = false;
  }
  return out;
}

absl::StatusOr<std::vector<std::string>> UpdateMask(const KmsCall& call) {
  const std::string text = call.Query("updateMask");
  std::vector<std::string> out;
  for (const std::string_view field : SplitText(text, ',')) {
    if (!field.empty()) out.push_back(CamelCase(field));
  }
  if (out.empty() || text.size() > 512) return InvalidArgument("The update_mask must be set.");
  return out;
}

}  // namespace

absl::Status Demand(const KmsCall& call, std::string_view permission) {
  if (MayDo(call.world, call.caller, permission, call.name)) return absl::OkStatus();
  return Denied(permission, call.name.Text());
}

absl::StatusOr<CryptoKey*> DemandKey(KmsCall& call, std::string_view permission) {
  RETURN_IF_ERROR(Demand(call, permission));
  const auto found = call.world.keys.find(call.name.Key());
  if (found == call.world.keys.end()) return NotFound("CryptoKey ", call.name.Key(), " not found.");
  return &found->second;
}

absl::StatusOr<KeyAndVersion> DemandVersion(KmsCall& call, std::string_view permission) {
  ASSIGN_OR_RETURN(CryptoKey * key, DemandKey(call, permission));
  KeyVersion* const version = key->Version(call.name.version);
  if (version == nullptr) return NotFound("CryptoKeyVersion ", call.name.Version(), " not found.");
  return KeyAndVersion{key, version};
}

json::object CryptoKeyJson(const CryptoKey& key) {
  json::object out{{"name", key.name.Key()},
                   {"purpose", key.purpose},
                   {"createTime", WireTime(key.created)},
                   {"versionTemplate", json::object{{"protectionLevel", key.protection}, {"algorithm", key.algorithm}}},
                   {"destroyScheduledDuration", WireDuration(key.destroy_scheduled)}};
  if (const KeyVersion* primary = key.Version(key.primary)) out["primary"] = VersionJson(key, *primary);
  if (key.rotation_period) out["rotationPeriod"] = WireDuration(*key.rotation_period);
  if (key.next_rotation) out["nextRotationTime"] = WireTime(*key.next_rotation);
  if (!key.labels.empty()) {
    json::object labels;
    for (const auto& [name, value] : key.labels) labels[name] = value;
    out["labels"] = std::move(labels);
  }
  return out;
}

KmsResult CreateKeyRing(KmsCall& call) {
  const std::string id = call.Query("keyRingId");
  if (!IsResourceId(id)) return InvalidArgument("Invalid key_ring_id: ", Quotable(id), ".");
  RETURN_IF_ERROR(Demand(call, "cloudkms.keyRings.create"));
  call.name.ring = id;
  const std::string name = call.name.Ring();
  if (call.world.key_rings.size() >= World::kMostKeys) return absl::ResourceExhaustedError("There are too many KeyRings.");
  if (!call.world.key_rings.emplace(name, call.call.now).second) {
    return absl::AlreadyExistsError(absl::StrCat("KeyRing ", name, " already exists."));
  }
  call.call.changed = true;
  return KeyRingJson(name, call.call.now);
}

KmsResult GetKeyRing(KmsCall& call) {
  RETURN_IF_ERROR(Demand(call, "cloudkms.keyRings.get"));
  const auto found = call.world.key_rings.find(call.name.Ring());
  if (found == call.world.key_rings.end()) return NotFound("KeyRing ", call.name.Ring(), " not found.");
  return KeyRingJson(found->first, found->second);
}

KmsResult ListKeyRings(KmsCall& call) {
  RETURN_IF_ERROR(Demand(call, "cloudkms.keyRings.list"));
  const std::string prefix = call.name.Location() + "/keyRings/";
  json::array all;
  for (const auto& [name, created] : call.world.key_rings) {
    if (name.compare(0, prefix.size(), prefix) == 0) all.push_back(KeyRingJson(name, created));
  }
  return Page(call, "keyRings", std::move(all));
}

KmsResult CreateCryptoKey(KmsCall& call) {
  const std::string id = call.Query("cryptoKeyId");
  if (!IsResourceId(id)) return InvalidArgument("Invalid crypto_key_id: ", Quotable(id), ".");
  NewCryptoKey wanted;
  ASSIGN_OR_RETURN(wanted.purpose, EnumField(call.body, "purpose"));
  if (wanted.purpose.empty()) return InvalidArgument("The purpose of a CryptoKey must be set.");
  ASSIGN_OR_RETURN(const json::object version, ObjectField(call.body, "versionTemplate"));
  ASSIGN_OR_RETURN(wanted.algorithm, EnumField(version, "algorithm"));
  ASSIGN_OR_RETURN(wanted.protection, EnumField(version, "protectionLevel"));
  ASSIGN_OR_RETURN(wanted.labels, LabelsField(call.body));
  ASSIGN_OR_RETURN(wanted.rotation_period, DurationField(call.body, "rotationPeriod"));
  ASSIGN_OR_RETURN(wanted.next_rotation, TimeField(call.body, "nextRotationTime"));
  ASSIGN_OR_RETURN(wanted.destroy_scheduled, DurationField(call.body, "destroyScheduledDuration"));
  wanted.without_version = call.Query("skipInitialVersionCreation") == "true";
  RETURN_IF_ERROR(Demand(call, "cloudkms.cryptoKeys.create"));
  if (!call.world.key_rings.contains(call.name.Ring())) return NotFound("KeyRing ", call.name.Ring(), " not found.");
  wanted.name = call.name;
  wanted.name.key = id;
  ASSIGN_OR_RETURN(const CryptoKey* key, AddCryptoKey(call.world, std::move(wanted), call.call.now, call.call.random));
  call.call.changed = true;
  call.call.record.key = key->name.Key();
  return CryptoKeyJson(*key);
}

KmsResult GetCryptoKey(KmsCall& call) {
  ASSIGN_OR_RETURN(const CryptoKey* key, DemandKey(call, "cloudkms.cryptoKeys.get"));
  return CryptoKeyJson(*key);
}

KmsResult ListCryptoKeys(KmsCall& call) {
  RETURN_IF_ERROR(Demand(call, "cloudkms.cryptoKeys.list"));
  if (!call.world.key_rings.contains(call.name.Ring())) return NotFound("KeyRing ", call.name.Ring(), " not found.");
  const std::string prefix = call.name.Ring() + "/cryptoKeys/";
  json::array all;
  for (const auto& [name, key] : call.world.keys) {
    if (name.compare(0, prefix.size(), prefix) == 0) all.push_back(CryptoKeyJson(key));
  }
  return Page(call, "cryptoKeys", std::move(all));
}

KmsResult UpdateCryptoKey(KmsCall& call) {
  ASSIGN_OR_RETURN(const std::vector<std::string> mask, UpdateMask(call));
  ASSIGN_OR_RETURN(const auto period, DurationField(call.body, "rotationPeriod"));
  ASSIGN_OR_RETURN(const auto next, TimeField(call.body, "nextRotationTime"));
  ASSIGN_OR_RETURN(auto labels, LabelsField(call.body));
  RETURN_IF_ERROR(CheckLabels(labels));
  ASSIGN_OR_RETURN(CryptoKey * key, DemandKey(call, "cloudkms.cryptoKeys.update"));
  std::optional<absl::Duration> new_period = key->rotation_period;
  std::optional<absl::Time> new_next = key->next_rotation;
  bool relabel = false, rotation = false;
  for (const std::string& field : mask) {
    if (field == "labels") {
      relabel = true;
    } else if (field == "rotationPeriod") {
      new_period = period;
      rotation = true;
    } else if (field == "nextRotationTime") {
      new_next = next;
      rotation = true;
    } else {
      return InvalidArgument("The field ", Quotable(field, 64), " of a CryptoKey cannot be updated.");
    }
  }
  if (rotation) {
    if (!key->symmetric()) return InvalidArgument("Only keys with the purpose ENCRYPT_DECRYPT rotate.");
    RETURN_IF_ERROR(CheckRotation(new_period, new_next, call.call.now));
  }
  key->rotation_period = new_period;
  key->next_rotation = new_next;
  if (relabel) key->labels = std::move(labels);
  call.call.changed = true;
  return CryptoKeyJson(*key);
}

KmsResult UpdateCryptoKeyPrimaryVersion(KmsCall& call) {
  ASSIGN_OR_RETURN(const std::string id, TextField(call.body, "cryptoKeyVersionId", 16));
  ASSIGN_OR_RETURN(CryptoKey * key, DemandKey(call, "cloudkms.cryptoKeys.update"));
  if (!key->symmetric())
    return FailedPrecondition("CryptoKey ", key->name.Key(), " has the purpose ", key->purpose, ": it has no primary.");
  const absl::StatusOr<ResourceName> version_name = ParseResourceName(absl::StrCat(key->name.Key(), "/cryptoKeyVersions/", id));
  if (!version_name.ok()) return InvalidArgument("Invalid crypto_key_version_id: ", Quotable(id), ".");
  const KeyVersion* const version = key->Version(version_name->version);
  if (version == nullptr) return NotFound("CryptoKeyVersion ", version_name->Version(), " not found.");
  if (version->state != "ENABLED") return NotEnabled(key->VersionName(*version), version->state);
  key->primary = version->number;
  call.call.changed = true;
  return CryptoKeyJson(*key);
}

}  // namespace latchkey::emulator::gcp
