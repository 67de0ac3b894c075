// The state's form at rest: lists of objects that carry their names. Byte strings are base64, times microseconds since 1970, durations
// seconds; an absent time or duration has no end.
#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "emulator/vault/state.h"

namespace latchkey::emulator::vault {
namespace {

std::string Encoded(const SecretBytes& bytes) { return Base64Encode(bytes.Reveal(SecretAccess{})); }

SecretBytes Decoded(JsonReader& reader, std::string_view name, size_t least, size_t most) {
  absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(reader.OptionalString(name));
  if (!bytes.ok() || bytes->size() < least || bytes->size() > most) {
    reader.Fault(name, "is not base64 of the right length");
    return {};
  }
  SecretBytes out = SecretBytes::CopyOf(*bytes);
  Wipe(bytes->data(), bytes->size());
  return out;
}

json::array Strings(const std::vector<std::string>& list) { return json::array(list.begin(), list.end()); }

std::vector<std::string> StringsOf(JsonReader& reader, std::string_view name) {
  std::vector<std::string> out;
  const json::array* list = reader.Array(name);
  if (list == nullptr) return out;
  for (const json::value& item : *list) {
    if (!item.is_string()) reader.Fault(name, "must hold strings");
    if (item.is_string()) out.emplace_back(item.get_string());
  }
  return out;
}

absl::Time TimeOf(JsonReader& reader, std::string_view name) { return absl::FromUnixMicros(reader.Int(name)); }

constexpr std::string_view kMountNames[] = {"transit", "approle", "kubernetes"};

void PutLimits(json::object& out, absl::Duration ttl, absl::Duration max_ttl) {
  out["ttl"] = absl::ToInt64Seconds(ttl);
  if (max_ttl != absl::InfiniteDuration()) out["max_ttl"] = absl::ToInt64Seconds(max_ttl);
}
void ReadLimits(JsonReader& reader, const json::object& item, absl::Duration& ttl, absl::Duration& max_ttl) {
  ttl = absl::Seconds(reader.Int("ttl"));
  max_ttl = item.contains("max_ttl") ? absl::Seconds(reader.Int("max_ttl")) : absl::InfiniteDuration();
}

json::object KeyToJson(const KeyName& name, const TransitKey& key) {
  json::array versions;
  for (const auto& [number, version] : key.versions) {
    versions.push_back(
        json::object{{"version", number}, {"bytes", Encoded(version.bytes)}, {"created", absl::ToUnixMicros(version.created)}});
  }
  json::object out{{"namespace", name.name_space},
                   {"mount", name.mount},
                   {"name", name.name},
                   {"min_decryption_version", key.min_decryption_version},
                   {"min_encryption_version", key.min_encryption_version},
                   {"auto_rotate_seconds", key.auto_rotate_seconds},
                   {"deletion_allowed", key.deletion_allowed},
                   {"soft_deleted", key.soft_deleted}};
  out["versions"] = std::move(versions);
  return out;
}

json::object TokenToJson(const std::string& digest, const Token& token) {
  json::object out{{"sha256", digest},
                   {"accessor", token.accessor},
                   {"display_name", token.display_name},
                   {"path", token.path},
                   {"role", token.role},
                   {"namespace", token.name_space},
                   {"renewable", token.renewable},
                   {"issued", absl::ToUnixMicros(token.issued)}};
  out["policies"] = Strings(token.policies);
  if (token.expires != absl::InfiniteFuture()) out["expires"] = absl::ToUnixMicros(token.expires);
  PutLimits(out, token.ttl, token.max_ttl);
  return out;
}

// Calls `read(item, reader)` for each object of the list `name`.
template <typename F>
absl::Status ForEach(JsonReader& outer, const char* name, F read) {
  const json::array* list = outer.Array(name);
  RETURN_IF_ERROR(outer.status());
  for (const json::value& item : *list) {
    if (!item.is_object()) return InvalidArgument(name, ": must hold objects");
    JsonReader reader(item.get_object(), name);
    read(item.get_object(), reader);
    reader.RefuseUnknown();
    if (absl::Status status = reader.status(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

void ReadKey(State& state, JsonReader& reader) {
  KeyName name{reader.OptionalString("namespace"), reader.String("mount"), reader.String("name")};
  TransitKey key;
  key.min_decryption_version = reader.Int("min_decryption_version");
  key.min_encryption_version = reader.Int("min_encryption_version");
  key.auto_rotate_seconds = reader.Int("auto_rotate_seconds");
  key.deletion_allowed = reader.OptionalBool("deletion_allowed", false);
  key.soft_deleted = reader.OptionalBool("soft_deleted", false);
  if (const json::array* versions = reader.Array("versions")) {
    for (const json::value& item : *versions) {
      if (!item.is_object()) {
        reader.Fault("versions", "must hold objects");
        continue;
      }
      JsonReader inner(item.get_object(), "versions");
      const int64_t number = inner.Int("version");
      KeyVersion version{.bytes = Decoded(inner, "bytes", 32, 32), .created = TimeOf(inner, "created")};
      if (!inner.status().ok() || number < 1) reader.Fault("versions", "must hold version, bytes and created");
      key.versions.emplace(number, std::move(version));
    }
  }
  if (key.versions.empty()) reader.Fault("versions", "must not be empty");
  state.keys.insert_or_assign(std::move(name), std::move(key));
}

void ReadPolicy(State& state, JsonReader& reader) {
  Named name{reader.OptionalString("namespace"), reader.String("name")};
  const json::object* rules = reader.Object("rules");
  absl::StatusOr<PathPolicy> policy = rules == nullptr ? PathPolicy() : PathPolicy::Parse(*rules);
  const std::vector<std::string> denied = StringsOf(reader, "denied");
  if (!policy.ok()) return reader.Fault("rules", FromAbsl(policy.status().message()));
  for (const std::string& path : denied) {
    if (!policy->Deny(path).ok()) reader.Fault("denied", "must hold paths");
  }
  state.policies.insert_or_assign(std::move(name), *std::move(policy));
}

void ReadToken(State& state, const json::object& item, JsonReader& reader) {
  std::string digest = reader.String("sha256");
  Token token;
  token.accessor = reader.String("accessor");
  token.display_name = reader.String("display_name");
  token.path = reader.String("path");
  token.role = reader.OptionalString("role");
  token.name_space = reader.OptionalString("namespace");
  token.renewable = reader.OptionalBool("renewable", false);
  token.issued = TimeOf(reader, "issued");
  token.policies = StringsOf(reader, "policies");
  if (item.contains("expires")) token.expires = TimeOf(reader, "expires");
  ReadLimits(reader, item, token.ttl, token.max_ttl);
  state.tokens.insert_or_assign(std::move(digest), std::move(token));
}

}  // namespace

json::object State::ToJson() const {
  json::array mounts_json, keys_json, policies_json, app_json, kubernetes_json, accounts_json, tokens_json;
  for (const auto& [name, type] : mounts) {
    mounts_json.push_back(json::object{{"namespace", name.first}, {"path", name.second}, {"type", kMountNames[static_cast<size_t>(type)]}});
  }
  for (const auto& [name, key] : keys) keys_json.push_back(KeyToJson(name, key));
  for (const auto& [name, policy] : policies) {
    json::object one{{"namespace", name.first}, {"name", name.second}};
    one["rules"] = policy.ToJson();
    one["denied"] = json::array(policy.denied().begin(), policy.denied().end());
    policies_json.push_back(std::move(one));
  }
  for (const auto& [name, role] : app_roles) {
    json::object one{{"namespace", std::get<0>(name)},
                     {"mount", std::get<1>(name)},
                     {"name", std::get<2>(name)},
                     {"role_id", role.role_id},
                     {"secret_id", Encoded(role.secret_id)}};
    one["policies"] = Strings(role.policies);
    PutLimits(one, role.ttl, role.max_ttl);
    app_json.push_back(std::move(one));
  }
  for (const auto& [name, role] : kubernetes_roles) {
    json::object one{{"namespace", std::get<0>(name)},
                     {"mount", std::get<1>(name)},
                     {"name", std::get<2>(name)},
                     {"service_account", role.service_account}};
    one["policies"] = Strings(role.policies);
    PutLimits(one, role.ttl, role.max_ttl);
    kubernetes_json.push_back(std::move(one));
  }
  for (const auto& [digest, account] : service_account_tokens) {
    json::object one{{"sha256", digest}, {"service_account", account.service_account}};
    if (account.expires != absl::InfiniteFuture()) one["expires"] = absl::ToUnixMicros(account.expires);
    accounts_json.push_back(std::move(one));
  }
  for (const auto& [digest, token] : tokens) tokens_json.push_back(TokenToJson(digest, token));
  json::object out{{"sealed", sealed}, {"root_token", Encoded(root_token)}, {"operator_token", Encoded(operator_token)}};
  out["namespaces"] = json::array(namespaces.begin(), namespaces.end());
  out["mounts"] = std::move(mounts_json);
  out["keys"] = std::move(keys_json);
  out["policies"] = std::move(policies_json);
  out["app_roles"] = std::move(app_json);
  out["kubernetes_roles"] = std::move(kubernetes_json);
  out["service_account_tokens"] = std::move(accounts_json);
  out["tokens"] = std::move(tokens_json);
  return out;
}

absl::StatusOr<State> State::FromJson(const json::object& object) {
  State state;
  JsonReader reader(object);
  state.sealed = reader.OptionalBool("sealed", false);
  state.root_token = Decoded(reader, "root_token", 0, 256);
  state.operator_token = Decoded(reader, "operator_token", 0, 256);
  for (std::string& name : StringsOf(reader, "namespaces")) state.namespaces.insert(std::move(name));
  RETURN_IF_ERROR(reader.status());
  RETURN_IF_ERROR(ForEach(reader, "mounts", [&](const json::object&, JsonReader& item) {
    Named name{item.OptionalString("namespace"), item.String("path")};
    const std::string type = item.String("type");
    for (size_t i = 0; i < std::size(kMountNames); ++i) {
      if (type == kMountNames[i]) state.mounts[name] = static_cast<MountType>(i);
    }
    if (!state.mounts.contains(name)) item.Fault("type", "must be transit, approle or kubernetes");
  }));
  RETURN_IF_ERROR(ForEach(reader, "keys", [&](const json::object&, JsonReader& item) { ReadKey(state, item); }));
  RETURN_IF_ERROR(ForEach(reader, "policies", [&](const json::object&, JsonReader& item) { ReadPolicy(state, item); }));
  RETURN_IF_ERROR(ForEach(reader, "app_roles", [&](const json::object& fields, JsonReader& item) {
    std::tuple name(item.OptionalString("namespace"), item.String("mount"), item.String("name"));
    AppRole role{
        .role_id = item.String("role_id"), .secret_id = Decoded(item, "secret_id", 1, 256), .policies = StringsOf(item, "policies")};
    ReadLimits(item, fields, role.ttl, role.max_ttl);
    state.app_roles.insert_or_assign(std::move(name), std::move(role));
  }));
  RETURN_IF_ERROR(ForEach(reader, "kubernetes_roles", [&](const json::object& fields, JsonReader& item) {
    std::tuple name(item.OptionalString("namespace"), item.String("mount"), item.String("name"));
    KubernetesRole role{.service_account = item.String("service_account"), .policies = StringsOf(item, "policies")};
    ReadLimits(item, fields, role.ttl, role.max_ttl);
    state.kubernetes_roles.insert_or_assign(std::move(name), std::move(role));
  }));
  RETURN_IF_ERROR(ForEach(reader, "service_account_tokens", [&](const json::object& fields, JsonReader& item) {
    std::string digest = item.String("sha256");
    ServiceAccountToken token{.service_account = item.String("service_account"), .expires = absl::InfiniteFuture()};
    if (fields.contains("expires")) token.expires = TimeOf(item, "expires");
    state.service_account_tokens.insert_or_assign(std::move(digest), std::move(token));
  }));
  RETURN_IF_ERROR(ForEach(reader, "tokens", [&](const json::object& fields, JsonReader& item) { ReadToken(state, fields, item); }));
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  return state;
}

}  // namespace latchkey::emulator::vault
