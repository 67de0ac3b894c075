#include "emulator/vault/admin.h"

#include <algorithm>

#include "base/status.h"
#include "emulator/arn.h"

namespace latchkey::emulator::vault {
namespace {

std::vector<std::string> ReadPolicies(JsonReader& reader) {
  std::vector<std::string> out;
  const json::array* list = reader.Array("policies");
  if (list == nullptr) return out;
  for (const json::value& item : *list) {
    if (!item.is_string() || !IsName(std::string_view(item.get_string())) || out.size() >= 32) {
      reader.Fault("policies", "must hold at most 32 names");
      break;
    }
    out.emplace_back(item.get_string());
  }
  return out;
}

// "ttl" and "max_ttl", seconds.
void ReadLimits(JsonReader& reader, absl::Duration& ttl, absl::Duration& max_ttl) {
  constexpr int64_t kMost = 10LL * 365 * 86'400;
  const int64_t seconds = reader.OptionalInt("ttl", 3600), most = reader.OptionalInt("max_ttl", 0);
  if (seconds < 1 || seconds > kMost) reader.Fault("ttl", "must be 1 second to ten years");
  if (most < 0 || most > kMost) reader.Fault("max_ttl", "must be 0 (no end) to ten years");
  ttl = absl::Seconds(seconds);
  max_ttl = most == 0 ? absl::InfiniteDuration() : absl::Seconds(most);
}

std::string ReadName(JsonReader& reader, std::string_view field) {
  std::string name = reader.String(field);
  if (!name.empty() && !IsName(name)) reader.Fault(field, "must be letters, digits, '.', '_' and '-'");
  return name;
}

// The mount of a login method or of Transit.
std::string ReadMount(JsonReader& reader, std::string_view otherwise) {
  std::string mount = reader.OptionalString("mount", otherwise);
  if (!IsPath(mount)) reader.Fault("mount", "must be names with / between them");
  return mount;
}

std::string Shown(const SecretBytes& secret) { return std::string(secret.RevealText(SecretAccess{})); }

absl::Status TooMany(const char* field) { return absl::ResourceExhaustedError(absl::StrCat(field, ": there are too many")); }

json::array Strings(const std::vector<std::string>& list) { return json::array(list.begin(), list.end()); }

}  // namespace

struct VaultAdmin::Route {
  std::string_view path;
  Result (VaultAdmin::*call)(const Body&);
};

const VaultAdmin::Route VaultAdmin::kRoutes[] = {
    {"namespaces", &VaultAdmin::AddNamespace},
    {"mounts", &VaultAdmin::AddMount},
    {"policies", &VaultAdmin::SetPolicy},
    {"policies/remove", &VaultAdmin::RemovePolicy},
    {"policies/deny", &VaultAdmin::DenyPath},
    {"policies/undeny", &VaultAdmin::UndenyPath},
    {"approles", &VaultAdmin::SetAppRole},
    {"approles/remove", &VaultAdmin::RemoveAppRole},
    {"kubernetes-roles", &VaultAdmin::SetKubernetesRole},
    {"kubernetes-tokens", &VaultAdmin::RegisterServiceAccount},
    {"tokens", &VaultAdmin::AddToken},
    {"tokens/revoke", &VaultAdmin::RevokeTokens},
    {"keys", &VaultAdmin::AddKey},
    {"keys/rotate", &VaultAdmin::RotateKey},
    {"keys/config", &VaultAdmin::ConfigureKey},
    {"keys/soft-delete", &VaultAdmin::SoftDeleteKey},
    {"keys/restore", &VaultAdmin::RestoreKey},
    {"keys/delete", &VaultAdmin::DeleteKey},
    {"sealed", &VaultAdmin::SetSealed},
};

VaultAdmin::Result VaultAdmin::Change(std::string_view path, const Body& body) {
  for (const Route& route : kRoutes) {
    if (route.path == path) return (this->*route.call)(body);
  }
  return NotFound("there is no such path in the admin API");
}

Namespace VaultAdmin::ReadNamespace(JsonReader& reader) {
  Namespace name = reader.OptionalString("namespace");
  if (!state_.namespaces.contains(name)) reader.Fault("namespace", "does not exist");
  return name;
}

KeyName VaultAdmin::ReadKeyName(JsonReader& reader) {
  KeyName name;
  name.name_space = ReadNamespace(reader);
  name.mount = ReadMount(reader, "transit");
  name.name = ReadName(reader, "name");
  return name;
}

absl::StatusOr<TransitKey*> VaultAdmin::FindKey(const KeyName& name) {
  const auto found = state_.keys.find(name);
  if (found == state_.keys.end()) return NotFound("name: there is no key ", name.ToString());
  return &found->second;
}

VaultAdmin::Result VaultAdmin::AddNamespace(const Body& body) {
  JsonReader reader(body);
  const std::string path = reader.String("path");
  if (!path.empty() && !IsPath(path)) reader.Fault("path", "must be names with / between them");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (state_.namespaces.size() >= State::kMostNames) return TooMany("path");
  // Those above it are there too.
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
    state_.namespaces.insert(path.substr(0, slash));
  state_.namespaces.insert(path);
  return Body{{"path", path}};
}

VaultAdmin::Result VaultAdmin::AddMount(const Body& body) {
  JsonReader reader(body);
  const Namespace name_space = ReadNamespace(reader);
  const std::string type = reader.String("type");
  const std::string path = reader.OptionalString("path", type);
  if (type != "transit" && type != "approle" && type != "kubernetes") reader.Fault("type", "must be transit, approle or kubernetes");
  if (!IsPath(path) || path.compare(0, 5, "auth/") == 0 || path.compare(0, 4, "sys/") == 0)
    reader.Fault("path", "must be names with / between them, outside of auth and sys");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (state_.mounts.size() >= State::kMostNames) return TooMany("path");
  state_.mounts[{name_space, path}] = type == "transit"   ? MountType::kTransit
                                      : type == "approle" ? MountType::kAppRole
                                                          : MountType::kKubernetes;
  return Body{{"path", path}, {"type", type}};
}

VaultAdmin::Result VaultAdmin::SetPolicy(const Body& body) {
  JsonReader reader(body);
  const Namespace name_space = ReadNamespace(reader);
  const std::string name = ReadName(reader, "name");
  const json::object* rules = reader.Object("rules");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (name == "root") return InvalidArgument("name: root needs no policy");
  ASSIGN_OR_RETURN(PathPolicy policy, PathPolicy::Parse(*rules));
  if (state_.policies.size() >= State::kMostNames) return TooMany("name");
  state_.policies.insert_or_assign({name_space, name}, std::move(policy));
  return Body{{"name", name}};
}

VaultAdmin::Result VaultAdmin::RemovePolicy(const Body& body) {
  JsonReader reader(body);
  const Namespace name_space = ReadNamespace(reader);
  const std::string name = ReadName(reader, "name");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (state_.policies.erase({name_space, name}) == 0) return NotFound("name: there is no policy ", name);
  return Body{};
}

VaultAdmin::Result VaultAdmin::SwitchDenied(const Body& body, bool denied) {
  JsonReader reader(body);
  const Namespace name_space = ReadNamespace(reader);
  const std::string name = ReadName(reader, "name"), path = reader.String("path");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  const auto found = state_.policies.find({name_space, name});
  if (found == state_.policies.end()) return NotFound("name: there is no policy ", name);
  if (denied) {
    RETURN_IF_ERROR(found->second.Deny(path));
  } else if (!found->second.Undeny(path)) {
    return NotFound("path: is not denied");
  }
  return Body{{"name", name}, {"path", path}};
}

VaultAdmin::Result VaultAdmin::DenyPath(const Body& body) { return SwitchDenied(body, true); }
VaultAdmin::Result VaultAdmin::UndenyPath(const Body& body) { return SwitchDenied(body, false); }

VaultAdmin::Result VaultAdmin::SetAppRole(const Body& body) {
  JsonReader reader(body);
  const Namespace name_space = ReadNamespace(reader);
  const std::string mount = ReadMount(reader, "approle"), name = ReadName(reader, "name");
  AppRole role{.role_id = reader.OptionalString("role_id"), .secret_id = {}, .policies = ReadPolicies(reader)};
  std::string secret_id = reader.OptionalString("secret_id");
  if (role.role_id.size() > 128 || secret_id.size() > 128) reader.Fault("role_id", "and secret_id are 128 bytes at most");
  ReadLimits(reader, role.ttl, role.max_ttl);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  const auto there = state_.app_roles.find({name_space, mount, name});
  if (there == state_.app_roles.end() && state_.app_roles.size() >= State::kMostNames) return TooMany("name");
  if (role.role_id.empty()) role.role_id = there != state_.app_roles.end() ? there->second.role_id : NewUuid(random_);
  // A new one each time that none is given: that is how an owner changes it.
  if (secret_id.empty()) secret_id = NewUuid(random_);
  role.secret_id = SecretBytes::CopyOf(std::string_view(secret_id));
  Body out{{"name", name}, {"role_id", role.role_id}, {"secret_id", secret_id}};
  Wipe(secret_id);
  state_.app_roles.insert_or_assign({name_space, mount, name}, std::move(role));
  return out;
}

VaultAdmin::Result VaultAdmin::RemoveAppRole(const Body& body) {
  JsonReader reader(body);
  const Namespace name_space = ReadNamespace(reader);
  const std::string mount = ReadMount(reader, "approle"), name = ReadName(reader, "name");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (state_.app_roles.erase({name_space, mount, name}) == 0) return NotFound("name: there is no role ", name);
  return Body{};
}

VaultAdmin::Result VaultAdmin::SetKubernetesRole(const Body& body) {
  JsonReader reader(body);
  const Namespace name_space = ReadNamespace(reader);
  const std::string mount = ReadMount(reader, "kubernetes"), name = ReadName(reader, "name");
  KubernetesRole role{.service_account = reader.String("service_account"), .policies = ReadPolicies(reader)};
  if (!role.service_account.empty() && !IsPath(role.service_account)) reader.Fault("service_account", "must be namespace/name");
  ReadLimits(reader, role.ttl, role.max_ttl);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (state_.kubernetes_roles.size() >= State::kMostNames) return TooMany("name");
  state_.kubernetes_roles.insert_or_assign({name_space, mount, name}, std::move(role));
  return Body{{"name", name}};
}

VaultAdmin::Result VaultAdmin::RegisterServiceAccount(const Body& body) {
  JsonReader reader(body);
  std::string token = reader.String("token");
  const std::string account = reader.String("service_account");
  const int64_t ttl = reader.OptionalInt("ttl", 0);
  if (token.size() > 20'000) reader.Fault("token", "is longer than 20000 bytes");
  if (!account.empty() && !IsPath(account)) reader.Fault("service_account", "must be namespace/name");
  if (ttl < 0 || ttl > 10LL * 365 * 86'400) reader.Fault("ttl", "must be 0 (no end) to ten years");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (state_.service_account_tokens.size() >= State::kMostNames) return TooMany("token");
  state_.service_account_tokens[TokenDigest(token)] = {.service_account = account,
                                                       .expires = ttl == 0 ? absl::InfiniteFuture() : now_ + absl::Seconds(ttl)};
  Wipe(token);
  return Body{{"service_account", account}};
}

VaultAdmin::Result VaultAdmin::AddToken(const Body& body) {
  JsonReader reader(body);
  Token token{.display_name = "token", .path = "auth/token/create", .issued = now_};
  token.name_space = ReadNamespace(reader);
  token.policies = ReadPolicies(reader);
  token.renewable = reader.OptionalBool("renewable", true);
  const std::string wanted = reader.OptionalString("token");
  ReadLimits(reader, token.ttl, token.max_ttl);
  if (!wanted.empty() && !IsName(wanted)) reader.Fault("token", "must be letters, digits, '.', '_' and '-'");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  token.expires = now_ + std::min(token.ttl, token.max_ttl);
  if (token.root()) {
    token.expires = absl::InfiniteFuture();
    token.display_name = "root";
    token.renewable = false;
  }
  const std::vector<std::string> policies = token.policies;
  ASSIGN_OR_RETURN(const SecretBytes secret, state_.AddToken(std::move(token), wanted, random_));
  Body out{{"token", Shown(secret)}};
  out["policies"] = Strings(policies);
  return out;
}

VaultAdmin::Result VaultAdmin::RevokeTokens(const Body& body) {
  JsonReader reader(body);
  const std::string token = reader.OptionalString("token"), role = reader.OptionalString("role");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (token.empty() == role.empty()) return InvalidArgument("token: give a token, or a role whose tokens are meant");
  const size_t gone = token.empty() ? std::erase_if(state_.tokens, [&](const auto& item) { return item.second.role == role; })
                                    : state_.tokens.erase(TokenDigest(token));
  return Body{{"revoked", static_cast<int64_t>(gone)}};
}

VaultAdmin::Result VaultAdmin::AddKey(const Body& body) {
  JsonReader reader(body);
  const KeyName name = ReadKeyName(reader);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  const auto mount = state_.mounts.find({name.name_space, name.mount});
  if (mount == state_.mounts.end() || mount->second != MountType::kTransit)
    return NotFound("mount: there is no Transit engine ", name.mount);
  RETURN_IF_ERROR(state_.AddKey(name, now_, random_).status());
  return Body{{"key", name.ToString()}};
}

VaultAdmin::Result VaultAdmin::RotateKey(const Body& body) {
  JsonReader reader(body);
  const KeyName name = ReadKeyName(reader);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(TransitKey* const key, FindKey(name));
  RETURN_IF_ERROR(state_.Rotate(*key, now_, random_));
  return Body{{"key", name.ToString()}, {"latest_version", key->latest_version()}};
}

VaultAdmin::Result VaultAdmin::ConfigureKey(const Body& body) {
  JsonReader reader(body);
  const KeyName name = ReadKeyName(reader);
  const int64_t decryption = reader.OptionalInt("min_decryption_version", 0), encryption = reader.OptionalInt("min_encryption_version", -1);
  const bool deletion_given = body.contains("deletion_allowed"), deletion = reader.OptionalBool("deletion_allowed", false);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(TransitKey* const key, FindKey(name));
  if (decryption < 0 || decryption > key->latest_version())
    return InvalidArgument("min_decryption_version: must be 1 to ", key->latest_version());
  if (encryption > key->latest_version()) return InvalidArgument("min_encryption_version: must be 0 to ", key->latest_version());
  if (decryption > 0) key->min_decryption_version = decryption;
  if (encryption >= 0) key->min_encryption_version = encryption;
  if (deletion_given) key->deletion_allowed = deletion;
  return Body{{"key", name.ToString()}, {"min_decryption_version", key->min_decryption_version}};
}

VaultAdmin::Result VaultAdmin::SwitchSoftDeleted(const Body& body, bool deleted) {
  JsonReader reader(body);
  const KeyName name = ReadKeyName(reader);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(TransitKey* const key, FindKey(name));
  key->soft_deleted = deleted;
  return Body{{"key", name.ToString()}, {"soft_deleted", deleted}};
}

VaultAdmin::Result VaultAdmin::SoftDeleteKey(const Body& body) { return SwitchSoftDeleted(body, true); }
VaultAdmin::Result VaultAdmin::RestoreKey(const Body& body) { return SwitchSoftDeleted(body, false); }

VaultAdmin::Result VaultAdmin::DeleteKey(const Body& body) {
  JsonReader reader(body);
  const KeyName name = ReadKeyName(reader);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  RETURN_IF_ERROR(FindKey(name).status());
  state_.keys.erase(name);
  return Body{};
}

VaultAdmin::Result VaultAdmin::SetSealed(const Body& body) {
  JsonReader reader(body);
  const bool on = reader.OptionalBool("on", false);
  if (!body.contains("on")) reader.Fault("on", "is missing");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  state_.sealed = on;
  return Body{{"sealed", on}};
}

}  // namespace latchkey::emulator::vault
