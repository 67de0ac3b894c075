#include "crypto/digest.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/params.h>

#include <climits>
#include <cstdio>

#include "base/encoding.h"
#include "crypto/openssl_handles.h"

namespace latchkey {
namespace {

constexpr size_t kLongestHkdf = 255 * 32;

// These functions have no error to return: a digest fails only when the memory is used up or the library broken, and there is no safe way
// on with a wrong value.
void Require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "latchkey: %s failed\n", what);
  std::abort();
}

// Fetched once: an implicit fetch would cost more than a short message.
const EVP_MD* Sha256Method() {
  static const EVP_MD* method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  Require(method != nullptr, "SHA-256");
  return method;
}

EVP_KDF* HkdfMethod() {
  static EVP_KDF* method = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
  Require(method != nullptr, "HKDF");
  return method;
}

}  // namespace

Sha256Digest Sha256(std::span<const uint8_t> bytes) {
  Sha256Digest out;
  Require(EVP_Digest(bytes.data(), bytes.size(), out.data(), nullptr, Sha256Method(), nullptr) == 1, "SHA-256");
  return out;
}

Sha256Digest Sha256(std::string_view text) { return Sha256(AsBytes(text)); }

Sha256Digest HmacSha256(std::span<const uint8_t> key, std::span<const uint8_t> message) {
  Sha256Digest out;
  unsigned size = 0;
  // HMAC() reads a null key as "the last one".
  static constexpr uint8_t kNoKey[1] = {0};
  const uint8_t* k = key.empty() ? kNoKey : key.data();
  Require(key.size() <= INT_MAX &&
              HMAC(Sha256Method(), k, static_cast<int>(key.size()), message.data(), message.size(), out.data(), &size) != nullptr &&
              size == out.size(),
          "HMAC-SHA256");
  return out;
}

Sha256Digest HmacSha256(const SecretBytes& key, std::span<const uint8_t> message) {
  return HmacSha256(key.Reveal(SecretAccess{}), message);
}

Sha256Digest HmacSha256(const SecretBytes& key, std::string_view message) { return HmacSha256(key, AsBytes(message)); }

SecretBytes HkdfSha256(const SecretBytes& key, std::span<const uint8_t> salt, std::string_view info, size_t size) {
  Require(size > 0 && size <= kLongestHkdf, "HKDF-SHA256 (size)");
  const std::span<const uint8_t> k = key.Reveal(SecretAccess{});
  // OSSL_PARAM has no const; the KDF only reads them.
  std::vector<OSSL_PARAM> params;
  char digest[] = "SHA256";
  params.push_back(OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0));
  params.push_back(OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, const_cast<uint8_t*>(k.data()), k.size()));
  if (!salt.empty()) {
    params.push_back(OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, const_cast<uint8_t*>(salt.data()), salt.size()));
  }
  if (!info.empty()) params.push_back(OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, const_cast<char*>(info.data()), info.size()));
  params.push_back(OSSL_PARAM_construct_end());
  const KdfContext ctx(EVP_KDF_CTX_new(HkdfMethod()));
  SecretBytes out(size);
  Require(ctx != nullptr && EVP_KDF_derive(ctx.get(), out.RevealMutable(SecretAccess{}).data(), size, params.data()) == 1, "HKDF-SHA256");
  return out;
}

bool EqualInConstantTime(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace latchkey
