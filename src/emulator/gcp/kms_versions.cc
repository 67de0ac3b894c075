// Key versions, and the policies of keys.
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

// Bytes on the wire, in base64.
std::string EtagOf(const CryptoKey& key) { return Base64Encode(AsBytes(absl::StrCat("policy ", key.policy_revision))); }

json::object PolicyJson(const CryptoKey& key) {
  json::object out{{"version", 1}, {"etag", EtagOf(key)}};
  if (!key.bindings.empty()) out["bindings"] = BindingsJson(key.bindings);
  return out;
}

absl::StatusOr<Bindings> ReadPolicyBindings(const json::object& policy) {
  Bindings out;
  const json::value* list = policy.if_contains("bindings");
  if (list == nullptr || list->is_null()) return out;
  if (!list->is_array()) return InvalidArgument("Invalid value at 'policy.bindings'.");
  size_t total = 0;
  for (const json::value& item : list->get_array()) {
    if (!item.is_object()) return InvalidArgument("Invalid value at 'policy.bindings'.");
    const json::object& binding = item.get_object();
    if (const json::value* condition = binding.if_contains("condition"); condition != nullptr && !condition->is_null()) {
      return absl::UnimplementedError("The emulator has no conditions.");
    }
    ASSIGN_OR_RETURN(const std::string role, TextField(binding, "role", 128));
    if (!IsRole(role)) return InvalidArgument("Role ", Quotable(role), " is not supported for this resource.");
    const json::value* members = binding.if_contains("members");
    if (members == nullptr || !members->is_array()) return InvalidArgument("Invalid value at 'policy.bindings.members'.");
    for (const json::value& member : members->get_array()) {
      if (!member.is_string() || !IsMember(std::string_view(member.get_string()))) {
        return InvalidArgument("A member of the policy is not valid.");
      }
      if (++total > World::kMostMembers) return InvalidArgument("The policy has too many members.");
      out[role].emplace(member.get_string());
    }
  }
  return out;
}

}  // namespace

json::object VersionJson(const CryptoKey& key, const KeyVersion& version) {
  json::object out{{"name", key.VersionName(version)},        {"state", version.state},
                   {"protectionLevel", key.protection},       {"algorithm", key.algorithm},
                   {"createTime", WireTime(version.created)}, {"generateTime", WireTime(version.created)}};
  if (version.destroy_time) out["destroyTime"] = WireTime(*version.destroy_time);
  if (version.destroyed) out["destroyEventTime"] = WireTime(*version.destroyed);
  return out;
}

json::array BindingsJson(const Bindings& bindings) {
  json::array out;
  for (const auto& [role, members] : bindings) {
    out.push_back(json::object{{"role", role}, {"members", json::array(members.begin(), members.end())}});
  }
  return out;
}

KmsResult CreateCryptoKeyVersion(KmsCall& call) {
  ASSIGN_OR_RETURN(CryptoKey * key, DemandKey(call, "cloudkms.cryptoKeyVersions.create"));
  ASSIGN_OR_RETURN(const KeyVersion* version, AddVersion(call.world, *key, call.call.now, call.call.random));
  call.call.changed = true;
  return VersionJson(*key, *version);
}

KmsResult GetCryptoKeyVersion(KmsCall& call) {
  ASSIGN_OR_RETURN(const KeyAndVersion found, DemandVersion(call, "cloudkms.cryptoKeyVersions.get"));
  return VersionJson(*found.key, *found.version);
}

KmsResult ListCryptoKeyVersions(KmsCall& call) {
  ASSIGN_OR_RETURN(const CryptoKey* key, DemandKey(call, "cloudkms.cryptoKeyVersions.list"));
  json::array all;
  for (const KeyVersion& version : key->versions) all.push_back(VersionJson(*key, version));
  return Page(call, "cryptoKeyVersions", std::move(all));
}

KmsResult UpdateCryptoKeyVersion(KmsCall& call) {
  if (call.Query("updateMask") != "state") return InvalidArgument("The update_mask must be \"state\".");
  ASSIGN_OR_RETURN(const std::string state, EnumField(call.body, "state"));
  if (state != "ENABLED" && state != "DISABLED") return InvalidArgument("The state can be changed to ENABLED or DISABLED only.");
  ASSIGN_OR_RETURN(const KeyAndVersion found, DemandVersion(call, "cloudkms.cryptoKeyVersions.update"));
  if (found.version->state != "ENABLED" && found.version->state != "DISABLED") {
    return WrongState(call.name.Version(), found.version->state);
  }
  found.version->state = state;
  call.call.changed = true;
  return VersionJson(*found.key, *found.version);
}

