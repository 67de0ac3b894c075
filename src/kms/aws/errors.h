// What an AWS error means for a key: the one table from the wire's words to a FailureClass.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"
#include "protocol/failure_class.h"

namespace latchkey {

// An error as a service answered it. Read the code, never the HTTP status: KMS answers 400 to nearly everything.
struct AwsError {
  std::string code;     // "DisabledException", without namespace; empty when the body was not an error document
  std::string message;  // at most 1,024 bytes, control characters made spaces; may be empty
  int http_status = 0;
};

// awsJson1_1: `__type` (with or without "namespace#"), or the header x-amzn-errortype; `message` or `Message`.
AwsError ReadJsonError(const HttpResponse& response);
// awsQuery: <ErrorResponse><Error><Code>…</Code><Message>…</Message>.
AwsError ReadXmlError(const HttpResponse& response);

// Of an operation on a key, with the owner's credentials.
FailureClass ClassifyKmsError(const AwsError& error);
// Of AssumeRole into the owner's role: its refusal is the owner's no.
FailureClass ClassifyAssumeRoleError(const AwsError& error);
// Of AssumeRoleWithWebIdentity: always about ourselves.
FailureClass ClassifyWebIdentityError(const AwsError& error);

// Worth asking again within one call: throttled, or the service's own trouble.
bool IsWorthRetrying(const AwsError& error);
// A signature or its time was not accepted: with another clock it may be.
bool IsAboutSignatureTime(const AwsError& error);

}  // namespace latchkey
