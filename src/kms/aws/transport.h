// One signed call to an AWS service: retries, time budget, clock skew, and the class of what went wrong.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <atomic>
#include <chrono>
#include <string>

#include "base/clock.h"
#include "http/client.h"
#include "kms/aws/errors.h"
#include "kms/aws/sigv4.h"

namespace latchkey {

// How long the calls that make up one operation may take together.
class CallBudget {
 public:
  explicit CallBudget(absl::Duration budget) : end_(std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(budget)) {}
  absl::Duration Remaining() const { return absl::FromChrono(end_ - std::chrono::steady_clock::now()); }
  std::chrono::steady_clock::time_point end() const { return end_; }

 private:
  std::chrono::steady_clock::time_point end_;
};

struct AwsCall {
  std::string what;      // "AWS KMS Decrypt", for messages
  std::string endpoint;  // "https://kms.us-east-1.amazonaws.com", without path
  std::string region, service;
  HttpHeaders headers;  // content-type, x-amz-target, …
  std::string body;
  const AwsCredentials* credentials = nullptr;  // null: not signed
  bool fresh = false;                           // on a new connection
  AwsError (*read_error)(const HttpResponse&) = ReadJsonError;
  FailureClass (*classify)(const AwsError&) = ClassifyKmsError;
};

// Thread-safe.
class AwsTransport {
 public:
  struct Options {
    std::string ca_pem;  // empty: the system's
    absl::Duration attempt_timeout = absl::Seconds(4);
    absl::Duration first_backoff = absl::Milliseconds(100);
    Clock* clock = &Clock::Real();
  };
  explicit AwsTransport(Options options);

  // The body of a 200 answer, which may hold secrets: the caller wipes it. Up to three attempts where asking again may help, all within
  // `budget`. Every error carries its class.
  absl::StatusOr<std::string> Send(const AwsCall& call, const CallBudget& budget);

 private:
  absl::StatusOr<HttpResponse> Attempt(const AwsCall& call, absl::Time now, const CallBudget& budget);
  // True when the server's clock differs so much that the signature must have been refused for it; the offset is learnt.
  bool LearnSkew(const HttpResponse& response, absl::Time signed_at);

  const Options options_;
  const HttpClient kept_, fresh_;
  std::atomic<int64_t> offset_seconds_ = 0;  // server's clock − ours
};

}  // namespace latchkey
