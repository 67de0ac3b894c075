// The operations of AWS KMS that Latchkey uses (TrentService, awsJson1_1). Talks the wire; knows nothing of roles.
// docs.aws.amazon.com/kms/latest/APIReference
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "kms/aws/answers.h"
#include "kms/aws/transport.h"
#include "kms/kms.h"

namespace latchkey {

// Where and as whom.
struct KmsTarget {
  std::string endpoint;  // "https://kms.us-east-1.amazonaws.com"
  std::string region;
  SharedAwsCredentials credentials;
  bool fresh = false;
  bool configured = false;  // the endpoint is an override of the configuration's
};

// Every error carries its class. `key_arn` goes into every request, and an answer that names another key is CORRUPT.
absl::StatusOr<std::vector<uint8_t>> KmsEncrypt(AwsTransport& transport, const KmsTarget& target, std::string_view key_arn,
                                                const SecretBytes& plaintext, const KmsContext& context, const CallBudget& budget);
absl::StatusOr<KmsPlaintext> KmsDecrypt(AwsTransport& transport, const KmsTarget& target, std::string_view key_arn,
                                        const std::vector<uint8_t>& ciphertext, const KmsContext& context, const CallBudget& budget);
absl::StatusOr<AwsKeyMetadata> KmsDescribeKey(AwsTransport& transport, const KmsTarget& target, std::string_view key_arn,
                                              const CallBudget& budget);
// Needs kms:GetKeyRotationStatus, a right of its own.
absl::StatusOr<AwsKeyRotation> KmsGetKeyRotationStatus(AwsTransport& transport, const KmsTarget& target, std::string_view key_arn,
                                                       const CallBudget& budget);

}  // namespace latchkey
