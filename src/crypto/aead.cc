#include "crypto/aead.h"

#include <climits>

#include "base/status.h"
#include "crypto/openssl_handles.h"

namespace latchkey {
namespace {

constexpr size_t kGcmKeySize = 32;

absl::Status CheckSizes(const SecretBytes& key, std::span<const uint8_t> nonce, std::string_view aad, size_t text) {
  if (key.size() != kGcmKeySize) return InvalidArgument("AES-256-GCM: the key must have 32 bytes, not ", key.size());
  if (nonce.size() != kGcmNonceSize) return InvalidArgument("AES-256-GCM: the nonce must have 12 bytes, not ", nonce.size());
  if (aad.size() > INT_MAX || text > INT_MAX) return InvalidArgument("AES-256-GCM: more than 2 GiB in one message");
  return absl::OkStatus();
}

const uint8_t* Data(std::string_view s) { return reinterpret_cast<const uint8_t*>(s.data()); }

}  // namespace

absl::StatusOr<std::vector<uint8_t>> GcmSeal(const SecretBytes& key, std::span<const uint8_t> nonce, std::string_view aad,
                                             std::span<const uint8_t> plaintext) {
  RETURN_IF_ERROR(CheckSizes(key, nonce, aad, plaintext.size()));
  const CipherContext ctx(EVP_CIPHER_CTX_new());
  std::vector<uint8_t> out(plaintext.size() + kGcmTagSize);
  int n = 0;
  // 96 bits is EVP's standard nonce length for GCM.
  const bool ok =
      ctx != nullptr && EVP_EncryptInit_ex(ctx.get(), EVP_aes_256_gcm(), nullptr, key.Reveal(SecretAccess{}).data(), nonce.data()) == 1 &&
      (aad.empty() || EVP_EncryptUpdate(ctx.get(), nullptr, &n, Data(aad), static_cast<int>(aad.size())) == 1) &&
      (plaintext.empty() || EVP_EncryptUpdate(ctx.get(), out.data(), &n, plaintext.data(), static_cast<int>(plaintext.size())) == 1) &&
      EVP_EncryptFinal_ex(ctx.get(), out.data() + plaintext.size(), &n) == 1 &&
      EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_GET_TAG, kGcmTagSize, out.data() + plaintext.size()) == 1;
  if (!ok) return OpenSslFault("AES-256-GCM encryption");
  return out;
}

absl::StatusOr<SecretBytes> GcmOpen(const SecretBytes& key, std::span<const uint8_t> nonce, std::string_view aad,
                                    std::span<const uint8_t> ciphertext_and_tag) {
  RETURN_IF_ERROR(CheckSizes(key, nonce, aad, ciphertext_and_tag.size()));
  if (ciphertext_and_tag.size() < kGcmTagSize) return DataLoss("AES-256-GCM: the message is shorter than its tag");
  const size_t size = ciphertext_and_tag.size() - kGcmTagSize;
  const CipherContext ctx(EVP_CIPHER_CTX_new());
  SecretBytes out(size);
  uint8_t* to = out.RevealMutable(SecretAccess{}).data();
  uint8_t rest[kGcmTagSize];
  // EVP takes the tag by a pointer that is not const.
  uint8_t tag[kGcmTagSize];
  std::copy(ciphertext_and_tag.begin() + static_cast<std::ptrdiff_t>(size), ciphertext_and_tag.end(), tag);
  int n = 0;
  const bool ready = ctx != nullptr &&
                     EVP_DecryptInit_ex(ctx.get(), EVP_aes_256_gcm(), nullptr, key.Reveal(SecretAccess{}).data(), nonce.data()) == 1 &&
                     (aad.empty() || EVP_DecryptUpdate(ctx.get(), nullptr, &n, Data(aad), static_cast<int>(aad.size())) == 1) &&
                     (size == 0 || EVP_DecryptUpdate(ctx.get(), to, &n, ciphertext_and_tag.data(), static_cast<int>(size)) == 1) &&
                     EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_SET_TAG, kGcmTagSize, tag) == 1;
  if (!ready) return OpenSslFault("AES-256-GCM decryption");
  // On failure `out` is wiped by its destructor and never returned.
  if (EVP_DecryptFinal_ex(ctx.get(), rest, &n) != 1) {
    ERR_clear_error();
    return DataLoss("AES-256-GCM: the tag does not match");
  }
  return out;
}

}  // namespace latchkey
