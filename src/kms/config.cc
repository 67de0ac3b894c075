#include "kms/config.h"

#include "kms/local/local_kms.h"

namespace latchkey {

KmsSet BuildKmsSet(const KmsConfig& config) {
  KmsSet set;
  set.Add(NewAwsKms(config.aws));
  set.Add(NewGcpKms(config.gcp));
  set.Add(NewAzureKms(config.azure));
  if (!config.vault_connections.empty()) set.Add(NewVaultKms(config.vault_connections, config.call));
  if (!config.pkcs11_connections.empty()) set.Add(NewPkcs11Kms(config.pkcs11_connections, config.call));
  if (!config.kmip_connections.empty()) set.Add(NewKmipKms(config.kmip_connections, config.call));
  if (!config.local_connections.empty()) set.Add(NewLocalKms(config.local_connections));
  return set;
}

}  // namespace latchkey
