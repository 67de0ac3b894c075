// What people do in the portals of Azure and Entra ID, as paths of the emulator's admin API. A key is named by its address
// ("https://<vault>.vault.azure.net/keys/<name>[/<version>]"), an application or managed identity by its client id, a tenant by its UUID or
// domain, a vault by its name (a managed HSM by its whole host name).
//
//   tenants                 {tenant?, domain?}                                        → {tenant, domain}
//   applications            {tenant, name, client_id?, multi_tenant?, certificate?}   → {client_id, client_secret, certificate_pem?, …}
//   applications/secret     {application, expires_in_seconds?}                        → {client_secret}
//   applications/certificate {application, certificate_pem?, valid_seconds?}          → {certificate_pem (with its key when made here),
//   x5t…} applications/federated  {application, issuer, subject, audience?, key_pem? | token?} consents, consents/withdraw  {tenant,
//   application} managed-identity        {tenant, name, client_id?, system_assigned?}              → {client_id, object_id,
//   identity_header} vaults                  {tenant, name, managed_hsm?, location?, retention_days?, purge_protection?} → {host, uri}
//   vaults/remove           {vault}
//   roles, roles/remove     {vault, key?, role, principal, tenant?}
//   denials, denials/remove {vault, key?, principal}
//   firewall                {vault, closed}
//   strictness              {wrap_on_disabled: "refused" | "allowed"}
//   keys                    {vault, name, kty?, key_size?, key_ops?, enabled?}        → the key's bundle
//   keys/disable, /enable   {key}       without a version: all of its versions
//   keys/expiry             {key, exp?, nbf?}   seconds since 1970; null takes it away
//   keys/rotate, /delete, /recover, /purge {key}
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <string_view>

#include "base/random.h"
#include "emulator/azure/world.h"

namespace latchkey::emulator::azure {

// Lives for one call.
class Admin {
 public:
  Admin(World& world, absl::Time now, Random& random) : world_(world), now_(now), random_(random) {}
  // NotFound for an unknown path or thing, InvalidArgument that names the field, AlreadyExists, FailedPrecondition, ResourceExhausted.
  absl::StatusOr<boost::json::object> Do(std::string_view path, const boost::json::object& body);
  // As Cloud::Seed.
  absl::StatusOr<boost::json::object> Seed(const boost::json::object& wanted);

 private:
  using Result = absl::StatusOr<boost::json::object>;
  using Body = boost::json::object;
  struct Route;
  static const Route kRoutes[];

  Result CreateTenant(const Body& body);
  Result CreateApplication(const Body& body);
  Result AddSecret(const Body& body);
  Result AddCertificate(const Body& body);
  Result AddFederated(const Body& body);
  Result Consent(const Body& body);
  Result WithdrawConsent(const Body& body);
  Result CreateIdentity(const Body& body);
  Result CreateVault(const Body& body);
  Result RemoveVault(const Body& body);
  Result AssignRole(const Body& body);
  Result RemoveRole(const Body& body);
  Result Deny(const Body& body);
  Result Undeny(const Body& body);
  Result SetFirewall(const Body& body);
  Result SetStrictness(const Body& body);
  Result CreateVaultKey(const Body& body);
  Result DisableKey(const Body& body) { return SwitchKey(body, false); }
  Result EnableKey(const Body& body) { return SwitchKey(body, true); }
  Result SetExpiry(const Body& body);
  Result RotateKey(const Body& body);
  Result DeleteVaultKey(const Body& body);
  Result RecoverKey(const Body& body);
  Result PurgeKey(const Body& body);

  // A key as an address names it.
  struct Named {
    Vault* vault;
    VaultKey* key;
    std::string version;  // empty: none was named
  };
  absl::StatusOr<std::string> TenantNamed(std::string_view name) const;
  absl::StatusOr<Application*> ApplicationNamed(std::string_view client_id);
  absl::StatusOr<Vault*> VaultNamed(std::string_view name);
  absl::StatusOr<Named> KeyNamed(std::string_view address, bool deleted);
  absl::StatusOr<Named> ReadKey(const Body& body, bool deleted);
  absl::StatusOr<ClientSecret*> NewSecret(Application& application, std::optional<absl::Time> expires);
  absl::StatusOr<ServicePrincipal*> AddPrincipal(const std::string& tenant, const std::string& client_id);
  Result SwitchKey(const Body& body, bool enabled);
  absl::StatusOr<Denial> ReadDenial(const Body& body, Vault** vault);
  absl::StatusOr<RoleAssignment> ReadRole(const Body& body, Vault** vault);
  boost::json::object Shown(const Named& named) const;

  World& world_;
  const absl::Time now_;
  Random& random_;
};

}  // namespace latchkey::emulator::azure
