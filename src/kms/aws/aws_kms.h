// AWS KMS (TrentService, awsJson1_1, SigV4) through the owner's role (STS AssumeRole with external id).
// Wire: docs.aws.amazon.com/kms/latest/APIReference, docs.aws.amazon.com/STS/latest/APIReference.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "kms/kms.h"

namespace latchkey {

struct AwsKmsOptions {
  std::string kms_endpoint;  // "" = https://kms.<region of the ARN>.<dns suffix of the partition>; an override never comes over the API
  std::string sts_endpoint;  // "" = https://sts.<region>.<dns suffix>
  std::string ca_pem;        // "" = the system's
  std::string profile;       // "" = AWS_PROFILE or "default"
  std::string shared_credentials_file;                     // "" = AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials
  std::string config_file;                                 // "" = AWS_CONFIG_FILE or ~/.aws/config
  absl::Duration role_credentials_age = absl::Minutes(5);  // owner-side credentials are fetched anew at least this often
  absl::Duration call_budget = absl::Seconds(10);          // for one describe, wrap or unwrap with all its requests and repetitions
  absl::Duration attempt_timeout = absl::Seconds(4);       // for one request
  absl::Duration first_backoff = absl::Milliseconds(100);
  std::function<std::string(const char* name)> environment;  // variables, "" when not set; null = the process's
  Clock* clock = &Clock::Real();
};

std::unique_ptr<Kms> NewAwsKms(AwsKmsOptions options);

}  // namespace latchkey
