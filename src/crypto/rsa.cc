#include "crypto/rsa.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <utility>

#include "crypto/openssl_handles.h"

namespace latchkey {
namespace {

constexpr int kFewestBits = 2048, kMostBits = 4096;

using Number = OpenSslPtr<BIGNUM, BN_free>;
using DigestContext = OpenSslPtr<EVP_MD_CTX, EVP_MD_CTX_free>;
using ParamBuild = OpenSslPtr<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using Params = OpenSslPtr<OSSL_PARAM, OSSL_PARAM_free>;

Bio Reading(std::string_view pem) { return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(std::min<size_t>(pem.size(), 1 << 20)))); }

absl::Status CheckRsa(const EVP_PKEY* key) {
  if (!EVP_PKEY_is_a(key, "RSA")) return InvalidArgument("it is not an RSA key");
  const int bits = EVP_PKEY_get_bits(key);
  if (bits < kFewestBits || bits > kMostBits) {
    return InvalidArgument("it has ", bits, " bits; ", kFewestBits, " to ", kMostBits, " are taken");
  }
  // With an exponent of 1, what is "encrypted" stays readable and everything is "signed"; OpenSSL takes it, and 0 and even ones, too.
  BIGNUM* raw = nullptr;
  const bool told = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &raw) == 1;
  const Number exponent(raw);
  if (!told || !BN_is_odd(exponent.get()) || BN_is_one(exponent.get()))
    return InvalidArgument("its public exponent is not an odd number from 3");
  return absl::OkStatus();
}

std::vector<uint8_t> NumberOf(const EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &raw) != 1) return {};
  const Number number(raw);
  std::vector<uint8_t> out(static_cast<size_t>(BN_num_bytes(number.get())));
  BN_bn2bin(number.get(), out.data());
  return out;
}

bool SetPss(EVP_PKEY_CTX* context) {
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) == 1;
}

bool SetOaep(EVP_PKEY_CTX* context) {
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 && EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) == 1;
}

const unsigned char* Chars(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

absl::StatusOr<std::vector<uint8_t>> EncryptOaep(EVP_PKEY* key, const SecretBytes& plaintext) {
  const PkeyContext context(EVP_PKEY_CTX_new(key, nullptr));
  const auto in = plaintext.Reveal(SecretAccess{});
  size_t size = 0;
  if (context == nullptr || EVP_PKEY_encrypt_init(context.get()) != 1 || !SetOaep(context.get()) ||
      EVP_PKEY_encrypt(context.get(), nullptr, &size, in.data(), in.size()) != 1) {
    return OpenSslFault("RSA-OAEP");
  }
  std::vector<uint8_t> out(size);
  if (EVP_PKEY_encrypt(context.get(), out.data(), &size, in.data(), in.size()) != 1) {
    ERR_clear_error();
    return InvalidArgument("the plaintext is too long for RSA-OAEP under this key");
  }
  out.resize(size);
  return out;
}

}  // namespace

absl::StatusOr<RsaPrivateKey> RsaPrivateKey::FromPem(std::string_view pem) {
  const Bio bio = Reading(pem);
  // A pass phrase is never asked for on a terminal.
  const auto no_phrase = [](char*, int, int, void*) { return 0; };
  Pkey key(bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio.get(), nullptr, no_phrase, nullptr));
  if (key == nullptr) {
    ERR_clear_error();
    return InvalidArgument("it is not a private key in PEM without a pass phrase");
  }
  RETURN_IF_ERROR(CheckRsa(key.get()));
  return RsaPrivateKey(key.release());
}

absl::StatusOr<RsaPrivateKey> RsaPrivateKey::Generate(int bits) {
  if (bits != 2048 && bits != 3072 && bits != 4096) return InvalidArgument("bits: must be 2048, 3072 or 4096");
  Pkey key(EVP_RSA_gen(static_cast<unsigned>(bits)));
  if (key == nullptr) return OpenSslFault("making an RSA key");
  return RsaPrivateKey(key.release());
}

RsaPrivateKey::~RsaPrivateKey() { EVP_PKEY_free(key_); }
RsaPrivateKey::RsaPrivateKey(RsaPrivateKey&& other) noexcept : key_(std::exchange(other.key_, nullptr)) {}
RsaPrivateKey& RsaPrivateKey::operator=(RsaPrivateKey&& other) noexcept {
  std::swap(key_, other.key_);
  return *this;
}

int RsaPrivateKey::bits() const { return EVP_PKEY_get_bits(key_); }

RsaPublicNumbers RsaPrivateKey::public_numbers() const {
  return {.modulus = NumberOf(key_, OSSL_PKEY_PARAM_RSA_N), .exponent = NumberOf(key_, OSSL_PKEY_PARAM_RSA_E)};
}