KmsResult DestroyCryptoKeyVersion(KmsCall& call) {
  ASSIGN_OR_RETURN(const KeyAndVersion found, DemandVersion(call, "cloudkms.cryptoKeyVersions.destroy"));
  if (found.version->state != "ENABLED" && found.version->state != "DISABLED") {
    return WrongState(call.name.Version(), found.version->state);
  }
  found.version->state = "DESTROY_SCHEDULED";
  found.version->destroy_time = call.call.now + found.key->destroy_scheduled;
  call.call.changed = true;
  return VersionJson(*found.key, *found.version);
}

KmsResult RestoreCryptoKeyVersion(KmsCall& call) {
  ASSIGN_OR_RETURN(const KeyAndVersion found, DemandVersion(call, "cloudkms.cryptoKeyVersions.restore"));
  if (found.version->state != "DESTROY_SCHEDULED") return WrongState(call.name.Version(), found.version->state);
  found.version->state = "DISABLED";
  found.version->destroy_time.reset();
  call.call.changed = true;
  return VersionJson(*found.key, *found.version);
}

KmsResult GetIamPolicy(KmsCall& call) {
  ASSIGN_OR_RETURN(const CryptoKey* key, DemandKey(call, "cloudkms.cryptoKeys.getIamPolicy"));
  return PolicyJson(*key);
}

KmsResult SetIamPolicy(KmsCall& call) {
  ASSIGN_OR_RETURN(const json::object policy, ObjectField(call.body, "policy"));
  ASSIGN_OR_RETURN(const std::string etag, TextField(policy, "etag", 64));
  ASSIGN_OR_RETURN(Bindings bindings, ReadPolicyBindings(policy));
  ASSIGN_OR_RETURN(CryptoKey * key, DemandKey(call, "cloudkms.cryptoKeys.setIamPolicy"));
  if (!etag.empty() && etag != EtagOf(*key)) {
    return absl::AbortedError("There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.");
  }
  key->bindings = std::move(bindings);
  ++key->policy_revision;
  call.call.changed = true;
  return PolicyJson(*key);
}

// Whoever holds nothing gets an empty answer, also where nothing is: as in the service, it tells no more than that.
KmsResult TestIamPermissions(KmsCall& call) {
  const json::value* list = call.body.if_contains("permissions");
  if (list == nullptr || !list->is_array() || list->get_array().empty() || list->get_array().size() > 100) {
    return InvalidArgument("Invalid value at 'permissions'.");
  }
  json::array held;
  for (const json::value& item : list->get_array()) {
    if (!item.is_string()) return InvalidArgument("Invalid value at 'permissions'.");
    const std::string_view permission(item.get_string());
    if (permission.substr(0, 9) != "cloudkms." || permission.find('*') != std::string_view::npos) {
      return InvalidArgument("Permission ", Quotable(permission, 64), " is not valid for this resource.");
    }
    if (call.world.keys.contains(call.name.Key()) && MayDo(call.world, call.caller, permission, call.name)) held.push_back(item);
  }
  if (held.empty()) return json::object();
  return json::object{{"permissions", std::move(held)}};
}

KmsOperation FindKmsOperation(std::string_view operation) {
  struct Named {
    std::string_view name;
    KmsOperation operation;
  };
  static constexpr Named kOperations[] = {
      {"CreateKeyRing", CreateKeyRing},
      {"GetKeyRing", GetKeyRing},
      {"ListKeyRings", ListKeyRings},
      {"CreateCryptoKey", CreateCryptoKey},
      {"GetCryptoKey", GetCryptoKey},
      {"ListCryptoKeys", ListCryptoKeys},
      {"UpdateCryptoKey", UpdateCryptoKey},
      {"UpdateCryptoKeyPrimaryVersion", UpdateCryptoKeyPrimaryVersion},
      {"CreateCryptoKeyVersion", CreateCryptoKeyVersion},
      {"GetCryptoKeyVersion", GetCryptoKeyVersion},
      {"ListCryptoKeyVersions", ListCryptoKeyVersions},
      {"UpdateCryptoKeyVersion", UpdateCryptoKeyVersion},
      {"DestroyCryptoKeyVersion", DestroyCryptoKeyVersion},
      {"RestoreCryptoKeyVersion", RestoreCryptoKeyVersion},
      {"Encrypt", Encrypt},
      {"Decrypt", Decrypt},
      {"GetIamPolicy", GetIamPolicy},
      {"SetIamPolicy", SetIamPolicy},
      {"TestIamPermissions", TestIamPermissions},
  };
  for (const Named& item : kOperations) {
    if (item.name == operation) return item.operation;
  }
  return nullptr;
}

}  // namespace latchkey::emulator::gcp
