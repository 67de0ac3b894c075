// AES key wrap (RFC 3394, NIST SP 800-38F KW) and with padding (RFC 5649, KWP).
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/secret_bytes.h"

namespace latchkey {

// `kek`: 16, 24 or 32 bytes. KW takes multiples of 8 bytes from 16 up, KWP any length from 1 up. InvalidArgument on other sizes.
absl::StatusOr<std::vector<uint8_t>> AesKeyWrap(const SecretBytes& kek, const SecretBytes& key, bool padded);
// DataLoss when the integrity check fails.
absl::StatusOr<SecretBytes> AesKeyUnwrap(const SecretBytes& kek, std::span<const uint8_t> wrapped, bool padded);

}  // namespace latchkey
