#include "emulator/vault/auth.h"

#include <algorithm>
#include <charconv>

#include "base/status.h"
#include "emulator/arn.h"

namespace latchkey::emulator::vault {
namespace {

std::string Text(const json::object& body, std::string_view name) {
  const json::value* value = body.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

json::array Strings(const std::vector<std::string>& list) { return json::array(list.begin(), list.end()); }

// Seconds, as a number or as text with or without a unit; nullopt when it is neither.
std::optional<absl::Duration> Increment(const json::object& body) {
  const json::value* value = body.if_contains("increment");
  if (value == nullptr || value->is_null()) return absl::ZeroDuration();
  if (value->is_int64() && value->get_int64() >= 0) return absl::Seconds(value->get_int64());
  if (!value->is_string()) return std::nullopt;
  const std::string text(value->get_string());
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size() && seconds >= 0) return absl::Seconds(seconds);
  absl::Duration out;
  if (!absl::ParseDuration(text, &out) || out < absl::ZeroDuration()) return std::nullopt;
  return out;
}

std::string Rfc3339(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone()); }

json::object AuthObject(const Token& token, std::string_view secret, const std::string& role) {
  json::object out{{"client_token", secret},
                   {"accessor", token.accessor},
                   {"lease_duration", absl::ToInt64Seconds(token.ttl)},
                   {"renewable", token.renewable},
                   {"entity_id", ""},
                   {"token_type", "service"},
                   {"orphan", true},
                   {"num_uses", 0}};
  out["policies"] = Strings(token.policies);
  out["token_policies"] = Strings(token.policies);
  json::object metadata;
  if (!role.empty()) metadata["role_name"] = role;
  out["metadata"] = std::move(metadata);
  out["mfa_requirement"] = nullptr;
  return out;
}

Reply Issue(AuthCall& call, Token token, const std::string& role) {
  token.role = role;
  token.name_space = call.name_space;
  token.renewable = true;
  token.issued = call.now;
  token.ttl = std::min(token.ttl, token.max_ttl);
  token.expires = call.now + token.ttl;
  token.policies.insert(token.policies.begin(), "default");
  call.principal = PrincipalOf(token);
  const absl::StatusOr<SecretBytes> secret = call.state.AddToken(token, "", call.random);
  if (!secret.ok()) return Refused(500, std::string(secret.status().message()));
  call.changed = true;
  const std::string_view text = secret->RevealText(SecretAccess{});
  return {.auth = AuthObject(*call.state.FindToken(text, call.now), text, role)};
}

}  // namespace

bool ReachesNamespace(const Namespace& of, const Namespace& name_space) {
  return of.empty() || of == name_space || name_space.compare(0, of.size() + 1, of + "/") == 0;
}

std::string PrincipalOf(const Token& token) { return (token.name_space.empty() ? "" : token.name_space + "/") + token.display_name; }

Capabilities TokenCapabilities(const State& state, const Token& token, const Namespace& name_space, std::string_view path) {
  if (token.root()) return {"root"};
  std::vector<const PathPolicy*> policies;
  for (const std::string& name : token.policies) {
    const auto found = state.policies.find({token.name_space, name});
    if (found != state.policies.end()) policies.push_back(&found->second);
  }
  // A policy names paths as they look from its own namespace.
  std::string seen(path);
  if (name_space != token.name_space) {
    seen.insert(0, name_space.substr(token.name_space.empty() ? 0 : token.name_space.size() + 1) + "/");
  }
  Capabilities out = CapabilitiesOn(seen, policies);
  if (out.empty()) out.insert("deny");
  return out;
}

Reply LoginAppRole(AuthCall& call, const std::string& mount) {
  const std::string role_id = Text(call.body, "role_id");
  const SecretBytes secret_id = SecretBytes::CopyOf(std::string_view(Text(call.body, "secret_id")));
  if (role_id.empty()) return Refused(400, "missing role_id");
  for (const auto& [name, role] : call.state.app_roles) {
    if (std::get<0>(name) != call.name_space || std::get<1>(name) != mount || role.role_id != role_id) continue;
    if (secret_id.empty()) return Refused(400, "missing secret_id");
    if (!secret_id.Equals(role.secret_id)) break;
    return Issue(call,
                 {.display_name = mount + "/" + std::get<2>(name),
                  .path = "auth/" + mount + "/login",
                  .policies = role.policies,
                  .ttl = role.ttl,
                  .max_ttl = role.max_ttl},
                 std::get<2>(name));
  }
  return Refused(400, "invalid role or secret ID");
}

