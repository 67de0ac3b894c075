// One signed call to an AWS service: signature, clock skew, and the class of what went wrong.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "kms/aws/errors.h"
#include "kms/aws/sigv4.h"
#include "kms/call.h"

namespace latchkey {

struct AwsCall {
  std::string what;      // "AWS KMS Decrypt", for messages
  std::string endpoint;  // "https://kms.us-east-1.amazonaws.com", without path
  std::string region, service;
  HttpHeaders headers;  // content-type, x-amz-target, …
  std::string body;
  std::vector<std::string_view> secrets = {};   // in the body; see KmsExchange
  const AwsCredentials* credentials = nullptr;  // null: not signed
  bool fresh = false;                           // on a new connection
  bool configured = false;                      // the endpoint is an override of the configuration's
  AwsError (*read_error)(const HttpResponse&) = ReadJsonError;
  FailureClass (*classify)(const AwsError&) = ClassifyKmsError;
};

// Thread-safe.
class AwsTransport {
 public:
  explicit AwsTransport(const KmsCallOptions& options) : clock_(*options.clock), transport_(options) {}

  // The body of a 200 answer, which may hold secrets: the caller wipes it. Repeated and bounded as KmsTransport does. Every error carries
  // its class.
  absl::StatusOr<std::string> Send(const AwsCall& call, const CallBudget& budget);

  absl::Time Now() const { return clock_.Now(); }

 private:
  // True when the server's clock differs so much that the signature must have been refused for it; the offset is learnt.
  bool LearnSkew(const HttpResponse& response, absl::Time signed_at);

  Clock& clock_;
  KmsTransport transport_;
  std::atomic<int64_t> offset_seconds_ = 0;  // server's clock − ours
};

}  // namespace latchkey
