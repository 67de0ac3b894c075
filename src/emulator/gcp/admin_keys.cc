// The admin calls on keys, their bindings, and denials.
#include <algorithm>

#include "base/json.h"
#include "base/status.h"
#include "emulator/arn.h"
#include "emulator/gcp/access.h"
#include "emulator/gcp/admin.h"
#include "emulator/gcp/kms_api.h"

namespace latchkey::emulator::gcp {
namespace {

// A key, and one of its versions where the call names one.
struct Target {
  CryptoKey* key = nullptr;
  KeyVersion* version = nullptr;
};

absl::StatusOr<Target> FindTarget(AdminCall& call, JsonReader& reader) {
  std::string reference = reader.String("key");
  int64_t version = reader.OptionalInt("version", 0);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (const auto name = ParseResourceName(reference); name.ok() && name->version != 0) {
    if (version != 0 && version != name->version) return InvalidArgument("version: is not the one that key names");
    version = name->version;
    reference = name->Key();
  }
  Target out;
  ASSIGN_OR_RETURN(out.key, FindKeyForAdmin(call.world, reference));
  if (version != 0) {
    out.version = out.key->Version(version);
    if (out.version == nullptr) return NotFound("version: there is no version ", version, " of ", out.key->name.Key());
  }
  return out;
}

json::object Shown(const CryptoKey& key) {
  json::object out = CryptoKeyJson(key);
  json::array versions;
  for (const KeyVersion& version : key.versions) versions.push_back(VersionJson(key, version));
  out["versions"] = std::move(versions);
  if (!key.bindings.empty()) out["bindings"] = BindingsJson(key.bindings);
  return out;
}

// Changes the one version named, which must be in one of the states `from`; or all that are. None at all is FailedPrecondition, unless all
// there is has the wanted state already.
template <typename Change>
AdminResult ChangeVersions(AdminCall& call, const std::vector<std::string_view>& from, std::string_view to, Change change,
                           JsonReader& reader) {
  ASSIGN_OR_RETURN(const Target target, FindTarget(call, reader));
  const auto fits = [&](const KeyVersion& version) { return std::find(from.begin(), from.end(), version.state) != from.end(); };
  size_t changed = 0, already = 0;
  for (KeyVersion& version : target.key->versions) {
    if (target.version != nullptr && &version != target.version) continue;
    if (fits(version)) {
      change(*target.key, version);
      ++changed;
    } else if (version.state == to) {
      ++already;
    }
  }
  if (changed + already == 0) {
    return FailedPrecondition("key: ", target.key->name.Key(), " has no version that can become ", ToAbsl(to), " now");
  }
  return Shown(*target.key);
}

// The member and role of a call on bindings, and where they go.
absl::Status ChangeBinding(JsonReader& reader, Bindings& bindings, bool grant) {
  const std::string role = reader.String("role");
  const std::string text = reader.String("member");
  reader.RefuseUnknown();
  if (!IsRole(role)) reader.Fault("role", "must be roles/cloudkms.… of those that the emulator knows, or roles/owner");
  const std::string member = MemberOf(text);
  if (member.empty()) reader.Fault("member", "must be a service account, or a member as policies write it");
  RETURN_IF_ERROR(reader.status());
  if (grant) {
    size_t members = 0;
    for (const auto& [name, list] : bindings) members += list.size();
    if (members >= World::kMostMembers) return absl::ResourceExhaustedError("member: there are too many members");
    bindings[role].insert(member);
    return absl::OkStatus();
  }
  const auto found = bindings.find(role);
  if (found == bindings.end() || found->second.erase(member) == 0) return NotFound("member: ", Quotable(member), " has no such role there");
  if (found->second.empty()) bindings.erase(found);
  return absl::OkStatus();
}

AdminResult ChangeKeyBinding(AdminCall& call, bool grant) {
  JsonReader reader(call.body);
  const std::string reference = reader.String("key");
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(CryptoKey * key, FindKeyForAdmin(call.world, reference));
  RETURN_IF_ERROR(ChangeBinding(reader, key->bindings, grant));
  ++key->policy_revision;
  return Shown(*key);
}

AdminResult ChangeProjectBinding(AdminCall& call, bool grant) {
  JsonReader reader(call.body);
  const std::string id = reader.String("project");
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(Project * project, call.world.UseProject(id, call.random));
  RETURN_IF_ERROR(ChangeBinding(reader, project->bindings, grant));
  return json::object{{"project", id}, {"project_number", project->number}, {"bindings", BindingsJson(project->bindings)}};
}

absl::StatusOr<Denial> ReadDenial(AdminCall& call) {
  JsonReader reader(call.body);
  const std::string principal = reader.String("principal");
  const std::string reference = reader.OptionalString("key");
  Denial out{.member = principal == "*" ? principal : MemberOf(principal), .key = {}};
  if (out.member.empty()) reader.Fault("principal", "must be a service account, a member as policies write it, or \"*\"");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (!reference.empty()) {
    ASSIGN_OR_RETURN(const CryptoKey* key, FindKeyForAdmin(call.world, reference));
    out.key = key->name.Key();
  }
  return out;
}

json::object DenialJson(const Denial& denial) { return {{"principal", denial.member}, {"key", denial.key}}; }

}  // namespace

absl::StatusOr<CryptoKey*> FindKeyForAdmin(World& world, const std::string& reference) {
  const auto exact = world.keys.find(reference);
  if (exact != world.keys.end()) return &exact->second;
  CryptoKey* found = nullptr;
  for (auto& [name, key] : world.keys) {
    if (key.name.key != reference) continue;
    if (found != nullptr) return InvalidArgument("key: ", Quotable(reference), " means more than one; give the whole name");
    found = &key;
  }
  if (found == nullptr) return NotFound("key: there is no key ", Quotable(reference));
  return found;
}

AdminResult CreateKeyByAdmin(AdminCall& call) {
  JsonReader reader(call.body);
  const std::string text = reader.String("key");
  NewCryptoKey wanted;
  wanted.purpose = reader.OptionalString("purpose");
  wanted.algorithm = reader.OptionalString("algorithm");
  wanted.protection = reader.OptionalString("protection_level");
  const int64_t rotation = reader.OptionalInt("rotation_seconds", 0);
  const int64_t destroy = reader.OptionalInt("destroy_scheduled_seconds", 0);
  const absl::StatusOr<ResourceName> name = ParseResourceName(text);
  if (!name.ok() || name->key.empty() || name->version != 0 || !IsServedLocation(name->location)) {
    reader.Fault("key", "must be projects/P/locations/L/keyRings/R/cryptoKeys/K with a location of the service");
  }
  if (rotation < 0) reader.Fault("rotation_seconds", "must not be negative");
  if (destroy < 0) reader.Fault("destroy_scheduled_seconds", "must not be negative");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  wanted.name = *name;
  if (rotation > 0) {
    wanted.rotation_period = absl::Seconds(rotation);
    wanted.next_rotation = call.now + absl::Seconds(rotation);
  }
  if (destroy > 0) wanted.destroy_scheduled = absl::Seconds(destroy);
  RETURN_IF_ERROR(call.world.UseProject(name->project, call.random).status());
  ASSIGN_OR_RETURN(const CryptoKey* key, AddCryptoKey(call.world, std::move(wanted), call.now, call.random));
  call.world.key_rings.emplace(name->Ring(), call.now);
  return Shown(*key);
}

AdminResult EnableByAdmin(AdminCall& call) {
  JsonReader reader(call.body);
  return ChangeVersions(call, {"DISABLED"}, "ENABLED", [](const CryptoKey&, KeyVersion& version) { version.state = "ENABLED"; }, reader);
}

AdminResult DisableByAdmin(AdminCall& call) {
  JsonReader reader(call.body);
  return ChangeVersions(call, {"ENABLED"}, "DISABLED", [](const CryptoKey&, KeyVersion& version) { version.state = "DISABLED"; }, reader);
}

AdminResult DestroyByAdmin(AdminCall& call) {
  JsonReader reader(call.body);
  const int64_t seconds = reader.OptionalInt("seconds", -1);
  if (call.body.contains("seconds") && (seconds < 0 || seconds > 120 * 86'400)) reader.Fault("seconds", "must be 0 to 10368000");
  // Shorter than a key's own waiting time, for tests that do not wait.
  const auto schedule = [&](const CryptoKey& key, KeyVersion& version) {
    version.state = "DESTROY_SCHEDULED";
    version.destroy_time = call.now + (seconds >= 0 ? absl::Seconds(seconds) : key.destroy_scheduled);
    if (*version.destroy_time <= call.now) Destroy(version, call.now);
  };
  return ChangeVersions(call, {"ENABLED", "DISABLED"}, "DESTROY_SCHEDULED", schedule, reader);
}

AdminResult RestoreByAdmin(AdminCall& call) {
  JsonReader reader(call.body);
  const auto restore = [](const CryptoKey&, KeyVersion& version) {
    version.state = "DISABLED";
    version.destroy_time.reset();
  };
  return ChangeVersions(call, {"DESTROY_SCHEDULED"}, "DISABLED", restore, reader);
}

AdminResult RotateByAdmin(AdminCall& call) {
  JsonReader reader(call.body);
  const std::string reference = reader.String("key");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(CryptoKey * key, FindKeyForAdmin(call.world, reference));
  if (!key->symmetric()) return FailedPrecondition("key: ", key->name.Key(), " has no primary version");
  ASSIGN_OR_RETURN(const KeyVersion* version, AddVersion(call.world, *key, call.now, call.random));
  key->primary = version->number;
  return Shown(*key);
}

AdminResult GrantOnKey(AdminCall& call) { return ChangeKeyBinding(call, true); }
AdminResult RevokeOnKey(AdminCall& call) { return ChangeKeyBinding(call, false); }
AdminResult GrantOnProject(AdminCall& call) { return ChangeProjectBinding(call, true); }
AdminResult RevokeOnProject(AdminCall& call) { return ChangeProjectBinding(call, false); }

AdminResult Deny(AdminCall& call) {
  ASSIGN_OR_RETURN(Denial denial, ReadDenial(call));
  std::vector<Denial>& all = call.world.denials;
  json::object answer = DenialJson(denial);
  if (std::find(all.begin(), all.end(), denial) != all.end()) return answer;
  if (all.size() >= World::kMostIdentities) return absl::ResourceExhaustedError("principal: there are too many denials");
  all.push_back(std::move(denial));
  return answer;
}

AdminResult Undeny(AdminCall& call) {
  ASSIGN_OR_RETURN(const Denial denial, ReadDenial(call));
  if (std::erase(call.world.denials, denial) == 0) return NotFound("principal: ", Quotable(denial.member), " is not denied so");
  return DenialJson(denial);
}

}  // namespace latchkey::emulator::gcp
