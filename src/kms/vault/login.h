// Our token at one Vault: from a file, or by logging in with AppRole or as a Kubernetes service account.
#pragma once

#include <absl/status/statusor.h>

#include "kms/call.h"
#include "kms/vault/vault_client.h"
#include "kms/vault/vault_kms.h"

namespace latchkey {

// Thread-safe. Every failure is of class IDENTITY, or an outage.
class VaultLogin {
 public:
  VaultLogin(const VaultConnection& connection, const KmsCallOptions& call, VaultClient& client);

  struct Token {
    SharedBearerToken token;
    bool kept = false;  // from an earlier login: it may have ended meanwhile
  };
  // A token file is read at every call. What a login gave is kept until shortly before its lease ends, and no longer than
  // KmsCallOptions::owner_credentials_age, so that policies taken from a role are noticed.
  absl::StatusOr<Token> Get(bool fresh, const CallBudget& budget);

  // A file cannot be asked for another token.
  bool is_static() const { return !connection_.token_file.empty(); }

 private:
  absl::StatusOr<SharedBearerToken> LogIn(bool fresh, const CallBudget& budget);

  const VaultConnection connection_;
  const absl::Duration most_age_;
  Clock& clock_;
  VaultClient& client_;
  SingleFlight<SharedBearerToken> kept_;
};

}  // namespace latchkey
