// The World's form at rest.
//
//   {"warning": …, "format": 1, "accounts": […], "users": [{…}], "roles": [{…}], "keys": [{…, "materials": [{"id", "bytes", "created",
//   "rotation"}]}],
//    "denials": […], "web_tokens": […], "faults": {"aws": {…}, …}, "outages": ["aws", …], "instance_role": "", "containers": […],
//    "pending": [{"due", "path", "body"}], "clock_offset_us": 0, "session_key": …, "calls_reserved": n}
//
// and, put in by the emulator, a member for each other cloud. "faults" with "queue" in it and "outage" are of files from before there were
// several clouds.
//
// Byte strings are base64, times are microseconds since 1970.
#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "emulator/arn.h"
#include "emulator/world.h"

namespace latchkey::emulator {
namespace {

constexpr std::string_view kWarning = "For development and tests only: this file holds keys and secrets in the clear.";

std::string Encoded(const SecretBytes& bytes) { return Base64Encode(bytes.Reveal(SecretAccess{})); }

SecretBytes Decoded(JsonReader& reader, std::string_view name, size_t least, size_t most) {
  absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(reader.String(name));
  if (!bytes.ok() || bytes->size() < least || bytes->size() > most) {
    reader.Fault(name, "is not base64 of the right length");
    return {};
  }
  SecretBytes out = SecretBytes::CopyOf(*bytes);
  Wipe(bytes->data(), bytes->size());
  return out;
}

absl::Time TimeOf(int64_t micros) { return absl::FromUnixMicros(micros); }

json::array Strings(const std::vector<std::string>& list) { return json::array(list.begin(), list.end()); }

std::vector<std::string> StringsOf(JsonReader& reader, std::string_view name) {
  std::vector<std::string> out;
  const json::array* list = reader.Array(name);
  if (list == nullptr) return out;
  for (const json::value& item : *list) {
    if (item.is_string()) {
      out.emplace_back(item.get_string());
    } else {
      reader.Fault(name, "must hold strings");
    }
  }
  return out;
}

json::object KeyToJson(const Key& key) {
  json::array materials;
  for (const KeyMaterial& m : key.materials) {
    materials.push_back(
        json::object{{"id", m.id}, {"bytes", Encoded(m.bytes)}, {"created", absl::ToUnixMicros(m.created)}, {"rotation", m.rotation}});
  }
  json::object out{{"id", key.id},
                   {"account", key.account},
                   {"region", key.region},
                   {"alias", key.alias},
                   {"description", key.description},
                   {"usage", key.usage},
                   {"spec", key.spec},
                   {"origin", key.origin},
                   {"state", key.state},
                   {"policy", key.policy_text},
                   {"created", absl::ToUnixMicros(key.created)},
                   {"deletion_days", key.deletion_days},
                   {"rotates", key.rotates},
                   {"rotation_days", key.rotation_days},
                   {"next_rotation", absl::ToUnixMicros(key.next_rotation)}};
  if (key.deletion_date) out["deletion_date"] = absl::ToUnixMicros(*key.deletion_date);
  out["materials"] = std::move(materials);
  return out;
}

absl::StatusOr<Key> KeyFromJson(const json::object& object) {
  JsonReader reader(object, "keys");
  Key key;
  key.id = reader.String("id");
  key.account = reader.String("account");
  key.region = reader.String("region");
  key.arn = KeyArn(key.region, key.account, key.id);
  key.alias = reader.OptionalString("alias");
  key.description = reader.OptionalString("description");
  key.usage = reader.String("usage");
  key.spec = reader.String("spec");
  key.origin = reader.String("origin");
  key.state = reader.String("state");
  key.policy_text = reader.String("policy");
  key.created = TimeOf(reader.Int("created"));
  key.deletion_days = reader.OptionalInt("deletion_days", 0);
  key.rotates = reader.OptionalBool("rotates", false);
  key.rotation_days = reader.OptionalInt("rotation_days", 365);
  key.next_rotation = TimeOf(reader.OptionalInt("next_rotation", 0));
  if (object.contains("deletion_date")) key.deletion_date = TimeOf(reader.Int("deletion_date"));
  const json::array* materials = reader.Array("materials");
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(key.policy, KeyPolicy::Parse(key.policy_text));
  for (const json::value& item : *materials) {
    if (!item.is_object()) return InvalidArgument("keys.materials: must hold objects");
    JsonReader inner(item.get_object(), "keys.materials");
    KeyMaterial material;
    material.id = inner.String("id");
    material.bytes = Decoded(inner, "bytes", 32, 32);
    material.created = TimeOf(inner.Int("created"));
    material.rotation = inner.OptionalString("rotation");
    RETURN_IF_ERROR(inner.status());
    key.materials.push_back(std::move(material));
  }
  return key;
}

absl::StatusOr<User> UserFromJson(const json::object& object) {
  JsonReader reader(object, "users");
  User user;
  user.account = reader.String("account");
  user.name = reader.String("name");
  user.user_id = reader.String("user_id");
  user.access_key_id = reader.String("access_key_id");
  user.secret_access_key = Decoded(reader, "secret_access_key", 1, 256);
  RETURN_IF_ERROR(reader.status());
  return user;
}

absl::StatusOr<Role> RoleFromJson(const json::object& object) {
  JsonReader reader(object, "roles");
  Role role;
  role.account = reader.String("account");
  role.name = reader.String("name");
  role.role_id = reader.String("role_id");
  role.arn = RoleArn(role.account, role.name);
  role.principals = StringsOf(reader, "principals");
  role.external_id = reader.OptionalString("external_id");
  role.trusted = reader.OptionalBool("trusted", true);
  role.max_session_seconds = reader.Int("max_session_seconds");
  const json::array* identities = reader.Array("web_identities");
  RETURN_IF_ERROR(reader.status());
  for (const json::value& item : *identities) {
    if (!item.is_object()) return InvalidArgument("roles.web_identities: must hold objects");
    JsonReader inner(item.get_object(), "roles.web_identities");
    role.web_identities.push_back({inner.String("subject"), inner.String("audience")});
    RETURN_IF_ERROR(inner.status());
  }
  return role;
}

// Every element of the list `name`, read by `read`.
template <typename Read>
absl::Status ForEach(JsonReader& reader, const char* name, const Read& read) {
  const json::array* list = reader.Array(name);
  RETURN_IF_ERROR(reader.status());
  for (const json::value& item : *list) {
    if (!item.is_object()) return InvalidArgument(name, ": must hold objects");
    RETURN_IF_ERROR(read(item.get_object()));
  }
  return absl::OkStatus();
}

}  // namespace

json::object World::ToJson() const {
  json::array users_json, roles_json, keys_json, denials_json, tokens_json;
  for (const auto& [id, user] : users) {
    users_json.push_back(json::object{{"account", user.account},
                                      {"name", user.name},
                                      {"user_id", user.user_id},
                                      {"access_key_id", user.access_key_id},
                                      {"secret_access_key", Encoded(user.secret_access_key)}});
  }
  for (const auto& [arn, role] : roles) {
    json::array identities;
    for (const WebIdentity& w : role.web_identities) identities.push_back(json::object{{"subject", w.subject}, {"audience", w.audience}});
    json::object one{{"account", role.account},         {"name", role.name},       {"role_id", role.role_id},
                     {"external_id", role.external_id}, {"trusted", role.trusted}, {"max_session_seconds", role.max_session_seconds}};
    one["principals"] = Strings(role.principals);
    one["web_identities"] = std::move(identities);
    roles_json.push_back(std::move(one));
  }
  for (const auto& [arn, key] : keys) keys_json.push_back(KeyToJson(key));
  for (const Denial& d : denials) denials_json.push_back(json::object{{"principal", d.principal}, {"key", d.key}});
  for (const auto& [digest, w] : web_tokens) {
    tokens_json.push_back(json::object{{"sha256", digest}, {"subject", w.subject}, {"audience", w.audience}});
  }
  json::array containers_json;
  for (const auto& [id, container] : containers) {
    containers_json.push_back(json::object{{"id", id}, {"role", container.role}, {"sha256", container.authorization_sha256}});
  }
  json::object out{{"warning", kWarning}, {"format", 1}, {"instance_role", instance_role}};
  out["containers"] = std::move(containers_json);
  out["accounts"] = json::array(accounts.begin(), accounts.end());
  out["users"] = std::move(users_json);
  out["roles"] = std::move(roles_json);
  out["keys"] = std::move(keys_json);
  out["denials"] = std::move(denials_json);
  out["web_tokens"] = std::move(tokens_json);
  json::object plans;
  for (const auto& [cloud, plan] : faults) plans[cloud] = plan.ToJson();
  out["faults"] = std::move(plans);
  out["outages"] = json::array(outages.begin(), outages.end());
  json::array waiting;
  for (const PendingChange& p : pending) {
    waiting.push_back(json::object{{"due", absl::ToUnixMicros(p.due)}, {"path", p.path}, {"body", p.body}});
  }
  out["pending"] = std::move(waiting);
  out["clock_offset_us"] = absl::ToInt64Microseconds(clock_offset);
  out["session_key"] = Encoded(session_key);
  out["calls_reserved"] = calls_reserved;
  return out;
}

absl::StatusOr<World> World::FromJson(const json::object& object) {
  JsonReader reader(object);
  World world;
  if (reader.Int("format") != 1) reader.Fault("format", "is not one that this program knows");
  for (const std::string& account : StringsOf(reader, "accounts")) world.accounts.insert(account);
  if (object.contains("outages")) {
    for (std::string& cloud : StringsOf(reader, "outages")) world.outages.insert(std::move(cloud));
  } else if (reader.OptionalBool("outage", false)) {
    world.outages.emplace(kAws);
  }
  world.clock_offset = absl::Microseconds(reader.OptionalInt("clock_offset_us", 0));
  world.session_key = Decoded(reader, "session_key", 32, 32);
  world.calls_reserved = reader.Int("calls_reserved");
  const json::object* plans = reader.Object("faults");
  RETURN_IF_ERROR(reader.status());
  if (plans->contains("queue")) {
    ASSIGN_OR_RETURN(world.faults[std::string(kAws)], FaultPlan::FromJson(*plans));
  } else {
    for (const auto& [cloud, plan] : *plans) {
      if (!plan.is_object()) return InvalidArgument("faults: must hold an object for each cloud");
      ASSIGN_OR_RETURN(world.faults[std::string(cloud.data(), cloud.size())], FaultPlan::FromJson(plan.get_object()));
    }
  }
  world.instance_role = reader.OptionalString("instance_role");
  if (object.contains("containers")) {
    RETURN_IF_ERROR(ForEach(reader, "containers", [&](const json::object& item) -> absl::Status {
      JsonReader inner(item, "containers");
      std::string id = inner.String("id");
      world.containers[id] = {inner.String("role"), inner.OptionalString("sha256")};
      return inner.status();
    }));
  }
  if (object.contains("pending")) {
    RETURN_IF_ERROR(ForEach(reader, "pending", [&](const json::object& item) -> absl::Status {
      JsonReader inner(item, "pending");
      PendingChange change{.due = TimeOf(inner.Int("due")), .path = inner.String("path"), .body = {}};
      if (const json::object* body = inner.Object("body")) change.body = *body;
      return inner.status().ok() ? world.Postpone(std::move(change)) : inner.status();
    }));
  }
  RETURN_IF_ERROR(ForEach(reader, "users", [&](const json::object& item) -> absl::Status {
    ASSIGN_OR_RETURN(User user, UserFromJson(item));
    std::string id = user.access_key_id;
    world.users.insert_or_assign(std::move(id), std::move(user));
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(ForEach(reader, "roles", [&](const json::object& item) -> absl::Status {
    ASSIGN_OR_RETURN(Role role, RoleFromJson(item));
    std::string arn = role.arn;
    world.roles.insert_or_assign(std::move(arn), std::move(role));
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(ForEach(reader, "keys", [&](const json::object& item) -> absl::Status {
    ASSIGN_OR_RETURN(Key key, KeyFromJson(item));
    std::string arn = key.arn;
    world.keys.insert_or_assign(std::move(arn), std::move(key));
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(ForEach(reader, "denials", [&](const json::object& item) -> absl::Status {
    JsonReader inner(item, "denials");
    world.denials.push_back({inner.String("principal"), inner.OptionalString("key")});
    return inner.status();
  }));
  RETURN_IF_ERROR(ForEach(reader, "web_tokens", [&](const json::object& item) -> absl::Status {
    JsonReader inner(item, "web_tokens");
    std::string digest = inner.String("sha256");
    world.web_tokens[digest] = {inner.String("subject"), inner.String("audience")};
    return inner.status();
  }));
  return world;
}

}  // namespace latchkey::emulator