Reply LoginKubernetes(AuthCall& call, const std::string& mount) {
  const std::string name = Text(call.body, "role"), jwt = Text(call.body, "jwt");
  if (name.empty()) return Refused(400, "missing role");
  if (jwt.empty()) return Refused(400, "missing jwt");
  const auto role = call.state.kubernetes_roles.find({call.name_space, mount, name});
  if (role == call.state.kubernetes_roles.end()) return Refused(400, absl::StrCat("invalid role name \"", Quotable(name, 64), "\""));
  const auto account = call.state.service_account_tokens.find(TokenDigest(jwt));
  if (account == call.state.service_account_tokens.end() || account->second.expires <= call.now) return BadToken();
  if (account->second.service_account != role->second.service_account) return Refused(403, "service account name not authorized");
  return Issue(call,
               {.display_name = mount + "/" + account->second.service_account,
                .path = "auth/" + mount + "/login",
                .policies = role->second.policies,
                .ttl = role->second.ttl,
                .max_ttl = role->second.max_ttl},
               name);
}

Reply LookupSelf(const AuthCall& call, std::string_view secret) {
  const Token& token = *call.state.FindToken(secret, call.now);
  const bool ends = token.expires != absl::InfiniteFuture();
  json::object data{{"accessor", token.accessor},
                    {"creation_time", absl::ToUnixSeconds(token.issued)},
                    {"creation_ttl", ends ? absl::ToInt64Seconds(token.ttl) : 0},
                    {"display_name", token.display_name},
                    {"entity_id", ""},
                    {"explicit_max_ttl", 0},
                    {"id", secret},
                    {"issue_time", Rfc3339(token.issued)},
                    {"num_uses", 0},
                    {"orphan", true},
                    {"path", token.path},
                    {"renewable", token.renewable},
                    {"ttl", ends ? absl::ToInt64Seconds(token.expires - call.now) : 0},
                    {"type", "service"}};
  data["expire_time"] = ends ? json::value(Rfc3339(token.expires)) : json::value(nullptr);
  data["meta"] = nullptr;
  data["policies"] = Strings(token.policies);
  if (!token.name_space.empty()) data["namespace_path"] = token.name_space + "/";
  return Data(std::move(data));
}

Reply RenewSelf(AuthCall& call, std::string_view secret) {
  const std::optional<absl::Duration> increment = Increment(call.body);
  if (!increment) return Refused(400, "error converting input for field \"increment\"");
  Token& token = call.state.tokens.at(TokenDigest(secret));
  if (!token.renewable) return Refused(400, "lease is not renewable");
  const absl::Duration wanted = *increment == absl::ZeroDuration() ? token.ttl : *increment;
  token.expires = std::min(call.now + wanted, token.issued + token.max_ttl);
  call.changed = true;
  json::object auth = AuthObject(token, secret, token.role);
  auth["lease_duration"] = absl::ToInt64Seconds(token.expires - call.now);
  return {.auth = std::move(auth)};
}

Reply RevokeSelf(AuthCall& call, std::string_view secret) {
  call.state.tokens.erase(TokenDigest(secret));
  call.changed = true;
  return NoContent();
}

Reply CapabilitiesSelf(const AuthCall& call, const Token& token) {
  std::vector<std::string> paths;
  for (const char* name : {"paths", "path"}) {
    const json::value* value = call.body.if_contains(name);
    if (value == nullptr) continue;
    if (value->is_string()) paths.emplace_back(value->get_string());
    if (!value->is_array()) continue;
    for (const json::value& item : value->get_array()) {
      if (item.is_string()) paths.emplace_back(item.get_string());
    }
  }
  if (paths.empty() || paths.size() > 100) return Refused(400, "path is required");
  json::object data;
  for (const std::string& path : paths) {
    const Capabilities capabilities = TokenCapabilities(call.state, token, call.name_space, path);
    data[path] = json::array(capabilities.begin(), capabilities.end());
  }
  if (paths.size() == 1) {
    const json::value only = data.at(paths.front());
    data["capabilities"] = only;
  }
  return Data(std::move(data));
}

}  // namespace latchkey::emulator::vault
