// The admin API's calls on accounts, users, roles and tokens, and the development set-up made of them.
#include <algorithm>
#include <iterator>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/digest.h"
#include "emulator/admin_api.h"
#include "emulator/arn.h"
#include "emulator/session.h"

namespace latchkey {
namespace {

constexpr const char* kOperatorAccount = "111111111111";
constexpr const char* kOwnerAccount = "222222222222";
constexpr const char* kDevelopmentAccessKeyId = "AKIDLATCHKEYDEV00001";

bool IsExternalId(std::string_view text) {
  return text.size() >= 2 && text.size() <= 1224 &&
         text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+=,.@:/-") == std::string_view::npos;
}

absl::StatusOr<std::vector<std::string>> ReadPrincipals(const json::array& list) {
  std::vector<std::string> out;
  for (const json::value& item : list) {
    if (!item.is_string()) return InvalidArgument("principals: must hold strings");
    std::string one(item.get_string());
    const std::optional<emulator::Arn> arn = emulator::ParseArn(one);
    const bool identity = arn && (arn->service == "iam" || arn->service == "sts") && emulator::IsAccountId(arn->account);
    if (one != "*" && !emulator::IsAccountId(one) && !identity) {
      return InvalidArgument("principals: ", emulator::Quotable(one), " is no ARN of an identity, account or \"*\"");
    }
    out.push_back(std::move(one));
  }
  if (out.size() > 100) return InvalidArgument("principals: more than 100");
  return out;
}

absl::StatusOr<std::vector<emulator::WebIdentity>> ReadWebIdentities(const json::array& list) {
  std::vector<emulator::WebIdentity> out;
  for (const json::value& item : list) {
    if (!item.is_object()) return InvalidArgument("web_identities: must hold objects");
    JsonReader reader(item.get_object(), "web_identities");
    out.push_back({reader.String("subject"), reader.String("audience")});
    reader.RefuseUnknown();
    RETURN_IF_ERROR(reader.status());
  }
  if (out.size() > 100) return InvalidArgument("web_identities: more than 100");
  return out;
}

json::object Shown(const emulator::Role& role) {
  json::object out{
      {"arn", role.arn}, {"external_id", role.external_id}, {"trusted", role.trusted}, {"max_session_seconds", role.max_session_seconds}};
  out["principals"] = json::array(role.principals.begin(), role.principals.end());
  return out;
}

}  // namespace

EmulatorAdmin::Result EmulatorAdmin::CreateAccount(const Body& body) {
  JsonReader reader(body);
  const std::string id = reader.String("id");
  if (!emulator::IsAccountId(id)) reader.Fault("id", "must be 12 digits");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (world_.accounts.size() >= emulator::World::kMostIdentities) return absl::ResourceExhaustedError("id: there are too many accounts");
  world_.accounts.insert(id);
  return json::object{{"id", id}};
}

absl::StatusOr<emulator::User*> EmulatorAdmin::AddUser(const std::string& account, const std::string& name, std::string access_key_id,
                                                       SecretBytes secret) {
  if (!emulator::IsAccountId(account)) return InvalidArgument("account: must be 12 digits");
  if (!emulator::IsIamName(name)) return InvalidArgument("name: must be 1 to 64 letters, digits or +=,.@_-");
  if (world_.users.size() >= emulator::World::kMostIdentities) return absl::ResourceExhaustedError("name: there are too many users");
  Random& random = *emulator_.options_.random;
  if (access_key_id.empty()) access_key_id = emulator::NewIdentifier("AKIA", random);
  if (secret.empty()) secret = emulator::NewSecretAccessKey(random);
  for (const auto& [id, user] : world_.users) {
    if (user.account == account && user.name == name)
      return absl::AlreadyExistsError(absl::StrCat("name: there is a user ", name, " already"));
  }
  emulator::User user{.account = account,
                      .name = name,
                      .user_id = emulator::NewIdentifier("AIDA", random),
                      .access_key_id = access_key_id,
                      .secret_access_key = std::move(secret)};
  const auto [at, added] = world_.users.try_emplace(access_key_id, std::move(user));
  if (!added) return absl::AlreadyExistsError("access_key_id: is in use already");
  world_.accounts.insert(account);
  return &at->second;
}

EmulatorAdmin::Result EmulatorAdmin::CreateUser(const Body& body) {
  JsonReader reader(body);
  const std::string account = reader.String("account");
  const std::string name = reader.String("name");
  const std::string id = reader.OptionalString("access_key_id");
  std::string secret = reader.OptionalString("secret_access_key");
  const bool id_fits = id.empty() || (id.size() >= 16 && id.size() <= 128 &&
                                      id.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == std::string::npos);
  if (!id_fits) reader.Fault("access_key_id", "must be 16 to 128 capitals and digits");
  if (!secret.empty() && (secret.size() < 16 || secret.size() > 128)) reader.Fault("secret_access_key", "must be 16 to 128 characters");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  SecretBytes wanted = secret.empty() ? SecretBytes() : SecretBytes::CopyOf(std::string_view(secret));
  Wipe(secret);
  ASSIGN_OR_RETURN(const emulator::User* user, AddUser(account, name, id, std::move(wanted)));
  return json::object{{"arn", emulator::UserArn(account, name)},
                      {"access_key_id", user->access_key_id},
                      {"secret_access_key", std::string(user->secret_access_key.RevealText(SecretAccess{}))}};
}

absl::StatusOr<emulator::Role*> EmulatorAdmin::AddRole(const std::string& account, const std::string& name) {
  if (!emulator::IsAccountId(account)) return InvalidArgument("account: must be 12 digits");
  if (!emulator::IsIamName(name)) return InvalidArgument("name: must be 1 to 64 letters, digits or +=,.@_-");
  if (world_.roles.size() >= emulator::World::kMostIdentities) return absl::ResourceExhaustedError("name: there are too many roles");
  emulator::Role role{.account = account,
                      .name = name,
                      .role_id = emulator::NewIdentifier("AROA", *emulator_.options_.random),
                      .arn = emulator::RoleArn(account, name)};
  const auto [at, added] = world_.roles.try_emplace(role.arn, role);
  if (!added) return absl::AlreadyExistsError(absl::StrCat("name: there is a role ", name, " already"));
  world_.accounts.insert(account);
  return &at->second;
}

EmulatorAdmin::Result EmulatorAdmin::CreateRole(const Body& body) {
  JsonReader reader(body);
  const std::string account = reader.String("account");
  const std::string name = reader.String("name");
  const json::array* principals = reader.OptionalArray("principals");
  const json::array* identities = reader.OptionalArray("web_identities");
  const std::string external_id = reader.OptionalString("external_id");
  const int64_t longest = reader.OptionalInt("max_session_seconds", 3600);
  if (!external_id.empty() && !IsExternalId(external_id)) reader.Fault("external_id", "must be 2 to 1224 letters, digits or _+=,.@:/-");
  if (longest < 3600 || longest > 43'200) reader.Fault("max_session_seconds", "must be 3600 to 43200");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  std::vector<std::string> trusted;
  std::vector<emulator::WebIdentity> web;
  if (principals != nullptr) {
    ASSIGN_OR_RETURN(trusted, ReadPrincipals(*principals));
  }
  if (identities != nullptr) {
    ASSIGN_OR_RETURN(web, ReadWebIdentities(*identities));
  }
  if (trusted.empty() && web.empty()) return InvalidArgument("principals: a role needs principals or web_identities that may assume it");
  ASSIGN_OR_RETURN(emulator::Role * role, AddRole(account, name));
  role->principals = std::move(trusted);
  role->web_identities = std::move(web);
  role->external_id = external_id;
  role->max_session_seconds = longest;
  return Shown(*role);
}

EmulatorAdmin::Result EmulatorAdmin::TrustRole(const Body& body) {
  JsonReader reader(body);
  const std::string arn = reader.String("role");
  const json::array* principals = reader.OptionalArray("principals");
  const std::string external_id = reader.OptionalString("external_id");
  if (!external_id.empty() && !IsExternalId(external_id)) reader.Fault("external_id", "must be 2 to 1224 letters, digits or _+=,.@:/-");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  const auto found = world_.roles.find(arn);
  if (found == world_.roles.end()) return NotFound("role: there is no role ", emulator::Quotable(arn));
  if (principals != nullptr) {
    ASSIGN_OR_RETURN(found->second.principals, ReadPrincipals(*principals));
  }
  if (body.contains("external_id")) found->second.external_id = external_id;
  found->second.trusted = true;
  return Shown(found->second);
}

EmulatorAdmin::Result EmulatorAdmin::UntrustRole(const Body& body) {
  JsonReader reader(body);
  const std::string arn = reader.String("role");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  const auto found = world_.roles.find(arn);
  if (found == world_.roles.end()) return NotFound("role: there is no role ", emulator::Quotable(arn));
  found->second.trusted = false;
  return Shown(found->second);
}

EmulatorAdmin::Result EmulatorAdmin::RegisterToken(const Body& body) {
  JsonReader reader(body);
  const std::string token = reader.String("token");
  const emulator::WebIdentity identity{reader.String("subject"), reader.String("audience")};
  if (token.size() < 4 || token.size() > 20'000) reader.Fault("token", "must be 4 to 20000 bytes");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (world_.web_tokens.size() >= emulator::World::kMostIdentities) return absl::ResourceExhaustedError("token: there are too many tokens");
  world_.web_tokens[HexEncode(Sha256(token))] = identity;
  return json::object{{"subject", identity.subject}, {"audience", identity.audience}};
}

EmulatorAdmin::Result EmulatorAdmin::SetInstanceRole(const Body& body) {
  JsonReader reader(body);
  const std::string role = reader.OptionalString("role");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (!role.empty() && !world_.roles.contains(role)) return NotFound("role: there is no role ", emulator::Quotable(role));
  world_.instance_role = role;
  return json::object{{"role", role}};
}

EmulatorAdmin::Result EmulatorAdmin::AddContainer(const Body& body) {
  JsonReader reader(body);
  std::string id = reader.OptionalString("id");
  const std::string role = reader.String("role");
  std::string authorization = reader.OptionalString("authorization_token");
  if (!id.empty() && !emulator::IsIamName(id)) reader.Fault("id", "must be 1 to 64 letters, digits or +=,.@_-");
  if (authorization.size() > 4096) reader.Fault("authorization_token", "is longer than 4096 bytes");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (!world_.roles.contains(role)) return NotFound("role: there is no role ", emulator::Quotable(role));
  if (world_.containers.size() >= emulator::World::kMostIdentities)
    return absl::ResourceExhaustedError("id: there are too many containers");
  if (id.empty()) id = NewUuid(*emulator_.options_.random);
  world_.containers[id] = {role, authorization.empty() ? "" : HexEncode(Sha256(authorization))};
  Wipe(authorization);
  return json::object{{"id", id}, {"path", "/v2/credentials/" + id}};
}

EmulatorAdmin::Result EmulatorAdmin::SeedFromBody(const Body& body) {
  if (body.contains("cloud")) {
    JsonReader of(body);
    const std::string name = CloudsOf(of, {""}).front();
    RETURN_IF_ERROR(of.status());
    Body rest = body;
    rest.erase("cloud");
    if (emulator::Cloud* cloud = emulator_.FindCloud(name)) return emulator_.SeedLocked(*cloud, std::move(rest));
    return SeedFromBody(rest);
  }
  JsonReader reader(body);
  DevelopmentSeed seed{.external_id = reader.String("external_id")};
  if (const json::array* regions = reader.OptionalArray("regions")) {
    seed.regions.clear();
    for (const json::value& item : *regions) {
      if (!item.is_string()) {
        reader.Fault("regions", "must hold strings");
      } else {
        seed.regions.emplace_back(item.get_string());
      }
    }
  }
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  return Seed(seed);
}

absl::StatusOr<json::object> EmulatorAdmin::Seed(const DevelopmentSeed& seed) {
  if (!IsExternalId(seed.external_id)) return InvalidArgument("external_id: must be 2 to 1224 letters, digits or _+=,.@:/-");
  if (seed.regions.empty() || seed.regions.size() > 50) return InvalidArgument("regions: must be 1 to 50");
  for (const std::string& region : seed.regions) {
    if (!emulator::IsRegion(region)) return InvalidArgument("regions: ", emulator::Quotable(region, 64), " is not the name of a region");
  }
  const auto user = world_.users.find(kDevelopmentAccessKeyId);
  if (user == world_.users.end()) RETURN_IF_ERROR(AddUser(kOperatorAccount, "latchkey", kDevelopmentAccessKeyId, {}).status());
  const std::string user_arn = emulator::UserArn(kOperatorAccount, "latchkey");
  const std::string role_arn = emulator::RoleArn(kOwnerAccount, "latchkey-cmek");
  if (!world_.roles.contains(role_arn)) {
    ASSIGN_OR_RETURN(emulator::Role * role, AddRole(kOwnerAccount, "latchkey-cmek"));
    role->principals = {user_arn};
  }
  world_.roles.at(role_arn).external_id = seed.external_id;

  json::object regions;
  for (const std::string& region : seed.regions) {
    json::object names;
    struct Wanted {
      const char *label, *account, *alias;
    };
    for (const Wanted& wanted :
         {Wanted{"escrow_key", kOperatorAccount, "alias/latchkey-escrow"}, Wanted{"owner_key", kOwnerAccount, "alias/owner-key-1"},
          Wanted{"second_owner_key", kOwnerAccount, "alias/owner-key-2"}}) {
      const auto found = std::find_if(world_.keys.begin(), world_.keys.end(), [&](const auto& item) {
        return item.second.account == wanted.account && item.second.region == region && item.second.alias == wanted.alias;
      });
      if (found != world_.keys.end()) {
        names[wanted.label] = found->first;
        continue;
      }
      emulator::NewKey key{.account = wanted.account, .region = region, .alias = wanted.alias};
      ASSIGN_OR_RETURN(const emulator::Key* made, emulator::AddKey(world_, std::move(key), emulator_.Now(), *emulator_.options_.random));
      names[wanted.label] = made->arn;
    }
    regions[region] = std::move(names);
  }
  json::object out{
      {"access_key_id", kDevelopmentAccessKeyId},
      {"secret_access_key", std::string(world_.users.at(kDevelopmentAccessKeyId).secret_access_key.RevealText(SecretAccess{}))},
      {"user", user_arn},
      {"role", role_arn},
      {"external_id", seed.external_id}};
  // The same in the form of the other clouds, for the first region.
  const json::object& first = regions.at(seed.regions.front()).get_object();
  const std::string secret(world_.users.at(kDevelopmentAccessKeyId).secret_access_key.RevealText(SecretAccess{}));
  out["escrow"] = json::object{{"type", "AWS_KMS"}, {"uri", first.at("escrow_key")}, {"auth_principal", ""}};
  out["owner"] = json::object{{"type", "AWS_KMS"}, {"uri", first.at("owner_key")}, {"auth_principal", role_arn}};
  out["second_owner"] = json::object{{"type", "AWS_KMS"}, {"uri", first.at("second_owner_key")}, {"auth_principal", role_arn}};
  out["credentials"] = json::object{{"access_key_id", kDevelopmentAccessKeyId}, {"secret_access_key", secret}};
  out["environment"] = json::object{{"AWS_ACCESS_KEY_ID", kDevelopmentAccessKeyId}, {"AWS_SECRET_ACCESS_KEY", secret}};
  out["regions"] = std::move(regions);
  return out;
}

absl::StatusOr<json::object> Emulator::SeedDevelopment(const DevelopmentSeed& seed) {
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(json::object names, EmulatorAdmin(*this).Seed(seed));
  RETURN_IF_ERROR(Save());
  return names;
}

}  // namespace latchkey
