// What Vault or OpenBao answers when it does what was asked: pure readers of the bodies of 200 answers.
//
// Each wipes the body that it reads. An answer that is no answer (not JSON, half of it missing, bytes that nobody wrapped) is UNREACHABLE,
// one that is of another key or longer than what can be sent back CORRUPT: whatever stands in a 200 answer, no reader finds a refusal in
// it.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kms/kms.h"

namespace latchkey {

// The longest ciphertext that is kept, and sent back.
inline constexpr size_t kMostVaultCiphertext = 4096;
inline constexpr size_t kMostVaultToken = 8192;

struct VaultKey {
  std::string type;  // "aes256-gcm96", …; cleaned (CleanWords)
  bool derived = false, soft_deleted = false, deletion_allowed = false;
  int64_t latest_version = 0, min_decryption_version = 0, min_available_version = 0;
  std::optional<absl::Duration> auto_rotate_period;  // zero: never; nullopt where the server is too old to tell
  std::optional<absl::Time> latest_version_made;
};

struct VaultLoginAnswer {
  SecretBytes token;
  absl::Duration lease;  // zero: has no end
};

absl::StatusOr<std::string> ReadVaultEncrypted(std::string& body);
absl::StatusOr<SecretBytes> ReadVaultDecrypted(std::string& body);
// `asked`: the name of the key that was asked for.
absl::StatusOr<VaultKey> ReadVaultKey(std::string& body, std::string_view asked);
KeyDescription DescribeVaultKey(const std::string& uri, const VaultKey& key);
// Messages begin with `what`.
absl::StatusOr<VaultLoginAnswer> ReadVaultLogin(std::string& body, const std::string& what);

// The version in "vault:v<version>:<base64>"; nullopt when `ciphertext` has another form.
std::optional<int64_t> VaultCiphertextVersion(std::string_view ciphertext);

}  // namespace latchkey
