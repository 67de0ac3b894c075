// The requests of Vault's HTTP API that Latchkey makes, to the server of one connection. Talks the wire; knows nothing of tokens' lives.
// openbao.org/api-docs/secret/transit, openbao.org/api-docs/auth/approle, openbao.org/api-docs/auth/kubernetes,
// openbao.org/api-docs/auth/token
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <string>
#include <string_view>

#include "kms/call.h"
#include "kms/vault/answers.h"
#include "kms/vault/uri.h"
#include "kms/vault/vault_kms.h"

namespace latchkey {

// As whom a request is made, and how.
struct VaultCaller {
  SharedBearerToken token;
  bool fresh = false;  // on a new connection
};

// Thread-safe. Every error carries its class.
class VaultClient {
 public:
  // `connection` is one that CheckVaultConnection accepts.
  VaultClient(const VaultConnection& connection, const KmsCallOptions& call);

  // "vault:v<version>:<base64>".
  absl::StatusOr<std::string> Encrypt(const VaultKeyName& name, const SecretBytes& plaintext, std::string_view associated_data,
                                      const VaultCaller& caller, const CallBudget& budget);
  absl::StatusOr<SecretBytes> Decrypt(const VaultKeyName& name, std::string_view ciphertext, std::string_view associated_data,
                                      const VaultCaller& caller, const CallBudget& budget);
  // DESTROYED when there is none of that name.
  absl::StatusOr<VaultKey> ReadKey(const VaultKeyName& name, const VaultCaller& caller, const CallBudget& budget);

  // OK when the token itself is good; IDENTITY when it is refused.
  absl::Status LookupSelf(const VaultCaller& caller, const CallBudget& budget);
  // `fields` is the login's body; the values may be secrets.
  absl::StatusOr<VaultLoginAnswer> Login(std::string_view auth_mount, const std::map<std::string, const SecretBytes*>& fields, bool fresh,
                                         const CallBudget& budget);

 private:
  struct Call;
  absl::StatusOr<std::string> Send(Call call, const CallBudget& budget);

  const std::string base_, namespace_;
  KmsTransport transport_;
};

}  // namespace latchkey
