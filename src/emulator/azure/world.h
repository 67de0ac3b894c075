// What the Azure cloud of the emulator remembers: tenants, applications with their credentials, consents, managed identities, vaults with
// their keys, role assignments and denials. Key material and secrets stand in the clear: this is for development and tests.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/secret_bytes.h"
#include "crypto/rsa.h"

namespace latchkey::emulator::azure {

struct ClientSecret {
  SecretBytes value;
  std::optional<absl::Time> expires;
};

// A certificate that an application proves itself with. The private key is here only when the emulator made it.
struct ClientCertificate {
  std::string pem;
  std::string thumbprint_sha1, thumbprint_sha256;  // base64url over the DER form: what "x5t" and "x5t#S256" carry
  absl::Time not_before, not_after;
  SecretBytes private_key_pem;
};

// Trust in tokens of another issuer. A token is recognised by the SHA-256 of its text when it was registered, else by its signature under
// `key_pem`; without a key, by its claims alone (alg none).
struct FederatedCredential {
  std::string issuer, subject, audience;
  std::string key_pem;       // public key or certificate; may be empty
  std::string token_sha256;  // hex; may be empty
};

struct Application {
  std::string client_id, name, tenant;  // home tenant
  bool multi_tenant = false;
  std::vector<ClientSecret> secrets;
  std::vector<ClientCertificate> certificates;
  std::vector<FederatedCredential> federated;
};

// What an application or a managed identity is in one tenant. An application has one in its home tenant from the start, and in others by
// consent.
struct ServicePrincipal {
  std::string tenant, client_id, object_id;
  bool consented = true;  // false: the consent was withdrawn; who it was is kept to be given back
};

struct ManagedIdentity {
  std::string client_id, name, tenant;
  bool system_assigned = false;  // the one that is meant when a request names none
};

struct KeyVersion {
  std::string id;                            // 32 hex digits
  std::shared_ptr<const RsaPrivateKey> rsa;  // RSA and RSA-HSM
  SecretBytes octets;                        // oct-HSM: 32 bytes
  std::vector<std::string> operations;       // "wrapKey", …
  boost::json::object tags;
  bool enabled = true;
  std::optional<absl::Time> not_before, expires;
  absl::Time created, updated;
};

// Durations of a rotation policy in days; see rotation.h.
struct RotationPolicy {
  std::string rotate_after_create, rotate_before_expiry;  // ISO 8601; at most one is set, none: it does not rotate by itself
  std::string notify_before_expiry, notify_after_create;
  std::string expiry_time;  // of new versions; may be empty
  absl::Time created, updated;
};

struct VaultKey {
  std::string name;
  std::string type;  // "RSA", "RSA-HSM", "oct-HSM"
  int bits = 2048;
  std::vector<KeyVersion> versions;  // oldest first, the last is current; never empty
  std::optional<RotationPolicy> rotation;
  std::optional<absl::Time> deleted, purge_at;

  KeyVersion& current() { return versions.back(); }
  const KeyVersion& current() const { return versions.back(); }
  // nullptr when there is none; "" is the current one.
  KeyVersion* Version(std::string_view id);
};

struct RoleAssignment {
  std::string role, client_id;
  std::string key;  // name; empty: the whole vault
  bool operator==(const RoleAssignment&) const = default;
};

struct Denial {
  std::string client_id;
  std::string key;  // name; empty: the whole vault
  bool operator==(const Denial&) const = default;
};

struct Vault {
  std::string name, tenant, location = "westeurope";
  bool managed_hsm = false;
  int64_t retention_days = 90;
  bool purge_protection = false;
  bool firewall_closed = false;
  std::map<std::string, VaultKey> keys;  // by name in lower case: names differ by more than case
  std::vector<RoleAssignment> roles;
  std::vector<Denial> denials;

  std::string Host() const;  // "<name>.vault.azure.net"
  std::string RecoveryLevel() const;
  VaultKey* Find(std::string_view key_name);  // deleted ones too; nullptr when there is none
};

// Not thread-safe; movable only.
struct World {
  // What is secret lives in locked memory, which is small: hence these bounds.
  static constexpr size_t kMostTenants = 200, kMostApplications = 100, kMostVaults = 200, kMostKeys = 1000, kMostVersions = 2000;
  static constexpr size_t kMostCredentials = 5;        // of one kind on one application
  static constexpr size_t kMostMadeCertificates = 64;  // whose private key is here
  static constexpr size_t kMostRoles = 500;            // role assignments, and denials, on one vault
  static constexpr size_t kMostPrincipals = 2000;

  std::map<std::string, std::string> tenants;       // UUID → domain name, which may be empty
  std::map<std::string, Application> applications;  // by client id
  std::vector<ServicePrincipal> principals;
  std::map<std::string, ManagedIdentity> identities;  // by client id
  std::map<std::string, Vault> vaults;                // by host
  bool wrap_on_disabled = false;                      // a disabled key still wraps and encrypts, as some report of the service
  SecretBytes token_key;                              // 32 bytes: the MAC of access tokens
  SecretBytes identity_header;                        // what X-IDENTITY-HEADER must carry

  explicit World(Random& random);
  World() = default;

  // The UUID of a tenant named by it or by its domain; "" when there is none.
  std::string TenantOf(std::string_view name) const;
  // nullptr when the identity is not in that tenant, withdrawn or not.
  ServicePrincipal* Principal(std::string_view tenant, std::string_view client_id);
  size_t MadeCertificates() const;
  size_t Keys() const;
  size_t Versions() const;

  // Purges keys whose retention is over and rotates those whose policy says so. True when something changed.
  bool Settle(absl::Time now, Random& random);

  boost::json::object ToJson() const;
  static absl::StatusOr<World> FromJson(const boost::json::object& object);
};

bool IsUuid(std::string_view text);
bool IsVaultName(std::string_view text);  // 3 to 24 of letters, digits and single hyphens
bool IsKeyName(std::string_view text);    // 1 to 127 of letters, digits and hyphens
std::string LowerCase(std::string_view text);

}  // namespace latchkey::emulator::azure
