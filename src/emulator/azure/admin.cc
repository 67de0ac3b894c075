// Routing, Entra ID: tenants, applications and their credentials, consents, managed identities.
#include "emulator/azure/admin.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/digest.h"
#include "emulator/arn.h"
#include "emulator/azure/certificate.h"

namespace latchkey::emulator::azure {
namespace {

constexpr int64_t kLongestSeconds = int64_t{10} * 365 * 86'400;
constexpr size_t kLongestName = 120;

// A UUID of the caller's choice, or a new one.
std::string UuidOrNew(JsonReader& reader, const char* name, Random& random) {
  std::string id = LowerCase(reader.OptionalString(name));
  if (id.empty()) id = NewUuid(random);
  if (!IsUuid(id)) reader.Fault(name, "must be a UUID");
  return id;
}

std::string NameIn(JsonReader& reader) {
  std::string name = reader.String("name");
  if (name.size() > kLongestName || name != Quotable(name)) reader.Fault("name", "must be at most 120 printable characters");
  return name;
}

bool IsDomain(std::string_view text) {
  return text.size() <= 253 && text.find('.') != std::string_view::npos &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string_view::npos;
}

}  // namespace

struct Admin::Route {
  std::string_view path;
  Result (Admin::*post)(const Body&);
};

const Admin::Route Admin::kRoutes[] = {
    {"tenants", &Admin::CreateTenant},
    {"applications", &Admin::CreateApplication},
    {"applications/secret", &Admin::AddSecret},
    {"applications/certificate", &Admin::AddCertificate},
    {"applications/federated", &Admin::AddFederated},
    {"consents", &Admin::Consent},
    {"consents/withdraw", &Admin::WithdrawConsent},
    {"managed-identity", &Admin::CreateIdentity},
    {"vaults", &Admin::CreateVault},
    {"vaults/remove", &Admin::RemoveVault},
    {"roles", &Admin::AssignRole},
    {"roles/remove", &Admin::RemoveRole},
    {"denials", &Admin::Deny},
    {"denials/remove", &Admin::Undeny},
    {"firewall", &Admin::SetFirewall},
    {"strictness", &Admin::SetStrictness},
    {"keys", &Admin::CreateVaultKey},
    {"keys/disable", &Admin::DisableKey},
    {"keys/enable", &Admin::EnableKey},
    {"keys/expiry", &Admin::SetExpiry},
    {"keys/rotate", &Admin::RotateKey},
    {"keys/delete", &Admin::DeleteVaultKey},
    {"keys/recover", &Admin::RecoverKey},
    {"keys/purge", &Admin::PurgeKey},
};

Admin::Result Admin::Do(std::string_view path, const Body& body) {
  const auto* route = std::find_if(std::begin(kRoutes), std::end(kRoutes), [&](const Route& r) { return r.path == path; });
  if (route == std::end(kRoutes)) return NotFound("there is no path azure/", Quotable(path, 64));
  return (this->*route->post)(body);
}

absl::StatusOr<std::string> Admin::TenantNamed(std::string_view name) const {
  std::string tenant = world_.TenantOf(name);
  if (tenant.empty()) return NotFound("tenant: there is no tenant ", Quotable(name));
  return tenant;
}

absl::StatusOr<Application*> Admin::ApplicationNamed(std::string_view client_id) {
  const auto found = world_.applications.find(LowerCase(client_id));
  if (found == world_.applications.end()) return NotFound("application: there is no application ", Quotable(client_id));
  return &found->second;
}

absl::StatusOr<ServicePrincipal*> Admin::AddPrincipal(const std::string& tenant, const std::string& client_id) {
  if (ServicePrincipal* known = world_.Principal(tenant, client_id)) return known;
  if (world_.principals.size() >= World::kMostPrincipals) return absl::ResourceExhaustedError("there are as many principals as may be");
  world_.principals.push_back({.tenant = tenant, .client_id = client_id, .object_id = NewUuid(random_)});
  return &world_.principals.back();
}

absl::StatusOr<ClientSecret*> Admin::NewSecret(Application& application, std::optional<absl::Time> expires) {
  if (application.secrets.size() >= World::kMostCredentials)
    return absl::ResourceExhaustedError("application: has as many secrets as may be");
  std::string text = RandomAlphanumeric(random_, 40);
  application.secrets.push_back({.value = SecretBytes::CopyOf(std::string_view(text)), .expires = expires});
  Wipe(text);
  return &application.secrets.back();
}

Admin::Result Admin::CreateTenant(const Body& body) {
  JsonReader reader(body);
  const std::string id = UuidOrNew(reader, "tenant", random_);
  const std::string domain = LowerCase(reader.OptionalString("domain"));
  if (!domain.empty() && !IsDomain(domain)) reader.Fault("domain", "must be a domain name");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (world_.tenants.contains(id) || (!domain.empty() && !world_.TenantOf(domain).empty())) {
    return absl::AlreadyExistsError("tenant: is there already");
  }
  if (world_.tenants.size() >= World::kMostTenants) return absl::ResourceExhaustedError("there are as many tenants as may be");
  world_.tenants[id] = domain;
  return Body{{"tenant", id}, {"domain", domain}};
}

Admin::Result Admin::CreateApplication(const Body& body) {
  JsonReader reader(body);
  const std::string tenant_name = reader.String("tenant");
  Application application{.client_id = UuidOrNew(reader, "client_id", random_), .name = NameIn(reader)};
  application.multi_tenant = reader.OptionalBool("multi_tenant", false);
  const bool certificate = reader.OptionalBool("certificate", false);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(application.tenant, TenantNamed(tenant_name));
  const std::string id = application.client_id;
  if (world_.applications.contains(id) || world_.identities.contains(id)) return absl::AlreadyExistsError("client_id: is there already");
  if (world_.applications.size() >= World::kMostApplications)
    return absl::ResourceExhaustedError("there are as many applications as may be");
  ASSIGN_OR_RETURN(const ServicePrincipal* principal, AddPrincipal(application.tenant, id));
  Body out{{"client_id", id}, {"name", application.name}, {"tenant", application.tenant}, {"object_id", principal->object_id}};
  Application& kept = world_.applications[id] = std::move(application);
  ASSIGN_OR_RETURN(const ClientSecret* secret, NewSecret(kept, std::nullopt));
  out["client_secret"] = FromAbsl(ToAbsl(secret->value.RevealText(SecretAccess{})));
  if (certificate) {
    ASSIGN_OR_RETURN(Body made, AddCertificate({{"application", id}}));
    out["certificate_pem"] = made.at("certificate_pem");
  }
  return out;
}

Admin::Result Admin::AddSecret(const Body& body) {
  JsonReader reader(body);
  const std::string name = reader.String("application");
  const int64_t seconds = reader.OptionalInt("expires_in_seconds", kLongestSeconds);
  if (seconds < 1 || seconds > kLongestSeconds) reader.Fault("expires_in_seconds", "must be 1 second to ten years");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(Application * application, ApplicationNamed(name));
  ASSIGN_OR_RETURN(const ClientSecret* secret, NewSecret(*application, now_ + absl::Seconds(seconds)));
  return Body{{"client_secret", secret->value.RevealText(SecretAccess{})}};
}

Admin::Result Admin::AddCertificate(const Body& body) {
  JsonReader reader(body);
  const std::string name = reader.String("application");
  const std::string given = reader.OptionalString("certificate_pem");
  const int64_t seconds = reader.OptionalInt("valid_seconds", kLongestSeconds);
  if (seconds < 1 || seconds > kLongestSeconds) reader.Fault("valid_seconds", "must be 1 second to ten years");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(Application * application, ApplicationNamed(name));
  if (application->certificates.size() >= World::kMostCredentials ||
      (given.empty() && world_.MadeCertificates() >= World::kMostMadeCertificates)) {
    return absl::ResourceExhaustedError("application: has as many certificates as may be");
  }
  ClientCertificate certificate;
  if (given.empty()) {
    ASSIGN_OR_RETURN(certificate, NewClientCertificate(application->name, now_, absl::Seconds(seconds)));
  } else {
    ASSIGN_OR_RETURN(certificate, ReadClientCertificate(given));
  }
  Body out{{"x5t", certificate.thumbprint_sha1}, {"x5t#S256", certificate.thumbprint_sha256}};
  // Key and certificate in one text, as libraries want them in one file.
  out["certificate_pem"] = absl::StrCat(ToAbsl(certificate.private_key_pem.RevealText(SecretAccess{})), certificate.pem);
  application->certificates.push_back(std::move(certificate));
  return out;
}

Admin::Result Admin::AddFederated(const Body& body) {
  JsonReader reader(body);
  const std::string name = reader.String("application");
  FederatedCredential credential{.issuer = reader.String("issuer"), .subject = reader.String("subject")};
  credential.audience = reader.OptionalString("audience", "api://AzureADTokenExchange");
  credential.key_pem = reader.OptionalString("key_pem");
  const std::string token = reader.OptionalString("token");
  if (!token.empty()) credential.token_sha256 = HexEncode(Sha256(std::string_view(token)));
  if (!token.empty() && !credential.key_pem.empty()) reader.Fault("token", "does not go with key_pem");
  if (!credential.key_pem.empty() && !RsaPublicKey::FromPem(credential.key_pem).ok()) {
    reader.Fault("key_pem", "must be a public RSA key or a certificate in PEM");
  }
  for (const std::string* text : {&credential.issuer, &credential.subject, &credential.audience}) {
    if (text->size() > 600) reader.Fault("subject", "issuer, subject and audience are at most 600 bytes");
  }
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(Application * application, ApplicationNamed(name));
  if (application->federated.size() >= World::kMostCredentials) {
    return absl::ResourceExhaustedError("application: has as many federated credentials as may be");
  }
  Body out{{"issuer", credential.issuer}, {"subject", credential.subject}, {"audience", credential.audience}};
  application->federated.push_back(std::move(credential));
  return out;
}

Admin::Result Admin::Consent(const Body& body) {
  JsonReader reader(body);
  const std::string tenant_name = reader.String("tenant"), name = reader.String("application");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(const std::string tenant, TenantNamed(tenant_name));
  ASSIGN_OR_RETURN(const Application* application, ApplicationNamed(name));
  if (!application->multi_tenant && application->tenant != tenant) {
    return FailedPrecondition("application: is not multi-tenant, so that another tenant cannot consent to it");
  }
  ASSIGN_OR_RETURN(ServicePrincipal * principal, AddPrincipal(tenant, application->client_id));
  principal->consented = true;
  return Body{{"tenant", tenant}, {"application", application->client_id}, {"object_id", principal->object_id}};
}

Admin::Result Admin::WithdrawConsent(const Body& body) {
  JsonReader reader(body);
  const std::string tenant_name = reader.String("tenant"), name = reader.String("application");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(const std::string tenant, TenantNamed(tenant_name));
  ASSIGN_OR_RETURN(const Application* application, ApplicationNamed(name));
  ServicePrincipal* principal = world_.Principal(tenant, application->client_id);
  if (principal == nullptr) return NotFound("tenant: has not consented to this application");
  principal->consented = false;
  return Body{{"tenant", tenant}, {"application", application->client_id}};
}

Admin::Result Admin::CreateIdentity(const Body& body) {
  JsonReader reader(body);
  const std::string tenant_name = reader.String("tenant");
  ManagedIdentity identity{.client_id = UuidOrNew(reader, "client_id", random_), .name = NameIn(reader)};
  identity.system_assigned = reader.OptionalBool("system_assigned", false);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(identity.tenant, TenantNamed(tenant_name));
  const std::string id = identity.client_id;
  if (world_.applications.contains(id) || world_.identities.contains(id)) return absl::AlreadyExistsError("client_id: is there already");
  if (world_.identities.size() >= World::kMostApplications) return absl::ResourceExhaustedError("there are as many identities as may be");
  ASSIGN_OR_RETURN(const ServicePrincipal* principal, AddPrincipal(identity.tenant, id));
  Body out{{"client_id", id},
           {"tenant", identity.tenant},
           {"object_id", principal->object_id},
           {"identity_header", world_.identity_header.RevealText(SecretAccess{})}};
  // There is one machine, and it has one identity of its own.
  if (identity.system_assigned) {
    for (auto& [other_id, other] : world_.identities) other.system_assigned = false;
  }
  world_.identities.insert_or_assign(id, std::move(identity));
  return out;
}

}  // namespace latchkey::emulator::azure
