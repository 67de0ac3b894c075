// AES-256-GCM (NIST SP 800-38D) with 96-bit nonces and 128-bit tags, for wrapping keys and sealing records.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/secret_bytes.h"

namespace latchkey {

inline constexpr size_t kGcmNonceSize = 12;
inline constexpr size_t kGcmTagSize = 16;

// ciphertext ‖ tag under the given 32-byte key and 12-byte nonce. The caller never uses a nonce twice under one key.
absl::StatusOr<std::vector<uint8_t>> GcmSeal(const SecretBytes& key, std::span<const uint8_t> nonce, std::string_view aad,
                                             std::span<const uint8_t> plaintext);
// The plaintext; DataLoss when key, nonce, AAD or ciphertext do not belong together.
absl::StatusOr<SecretBytes> GcmOpen(const SecretBytes& key, std::span<const uint8_t> nonce, std::string_view aad,
                                    std::span<const uint8_t> ciphertext_and_tag);

}  // namespace latchkey
