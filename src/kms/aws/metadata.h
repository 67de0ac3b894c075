// Credentials that the machine gives: the container endpoint of ECS and EKS, and the instance metadata service of EC2 (version 2 only).
// docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html, …/feature-imds-credentials.html
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "kms/aws/sigv4.h"
#include "kms/call.h"

namespace latchkey {

// Thread-safe. Every failure is of class IDENTITY: it is about ourselves, and nobody has judged a key.
class AwsMachine {
 public:
  explicit AwsMachine(const KmsCallOptions& call) : call_(call), transport_(call) {}

  // AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or …_FULL_URI is set: a container's credentials are to be used.
  bool HasContainer() const;
  // From that endpoint, with AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE (read anew) or AWS_CONTAINER_AUTHORIZATION_TOKEN where set.
  absl::StatusOr<SharedAwsCredentials> FromContainer(const CallBudget& budget);

  // AWS_EC2_METADATA_DISABLED is not "true".
  bool HasInstance() const;
  // Of the role of this instance, from AWS_EC2_METADATA_SERVICE_ENDPOINT or http://169.254.169.254. Gives up after 2 s: a machine that is
  // no instance has nobody there.
  absl::StatusOr<SharedAwsCredentials> FromInstance(const CallBudget& budget);

 private:
  absl::StatusOr<std::string> Send(const std::string& what, const std::string& method, const std::string& url, HttpHeaders headers,
                                   const CallBudget& budget);
  absl::StatusOr<SecretBytes> AuthorizationToken() const;

  const KmsCallOptions call_;
  KmsTransport transport_;
};

// Where a container's credentials are. `relative` ("/v2/credentials/…", below http://169.254.170.2) goes before `full`, whose host must be
// a loopback address or one of the container services' (169.254.170.2, 169.254.170.23, [fd00:ec2::23]): anywhere else the token that we
// send would be given away. InvalidArgument otherwise.
absl::StatusOr<std::string> AwsContainerUrl(const std::string& relative, const std::string& full);

}  // namespace latchkey
