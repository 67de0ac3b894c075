// DEK: one per volume and generation, 256 bit. At rest only wrapped by a KEK; in memory only in the volume daemon (and in backup streams).
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/secret_bytes.h"
#include "keys/kek.h"

namespace latchkey {

inline constexpr size_t kDekSize = 32;

// Plaintext DEK. Move-only; wipes itself.
class Dek {
 public:
  // A new random DEK with a random id (hex of 16 bytes). `volume_id` and `generation` are looked at only when it is wrapped.
  static Dek Generate(std::string volume_id, int64_t generation, Random& random);
  // InvalidArgument when it has not 32 bytes, the id is not 16 bytes in lower-case hex, the volume id is not 1 to 256 bytes without control
  // characters, or the generation is below 1.
  static absl::StatusOr<Dek> FromBytes(SecretBytes bytes, std::string volume_id, std::string id, int64_t generation);
  const std::string& id() const { return id_; }
  const std::string& volume_id() const { return volume_id_; }
  int64_t generation() const { return generation_; }
  const SecretBytes& bytes() const { return bytes_; }
  // `size` bytes of HKDF-SHA256(DEK, salt, info): the only way keys come from a DEK. `salt` may be empty. Purposes are listed in
  // docs/formats.md.
  SecretBytes Derive(std::span<const uint8_t> salt, std::string_view info, size_t size) const;

 private:
  Dek() = default;
  SecretBytes bytes_;
  std::string volume_id_, id_;
  int64_t generation_ = 0;
};

// One wrapping of a DEK: {"kek": hex(16), "nonce": base64(12), "ciphertext": base64(48)}: AES-256-GCM(KEK, DEK),
// AAD = "latchkey dek\n" volume id "\n" DEK id "\n" generation "\n" KEK id.
struct WrappedDek {
  std::string kek_id;
  std::string nonce;       // base64
  std::string ciphertext;  // base64
  bool operator==(const WrappedDek&) const = default;
  boost::json::object ToJson() const;
  // InvalidArgument with the field below `path`: wrong lengths, not hex or base64, an unknown field.
  static absl::StatusOr<WrappedDek> FromJson(const boost::json::object& object, const std::string& path);
};

// Wraps under a fresh random nonce. InvalidArgument when the DEK's volume id or generation is not as in Dek::FromBytes.
absl::StatusOr<WrappedDek> WrapDek(const Kek& kek, const Dek& dek, Random& random);
// DataLoss when the wrapping was not made for this volume, DEK, generation and KEK.
absl::StatusOr<Dek> UnwrapDek(const Kek& kek, const WrappedDek& wrapped, const std::string& volume_id, const std::string& dek_id,
                              int64_t generation);

}  // namespace latchkey
