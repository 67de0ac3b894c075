// AES-256-XTS (IEEE 1619, NIST SP 800-38E) on data units of 4,096 bytes, for file content.
//
// Security: confidentiality against somebody who sees the disk once; no integrity, and equal plaintext at the same place under the same key
// is equal ciphertext. Length-preserving.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <span>

#include "base/secret_bytes.h"

struct evp_cipher_ctx_st;

namespace latchkey {

inline constexpr size_t kXtsUnit = 4096;
inline constexpr size_t kXtsBlock = 16;

// One file's key with its two schedules ready. Not thread-safe (the contexts carry the tweak): use one a thread, or lock.
class XtsCipher {
 public:
  // `key`: 64 bytes, the halves different (SP 800-38E forbids equal ones).
  static absl::StatusOr<std::unique_ptr<XtsCipher>> Create(const SecretBytes& key);
  ~XtsCipher();

  // Encrypts (decrypts) bytes [offset, offset + size) of unit number `unit`: offset and size are multiples of 16 and stay inside the unit.
  // Block-wise: no ciphertext stealing happens. in and out may be the same, and must not overlap otherwise.
  absl::Status Encrypt(uint64_t unit, size_t offset, std::span<const uint8_t> in, uint8_t* out);
  absl::Status Decrypt(uint64_t unit, size_t offset, std::span<const uint8_t> in, uint8_t* out);

 private:
  XtsCipher() = default;
  evp_cipher_ctx_st* encrypt_ = nullptr;
  evp_cipher_ctx_st* decrypt_ = nullptr;
};

// Raw XTS on one data unit of any length ≥ 16 with a 16-byte tweak, key of 32 or 64 bytes: for test vectors.
absl::StatusOr<std::vector<uint8_t>> XtsRaw(bool encrypt, const SecretBytes& key, std::span<const uint8_t> tweak,
                                            std::span<const uint8_t> in);

}  // namespace latchkey
