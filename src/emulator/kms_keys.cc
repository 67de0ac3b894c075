// The operations on keys themselves: life cycle, policy, listing, rotation.
#include <algorithm>

#include "base/json.h"
#include "base/status.h"
#include "emulator/arn.h"
#include "emulator/kms_common.h"

namespace latchkey::emulator {
namespace {

constexpr size_t kMaxOnDemandRotations = 25;

AwsError Malformed(std::string message) { return {"MalformedPolicyDocumentException", std::move(message), 400}; }

// The caller must still be able to change a policy that it sets, unless it says that it knows better.
Outcome<KeyPolicy> ReadPolicy(const KmsCallState& call, const KmsFields& fields, const std::string& text, std::string_view arn) {
  absl::StatusOr<KeyPolicy> policy = KeyPolicy::Parse(text);
  if (!policy.ok()) return Malformed(std::string(policy.status().message()));
  AWS_ASSIGN(const bool bypass, fields.Bool("BypassPolicyLockoutSafetyCheck"));
  if (!bypass && policy->Decide(call.caller, "kms:PutKeyPolicy", arn, {}) != Verdict::kAllowed) {
    return Malformed("The new key policy will not allow you to update the key policy in the future.");
  }
  return *std::move(policy);
}

// One page of `items`; Marker is the index to go on from.
struct Page {
  json::array items;
  std::optional<size_t> next;
};
Outcome<Page> Paginate(const KmsFields& fields, json::array items, int64_t limit) {
  AWS_ASSIGN(const std::string marker, fields.OptionalString("Marker", 320));
  size_t from = 0;
  if (!marker.empty()) {
    if (marker.size() > 6 || marker.find_first_not_of("0123456789") != std::string::npos)
      return AwsError{"InvalidMarkerException", "", 400};
    from = static_cast<size_t>(std::stoul(marker));
    if (from > items.size()) return AwsError{"InvalidMarkerException", "", 400};
  }
  const size_t to = std::min(items.size(), from + static_cast<size_t>(limit));
  Page page;
  for (size_t i = from; i < to; ++i) page.items.push_back(std::move(items[i]));
  if (to < items.size()) page.next = to;
  return page;
}

json::object PageAnswer(const char* name, Page page) {
  json::object answer{{"Truncated", page.next.has_value()}};
  if (page.next) answer["NextMarker"] = absl::StrCat(*page.next);
  answer[name] = std::move(page.items);
  return answer;
}

Outcome<Done> CheckRotatable(const Key& key) {
  if (!key.symmetric())
    return AwsError{"UnsupportedOperationException", key.arn + " key spec is " + key.spec + " which is not valid for this operation.", 400};
  if (key.origin != "AWS_KMS") {
    return AwsError{"UnsupportedOperationException", key.arn + " origin is " + key.origin + " which is not valid for this operation.", 400};
  }
  if (key.state == "Updating") return InvalidState(key);
  return CheckUsable(key);
}

KmsResult SwitchKey(KmsCallState& call, const json::object& request, std::string_view action, std::string state) {
  const KmsFields fields(request);
  AWS_ASSIGN(Key * key, ResolveKeyId(call, fields, action));
  if (key->state != "Enabled" && key->state != "Disabled") return InvalidState(*key);
  call.changed = key->state != state;
  key->state = std::move(state);
  return json::object{};
}

}  // namespace

json::object DescribeKeyMetadata(const Key& key) {
  json::object metadata{{"AWSAccountId", key.account},
                        {"Arn", key.arn},
                        {"CreationDate", EpochSeconds(key.created)},
                        {"CustomerMasterKeySpec", key.spec},
                        {"Description", key.description},
                        {"Enabled", key.state == "Enabled"},
                        {"KeyId", key.id},
                        {"KeyManager", "CUSTOMER"},
                        {"KeySpec", key.spec},
                        {"KeyState", key.state},
                        {"KeyUsage", key.usage},
                        {"MultiRegion", false},
                        {"Origin", key.origin}};
  if (key.usage == "ENCRYPT_DECRYPT") {
    json::array algorithms{"SYMMETRIC_DEFAULT"};
    if (!key.symmetric()) algorithms = {"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"};
    metadata["EncryptionAlgorithms"] = std::move(algorithms);
  }
  if (key.usage == "GENERATE_VERIFY_MAC") {
    json::array algorithms;
    algorithms.push_back(json::string("HMAC_SHA_" + key.spec.substr(5)));
    metadata["MacAlgorithms"] = std::move(algorithms);
  }
  if (key.state == "PendingReplicaDeletion") metadata["PendingDeletionWindowInDays"] = key.deletion_days;
  if (key.deletion_date) metadata["DeletionDate"] = EpochSeconds(*key.deletion_date);
  if (!key.materials.empty()) metadata["CurrentKeyMaterialId"] = key.materials.back().id;
  return metadata;
}

KmsResult CreateKey(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  for (const char* name : {"CustomKeyStoreId", "XksKeyId", "MultiRegion"}) {
    const json::value* value = request.if_contains(name);
    if (value != nullptr && !value->is_null() && *value != json::value(false)) {
      return AwsError{"UnsupportedOperationException", absl::StrCat("The emulator does not support ", name, "."), 400};
    }
  }
  NewKey wanted{.account = call.caller.account, .region = call.region, .id = NewUuid(call.random)};
  AWS_ASSIGN(wanted.description, fields.OptionalString("Description", 8192));
  AWS_ASSIGN(wanted.usage, fields.OptionalString("KeyUsage", 64));
  AWS_ASSIGN(wanted.spec, fields.OptionalString("KeySpec", 64));
  if (wanted.spec.empty()) {
    AWS_ASSIGN(wanted.spec, fields.OptionalString("CustomerMasterKeySpec", 64));
  }
  if (wanted.usage.empty() && !wanted.spec.empty() && wanted.spec != "SYMMETRIC_DEFAULT") {
    return Validation("You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.");
  }
  AWS_ASSIGN(wanted.origin, fields.OptionalString("Origin", 64));
  AWS_ASSIGN(wanted.policy, fields.OptionalString("Policy", 32 << 10));
  if (!wanted.policy.empty()) AWS_TRY(ReadPolicy(call, fields, wanted.policy, KeyArn(call.region, call.caller.account, wanted.id)));
  const absl::StatusOr<Key*> key = AddKey(call.world, std::move(wanted), call.now, call.random);
  if (!key.ok()) {
    if (key.status().code() == absl::StatusCode::kResourceExhausted)
      return AwsError{"LimitExceededException", std::string(key.status().message()), 400};
    return Validation(std::string(key.status().message()));
  }
  call.key = (*key)->arn;
  call.changed = true;
  json::object answer;
  answer["KeyMetadata"] = DescribeKeyMetadata(**key);
  return answer;
}

KmsResult DescribeKey(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  AWS_TRY(RefuseUnsupported(fields));
  AWS_ASSIGN(const Key* key, ResolveKeyId(call, fields, "kms:DescribeKey"));
  json::object answer;
  answer["KeyMetadata"] = DescribeKeyMetadata(*key);
  return answer;
}

KmsResult EnableKey(KmsCallState& call, const json::object& request) { return SwitchKey(call, request, "kms:EnableKey", "Enabled"); }
KmsResult DisableKey(KmsCallState& call, const json::object& request) { return SwitchKey(call, request, "kms:DisableKey", "Disabled"); }

KmsResult ScheduleKeyDeletion(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  AWS_ASSIGN(const std::optional<int64_t> days, fields.Int("PendingWindowInDays", 7, 30));
  AWS_ASSIGN(Key * key, ResolveKeyId(call, fields, "kms:ScheduleKeyDeletion"));
  if (key->pending_deletion() || key->state == "Creating" || key->state == "Updating") return InvalidState(*key);
  key->state = "PendingDeletion";
  key->deletion_days = days.value_or(30);
  key->deletion_date = call.now + absl::Hours(24) * key->deletion_days;
  call.changed = true;
  return json::object{{"DeletionDate", EpochSeconds(*key->deletion_date)},
                      {"KeyId", key->arn},
                      {"KeyState", key->state},
                      {"PendingWindowInDays", key->deletion_days}};
}

KmsResult CancelKeyDeletion(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  AWS_ASSIGN(Key * key, ResolveKeyId(call, fields, "kms:CancelKeyDeletion"));
  if (!key->pending_deletion()) return AwsError{"KMSInvalidStateException", key->arn + " is not pending deletion.", 400};
  key->state = key->origin == "EXTERNAL" && key->materials.empty() ? "PendingImport" : "Disabled";
  key->deletion_date.reset();
  key->deletion_days = 0;
  call.changed = true;
  return json::object{{"KeyId", key->arn}};
}

KmsResult PutKeyPolicy(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  AWS_ASSIGN(const std::string name, fields.OptionalString("PolicyName", 128));
  AWS_ASSIGN(const std::string text, fields.String("Policy", 32 << 10));
  AWS_ASSIGN(Key * key, ResolveKeyId(call, fields, "kms:PutKeyPolicy"));
  if (!name.empty() && name != "default") return AwsError{"NotFoundException", "No such policy exists", 400};
  AWS_ASSIGN(KeyPolicy policy, ReadPolicy(call, fields, text, key->arn));
  key->policy = std::move(policy);
  key->policy_text = text;
  call.changed = true;
  return json::object{};
}

KmsResult GetKeyPolicy(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  AWS_ASSIGN(const std::string name, fields.OptionalString("PolicyName", 128));
  AWS_ASSIGN(const Key* key, ResolveKeyId(call, fields, "kms:GetKeyPolicy"));
  if (!name.empty() && name != "default") return AwsError{"NotFoundException", "No such policy exists", 400};
  return json::object{{"Policy", key->policy_text}, {"PolicyName", "default"}};
}

KmsResult ListKeys(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  AWS_ASSIGN(const std::optional<int64_t> limit, fields.Int("Limit", 1, 1000));
  json::array keys;
  for (const auto& [arn, key] : call.world.keys) {
    if (key.account == call.caller.account && key.region == call.region) keys.push_back(json::object{{"KeyArn", arn}, {"KeyId", key.id}});
  }
  AWS_ASSIGN(Page page, Paginate(fields, std::move(keys), limit.value_or(100)));
  return PageAnswer("Keys", std::move(page));
}

KmsResult GetKeyRotationStatus(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  AWS_ASSIGN(const Key* key, ResolveKeyId(call, fields, "kms:GetKeyRotationStatus"));
  if (!key->symmetric()) {
    return AwsError{"UnsupportedOperationException", key->arn + " key spec is " + key->spec + " which is not valid for this operation.",
                    400};
  }
  const bool rotates = key->rotates && !key->pending_deletion();
  json::object answer{{"KeyId", key->arn}, {"KeyRotationEnabled", rotates}};
  if (rotates) {
    answer["RotationPeriodInDays"] = key->rotation_days;
    answer["NextRotationDate"] = EpochSeconds(key->next_rotation);
  }
  return answer;
}

KmsResult EnableKeyRotation(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  AWS_ASSIGN(const std::optional<int64_t> days, fields.Int("RotationPeriodInDays", 90, 2560));
  AWS_ASSIGN(Key * key, ResolveKeyId(call, fields, "kms:EnableKeyRotation"));
  AWS_TRY(CheckRotatable(*key));
  key->rotates = true;
  key->rotation_days = days.value_or(365);
  key->next_rotation = call.now + absl::Hours(24) * key->rotation_days;
  call.changed = true;
  return json::object{};
}

KmsResult DisableKeyRotation(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  AWS_ASSIGN(Key * key, ResolveKeyId(call, fields, "kms:DisableKeyRotation"));
  AWS_TRY(CheckRotatable(*key));
  key->rotates = false;
  call.changed = true;
  return json::object{};
}

KmsResult RotateKeyOnDemand(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  AWS_ASSIGN(Key * key, ResolveKeyId(call, fields, "kms:RotateKeyOnDemand"));
  AWS_TRY(CheckRotatable(*key));
  const auto on_demand =
      std::count_if(key->materials.begin(), key->materials.end(), [](const KeyMaterial& m) { return m.rotation == "ON_DEMAND"; });
  if (static_cast<size_t>(on_demand) >= kMaxOnDemandRotations || call.world.Materials() >= World::kMostMaterials) {
    return AwsError{
        "LimitExceededException",
        absl::StrCat("The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed "
                     "for this key: ",
                     key->arn),
        400};
  }
  key->materials.push_back(NewMaterial(call.now, "ON_DEMAND", call.random));
  call.changed = true;
  return json::object{{"KeyId", key->arn}};
}

KmsResult ListKeyRotations(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  AWS_ASSIGN(const std::optional<int64_t> limit, fields.Int("Limit", 1, 1000));
  AWS_ASSIGN(const std::string include, fields.OptionalString("IncludeKeyMaterial", 64));
  if (!include.empty() && include != "ALL_KEY_MATERIAL" && include != "ROTATIONS_ONLY") {
    return Validation(absl::StrCat("1 validation error detected: Value '", include,
                                   "' at 'includeKeyMaterial' failed to satisfy constraint: Member must satisfy enum value set: "
                                   "[ALL_KEY_MATERIAL, ROTATIONS_ONLY]"));
  }
  AWS_ASSIGN(const Key* key, ResolveKeyId(call, fields, "kms:ListKeyRotations"));
  if (!key->symmetric()) {
    return AwsError{"UnsupportedOperationException", key->arn + " key spec is " + key->spec + " which is not valid for this operation.",
                    400};
  }
  json::array rotations;
  for (const KeyMaterial& material : key->materials) {
    if (material.rotation.empty() && include != "ALL_KEY_MATERIAL") continue;
    json::object one{{"KeyId", key->arn},
                     {"KeyMaterialId", material.id},
                     {"KeyMaterialState", &material == &key->materials.back() ? "CURRENT" : "NON_CURRENT"}};
    if (!material.rotation.empty()) {
      one["RotationDate"] = EpochSeconds(material.created);
      one["RotationType"] = material.rotation;
    }
    rotations.push_back(std::move(one));
  }
  AWS_ASSIGN(Page page, Paginate(fields, std::move(rotations), limit.value_or(100)));
  return PageAnswer("Rotations", std::move(page));
}

}  // namespace latchkey::emulator
