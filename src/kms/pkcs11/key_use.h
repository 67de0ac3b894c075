// An AES key of a token, found by its label, and what is done with it. For use inside TokenSession::Use.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "kms/kms.h"
#include "kms/pkcs11/ciphertext.h"
#include "kms/pkcs11/token_session.h"

namespace latchkey {

// Nothing about a key is kept between calls: each begins with the search, so that what the owner does to the key shows at once.
//   kDestroyed   no secret key has the label
//   kUnsuitable  it is no AES key of 256 bits, several AES keys have the label, or the token has neither mechanism
//   kDisabled    its attributes forbid the use
// resolved_uri is for the caller to fill in.
absl::StatusOr<KeyDescription> DescribeTokenKey(TokenSession& token, const std::string& label);
absl::StatusOr<KmsWrapped> WrapWithTokenKey(TokenSession& token, const std::string& label, const SecretBytes& plaintext,
                                            const KmsContext& context);
absl::StatusOr<SecretBytes> UnwrapWithTokenKey(TokenSession& token, const std::string& label, const KmsWrapped& wrapped,
                                               const KmsContext& context);

}  // namespace latchkey
