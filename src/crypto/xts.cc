#include "crypto/xts.h"

#include <array>
#include <climits>
#include <cstring>
#include <vector>

#include "base/status.h"
#include "crypto/digest.h"
#include "crypto/openssl_handles.h"

namespace latchkey {
namespace {

constexpr size_t kXtsKeySize = 64;

// IEEE 1619: the number of the data unit as a little-endian integer of 16 bytes.
std::array<uint8_t, kXtsBlock> TweakOf(uint64_t unit) {
  std::array<uint8_t, kXtsBlock> out{};
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<uint8_t>(unit >> (8 * i));
  return out;
}

// Encrypts or decrypts one unit from its start; the key in `ctx` stays.
bool Process(EVP_CIPHER_CTX* ctx, uint64_t unit, const uint8_t* in, size_t size, uint8_t* out) {
  const auto tweak = TweakOf(unit);
  int n = 0;
  return EVP_CipherInit_ex(ctx, nullptr, nullptr, nullptr, tweak.data(), -1) == 1 &&
         EVP_CipherUpdate(ctx, out, &n, in, static_cast<int>(size)) == 1 && n == static_cast<int>(size);
}

absl::Status ProcessPart(EVP_CIPHER_CTX* ctx, uint64_t unit, size_t offset, std::span<const uint8_t> in, uint8_t* out) {
  if (offset % kXtsBlock != 0 || in.size() % kXtsBlock != 0 || offset > kXtsUnit || in.size() > kXtsUnit - offset) {
    return InvalidArgument("AES-XTS: bytes ", offset, " + ", in.size(), " are not whole blocks of one unit");
  }
  if (in.empty()) return absl::OkStatus();
  if (offset == 0) {
    if (!Process(ctx, unit, in.data(), in.size(), out)) return OpenSslFault("AES-XTS");
    return absl::OkStatus();
  }
  // OpenSSL starts at block 0 of a unit; the tweak of block n comes after n multiplications. So zeros stand in for what lies before, and
  // their result is thrown away.
  uint8_t scratch[kXtsUnit];
  std::memset(scratch, 0, offset);
  std::memcpy(scratch + offset, in.data(), in.size());
  const bool ok = Process(ctx, unit, scratch, offset + in.size(), scratch);
  if (ok) std::memcpy(out, scratch + offset, in.size());
  Wipe(scratch + offset, in.size());
  return ok ? absl::OkStatus() : OpenSslFault("AES-XTS");
}

}  // namespace

absl::StatusOr<std::unique_ptr<XtsCipher>> XtsCipher::Create(const SecretBytes& key) {
  const std::span<const uint8_t> k = key.Reveal(SecretAccess{});
  if (k.size() != kXtsKeySize) return InvalidArgument("AES-256-XTS: the key must have 64 bytes, not ", k.size());
  if (EqualInConstantTime(k.first(kXtsKeySize / 2), k.last(kXtsKeySize / 2))) {
    return InvalidArgument("AES-256-XTS: the halves of the key are equal");
  }
  std::unique_ptr<XtsCipher> out(new XtsCipher);
  out->encrypt_ = EVP_CIPHER_CTX_new();
  out->decrypt_ = EVP_CIPHER_CTX_new();
  if (out->encrypt_ == nullptr || out->decrypt_ == nullptr ||
      EVP_EncryptInit_ex(out->encrypt_, EVP_aes_256_xts(), nullptr, k.data(), nullptr) != 1 ||
      EVP_DecryptInit_ex(out->decrypt_, EVP_aes_256_xts(), nullptr, k.data(), nullptr) != 1) {
    return OpenSslFault("AES-XTS");
  }
  return out;
}

XtsCipher::~XtsCipher() {
  EVP_CIPHER_CTX_free(encrypt_);
  EVP_CIPHER_CTX_free(decrypt_);
}

absl::Status XtsCipher::Encrypt(uint64_t unit, size_t offset, std::span<const uint8_t> in, uint8_t* out) {
  return ProcessPart(encrypt_, unit, offset, in, out);
}

absl::Status XtsCipher::Decrypt(uint64_t unit, size_t offset, std::span<const uint8_t> in, uint8_t* out) {
  return ProcessPart(decrypt_, unit, offset, in, out);
}

absl::StatusOr<std::vector<uint8_t>> XtsRaw(bool encrypt, const SecretBytes& key, std::span<const uint8_t> tweak,
                                            std::span<const uint8_t> in) {
  if (key.size() != 32 && key.size() != 64) return InvalidArgument("AES-XTS: the key must have 32 or 64 bytes, not ", key.size());
  if (tweak.size() != kXtsBlock) return InvalidArgument("AES-XTS: the tweak must have 16 bytes, not ", tweak.size());
  if (in.size() < kXtsBlock || in.size() > INT_MAX) return InvalidArgument("AES-XTS: a data unit has at least 16 bytes");
  const EVP_CIPHER* cipher = key.size() == 32 ? EVP_aes_128_xts() : EVP_aes_256_xts();
  const CipherContext ctx(EVP_CIPHER_CTX_new());
  std::vector<uint8_t> out(in.size());
  int n = 0;
  if (ctx == nullptr ||
      EVP_CipherInit_ex(ctx.get(), cipher, nullptr, key.Reveal(SecretAccess{}).data(), tweak.data(), encrypt ? 1 : 0) != 1 ||
      EVP_CipherUpdate(ctx.get(), out.data(), &n, in.data(), static_cast<int>(in.size())) != 1) {
    return OpenSslFault("AES-XTS");
  }
  return out;
}

}  // namespace latchkey
