// What `latchkey dev`, the demo and the contract tests work with: an operator with a service account and an escrow key, and an owner whose
// service account the operator's may act as, with two keys. Rights are the least that work.
#include "base/json.h"
#include "base/status.h"
#include "emulator/gcp/access.h"
#include "emulator/gcp/admin.h"

namespace latchkey::emulator::gcp {
namespace {

constexpr std::string_view kOperatorProject = "latchkey-operator";
constexpr std::string_view kOwnerProject = "latchkey-owner";
constexpr std::string_view kRing = "latchkey";

// A key with everything that `account` needs of it, as far as it is not there.
absl::StatusOr<std::string> UseKey(AdminCall& call, std::string_view project, const std::string& location, std::string_view id,
                                   const ServiceAccount& account) {
  ResourceName name{.project = std::string(project), .location = location, .ring = std::string(kRing), .key = std::string(id)};
  const std::string text = name.Key();
  if (call.world.keys.contains(text)) return text;
  RETURN_IF_ERROR(call.world.UseProject(name.project, call.random).status());
  NewCryptoKey wanted;
  wanted.name = name;
  ASSIGN_OR_RETURN(CryptoKey * key, AddCryptoKey(call.world, std::move(wanted), call.now, call.random));
  call.world.key_rings.emplace(name.Ring(), call.now);
  key->bindings["roles/cloudkms.cryptoKeyEncrypterDecrypter"].insert(account.member());
  // To see state, rotation and destruction ahead, not only to meet them.
  key->bindings["roles/cloudkms.viewer"].insert(account.member());
  return text;
}

json::object RootKeyJson(const std::string& uri, const std::string& principal) {
  return {{"type", "GCP_CLOUD_KMS"}, {"uri", uri}, {"auth_principal", principal}};
}

// "http://127.0.0.1:5567" → "127.0.0.1:5567".
std::string AuthorityOf(const std::string& url) {
  const size_t at = url.find("://");
  return at == std::string::npos ? url : url.substr(at + 3);
}

}  // namespace

AdminResult SeedWorld(AdminCall& call) {
  JsonReader reader(call.body);
  const std::string region = reader.OptionalString("region", "us-east1");
  const std::string base_url = reader.OptionalString("base_url");
  if (!IsServedLocation(region)) reader.Fault("region", "must be a location of Cloud KMS");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(ServiceAccount * operator_account,
                   UseServiceAccount(call.world, std::string(kOperatorProject), "latchkey", call.random));
  const std::string operator_email = operator_account->email;
  const bool new_owner = !call.world.accounts.contains(absl::StrCat("latchkey-cmek@", ToAbsl(kOwnerProject), ".iam.gserviceaccount.com"));
  ASSIGN_OR_RETURN(ServiceAccount * owner, UseServiceAccount(call.world, std::string(kOwnerProject), "latchkey-cmek", call.random));
  // Only then: a grant that was taken back since must not come back by a second call.
  if (new_owner) owner->token_creators.insert("serviceAccount:" + operator_email);
  if (call.world.machine.account.empty()) {
    call.world.machine = {.account = operator_email, .scopes = {std::string(kCloudPlatformScope)}};
  }
  const ServiceAccount& operator_now = call.world.accounts.at(operator_email);
  ASSIGN_OR_RETURN(const std::string escrow, UseKey(call, kOperatorProject, region, "escrow", operator_now));
  ASSIGN_OR_RETURN(const std::string first, UseKey(call, kOwnerProject, region, "owner-key-1", *owner));
  ASSIGN_OR_RETURN(const std::string second, UseKey(call, kOwnerProject, region, "owner-key-2", *owner));
  json::object answer{{"escrow", RootKeyJson(escrow, "")},
                      {"owner", RootKeyJson(first, owner->email)},
                      {"second_owner", RootKeyJson(second, owner->email)},
                      {"credentials", json::object{{"service_account", CredentialsFile(operator_now, base_url)}}},
                      {"region", region}};
  // The emulator writes no files: without one, the provider asks the machine's metadata server, which this is.
  json::object environment;
  if (!base_url.empty()) environment["GCE_METADATA_HOST"] = AuthorityOf(base_url);
  answer["environment"] = std::move(environment);
  return answer;
}

}  // namespace latchkey::emulator::gcp
