// AWS KMS (TrentService, awsJson1_1, SigV4) through the owner's role (STS AssumeRole with external id).
// Wire: docs.aws.amazon.com/kms/latest/APIReference, docs.aws.amazon.com/STS/latest/APIReference.
#pragma once

#include <memory>
#include <string>

#include "kms/call.h"
#include "kms/kms.h"

namespace latchkey {

struct AwsKmsOptions {
  std::string kms_endpoint;  // "" = https://kms.<region of the ARN>.<dns suffix of the partition>; an override never comes over the API
  std::string sts_endpoint;  // "" = https://sts.<region>.<dns suffix>
  std::string profile;       // "" = AWS_PROFILE or "default"
  std::string shared_credentials_file;  // "" = AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials
  std::string config_file;              // "" = AWS_CONFIG_FILE or ~/.aws/config
  KmsCallOptions call;
};

std::unique_ptr<Kms> NewAwsKms(AwsKmsOptions options);

}  // namespace latchkey
