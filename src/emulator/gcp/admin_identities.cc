// The admin calls on identities: service accounts, who may act as them, workload identity pools, the machine.
#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/digest.h"
#include "emulator/arn.h"
#include "emulator/gcp/access.h"
#include "emulator/gcp/admin.h"
#include "http/message.h"

namespace latchkey::emulator::gcp {
namespace {

std::string TwentyOneDigits(Random& random) {
  std::string out = "1";
  for (const uint8_t b : random.Bytes(20)) out.push_back(static_cast<char>('0' + b % 10));
  return out;
}

size_t AccountKeys(const World& world) {
  size_t total = 0;
  for (const auto& [email, account] : world.accounts) total += account.keys.size();
  return total;
}

absl::StatusOr<ServiceAccount*> FindAccount(World& world, const std::string& email, std::string_view field) {
  const auto found = world.accounts.find(email);
  if (found == world.accounts.end()) return NotFound(ToAbsl(field), ": there is no service account ", Quotable(email));
  return &found->second;
}

std::set<std::string> OptionalTexts(JsonReader& reader, std::string_view name) {
  std::set<std::string> out;
  const json::array* list = reader.OptionalArray(name);
  if (list == nullptr) return out;
  if (list->size() > World::kMostMembers) reader.Fault(name, "has too many entries");
  for (const json::value& item : *list) {
    if (!item.is_string() || item.get_string().empty() || item.get_string().size() > 512) {
      reader.Fault(name, "must hold strings of 1 to 512 bytes");
      return out;
    }
    out.emplace(item.get_string());
  }
  return out;
}

AdminResult ChangeTokenCreator(AdminCall& call, bool grant) {
  JsonReader reader(call.body);
  const std::string email = reader.String("service_account");
  const std::string text = reader.String("member");
  const std::string member = MemberOf(text);
  if (member.empty()) reader.Fault("member", "must be a service account, or a member as policies write it");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(ServiceAccount * account, FindAccount(call.world, email, "service_account"));
  if (grant) {
    if (account->token_creators.size() >= World::kMostMembers) return absl::ResourceExhaustedError("member: there are too many members");
    account->token_creators.insert(member);
  } else if (account->token_creators.erase(member) == 0) {
    return NotFound("member: ", Quotable(member), " may not act as ", email);
  }
  return json::object{{"service_account", email},
                      {"token_creators", json::array(account->token_creators.begin(), account->token_creators.end())}};
}

json::object ProviderShown(const Provider& provider) {
  json::object out{{"audience", provider.Audience()},
                   {"principal_prefix", provider.Principal("")},
                   {"principal_set", absl::StrCat("principalSet://iam.googleapis.com/", provider.Pool(), "/*")},
                   {"issuer", provider.issuer}};
  return out;
}

}  // namespace

std::string MemberOf(const std::string& text) {
  if (IsAccountEmail(text)) return "serviceAccount:" + text;
  return IsMember(text) ? text : std::string();
}

absl::StatusOr<ServiceAccount*> UseServiceAccount(World& world, const std::string& project, const std::string& name, Random& random) {
  if (!IsAccountName(name)) return InvalidArgument("name: must be 6 to 30 small letters, digits or hyphens, beginning with a letter");
  RETURN_IF_ERROR(world.UseProject(project, random).status());
  const std::string email = absl::StrCat(name, "@", project, ".iam.gserviceaccount.com");
  const auto found = world.accounts.find(email);
  if (found != world.accounts.end()) return &found->second;
  if (world.accounts.size() >= World::kMostIdentities || AccountKeys(world) >= World::kMostAccountKeys) {
    return absl::ResourceExhaustedError("name: there are too many service accounts");
  }
  ServiceAccount account{.email = email, .project = project, .unique_id = TwentyOneDigits(random), .keys = {}, .token_creators = {}};
  ASSIGN_OR_RETURN(AccountKey key, NewAccountKey(random));
  account.keys.push_back(std::move(key));
  return &world.accounts.emplace(email, std::move(account)).first->second;
}

json::object CredentialsFile(const ServiceAccount& account, const std::string& base_url) {
  const AccountKey& key = account.keys.back();
  return {{"type", "service_account"},
          {"project_id", account.project},
          {"private_key_id", key.id},
          {"private_key", std::string(key.pem.RevealText(SecretAccess{}))},
          {"client_email", account.email},
          {"client_id", account.unique_id},
          {"auth_uri", "https://accounts.google.com/o/oauth2/auth"},
          {"token_uri", (base_url.empty() ? std::string("https://oauth2.googleapis.com") : base_url) + "/token"},
          {"auth_provider_x509_cert_url", "https://www.googleapis.com/oauth2/v1/certs"},
          {"client_x509_cert_url", "https://www.googleapis.com/robot/v1/metadata/x509/" + PercentEncode(account.email)},
          {"universe_domain", "googleapis.com"}};
}

AdminResult CreateServiceAccount(AdminCall& call) {
  JsonReader reader(call.body);
  const std::string project = reader.String("project");
  const std::string name = reader.String("name");
  const std::string base_url = reader.OptionalString("base_url");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (call.world.accounts.contains(absl::StrCat(name, "@", project, ".iam.gserviceaccount.com"))) {
    return absl::AlreadyExistsError(absl::StrCat("name: there is a service account ", Quotable(name), " already"));
  }
  ASSIGN_OR_RETURN(const ServiceAccount* account, UseServiceAccount(call.world, project, name, call.random));
  return CredentialsFile(*account, base_url);
}

AdminResult DeleteServiceAccount(AdminCall& call) {
  JsonReader reader(call.body);
  const std::string email = reader.String("service_account");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  RETURN_IF_ERROR(FindAccount(call.world, email, "service_account").status());
  call.world.accounts.erase(email);
  if (call.world.machine.account == email) call.world.machine = {};
  return json::object{{"service_account", email}};
}

AdminResult GrantTokenCreator(AdminCall& call) { return ChangeTokenCreator(call, true); }
AdminResult RevokeTokenCreator(AdminCall& call) { return ChangeTokenCreator(call, false); }

AdminResult CreateWorkloadPool(AdminCall& call) {
  JsonReader reader(call.body);
  Provider provider;
  provider.project = reader.String("project");
  provider.pool = reader.String("pool");
  provider.id = reader.String("provider");
  provider.issuer = reader.String("issuer");
  provider.audiences = OptionalTexts(reader, "audiences");
  provider.subjects = OptionalTexts(reader, "subjects");
  provider.public_key_pem = reader.OptionalString("public_key");
  const std::string base_url = reader.OptionalString("base_url");
  const std::string token_file = reader.OptionalString("token_file");
  const std::string email = reader.OptionalString("service_account");
  if (!IsResourceId(provider.pool)) reader.Fault("pool", "must be 1 to 63 letters, digits, _ or -");
  if (!IsResourceId(provider.id)) reader.Fault("provider", "must be 1 to 63 letters, digits, _ or -");
  if (provider.issuer.size() > 256) reader.Fault("issuer", "is longer than 256 bytes");
  if (!provider.public_key_pem.empty()) {
    absl::StatusOr<RsaPublicKey> key = RsaPublicKey::FromPem(provider.public_key_pem);
    if (key.ok()) {
      provider.public_key = std::make_shared<const RsaPublicKey>(*std::move(key));
    } else {
      reader.Fault("public_key", "must be an RSA public key or a certificate in PEM");
    }
  }
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(const Project* project, call.world.UseProject(provider.project, call.random));
  provider.number = project->number;
  json::object answer = ProviderShown(provider);
  const std::string audience = provider.Audience();
  // What a client needs, as `gcloud iam workload-identity-pools create-cred-config` writes it.
  json::object credentials{{"type", "external_account"},
                           {"audience", audience},
                           {"subject_token_type", "urn:ietf:params:oauth:token-type:jwt"},
                           {"token_url", (base_url.empty() ? std::string("https://sts.googleapis.com") : base_url) + "/v1/token"},
                           {"universe_domain", "googleapis.com"}};
  if (!token_file.empty()) credentials["credential_source"] = json::object{{"file", token_file}};
  if (!email.empty()) {
    RETURN_IF_ERROR(FindAccount(call.world, email, "service_account").status());
    credentials["service_account_impersonation_url"] = absl::StrCat(base_url.empty() ? "https://iamcredentials.googleapis.com" : base_url,
                                                                    "/v1/projects/-/serviceAccounts/", email, ":generateAccessToken");
  }
  answer["credentials"] = std::move(credentials);
  if (call.world.providers.size() >= World::kMostIdentities && !call.world.providers.contains(audience)) {
    return absl::ResourceExhaustedError("provider: there are too many providers");
  }
  call.world.providers.insert_or_assign(audience, std::move(provider));
  return answer;
}

AdminResult DeleteWorkloadPool(AdminCall& call) {
  JsonReader reader(call.body);
  const std::string audience = reader.String("audience");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (call.world.providers.erase(audience) == 0) return NotFound("audience: there is no provider ", Quotable(audience));
  return json::object{{"audience", audience}};
}

AdminResult RegisterSubjectToken(AdminCall& call) {
  JsonReader reader(call.body);
  std::string token = reader.String("token");
  SubjectToken known{.issuer = reader.String("issuer"), .subject = reader.String("subject"), .audience = reader.String("audience")};
  if (token.size() < 4 || token.size() > 16'384) reader.Fault("token", "must be 4 to 16384 bytes");
  if (known.issuer.size() + known.subject.size() + known.audience.size() > 1024) reader.Fault("subject", "is too long");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  const std::string digest = HexEncode(Sha256(token));
  Wipe(token);
  if (call.world.subject_tokens.size() >= World::kMostIdentities && !call.world.subject_tokens.contains(digest)) {
    return absl::ResourceExhaustedError("token: there are too many tokens");
  }
  json::object answer{{"sha256", digest}, {"issuer", known.issuer}, {"subject", known.subject}, {"audience", known.audience}};
  call.world.subject_tokens.insert_or_assign(digest, std::move(known));
  return answer;
}

AdminResult SetMachine(AdminCall& call) {
  JsonReader reader(call.body);
  // Empty: the machine has no account.
  const std::string email = reader.OptionalString("service_account");
  const std::set<std::string> scopes = OptionalTexts(reader, "scopes");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (!email.empty()) RETURN_IF_ERROR(FindAccount(call.world, email, "service_account").status());
  call.world.machine = {.account = email, .scopes = {scopes.begin(), scopes.end()}};
  if (scopes.empty()) call.world.machine.scopes = {std::string(kCloudPlatformScope)};
  return json::object{{"service_account", email},
                      {"scopes", json::array(call.world.machine.scopes.begin(), call.world.machine.scopes.end())}};
}

AdminResult Administer(AdminCall& call, std::string_view path) {
  struct Path {
    std::string_view path;
    AdminResult (*run)(AdminCall& call);
  };
  static constexpr Path kPaths[] = {
      {"seed", SeedWorld},
      {"keys", CreateKeyByAdmin},
      {"keys/enable", EnableByAdmin},
      {"keys/disable", DisableByAdmin},
      {"keys/destroy", DestroyByAdmin},
      {"keys/restore", RestoreByAdmin},
      {"keys/rotate", RotateByAdmin},
      {"keys/bindings", GrantOnKey},
      {"keys/bindings/remove", RevokeOnKey},
      {"projects/bindings", GrantOnProject},
      {"projects/bindings/remove", RevokeOnProject},
      {"denials", Deny},
      {"denials/remove", Undeny},
      {"service-accounts", CreateServiceAccount},
      {"service-accounts/delete", DeleteServiceAccount},
      {"service-accounts/token-creators", GrantTokenCreator},
      {"service-accounts/token-creators/remove", RevokeTokenCreator},
      {"workload-pools", CreateWorkloadPool},
      {"workload-pools/delete", DeleteWorkloadPool},
      {"subject-tokens", RegisterSubjectToken},
      {"metadata", SetMachine},
  };
  for (const Path& item : kPaths) {
    if (item.path == path) return item.run(call);
  }
  return NotFound("there is no such path in the admin API of this cloud");
}

}  // namespace latchkey::emulator::gcp
