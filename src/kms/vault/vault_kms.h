// HashiCorp Vault and OpenBao: the Transit secrets engine (HTTP API v1), context as associated_data.
// Wire: openbao.org/api-docs/secret/transit, developer.hashicorp.com/vault/api-docs/secret/transit.
//
//   uri             vault://<connection>/<mount>/<key>; a mount may have several parts (vault://prod/teams/a/transit/db)
//   auth_principal  must be empty: who we are is the connection's
#pragma once

#include <map>
#include <memory>
#include <string>

#include "kms/call.h"
#include "kms/kms.h"

namespace latchkey {

struct VaultConnection {
  std::string address;         // https://vault.example:8200; http only to loopback
  std::string namespace_path;  // X-Vault-Namespace; may be empty
  std::string ca_pem;          // "" = KmsCallOptions::ca_pem, or the system's
  // Exactly one way in. Files are read at each login, so that they can be replaced.
  std::string token_file;
  std::string role_id, secret_id_file, approle_mount = "approle";
  std::string kubernetes_role, kubernetes_token_file = "/var/run/secrets/kubernetes.io/serviceaccount/token",
                               kubernetes_mount = "kubernetes";
};

// OK, or InvalidArgument naming the field of the connection.
absl::Status CheckVaultConnection(const VaultConnection& connection);

std::unique_ptr<Kms> NewVaultKms(std::map<std::string, VaultConnection> connections, KmsCallOptions call);

}  // namespace latchkey
