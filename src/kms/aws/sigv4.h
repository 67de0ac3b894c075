// AWS Signature Version 4 in the Authorization header: a pure signer.
// docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
#pragma once

#include <absl/time/time.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secret_bytes.h"
#include "http/message.h"

namespace latchkey {

struct AwsCredentials {
  std::string access_key_id;
  SecretBytes secret_access_key;
  SecretBytes session_token;  // empty for long-lived credentials
  absl::Time expires = absl::InfiniteFuture();
};
using SharedAwsCredentials = std::shared_ptr<const AwsCredentials>;

// What is signed of a request. `headers` has "host"; every header in it is signed.
struct SigningInput {
  std::string method = "POST";
  std::string path = "/";                                  // as on the wire
  std::vector<std::pair<std::string, std::string>> query;  // decoded
  HttpHeaders headers;
  std::string body_sha256;  // lower-case hex
};

struct SigningScope {
  std::string date;  // "20150830"
  std::string region, service;
  std::string ToString() const { return date + "/" + region + "/" + service + "/aws4_request"; }
};

// "20150830T123600Z".
std::string AmzDate(absl::Time time);
// The lower-case names of all headers, sorted, joined with ';'.
std::string SignedHeaders(const HttpHeaders& headers);
// Path segments are normalised and encoded once more (as every service but S3 does), query parameters encoded and sorted, header values
// trimmed with runs of blanks made one.
std::string CanonicalRequest(const SigningInput& input);
std::string StringToSign(std::string_view amz_date, const SigningScope& scope, std::string_view canonical_request);
// The derived key, 32 bytes.
SecretBytes SigningKey(const SecretBytes& secret_access_key, const SigningScope& scope);
// Lower-case hex, 64 digits.
std::string Signature(const SecretBytes& signing_key, std::string_view string_to_sign);

// Adds "x-amz-date", "x-amz-security-token" (with temporary credentials) and "authorization" to input.headers.
void SignRequest(SigningInput& input, const AwsCredentials& credentials, std::string_view region, std::string_view service,
                 absl::Time time);

}  // namespace latchkey
