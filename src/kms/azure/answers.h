// What Key Vault, Managed HSM and Entra ID answer when they do what was asked: pure readers of the bodies of 200 answers.
//
// Each wipes the body that it reads. An answer that is no answer (not JSON, half of it missing, bytes that nobody wrapped) is UNREACHABLE,
// one that is of another key or longer than what can be sent back CORRUPT: whatever stands in a 200 answer, no reader finds a refusal in
// it.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <optional>
#include <string>
#include <vector>

#include "kms/azure/key_id.h"
#include "kms/call.h"
#include "kms/kms.h"

namespace latchkey {

struct AzureKey {
  std::string kid;      // "https://contoso.vault.azure.net/keys/<name>/<version>"
  std::string version;  // of kid
  std::string kty;      // "RSA", "RSA-HSM", "oct-HSM", "EC", …
  std::vector<std::string> operations;
  bool has_operations = false;  // the service told which are permitted
  size_t modulus_size = 0;      // of an RSA key, in bytes; 0 when not told
  bool enabled = false;
  std::optional<absl::Time> not_before, expires;
  std::string recovery_level;
};
struct AzureDeletedKey {
  std::optional<absl::Time> deleted, purged;
};

// What was asked for. `key.version`, where it is named, must be the one that answers.
struct AzureAsked {
  const AzureKeyId& key;
  bool any_host = false;  // behind an endpoint of the configuration, a kid may carry that one's name instead of the vault's
  std::string what;       // "Azure Key Vault unwrapkey", for messages
};

absl::StatusOr<AzureKey> ReadAzureKey(std::string& body, const AzureAsked& asked);
bool IsRsaAzureKey(const AzureKey& key);
bool IsAesAzureKey(const AzureKey& key);
KeyDescription DescribeAzureKey(const AzureKey& key, absl::Time now);
// `asked.key.version` plays no part: a key is deleted with all of its versions.
absl::StatusOr<AzureDeletedKey> ReadAzureDeletedKey(std::string& body, const AzureAsked& asked);
absl::StatusOr<std::vector<uint8_t>> ReadAzureWrapped(std::string& body, const AzureAsked& asked);
absl::StatusOr<SecretBytes> ReadAzureUnwrapped(std::string& body, const AzureAsked& asked);

// Of a tenant's token endpoint and of a managed identity. `expires` is the token's own end, from `asked` to 30 hours later.
absl::StatusOr<BearerToken> ReadAzureToken(std::string& body, const std::string& what, absl::Time asked);

}  // namespace latchkey
