// Who we are at Google Cloud: our own identity, from a credentials file (a service account's key, or workload identity federation) or the
// machine's metadata server, in the order of Application Default Credentials.
// docs.cloud.google.com/docs/authentication/application-default-credentials
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "kms/call.h"
#include "kms/gcp/credentials_file.h"
#include "kms/gcp/gcp_kms.h"

namespace latchkey {

// What we ask our own token for: IAM Credentials accepts nothing narrower. What it may do is decided by roles.
inline constexpr std::string_view kGcpCloudPlatformScope = "https://www.googleapis.com/auth/cloud-platform";

// Thread-safe. Environment and files are read whenever a token is fetched; tokens are kept until shortly before they expire.
class GcpIdentity {
 public:
  // Both outlive this.
  GcpIdentity(const GcpKmsOptions& options, KmsTransport& transport)
      : options_(options), transport_(transport), tokens_(*options.call.clock) {}

  // Every failure is of class IDENTITY.
  absl::StatusOr<SharedBearerToken> Get(bool fresh, const CallBudget& budget);

 private:
  absl::StatusOr<SharedBearerToken> Fetch(const CallBudget& budget);
  absl::StatusOr<SharedBearerToken> FromServiceAccount(const GcpServiceAccountKey& key, const CallBudget& budget);
  absl::StatusOr<SharedBearerToken> FromExternalAccount(const GcpExternalAccount& account, const CallBudget& budget);
  absl::StatusOr<SharedBearerToken> FromMetadata(const CallBudget& budget);
  std::string CredentialsPath() const;

  const GcpKmsOptions& options_;
  KmsTransport& transport_;
  CredentialCache<SharedBearerToken> tokens_;
};

}  // namespace latchkey
