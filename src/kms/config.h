// Which KMSs a process can reach, from its configuration file or command line.
#pragma once

#include <map>
#include <string>

#include "kms/aws/aws_kms.h"
#include "kms/azure/azure_kms.h"
#include "kms/gcp/gcp_kms.h"
#include "kms/kmip/kmip_kms.h"
#include "kms/kms.h"
#include "kms/pkcs11/pkcs11_kms.h"
#include "kms/vault/vault_kms.h"

namespace latchkey {

struct KmsConfig {
  AwsKmsOptions aws;
  GcpKmsOptions gcp;
  AzureKmsOptions azure;
  // By the name that key URIs use. A type is there only when it has a connection.
  std::map<std::string, VaultConnection> vault_connections;
  std::map<std::string, Pkcs11Connection> pkcs11_connections;
  std::map<std::string, KmipConnection> kmip_connections;
  std::map<std::string, std::string> local_connections;  // name → path of a key file
  KmsCallOptions call;                                   // for the types with connections
};

// AWS_KMS, GCP_CLOUD_KMS and AZURE_KEY_VAULT always (they need nothing until the first call), the others where connections are named.
KmsSet BuildKmsSet(const KmsConfig& config);

}  // namespace latchkey
