// JSON Web Tokens with RSA signatures (RFC 7519, RFC 7515 compact form), for services that take them as credentials.
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "base/secret_bytes.h"
#include "crypto/rsa.h"

namespace latchkey {

// header must carry no "alg": it is added ("RS256" or "PS256"), and "typ": "JWT". The token is a credential.
absl::StatusOr<SecretBytes> SignJwt(boost::json::object header, const boost::json::object& claims, const RsaPrivateKey& key,
                                    RsaSignature scheme);

// The parts of a token whose signature is checked by somebody else, or afterwards with VerifyJwt. InvalidArgument when malformed or longer
// than 16 KiB.
struct DecodedJwt {
  boost::json::object header, claims;
  std::string signed_part;         // what the signature covers
  std::vector<uint8_t> signature;  // may be empty (alg none)
};
absl::StatusOr<DecodedJwt> DecodeJwt(std::string_view token);
// True when the header's "alg" is RS256 or PS256 and the signature is of that key. Times and audience are the caller's to check.
bool VerifyJwt(const DecodedJwt& token, const RsaPublicKey& key);

}  // namespace latchkey
