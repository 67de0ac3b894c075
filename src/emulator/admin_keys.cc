// The admin API's calls on keys, and the denials that go with them.
#include <algorithm>
#include <array>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "emulator/admin_api.h"
#include "emulator/arn.h"
#include "emulator/kms_api.h"

namespace latchkey {
namespace {

json::object Shown(const emulator::Key& key) {
  json::object out = emulator::DescribeKeyMetadata(key);
  if (!key.alias.empty()) out["Alias"] = key.alias;
  return out;
}

}  // namespace

EmulatorAdmin::Result EmulatorAdmin::CreateKey(const Body& body) {
  JsonReader reader(body);
  emulator::NewKey wanted;
  wanted.account = reader.String("account");
  wanted.region = reader.String("region");
  wanted.id = reader.OptionalString("key_id");
  wanted.alias = reader.OptionalString("alias");
  wanted.description = reader.OptionalString("description");
  wanted.usage = reader.OptionalString("key_usage");
  wanted.spec = reader.OptionalString("key_spec");
  wanted.origin = reader.OptionalString("origin");
  wanted.policy = reader.OptionalString("policy");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(const emulator::Key* key, emulator::AddKey(world_, std::move(wanted), emulator_.Now(), *emulator_.options_.random));
  return Shown(*key);
}

EmulatorAdmin::Result EmulatorAdmin::SwitchKey(const Body& body, const std::string& state) {
  JsonReader reader(body);
  const std::string reference = reader.String("key");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(emulator::Key * key, world_.FindKeyForAdmin(reference));
  if (key->pending_deletion()) return FailedPrecondition("key: ", key->arn, " is pending deletion; cancel that first");
  if (key->symmetric() && key->materials.empty()) return FailedPrecondition("key: ", key->arn, " has no key material");
  key->state = state;
  return Shown(*key);
}

EmulatorAdmin::Result EmulatorAdmin::EnableKey(const Body& body) { return SwitchKey(body, "Enabled"); }
EmulatorAdmin::Result EmulatorAdmin::DisableKey(const Body& body) { return SwitchKey(body, "Disabled"); }

EmulatorAdmin::Result EmulatorAdmin::ScheduleDeletion(const Body& body) {
  JsonReader reader(body);
  const std::string reference = reader.String("key");
  const int64_t days = reader.OptionalInt("days", 30);
  const int64_t seconds = reader.OptionalInt("seconds", 0);
  if (days < 7 || days > 30) reader.Fault("days", "must be 7 to 30");
  if (body.contains("seconds") && (seconds < 1 || seconds > 30 * 86'400)) reader.Fault("seconds", "must be 1 to 2592000");
  if (body.contains("seconds") && body.contains("days")) reader.Fault("seconds", "does not go with days");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(emulator::Key * key, world_.FindKeyForAdmin(reference));
  if (key->pending_deletion()) return FailedPrecondition("key: ", key->arn, " is pending deletion already");
  key->state = "PendingDeletion";
  // Shorter windows than the service's are for tests that wait.
  key->deletion_days = seconds > 0 ? 7 : days;
  key->deletion_date = emulator_.Now() + (seconds > 0 ? absl::Seconds(seconds) : absl::Hours(24) * days);
  return Shown(*key);
}

EmulatorAdmin::Result EmulatorAdmin::CancelDeletion(const Body& body) {
  JsonReader reader(body);
  const std::string reference = reader.String("key");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(emulator::Key * key, world_.FindKeyForAdmin(reference));
  if (!key->pending_deletion()) return FailedPrecondition("key: ", key->arn, " is not pending deletion");
  key->state = key->origin == "EXTERNAL" && key->materials.empty() ? "PendingImport" : "Disabled";
  key->deletion_date.reset();
  key->deletion_days = 0;
  return Shown(*key);
}

EmulatorAdmin::Result EmulatorAdmin::SetKeyState(const Body& body) {
  JsonReader reader(body);
  const std::string reference = reader.String("key");
  const std::string state = reader.String("state");
  constexpr std::array<std::string_view, 7> kSettable = {"Enabled",  "Disabled", "PendingImport",         "Unavailable",
                                                         "Creating", "Updating", "PendingReplicaDeletion"};
  if (std::find(kSettable.begin(), kSettable.end(), state) == kSettable.end()) {
    reader.Fault("state", "must be Enabled, Disabled, PendingImport, Unavailable, Creating, Updating or PendingReplicaDeletion");
  }
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(emulator::Key * key, world_.FindKeyForAdmin(reference));
  if (key->state == "PendingDeletion") return FailedPrecondition("key: ", key->arn, " is pending deletion; cancel that first");
  // An imported key gets its material now: importing itself is not part of the emulator.
  if (key->symmetric() && key->materials.empty() && state != "PendingImport") {
    key->materials.push_back(emulator::NewMaterial(emulator_.Now(), "", *emulator_.options_.random));
  }
  key->state = state;
  key->deletion_date.reset();
  // There are no replicas here, so nothing ends this state by itself; the window that would follow is the service's default.
  key->deletion_days = state == "PendingReplicaDeletion" ? 30 : 0;
  return Shown(*key);
}

EmulatorAdmin::Result EmulatorAdmin::SetKeyPolicy(const Body& body) {
  JsonReader reader(body);
  const std::string reference = reader.String("key");
  const json::object* policy = reader.OptionalObject("policy");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(emulator::Key * key, world_.FindKeyForAdmin(reference));
  const std::string text = policy == nullptr ? emulator::KeyPolicy::DefaultText(key->account) : json::serialize(*policy);
  ASSIGN_OR_RETURN(key->policy, emulator::KeyPolicy::Parse(text));
  key->policy_text = text;
  return Shown(*key);
}

EmulatorAdmin::Result EmulatorAdmin::RotateKey(const Body& body) {
  JsonReader reader(body);
  const std::string reference = reader.String("key");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(emulator::Key * key, world_.FindKeyForAdmin(reference));
  if (key->materials.empty()) return FailedPrecondition("key: ", key->arn, " has no key material");
  if (world_.Materials() >= emulator::World::kMostMaterials) return absl::ResourceExhaustedError("key: there is too much key material");
  key->materials.push_back(emulator::NewMaterial(emulator_.Now(), "ON_DEMAND", *emulator_.options_.random));
  return Shown(*key);
}

absl::StatusOr<emulator::Denial> EmulatorAdmin::ReadDenial(const Body& body) {
  JsonReader reader(body);
  emulator::Denial denial{.principal = reader.String("principal")};
  const std::string reference = reader.OptionalString("key");
  const std::optional<emulator::Arn> arn = emulator::ParseArn(denial.principal);
  const bool identity = arn && (arn->service == "iam" || arn->service == "sts") && emulator::IsAccountId(arn->account);
  if (denial.principal != "*" && !emulator::IsAccountId(denial.principal) && !identity) {
    reader.Fault("principal", "must be the ARN of a user, role or session, an account, or \"*\"");
  }
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (!reference.empty()) {
    ASSIGN_OR_RETURN(const emulator::Key* key, world_.FindKeyForAdmin(reference));
    denial.key = key->arn;
  }
  return denial;
}

EmulatorAdmin::Result EmulatorAdmin::Deny(const Body& body) {
  ASSIGN_OR_RETURN(emulator::Denial denial, ReadDenial(body));
  json::object answer{{"principal", denial.principal}, {"key", denial.key}};
  if (std::find(world_.denials.begin(), world_.denials.end(), denial) != world_.denials.end()) return answer;
  if (world_.denials.size() >= emulator::World::kMostIdentities)
    return absl::ResourceExhaustedError("principal: there are too many denials");
  world_.denials.push_back(std::move(denial));
  return answer;
}

EmulatorAdmin::Result EmulatorAdmin::Undeny(const Body& body) {
  ASSIGN_OR_RETURN(const emulator::Denial denial, ReadDenial(body));
  if (std::erase(world_.denials, denial) == 0) return NotFound("principal: ", denial.principal, " is not denied so");
  return json::object{{"principal", denial.principal}, {"key", denial.key}};
}

}  // namespace latchkey
