// The KMIP operations that Latchkey needs, on one key.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kms/kmip/client.h"

namespace latchkey {

struct KmipTarget {
  KmipClient& client;
  const std::string& unique_identifier;
  bool fresh = false;
};

// How an operation failed; `status` is not OK and has a class.
struct KmipTrouble {
  absl::Status status;
  std::optional<kmip::Reason> reason;
  bool ask_state = false;
};

// What Encrypt made, as Decrypt needs it back.
//
//    0        1               13                    13+n             29+n
//   ┌────────┬───────────────┬─────────────────────┬────────────────┐
//   │ 1      │ nonce (12)    │ ciphertext (n)      │ tag (16)       │
//   └────────┴───────────────┴─────────────────────┴────────────────┘
inline constexpr uint8_t kKmipFormat = 1;
inline constexpr size_t kKmipOverhead = 29;

// AES-GCM with a random nonce of ours. `trouble` is set when nullopt is returned.
std::optional<std::vector<uint8_t>> KmipEncrypt(const KmipTarget& target, const SecretBytes& plaintext, std::string_view aad,
                                                const CallBudget& budget, KmipTrouble& trouble);
// `wrapped` is longer than kKmipOverhead and begins with kKmipFormat.
std::optional<SecretBytes> KmipDecrypt(const KmipTarget& target, std::span<const uint8_t> wrapped, std::string_view aad,
                                       const CallBudget& budget, KmipTrouble& trouble);

// What Get Attributes told; what the server has not told is absent.
struct KmipAttributes {
  std::optional<kmip::State> state;
  std::optional<uint32_t> object_type, algorithm;
  std::optional<int32_t> length, usage_mask;
  std::optional<absl::Time> deactivation_date, destroy_date;
};
absl::StatusOr<KmipAttributes> KmipGetAttributes(const KmipTarget& target, const CallBudget& budget);

}  // namespace latchkey
