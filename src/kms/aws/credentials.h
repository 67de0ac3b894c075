// Who we are at AWS: our own identity, from the environment, a web identity token, a profile, the container or the instance, in this order.
// docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "kms/aws/metadata.h"
#include "kms/aws/profile.h"
#include "kms/aws/sts.h"
#include "kms/aws/transport.h"
#include "kms/call.h"

namespace latchkey {

struct AwsIdentityOptions {
  std::string profile, shared_credentials_file, config_file;  // as in AwsKmsOptions
  KmsCallOptions call;
};

// Thread-safe. Reads environment and files at each call; what a service gave is kept until five minutes before it expires. A source that is
// there and fails is not passed over: that would make us somebody else.
class AwsIdentity {
 public:
  AwsIdentity(AwsIdentityOptions options, AwsTransport& transport)
      : options_(std::move(options)), transport_(transport), machine_(options_.call) {}

  // `target` is the STS asked for a web identity. Failures are of class IDENTITY, or an outage of STS.
  absl::StatusOr<SharedAwsCredentials> Get(const StsTarget& target, bool fresh, const CallBudget& budget);

 private:
  struct WebIdentity {
    std::string token_file, role_arn, session_name;
  };
  std::string Environment(const char* name) const { return options_.call.Variable(name); }
  std::string PathOf(const std::string& option, const char* variable, const char* under_home) const;
  absl::StatusOr<SharedAwsCredentials> FromWebIdentity(const WebIdentity& web, const StsTarget& target, bool fresh,
                                                       const CallBudget& budget);
  // Null when the default profile holds no credentials and nobody has named it.
  absl::StatusOr<SharedAwsCredentials> FromProfile(const StsTarget& target, bool fresh, const CallBudget& budget);
  absl::StatusOr<SharedAwsCredentials> FromMachine(bool fresh, const CallBudget& budget);

  const AwsIdentityOptions options_;
  AwsTransport& transport_;
  AwsMachine machine_;
  SingleFlight<SharedAwsCredentials> web_identity_, machine_identity_;
};

}  // namespace latchkey
