// Signature Version 4, the receiving side, for requests signed in the Authorization header.
// docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
//
// Written independently of the signer in kms/aws, so that each is a check of the other.
#pragma once

#include <absl/time/time.h>

#include <string>
#include <vector>

#include "base/secret_bytes.h"
#include "emulator/outcome.h"
#include "http/message.h"

namespace latchkey::emulator {

// The service that the request is for, which decides the names of errors and the window of time.
struct SignedService {
  std::string name;  // "kms" or "sts"
  bool json = true;  // awsJson errors (…Exception, all 400); otherwise awsQuery ones (403)
  absl::Duration skew = absl::Minutes(5);
};
SignedService KmsService();
SignedService StsService();

// What an Authorization header says, before anything of it is believed.
struct SignatureClaim {
  std::string access_key_id, date, region, service, terminator;
  std::vector<std::string> signed_headers;  // lower case, sorted
  std::string signature;                    // hex
  std::string amz_date;                     // yyyymmddThhmmssZ
  std::string session_token;                // X-Amz-Security-Token, may be empty
};

// Reads the claim and checks all that needs no secret: form, scope (service, region also against the Host), required signed headers, time.
Outcome<SignatureClaim> ReadClaim(const HttpRequest& request, const SignedService& service, absl::Time now);

// Compares the signature, with the body as it arrived.
Outcome<Done> VerifySignature(const HttpRequest& request, const SignatureClaim& claim, const SecretBytes& secret_access_key,
                              const SignedService& service);

// Exposed for tests with the published vectors.
std::string CanonicalRequest(const HttpRequest& request, const std::vector<std::string>& signed_headers);

}  // namespace latchkey::emulator
