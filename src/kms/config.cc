#include "kms/config.h"

#include "kms/local/local_kms.h"

namespace latchkey {

KmsSet BuildKmsSet(const KmsConfig& config) {
  KmsSet set;
  set.Add(NewAwsKms(config.aws));
  if (!config.local_connections.empty()) set.Add(NewLocalKms(config.local_connections));
  return set;
}

}  // namespace latchkey
