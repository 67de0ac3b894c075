// The ciphertext blob of the emulator, self-describing as the service's is (whose form is secret):
//
//   "LKE1" │ ARN length, 2 bytes, big-endian │ ARN of the key │ material id, 32 bytes │ nonce, 12 │ AES-256-GCM ciphertext ‖ tag
//
// Everything before the nonce, and the encryption context in canonical form, is additional authenticated data.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/secret_bytes.h"
#include "emulator/policy.h"
#include "emulator/world.h"

namespace latchkey::emulator {

struct BlobHead {
  std::string key_arn;
  std::string material_id;  // 64 hex digits
};
// Who sealed it, as far as the blob says; nullopt when it is no blob of this form. Nothing is verified yet.
std::optional<BlobHead> ReadBlobHead(std::span<const uint8_t> blob);

std::vector<uint8_t> SealBlob(const std::string& key_arn, const KeyMaterial& material, const EncryptionContext& context,
                              const SecretBytes& plaintext, Random& random);
// nullopt when blob, material and context do not belong together.
std::optional<SecretBytes> OpenBlob(std::span<const uint8_t> blob, const KeyMaterial& material, const EncryptionContext& context);

}  // namespace latchkey::emulator
