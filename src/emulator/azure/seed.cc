// What `latchkey dev` and the demo work with: an operator with a multi-tenant application, an owner who consented to it, and a vault each.
#include "base/json.h"
#include "base/status.h"
#include "emulator/azure/admin.h"

namespace latchkey::emulator::azure {
namespace {

constexpr const char* kOperator = "11111111-1111-4111-8111-111111111111";
constexpr const char* kOwner = "22222222-2222-4222-8222-222222222222";
constexpr const char* kApplication = "33333333-3333-4333-8333-333333333333";
constexpr const char* kEncryptionUser = "Key Vault Crypto Service Encryption User";

// What is there already is as good as made.
absl::Status Ensure(const absl::StatusOr<json::object>& made) {
  return absl::IsAlreadyExists(made.status()) ? absl::OkStatus() : made.status();
}

json::object RootKeyOf(const std::string& vault, const std::string& key, const std::string& principal) {
  return {{"type", "AZURE_KEY_VAULT"}, {"uri", "https://" + vault + ".vault.azure.net/keys/" + key}, {"auth_principal", principal}};
}

}  // namespace

Admin::Result Admin::Seed(const Body& wanted) {
  JsonReader reader(wanted);
  const std::string base_url = reader.OptionalString("base_url");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  RETURN_IF_ERROR(Ensure(CreateTenant({{"tenant", kOperator}, {"domain", "operator.onmicrosoft.com"}})));
  RETURN_IF_ERROR(Ensure(CreateTenant({{"tenant", kOwner}, {"domain", "owner.onmicrosoft.com"}})));
  RETURN_IF_ERROR(Ensure(CreateApplication(
      {{"tenant", kOperator}, {"client_id", kApplication}, {"name", "latchkey"}, {"multi_tenant", true}, {"certificate", true}})));
  // What an owner took away afterwards stays taken away.
  if (world_.Principal(kOwner, kApplication) == nullptr) {
    RETURN_IF_ERROR(Consent({{"tenant", kOwner}, {"application", kApplication}}).status());
  }
  struct SeedVault {
    const char *name, *tenant, *role;
    std::vector<const char*> keys;
  };
  const SeedVault vaults[] = {{"latchkey-escrow", kOperator, kEncryptionUser, {"escrow"}},
                              {"owner-vault", kOwner, kEncryptionUser, {"owner-key-1", "owner-key-2"}},
                              // Where requests arrive whose Host header names no vault.
                              {"emulator", kOperator, "Key Vault Crypto Officer", {}}};
  for (const SeedVault& vault : vaults) {
    const Result made = CreateVault({{"tenant", vault.tenant}, {"name", vault.name}});
    RETURN_IF_ERROR(Ensure(made));
    if (made.ok()) RETURN_IF_ERROR(AssignRole({{"vault", vault.name}, {"role", vault.role}, {"principal", kApplication}}).status());
    ASSIGN_OR_RETURN(Vault * there, VaultNamed(vault.name));
    for (const char* key : vault.keys) {
      if (there->Find(key) == nullptr) RETURN_IF_ERROR(CreateVaultKey({{"vault", vault.name}, {"name", key}}).status());
    }
  }
  ASSIGN_OR_RETURN(const Application* found, ApplicationNamed(kApplication));
  const Application& application = *found;
  json::object credentials{{"tenant_id", kOperator}, {"client_id", kApplication}, {"owner_tenant_id", kOwner}};
  json::object environment{{"AZURE_TENANT_ID", kOperator}, {"AZURE_CLIENT_ID", kApplication}};
  if (!base_url.empty()) environment["AZURE_AUTHORITY_HOST"] = base_url;
  if (!application.secrets.empty()) {
    credentials["client_secret"] = application.secrets.front().value.RevealText(SecretAccess{});
    environment["AZURE_CLIENT_SECRET"] = credentials["client_secret"];
  }
  if (!application.certificates.empty()) {
    const ClientCertificate& certificate = application.certificates.front();
    credentials["certificate_pem"] = absl::StrCat(ToAbsl(certificate.private_key_pem.RevealText(SecretAccess{})), certificate.pem);
  }
  json::object out;
  out["escrow"] = RootKeyOf("latchkey-escrow", "escrow", "");
  out["owner"] = RootKeyOf("owner-vault", "owner-key-1", kOwner);
  out["second_owner"] = RootKeyOf("owner-vault", "owner-key-2", kOwner);
  out["credentials"] = std::move(credentials);
  out["environment"] = std::move(environment);
  return out;
}

}  // namespace latchkey::emulator::azure
