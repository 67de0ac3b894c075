// Which KMSs a process can reach, from its configuration file or command line.
#pragma once

#include <map>
#include <string>

#include "kms/aws/aws_kms.h"
#include "kms/kms.h"

namespace latchkey {

struct KmsConfig {
  AwsKmsOptions aws;
  std::map<std::string, std::string> local_connections;  // name → path of a key file; LOCAL is there only when this is not empty
};

// AWS_KMS always (it needs nothing until the first call), LOCAL where connections are named.
KmsSet BuildKmsSet(const KmsConfig& config);

}  // namespace latchkey
