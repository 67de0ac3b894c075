// The operations of Cloud KMS that Latchkey uses, over REST. Talks the wire; knows nothing of service accounts.
// googleapis google/cloud/kms/v1/service.proto and resources.proto, in proto3's JSON form: bytes in base64, int64 as strings, enums by
// name (or by number, where a proxy was asked to send them so).
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "kms/call.h"
#include "kms/gcp/answers.h"
#include "kms/gcp/errors.h"

namespace latchkey {

// Where and as whom.
struct GcpKmsTarget {
  std::string endpoint;     // "https://cloudkms.googleapis.com"
  bool configured = false;  // the endpoint is an override of the configuration's
  SharedBearerToken token;
  GcpActor actor = GcpActor::kSelf;
  bool fresh = false;
  GcpError* refusal = nullptr;  // may be null; gets the error that was answered last
};

// Every error carries its class. Checksums go both ways; what does not match is asked for again, twice at most, and then CORRUPT. An
// answer that names another key is CORRUPT, half an answer is none. `key` is a name that ParseGcpKeyName accepts.
absl::StatusOr<GcpEncrypted> GcpEncrypt(KmsTransport& transport, const GcpKmsTarget& target, std::string_view key,
                                        const SecretBytes& plaintext, std::string_view aad, const CallBudget& budget);
absl::StatusOr<SecretBytes> GcpDecrypt(KmsTransport& transport, const GcpKmsTarget& target, std::string_view key,
                                       const std::vector<uint8_t>& ciphertext, std::string_view aad, const CallBudget& budget);
absl::StatusOr<GcpKey> GcpGetCryptoKey(KmsTransport& transport, const GcpKmsTarget& target, std::string_view key, const CallBudget& budget);

// "Bearer <token>", for a request that is wiped after use.
std::string BearerHeader(const BearerToken& token);
// `base` without a last slash, and `path`, which begins with one.
std::string JoinUrl(std::string_view base, std::string_view path);

}  // namespace latchkey
