// The operations of Key Vault and Managed HSM that Latchkey uses, as an identity that the vault's tenant knows.
// Wire: learn.microsoft.com/rest/api/keyvault/keys, api-version 7.4.
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "kms/azure/answers.h"
#include "kms/azure/challenge.h"
#include "kms/azure/errors.h"
#include "kms/azure/identity.h"
#include "kms/azure/key_id.h"
#include "kms/call.h"

namespace latchkey {

struct AzureTarget {
  AzureKeyId key;
  std::string tenant;          // whose the vault must be; "" where we do not know our own (managed identity)
  bool owners_tenant = false;  // another one than ours
  bool fresh = false;
};

enum class AzureAlgorithm { kRsaOaep256, kA256Kw };

// Thread-safe.
class AzureVaultClient {
 public:
  AzureVaultClient(const AzureKmsOptions& options, KmsTransport& transport, AzureIdentity& identity)
      : key_endpoint_(options.key_endpoint), transport_(transport), identity_(identity) {}

  // The version that target.key names, else the current one. Every error carries its class.
  absl::StatusOr<AzureKey> GetKey(const AzureTarget& target, const CallBudget& budget);
  // NotFound without a class when it is not among the deleted keys (any more).
  absl::StatusOr<AzureDeletedKey> GetDeletedKey(const AzureTarget& target, const CallBudget& budget);
  // With target.key.version, which must be there. kCorrupt when the answer is of another key or version.
  absl::StatusOr<std::vector<uint8_t>> WrapKey(const AzureTarget& target, AzureAlgorithm algorithm, const SecretBytes& payload,
                                               const CallBudget& budget);
  // As WrapKey.
  absl::StatusOr<SecretBytes> UnwrapKey(const AzureTarget& target, AzureAlgorithm algorithm, const std::vector<uint8_t>& wrapped,
                                        const CallBudget& budget);

 private:
  struct Request {
    std::string what;    // "Azure Key Vault unwrapkey", for messages
    std::string method;  // "GET", "POST"
    std::string path;    // below the vault, without api-version
    std::string body;    // JSON; may hold a secret, wiped
    SecretBytes secret;  // the secret of body, as it stands there
    AzureOperation operation = AzureOperation::kGet;
  };

  // The body of the answer, which may hold secrets. Asks for the vault's challenge where it is not known, and once more with a new token
  // when the vault wants one.
  absl::StatusOr<std::string> Call(const AzureTarget& target, Request request, const CallBudget& budget);
  // What the vault says of itself: from memory, else by a request without token and body.
  absl::StatusOr<AzureChallenge> Challenge(const AzureTarget& target, const Request& request, const CallBudget& budget);
  absl::Status CheckChallenge(const AzureTarget& target, const std::string& what, const AzureChallenge& challenge) const;
  void Remember(const std::string& host, const AzureChallenge& challenge);
  KmsExchange NewExchange(const AzureTarget& target, const Request& request) const;
  AzureAsked Asked(const AzureTarget& target, const std::string& what) const;

  const std::string key_endpoint_;
  KmsTransport& transport_;
  AzureIdentity& identity_;
  std::mutex mutex_;
  std::map<std::string, AzureChallenge> challenges_;  // by host; bounded
};

}  // namespace latchkey
