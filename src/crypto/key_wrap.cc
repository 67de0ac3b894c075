#include "crypto/key_wrap.h"

#include <climits>

#include "base/status.h"
#include "crypto/openssl_handles.h"

namespace latchkey {
namespace {

constexpr size_t kBlock = 8;

// The fetched cipher for this length of key; nullptr for another.
const EVP_CIPHER* WrapMethod(size_t key_size, bool padded) {
  static const EVP_CIPHER* methods[2][3] = {
      {EVP_CIPHER_fetch(nullptr, "AES-128-WRAP", nullptr), EVP_CIPHER_fetch(nullptr, "AES-192-WRAP", nullptr),
       EVP_CIPHER_fetch(nullptr, "AES-256-WRAP", nullptr)},
      {EVP_CIPHER_fetch(nullptr, "AES-128-WRAP-PAD", nullptr), EVP_CIPHER_fetch(nullptr, "AES-192-WRAP-PAD", nullptr),
       EVP_CIPHER_fetch(nullptr, "AES-256-WRAP-PAD", nullptr)}};
  if (key_size != 16 && key_size != 24 && key_size != 32) return nullptr;
  return methods[padded ? 1 : 0][key_size / 8 - 2];
}

absl::Status Start(EVP_CIPHER_CTX* ctx, const SecretBytes& kek, bool padded, bool encrypt) {
  if (kek.size() != 16 && kek.size() != 24 && kek.size() != 32) {
    return InvalidArgument("AES key wrap: the wrapping key must have 16, 24 or 32 bytes, not ", kek.size());
  }
  const EVP_CIPHER* method = WrapMethod(kek.size(), padded);
  if (ctx == nullptr || method == nullptr) return OpenSslFault("AES key wrap");
  EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  // No IV: the standard's own initial value.
  if (EVP_CipherInit_ex(ctx, method, nullptr, kek.Reveal(SecretAccess{}).data(), nullptr, encrypt ? 1 : 0) != 1) {
    return OpenSslFault("AES key wrap");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<uint8_t>> AesKeyWrap(const SecretBytes& kek, const SecretBytes& key, bool padded) {
  if (padded ? key.empty() : key.size() < 2 * kBlock || key.size() % kBlock != 0) {
    return InvalidArgument("AES key wrap: a key of ", key.size(), " bytes cannot be wrapped", padded ? "" : " without padding");
  }
  if (key.size() > INT_MAX - 2 * kBlock) return InvalidArgument("AES key wrap: the key is too long");
  const CipherContext ctx(EVP_CIPHER_CTX_new());
  RETURN_IF_ERROR(Start(ctx.get(), kek, padded, true));
  std::vector<uint8_t> out((key.size() + kBlock - 1) / kBlock * kBlock + kBlock);
  int n = 0;
  if (EVP_CipherUpdate(ctx.get(), out.data(), &n, key.Reveal(SecretAccess{}).data(), static_cast<int>(key.size())) != 1 ||
      n != static_cast<int>(out.size())) {
    return OpenSslFault("AES key wrap");
  }
  return out;
}

absl::StatusOr<SecretBytes> AesKeyUnwrap(const SecretBytes& kek, std::span<const uint8_t> wrapped, bool padded) {
  const size_t least = (padded ? 2 : 3) * kBlock;
  if (wrapped.size() < least || wrapped.size() % kBlock != 0 || wrapped.size() > INT_MAX) {
    return InvalidArgument("AES key wrap: no wrapped key has ", wrapped.size(), " bytes");
  }
  const CipherContext ctx(EVP_CIPHER_CTX_new());
  RETURN_IF_ERROR(Start(ctx.get(), kek, padded, false));
  // OpenSSL writes up to the whole length before it knows the true one.
  SecretBytes out(wrapped.size());
  int n = 0;
  if (EVP_CipherUpdate(ctx.get(), out.RevealMutable(SecretAccess{}).data(), &n, wrapped.data(), static_cast<int>(wrapped.size())) != 1 ||
      n <= 0) {
    ERR_clear_error();
    return DataLoss("AES key wrap: the integrity check failed");
  }
  return SecretBytes::CopyOf(out.Reveal(SecretAccess{}).first(static_cast<size_t>(n)));
}

}  // namespace latchkey
