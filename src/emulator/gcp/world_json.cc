// The World's form at rest.
//
//   {"format": 1, "projects": [{…}], "key_rings": [{…}], "keys": [{…, "versions": [{…}]}], "accounts": [{…, "keys": [{…}]}],
//    "providers": [{…}], "subject_tokens": [{…}], "denials": [{…}], "machine": {…}, "token_key": …}
//
// Byte strings are base64, times and durations are microseconds.
#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "emulator/gcp/world.h"

namespace latchkey::emulator::gcp {
namespace {

std::string Base64Of(const SecretBytes& bytes) { return Base64Encode(bytes.Reveal(SecretAccess{})); }

// Empty (also when absent), or base64 of `size` bytes.
SecretBytes ReadSecret(JsonReader& reader, std::string_view name, size_t size) {
  std::string text = reader.OptionalString(name);
  if (text.empty()) return {};
  absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(text);
  Wipe(text);
  if (!bytes.ok() || bytes->size() != size) {
    reader.Fault(name, "is not base64 of the right length");
    return {};
  }
  SecretBytes out = SecretBytes::CopyOf(*bytes);
  Wipe(bytes->data(), bytes->size());
  return out;
}

template <typename List>
json::array TextArray(const List& list) {
  return json::array(list.begin(), list.end());
}

std::vector<std::string> ReadTexts(JsonReader& reader, std::string_view name) {
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

std::set<std::string> ReadTextSet(JsonReader& reader, std::string_view name) {
  const std::vector<std::string> list = ReadTexts(reader, name);
  return {list.begin(), list.end()};
}

std::optional<absl::Time> ReadTime(JsonReader& reader, const json::object& object, std::string_view name) {
  if (!object.contains(name)) return std::nullopt;
  return absl::FromUnixMicros(reader.Int(name));
}

json::object BindingsToJson(const Bindings& bindings) {
  json::object out;
  for (const auto& [role, members] : bindings) out[role] = TextArray(members);
  return out;
}

Bindings ReadBindings(JsonReader& reader, std::string_view name) {
  Bindings out;
  const json::object* object = reader.Object(name);
  if (object == nullptr) return out;
  for (const auto& item : *object) {
    if (!item.value().is_array()) {
      reader.Fault(name, "must hold lists");
      continue;
    }
    std::set<std::string>& members = out[std::string(item.key())];
    for (const json::value& member : item.value().get_array()) {
      if (member.is_string()) members.emplace(member.get_string());
    }
  }
  return out;
}

// Calls `each` with every object of the array `name`; the first error, of the array or of `each`, is the answer.
template <typename Each>
absl::Status EachObject(JsonReader& reader, std::string_view name, Each each) {
  const json::array* list = reader.Array(name);
  if (list == nullptr) return reader.status();
  for (const json::value& item : *list) {
    if (!item.is_object()) return InvalidArgument(reader.PathOf(name), ": must hold objects");
    RETURN_IF_ERROR(each(item.get_object()));
  }
  return absl::OkStatus();
}

json::object VersionToJson(const KeyVersion& version) {
  json::object out{{"state", version.state}, {"material", Base64Of(version.material)}, {"created", absl::ToUnixMicros(version.created)}};
  if (version.destroy_time) out["destroy_time"] = absl::ToUnixMicros(*version.destroy_time);
  if (version.destroyed) out["destroyed"] = absl::ToUnixMicros(*version.destroyed);
  return out;
}

absl::StatusOr<KeyVersion> VersionFromJson(const json::object& object, int64_t number) {
  JsonReader reader(object, "keys.versions");
  KeyVersion out;
  out.number = number;
  out.state = reader.String("state");
  if (out.state != "ENABLED" && out.state != "DISABLED" && out.state != "DESTROY_SCHEDULED" && out.state != "DESTROYED") {
    reader.Fault("state", "is not one that this program knows");
  }
  out.material = ReadSecret(reader, "material", 32);
  out.created = absl::FromUnixMicros(reader.Int("created"));
  out.destroy_time = ReadTime(reader, object, "destroy_time");
  out.destroyed = ReadTime(reader, object, "destroyed");
  RETURN_IF_ERROR(reader.status());
  return out;
}

json::object KeyToJson(const CryptoKey& key) {
  json::object labels;
  for (const auto& [name, value] : key.labels) labels[name] = value;
  json::array versions;
  for (const KeyVersion& version : key.versions) versions.push_back(VersionToJson(version));
  json::object out{{"name", key.name.Key()},
                   {"id", key.id},
                   {"purpose", key.purpose},
                   {"algorithm", key.algorithm},
                   {"protection", key.protection},
                   {"labels", std::move(labels)},
                   {"created", absl::ToUnixMicros(key.created)},
                   {"destroy_scheduled", absl::ToInt64Microseconds(key.destroy_scheduled)},
                   {"primary", key.primary},
                   {"bindings", BindingsToJson(key.bindings)},
                   {"policy_revision", key.policy_revision}};
  if (key.rotation_period) out["rotation_period"] = absl::ToInt64Microseconds(*key.rotation_period);
  if (key.next_rotation) out["next_rotation"] = absl::ToUnixMicros(*key.next_rotation);
  out["versions"] = std::move(versions);
  return out;
}

absl::StatusOr<CryptoKey> KeyFromJson(const json::object& object) {
  JsonReader reader(object, "keys");
  CryptoKey key;
  const std::string name = reader.String("name");
  key.id = reader.String("id");
  if (const auto id = HexDecode(key.id); !id.ok() || id->size() != 16) reader.Fault("id", "must be 32 hex digits");
  key.purpose = reader.String("purpose");
  key.algorithm = reader.String("algorithm");
  key.protection = reader.String("protection");
  key.created = absl::FromUnixMicros(reader.Int("created"));
  key.destroy_scheduled = absl::Microseconds(reader.Int("destroy_scheduled"));
  key.primary = reader.Int("primary");
  key.bindings = ReadBindings(reader, "bindings");
  key.policy_revision = reader.Int("policy_revision");
  if (object.contains("rotation_period")) {
    key.rotation_period = absl::Microseconds(reader.Int("rotation_period"));
    if (*key.rotation_period < absl::Hours(24)) reader.Fault("rotation_period", "must be a day at least");
  }
  key.next_rotation = ReadTime(reader, object, "next_rotation");
  if (const json::object* labels = reader.Object("labels")) {
    for (const auto& item : *labels) {
      if (item.value().is_string()) key.labels[std::string(item.key())] = std::string(item.value().get_string());
    }
  }
  const absl::StatusOr<ResourceName> parsed = ParseResourceName(name);
  if (!parsed.ok() || parsed->key.empty() || parsed->version != 0) {
    reader.Fault("name", "is not the name of a key");
  } else {
    key.name = *parsed;
  }
  RETURN_IF_ERROR(EachObject(reader, "versions", [&](const json::object& item) -> absl::Status {
    ASSIGN_OR_RETURN(KeyVersion version, VersionFromJson(item, static_cast<int64_t>(key.versions.size()) + 1));
    key.versions.push_back(std::move(version));
    return absl::OkStatus();
  }));
  if (key.primary != 0 && key.Version(key.primary) == nullptr) reader.Fault("primary", "is not the number of a version");
  RETURN_IF_ERROR(reader.status());
  return key;
}

json::object AccountToJson(const ServiceAccount& account) {
  json::array keys;
  for (const AccountKey& key : account.keys) {
    keys.push_back(json::object{{"id", key.id}, {"pem", std::string(key.pem.RevealText(SecretAccess{}))}});
  }
  return {{"email", account.email},
          {"project", account.project},
          {"unique_id", account.unique_id},
          {"keys", std::move(keys)},
          {"token_creators", TextArray(account.token_creators)}};
}

absl::StatusOr<ServiceAccount> AccountFromJson(const json::object& object) {
  JsonReader reader(object, "accounts");
  ServiceAccount out;
  out.email = reader.String("email");
  if (!IsAccountEmail(out.email)) reader.Fault("email", "is not the address of a service account");
  out.project = reader.String("project");
  out.unique_id = reader.String("unique_id");
  out.token_creators = ReadTextSet(reader, "token_creators");
  RETURN_IF_ERROR(EachObject(reader, "keys", [&](const json::object& item) -> absl::Status {
    JsonReader inner(item, "accounts.keys");
    std::string id = inner.String("id");
    std::string text = inner.String("pem");
    SecretBytes pem = SecretBytes::CopyOf(std::string_view(text));
    Wipe(text);
    if (!inner.status().ok()) return inner.status();
    absl::StatusOr<AccountKey> key = ReadAccountKey(std::move(id), std::move(pem));
    if (!key.ok()) return InvalidArgument("accounts.keys.pem: is not an RSA key");
    out.keys.push_back(*std::move(key));
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(reader.status());
  return out;
}

json::object ProviderToJson(const Provider& provider) {
  return {{"project", provider.project},
          {"number", provider.number},
          {"pool", provider.pool},
          {"id", provider.id},
          {"issuer", provider.issuer},
          {"audiences", TextArray(provider.audiences)},
          {"public_key", provider.public_key_pem},
          {"subjects", TextArray(provider.subjects)}};
}

absl::StatusOr<Provider> ProviderFromJson(const json::object& object) {
  JsonReader reader(object, "providers");
  Provider out;
  out.project = reader.String("project");
  out.number = reader.String("number");
  out.pool = reader.String("pool");
  out.id = reader.String("id");
  out.issuer = reader.String("issuer");
  out.audiences = ReadTextSet(reader, "audiences");
  out.subjects = ReadTextSet(reader, "subjects");
  out.public_key_pem = reader.OptionalString("public_key");
  if (!out.public_key_pem.empty()) {
    absl::StatusOr<RsaPublicKey> key = RsaPublicKey::FromPem(out.public_key_pem);
    if (!key.ok()) {
      reader.Fault("public_key", "is not an RSA key");
    } else {
      out.public_key = std::make_shared<const RsaPublicKey>(*std::move(key));
    }
  }
  RETURN_IF_ERROR(reader.status());
  return out;
}

}  // namespace

json::object World::ToJson() const {
  json::array projects_json, rings_json, keys_json, accounts_json, providers_json, tokens_json, denials_json;
  for (const auto& [id, project] : projects) {
    projects_json.push_back(json::object{{"id", id}, {"number", project.number}, {"bindings", BindingsToJson(project.bindings)}});
  }
  for (const auto& [name, created] : key_rings)
    rings_json.push_back(json::object{{"name", name}, {"created", absl::ToUnixMicros(created)}});
  for (const auto& [name, key] : keys) keys_json.push_back(KeyToJson(key));
  for (const auto& [email, account] : accounts) accounts_json.push_back(AccountToJson(account));
  for (const auto& [audience, provider] : providers) providers_json.push_back(ProviderToJson(provider));
  for (const auto& [digest, token] : subject_tokens) {
    tokens_json.push_back(
        json::object{{"sha256", digest}, {"issuer", token.issuer}, {"subject", token.subject}, {"audience", token.audience}});
  }
  for (const Denial& denial : denials) denials_json.push_back(json::object{{"member", denial.member}, {"key", denial.key}});
  json::object out{{"format", 1}};
  out["projects"] = std::move(projects_json);
  out["key_rings"] = std::move(rings_json);
  out["keys"] = std::move(keys_json);
  out["accounts"] = std::move(accounts_json);
  out["providers"] = std::move(providers_json);
  out["subject_tokens"] = std::move(tokens_json);
  out["denials"] = std::move(denials_json);
  out["machine"] = json::object{{"account", machine.account}, {"scopes", TextArray(machine.scopes)}};
  out["token_key"] = Base64Of(token_key);
  return out;
}

absl::StatusOr<World> World::FromJson(const json::object& object) {
  JsonReader reader(object);
  World world;
  if (reader.Int("format") != 1) reader.Fault("format", "is not one that this program knows");
  world.token_key = ReadSecret(reader, "token_key", 32);
  const json::object* machine_json = reader.Object("machine");
  RETURN_IF_ERROR(reader.status());
  JsonReader machine_reader(*machine_json, "machine");
  world.machine.account = machine_reader.OptionalString("account");
  world.machine.scopes = ReadTexts(machine_reader, "scopes");
  RETURN_IF_ERROR(machine_reader.status());
  RETURN_IF_ERROR(EachObject(reader, "projects", [&](const json::object& item) -> absl::Status {
    JsonReader inner(item, "projects");
    const std::string id = inner.String("id");
    Project project{.number = inner.String("number"), .bindings = ReadBindings(inner, "bindings")};
    if (!inner.status().ok()) return inner.status();
    world.projects.insert_or_assign(id, std::move(project));
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(EachObject(reader, "key_rings", [&](const json::object& item) -> absl::Status {
    JsonReader inner(item, "key_rings");
    world.key_rings[inner.String("name")] = absl::FromUnixMicros(inner.Int("created"));
    return inner.status();
  }));
  RETURN_IF_ERROR(EachObject(reader, "keys", [&](const json::object& item) -> absl::Status {
    ASSIGN_OR_RETURN(CryptoKey key, KeyFromJson(item));
    std::string name = key.name.Key();
    world.keys.insert_or_assign(std::move(name), std::move(key));
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(EachObject(reader, "accounts", [&](const json::object& item) -> absl::Status {
    ASSIGN_OR_RETURN(ServiceAccount account, AccountFromJson(item));
    std::string email = account.email;
    world.accounts.insert_or_assign(std::move(email), std::move(account));
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(EachObject(reader, "providers", [&](const json::object& item) -> absl::Status {
    ASSIGN_OR_RETURN(Provider provider, ProviderFromJson(item));
    std::string audience = provider.Audience();
    world.providers.insert_or_assign(std::move(audience), std::move(provider));
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(EachObject(reader, "subject_tokens", [&](const json::object& item) -> absl::Status {
    JsonReader inner(item, "subject_tokens");
    const std::string digest = inner.String("sha256");
    world.subject_tokens[digest] = {inner.String("issuer"), inner.String("subject"), inner.String("audience")};
    return inner.status();
  }));
  RETURN_IF_ERROR(EachObject(reader, "denials", [&](const json::object& item) -> absl::Status {
    JsonReader inner(item, "denials");
    world.denials.push_back({inner.String("member"), inner.OptionalString("key")});
    return inner.status();
  }));
  return world;
}

}  // namespace latchkey::emulator::gcp
