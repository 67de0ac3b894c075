// What the command line, the demo and the contract tests work with, and what GET /_admin/state shows.
#include "base/status.h"
#include "emulator/vault/admin.h"

namespace latchkey::emulator::vault {
namespace {

constexpr const char* kName = "latchkey";
constexpr const char* kServiceAccount = "latchkey/agent";
constexpr const char* kServiceAccountToken = "latchkey-development-service-account-token";
// No rights to make keys: a misspelt name must not become one.
constexpr const char* kRules = R"({
  "transit/encrypt/+": ["update"], "transit/decrypt/+": ["update"], "transit/rewrap/+": ["update"], "transit/keys/+": ["read"]})";

std::string Shown(const SecretBytes& secret) { return std::string(secret.RevealText(SecretAccess{})); }

}  // namespace

VaultAdmin::Result VaultAdmin::Seed(const Body& wanted) {
  JsonReader reader(wanted);
  const std::string connection = reader.OptionalString("connection", "vault");
  const std::string base_url = reader.OptionalString("base_url");
  reader.RefuseUnknown();
  if (!IsName(connection)) reader.Fault("connection", "must be letters, digits, '.', '_' and '-'");
  RETURN_IF_ERROR(reader.status());

  state_.mounts.try_emplace({"", "transit"}, MountType::kTransit);
  state_.mounts.try_emplace({"", "approle"}, MountType::kAppRole);
  state_.mounts.try_emplace({"", "kubernetes"}, MountType::kKubernetes);
  for (const char* key : {"latchkey-escrow", "owner-key-1", "owner-key-2"}) {
    const KeyName name{"", "transit", key};
    if (!state_.keys.contains(name)) RETURN_IF_ERROR(state_.AddKey(name, now_, random_).status());
  }
  if (!state_.policies.contains({"", kName})) {
    ASSIGN_OR_RETURN(const json::object rules, ParseJsonObject(kRules));
    ASSIGN_OR_RETURN(PathPolicy policy, PathPolicy::Parse(rules));
    state_.policies.insert_or_assign({"", kName}, std::move(policy));
  }
  auto role = state_.app_roles.find({"", "approle", kName});
  if (role == state_.app_roles.end()) {
    RETURN_IF_ERROR(SetAppRole({{"name", kName}, {"policies", json::array{kName}}}).status());
    role = state_.app_roles.find({"", "approle", kName});
  }
  if (!state_.kubernetes_roles.contains({"", "kubernetes", kName})) {
    RETURN_IF_ERROR(SetKubernetesRole({{"name", kName}, {"service_account", kServiceAccount}, {"policies", json::array{kName}}}).status());
    RETURN_IF_ERROR(RegisterServiceAccount({{"token", kServiceAccountToken}, {"service_account", kServiceAccount}}).status());
  }
  if (state_.root_token.empty()) {
    ASSIGN_OR_RETURN(
        state_.root_token,
        state_.AddToken({.display_name = "root", .path = "auth/token/root", .policies = {"root"}, .issued = now_}, "", random_));
  }
  if (state_.operator_token.empty()) {
    Token token{.display_name = kName, .path = "auth/token/create", .policies = {"default", kName}, .issued = now_};
    ASSIGN_OR_RETURN(state_.operator_token, state_.AddToken(std::move(token), "", random_));
  }

  const auto key = [&](const char* name) {
    return Body{{"type", "VAULT_TRANSIT"}, {"uri", absl::StrCat("vault://", connection, "/transit/", name)}, {"auth_principal", ""}};
  };
  Body out;
  out["escrow"] = key("latchkey-escrow");
  out["owner"] = key("owner-key-1");
  out["second_owner"] = key("owner-key-2");
  out["credentials"] = Body{{"address", base_url},
                            {"role_id", role->second.role_id},
                            {"secret_id", Shown(role->second.secret_id)},
                            {"token", Shown(state_.operator_token)},
                            {"root_token", Shown(state_.root_token)},
                            {"kubernetes_role", kName},
                            {"kubernetes_token", kServiceAccountToken}};
  out["environment"] = Body{{"VAULT_ADDR", base_url}, {"VAULT_TOKEN", Shown(state_.operator_token)}};
  return out;
}

json::object VisibleState(const State& state) {
  json::object out{{"sealed", state.sealed}};
  out["namespaces"] = json::array(state.namespaces.begin(), state.namespaces.end());
  json::array mounts, keys, policies, roles, kubernetes, tokens;
  for (const auto& [name, type] : state.mounts) {
    mounts.push_back(json::object{{"namespace", name.first},
                                  {"path", name.second},
                                  {"type", type == MountType::kTransit   ? "transit"
                                           : type == MountType::kAppRole ? "approle"
                                                                         : "kubernetes"}});
  }
  for (const auto& [name, key] : state.keys) {
    keys.push_back(json::object{{"key", name.ToString()},
                                {"latest_version", key.latest_version()},
                                {"min_decryption_version", key.min_decryption_version},
                                {"min_encryption_version", key.min_encryption_version},
                                {"deletion_allowed", key.deletion_allowed},
                                {"soft_deleted", key.soft_deleted}});
  }
  for (const auto& [name, policy] : state.policies) {
    json::object one{{"namespace", name.first}, {"name", name.second}};
    one["rules"] = policy.ToJson();
    one["denied"] = json::array(policy.denied().begin(), policy.denied().end());
    policies.push_back(std::move(one));
  }
  for (const auto& [name, role] : state.app_roles) {
    json::object one{
        {"namespace", std::get<0>(name)}, {"mount", std::get<1>(name)}, {"name", std::get<2>(name)}, {"role_id", role.role_id}};
    one["policies"] = json::array(role.policies.begin(), role.policies.end());
    roles.push_back(std::move(one));
  }
  for (const auto& [name, role] : state.kubernetes_roles) {
    json::object one{{"namespace", std::get<0>(name)},
                     {"mount", std::get<1>(name)},
                     {"name", std::get<2>(name)},
                     {"service_account", role.service_account}};
    one["policies"] = json::array(role.policies.begin(), role.policies.end());
    kubernetes.push_back(std::move(one));
  }
  for (const auto& [digest, token] : state.tokens) {
    json::object one{{"accessor", token.accessor}, {"display_name", token.display_name}, {"namespace", token.name_space}};
    one["policies"] = json::array(token.policies.begin(), token.policies.end());
    tokens.push_back(std::move(one));
  }
  out["mounts"] = std::move(mounts);
  out["keys"] = std::move(keys);
  out["policies"] = std::move(policies);
  out["app_roles"] = std::move(roles);
  out["kubernetes_roles"] = std::move(kubernetes);
  out["tokens"] = std::move(tokens);
  return out;
}

}  // namespace latchkey::emulator::vault