std::string RsaPrivateKey::ToPem() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_PrivateKey(bio.get(), key_, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    ERR_clear_error();
    return "";
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  std::string out(text, static_cast<size_t>(size));
  Wipe(text, static_cast<size_t>(size));
  return out;
}

absl::StatusOr<std::vector<uint8_t>> RsaPrivateKey::Sign(RsaSignature scheme, std::string_view message) const {
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* pkey = nullptr;  // owned by the digest context
  size_t size = 0;
  if (context == nullptr || EVP_DigestSignInit(context.get(), &pkey, EVP_sha256(), nullptr, key_) != 1 ||
      (scheme == RsaSignature::kPssSha256 && !SetPss(pkey)) ||
      EVP_DigestSign(context.get(), nullptr, &size, Chars(message), message.size()) != 1) {
    return OpenSslFault("an RSA signature");
  }
  std::vector<uint8_t> out(size);
  if (EVP_DigestSign(context.get(), out.data(), &size, Chars(message), message.size()) != 1) return OpenSslFault("an RSA signature");
  out.resize(size);
  return out;
}

absl::StatusOr<SecretBytes> RsaPrivateKey::DecryptOaepSha256(std::span<const uint8_t> ciphertext) const {
  const PkeyContext context(EVP_PKEY_CTX_new(key_, nullptr));
  if (context == nullptr || EVP_PKEY_decrypt_init(context.get()) != 1 || !SetOaep(context.get())) return OpenSslFault("RSA-OAEP");
  SecretBytes room(static_cast<size_t>(EVP_PKEY_get_size(key_)));
  size_t size = room.size();
  if (EVP_PKEY_decrypt(context.get(), room.RevealMutable(SecretAccess{}).data(), &size, ciphertext.data(), ciphertext.size()) != 1) {
    ERR_clear_error();
    return absl::DataLossError("it was not encrypted to this key");
  }
  return SecretBytes::CopyOf(room.Reveal(SecretAccess{}).first(size));
}

absl::StatusOr<std::vector<uint8_t>> RsaPrivateKey::EncryptOaepSha256(const SecretBytes& plaintext) const {
  return EncryptOaep(key_, plaintext);
}

absl::StatusOr<RsaPublicKey> RsaPublicKey::FromPem(std::string_view pem) {
  Pkey key;
  if (const Bio bio = Reading(pem); bio != nullptr) {
    if (const Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)); certificate != nullptr) {
      key.reset(X509_get_pubkey(certificate.get()));
    }
  }
  if (const Bio bio = Reading(pem); key == nullptr && bio != nullptr) key.reset(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (key == nullptr) return InvalidArgument("it is neither a certificate nor a public key in PEM");
  RETURN_IF_ERROR(CheckRsa(key.get()));
  return RsaPublicKey(key.release());
}

absl::StatusOr<RsaPublicKey> RsaPublicKey::FromNumbers(const RsaPublicNumbers& numbers) {
  const Number n(BN_bin2bn(numbers.modulus.data(), static_cast<int>(numbers.modulus.size()), nullptr));
  const Number e(BN_bin2bn(numbers.exponent.data(), static_cast<int>(numbers.exponent.size()), nullptr));
  const ParamBuild build(OSSL_PARAM_BLD_new());
  const PkeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  if (n == nullptr || e == nullptr || build == nullptr || context == nullptr ||
      OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return OpenSslFault("an RSA public key");
  }
  const Params params(OSSL_PARAM_BLD_to_param(build.get()));
  EVP_PKEY* raw = nullptr;
  if (params == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &raw, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    ERR_clear_error();
    return InvalidArgument("the numbers are no RSA public key");
  }
  Pkey key(raw);
  RETURN_IF_ERROR(CheckRsa(key.get()));
  return RsaPublicKey(key.release());
}

RsaPublicKey::~RsaPublicKey() { EVP_PKEY_free(key_); }
RsaPublicKey::RsaPublicKey(RsaPublicKey&& other) noexcept : key_(std::exchange(other.key_, nullptr)) {}
RsaPublicKey& RsaPublicKey::operator=(RsaPublicKey&& other) noexcept {
  std::swap(key_, other.key_);
  return *this;
}

bool RsaPublicKey::Verify(RsaSignature scheme, std::string_view message, std::span<const uint8_t> signature) const {
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* pkey = nullptr;
  const bool good = context != nullptr && EVP_DigestVerifyInit(context.get(), &pkey, EVP_sha256(), nullptr, key_) == 1 &&
                    (scheme != RsaSignature::kPssSha256 || SetPss(pkey)) &&
                    EVP_DigestVerify(context.get(), signature.data(), signature.size(), Chars(message), message.size()) == 1;
  ERR_clear_error();
  return good;
}

absl::StatusOr<std::vector<uint8_t>> RsaPublicKey::EncryptOaepSha256(const SecretBytes& plaintext) const {
  return EncryptOaep(key_, plaintext);
}

}  // namespace latchkey
