#include "crypto/siv.h"

#include <climits>

#include "base/status.h"
#include "crypto/openssl_handles.h"

namespace latchkey {
namespace {

// SIV is not among the EVP_aes_… functions: it has to be fetched by name, once.
const EVP_CIPHER* SivMethod() {
  static const EVP_CIPHER* method = EVP_CIPHER_fetch(nullptr, "AES-256-SIV", nullptr);
  return method;
}

bool Start(EVP_CIPHER_CTX* ctx, const SecretBytes& key, std::string_view aad, bool encrypt) {
  int n = 0;
  return ctx != nullptr && SivMethod() != nullptr &&
         EVP_CipherInit_ex(ctx, SivMethod(), nullptr, key.Reveal(SecretAccess{}).data(), nullptr, encrypt ? 1 : 0) == 1 &&
         (aad.empty() ||
          EVP_CipherUpdate(ctx, nullptr, &n, reinterpret_cast<const uint8_t*>(aad.data()), static_cast<int>(aad.size())) == 1);
}

}  // namespace

absl::StatusOr<std::unique_ptr<SivCipher>> SivCipher::Create(SecretBytes key) {
  if (key.size() != kSivKeySize) return InvalidArgument("AES-256-SIV: the key must have 64 bytes, not ", key.size());
  if (SivMethod() == nullptr) return OpenSslFault("looking AES-256-SIV up");
  return std::unique_ptr<SivCipher>(new SivCipher(std::move(key)));
}

absl::StatusOr<std::vector<uint8_t>> SivCipher::Seal(std::string_view aad, std::span<const uint8_t> plaintext) const {
  // RFC 5297 allows an empty text; OpenSSL 3.0 reports a failure for it.
  if (plaintext.empty()) return InvalidArgument("AES-256-SIV: nothing to encrypt");
  if (aad.size() > INT_MAX || plaintext.size() > INT_MAX) return InvalidArgument("AES-256-SIV: more than 2 GiB in one message");
  const CipherContext ctx(EVP_CIPHER_CTX_new());
  std::vector<uint8_t> out(kSivTagSize + plaintext.size());
  int n = 0;
  if (!Start(ctx.get(), key_, aad, true) ||
      EVP_CipherUpdate(ctx.get(), out.data() + kSivTagSize, &n, plaintext.data(), static_cast<int>(plaintext.size())) != 1 ||
      EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_GET_TAG, kSivTagSize, out.data()) != 1) {
    return OpenSslFault("AES-256-SIV encryption");
  }
  return out;
}

absl::StatusOr<std::vector<uint8_t>> SivCipher::Open(std::string_view aad, std::span<const uint8_t> tag_and_ciphertext) const {
  if (tag_and_ciphertext.size() <= kSivTagSize) return DataLoss("AES-256-SIV: the message is not longer than its tag");
  if (aad.size() > INT_MAX || tag_and_ciphertext.size() > INT_MAX) return InvalidArgument("AES-256-SIV: more than 2 GiB in one message");
  const std::span<const uint8_t> ciphertext = tag_and_ciphertext.subspan(kSivTagSize);
  uint8_t tag[kSivTagSize];
  std::copy_n(tag_and_ciphertext.begin(), kSivTagSize, tag);
  const CipherContext ctx(EVP_CIPHER_CTX_new());
  if (!Start(ctx.get(), key_, aad, false) || EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_SET_TAG, kSivTagSize, tag) != 1) {
    return OpenSslFault("AES-256-SIV decryption");
  }
  std::vector<uint8_t> out(ciphertext.size());
  int n = 0;
  // The check happens in here: SIV sees the whole message at once.
  if (EVP_CipherUpdate(ctx.get(), out.data(), &n, ciphertext.data(), static_cast<int>(ciphertext.size())) != 1) {
    Wipe(out.data(), out.size());
    ERR_clear_error();
    return DataLoss("AES-256-SIV: the tag does not match");
  }
  return out;
}

}  // namespace latchkey
