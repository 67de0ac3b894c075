// Who we are in Azure, and the tokens that this gets us: our application's secret, certificate or federated token at the token endpoint of
// a tenant (OAuth 2.0 client credentials), or the managed identity of the machine that we run on. Wire:
// learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow, …/certificate-credentials,
// learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token,
// learn.microsoft.com/azure/app-service/overview-managed-identity (REST endpoint reference).
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "kms/azure/azure_kms.h"
#include "kms/call.h"

namespace latchkey {

struct AzureTokenRequest {
  std::string tenant;          // UUID. Not looked at with a managed identity: it has one tenant only
  std::string authority;       // of the key's cloud: "https://login.microsoftonline.com"; an override goes before it
  std::string resource;        // "https://vault.azure.net"
  std::string claims;          // JSON that the token must answer to, from a challenge; usually empty
  bool owners_tenant = false;  // of a key's owner: its refusal is the owner's no, and its tokens are kept owner_credentials_age at most
  bool fresh = false;          // not from the cache, and on a new connection
};

// Thread-safe. Files and variables are read anew at each request to the token endpoint: a secret that was replaced is found.
class AzureIdentity {
 public:
  AzureIdentity(const AzureKmsOptions& options, KmsTransport& transport);

  // No credential of an application is there: the machine's managed identity is used.
  bool IsManaged() const;
  // Our application's own tenant, in lower case; "" with a managed identity (it does not tell) and when none is configured. kIdentity when
  // it is malformed.
  absl::StatusOr<std::string> OwnTenant() const;
  absl::StatusOr<SharedBearerToken> Token(const AzureTokenRequest& request, const CallBudget& budget);

 private:
  enum class Source { kCertificate, kFederatedToken, kSecretFile, kSecretVariable, kManagedIdentity };
  struct Credential {
    Source source = Source::kManagedIdentity;
    std::string path;  // of the file, where it is one
  };

  Credential FindCredential() const;
  std::string Setting(const std::string& option, const char* variable) const;
  absl::StatusOr<SharedBearerToken> Fetch(const AzureTokenRequest& request, const CallBudget& budget);
  absl::StatusOr<SharedBearerToken> FromEntra(const Credential& credential, const AzureTokenRequest& request, const CallBudget& budget);
  absl::StatusOr<SharedBearerToken> FromMachine(const AzureTokenRequest& request, const CallBudget& budget);
  // A signed statement that we are the client, for the token endpoint `audience` (RFC 7523).
  absl::StatusOr<SecretBytes> SignAssertion(const std::string& path, const std::string& client_id, const std::string& audience) const;
  absl::StatusOr<SharedBearerToken> ReadToken(std::string& body, const std::string& what, bool owners_tenant, absl::Time asked) const;

  const AzureKmsOptions options_;
  Clock& clock_;
  KmsTransport& transport_;
  KmsTransport machine_;
  CredentialCache<SharedBearerToken> tokens_;
};

}  // namespace latchkey
