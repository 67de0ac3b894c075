// AWS Security Token Service (awsQuery, version 2011-06-15): credentials for somebody else's role.
// docs.aws.amazon.com/STS/latest/APIReference
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "kms/aws/transport.h"

namespace latchkey {

struct StsTarget {
  std::string endpoint;  // "https://sts.us-east-1.amazonaws.com"
  std::string region;
  bool configured = false;  // the endpoint is an override of the configuration's
};

// Steps into `role_arn` as `identity`, with `external_id` when not empty, for 15 minutes. Classes as in ClassifyAssumeRoleError.
absl::StatusOr<SharedAwsCredentials> AssumeRole(AwsTransport& transport, const StsTarget& target, const AwsCredentials& identity,
                                                std::string_view role_arn, std::string_view external_id, bool fresh,
                                                const CallBudget& budget);

// Our own identity from a token of an OIDC provider (IAM roles for service accounts), for an hour. Not signed.
absl::StatusOr<SharedAwsCredentials> AssumeRoleWithWebIdentity(AwsTransport& transport, const StsTarget& target, std::string_view role_arn,
                                                               std::string_view session_name, const SecretBytes& token,
                                                               const CallBudget& budget);

}  // namespace latchkey
