// Requests whose answer is an access token.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kms/call.h"
#include "kms/gcp/answers.h"
#include "kms/gcp/errors.h"

namespace latchkey {

// A request to a service that gives us our own identity: a token endpoint (RFC 6749), an STS (RFC 8693), a metadata server. Whatever goes
// wrong is of class IDENTITY.
struct OwnTokenRequest {
  std::string what;  // for messages
  std::string url;
  bool configured = false;
  bool metadata = false;  // a GET, whose answer must say Metadata-Flavor: Google
  // Parameters of the form, wiped after use.
  std::vector<std::pair<std::string, SecretBytes>> form;
};
// `expires` of what is returned lies kGcpRenewBefore earlier than the token's own end.
absl::StatusOr<SharedBearerToken> RequestOwnToken(KmsTransport& transport, OwnTokenRequest request, Clock& clock, const CallBudget& budget);

// IAM Credentials generateAccessToken: steps from `as` into a service account.
// docs.cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
struct ImpersonationRequest {
  std::string endpoint;  // "https://iamcredentials.googleapis.com"
  bool configured = false;
  std::string service_account;  // as CheckServiceAccount accepts
  std::string_view scope;
  absl::Duration lifetime;  // at most an hour, where the owner's organization does not allow more
  SharedBearerToken as;
  bool fresh = false;
  // The account is one of ours, not the owner's: whatever goes wrong is of class IDENTITY.
  bool own_account = false;
};
// `refusal` may be null; it gets the error that was answered last.
absl::StatusOr<SharedBearerToken> GenerateAccessToken(KmsTransport& transport, const ImpersonationRequest& request, Clock& clock,
                                                      const CallBudget& budget, GcpError* refusal);

}  // namespace latchkey
