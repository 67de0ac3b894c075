// What Cloud KMS and Google's token services answer when they do what was asked: pure readers of the bodies of 200 answers.
//
// Each wipes the body that it reads. An answer that is no answer (not JSON, half of it missing) is UNREACHABLE, or IDENTITY where it is
// about ourselves; one that is of another key or was changed on its way is CORRUPT: whatever stands in a 200 answer, no reader finds a
// refusal in it.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kms/call.h"
#include "kms/kms.h"

namespace latchkey {

// The longest ciphertext that is kept, and sent back.
inline constexpr size_t kMostGcpCiphertext = 6144;
// How long before its end a token is not used any more: a metadata server gives the same token again until a little later than this.
inline constexpr absl::Duration kGcpRenewBefore = absl::Seconds(225);

struct GcpEncrypted {
  std::vector<uint8_t> ciphertext;
  std::string version;  // "3"
};

struct GcpKeyVersion {
  std::string number, state, algorithm, protection_level;
  std::optional<absl::Time> destroy_time;  // of DESTROY_SCHEDULED
};
struct GcpKey {
  std::string name, purpose;
  std::optional<GcpKeyVersion> primary;
  std::optional<absl::Time> next_rotation;
  bool rotates = false;                                 // has a rotation period
  std::optional<absl::Duration> destroy_scheduled_for;  // how long a version waits between its destruction being ordered and done
};

// `key`: the name of the key that was asked for. `changed` says whether bytes and checksum differ: asking again may help then. `with_aad`:
// the request had associated data, whose checksum must have been seen, too.
absl::StatusOr<GcpEncrypted> ReadGcpEncrypted(std::string& body, std::string_view key, bool with_aad, bool& changed);
absl::StatusOr<SecretBytes> ReadGcpDecrypted(std::string& body, bool& changed);
absl::StatusOr<GcpKey> ReadGcpKey(std::string& body, std::string_view key);
KeyDescription DescribeGcpKey(const GcpKey& key);

// {"access_token": …, "expires_in": …, "token_type": "Bearer"}, of a token endpoint, an STS or a metadata server. Messages begin with
// `what`. `expires` lies kGcpRenewBefore earlier than the token's own end, which is a day after `asked` at most.
absl::StatusOr<SharedBearerToken> ReadGcpOwnToken(std::string& body, const std::string& what, absl::Time asked);
// {"accessToken": …, "expireTime": …}, of generateAccessToken: taken to last `lifetime` after `asked` at most. Errors are of class
// `no_answer`.
absl::StatusOr<SharedBearerToken> ReadGcpImpersonatedToken(std::string& body, const std::string& what, absl::Time asked,
                                                           absl::Duration lifetime, FailureClass no_answer);

}  // namespace latchkey
