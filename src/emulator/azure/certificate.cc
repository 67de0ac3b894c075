#include "emulator/azure/certificate.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/encoding.h"
#include "base/status.h"
#include "crypto/certificate.h"
#include "crypto/openssl_handles.h"

namespace latchkey::emulator::azure {
namespace {

constexpr size_t kLongestPem = 32 << 10;

Bio ReadingFrom(std::string_view text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// x5t and x5t#S256 (RFC 7515, 4.1.7 and 4.1.8).
absl::Status SetThumbprints(const X509* certificate, ClientCertificate& out) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha1(), digest.data(), &size) != 1) return OpenSslFault("SHA-1");
  out.thumbprint_sha1 = Base64UrlEncode(std::span<const uint8_t>(digest.data(), size));
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) return OpenSslFault("SHA-256");
  out.thumbprint_sha256 = Base64UrlEncode(std::span<const uint8_t>(digest.data(), size));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ClientCertificate> ReadClientCertificate(std::string_view pem) {
  if (pem.size() > kLongestPem) return InvalidArgument("certificate: is longer than ", kLongestPem, " bytes");
  const Bio bio = ReadingFrom(pem);
  const Certificate certificate(bio == nullptr ? nullptr : PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (certificate == nullptr) return InvalidArgument("certificate: is no certificate in PEM");
  const EVP_PKEY* key = X509_get0_pubkey(certificate.get());
  if (key == nullptr || !EVP_PKEY_is_a(key, "RSA")) return InvalidArgument("certificate: is not of an RSA key");
  const Bio text(BIO_new(BIO_s_mem()));
  if (text == nullptr || PEM_write_bio_X509(text.get(), certificate.get()) != 1) return OpenSslFault("writing a certificate");
  char* bytes = nullptr;
  const auto size = BIO_get_mem_data(text.get(), &bytes);
  ClientCertificate out;
  out.pem.assign(bytes, static_cast<size_t>(size));
  RETURN_IF_ERROR(SetThumbprints(certificate.get(), out));
  ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(out.pem));
  out.not_before = facts.not_before;
  out.not_after = facts.not_after;
  return out;
}

absl::StatusOr<ClientCertificate> NewClientCertificate(std::string_view common_name, absl::Time now, absl::Duration valid) {
  ASSIGN_OR_RETURN(const RsaPrivateKey rsa, RsaPrivateKey::Generate(2048));
  std::string key_pem = rsa.ToPem();
  SecretBytes kept = SecretBytes::CopyOf(std::string_view(key_pem));
  Wipe(key_pem);
  const Bio bio = ReadingFrom(kept.RevealText(SecretAccess{}));
  const Pkey key(bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  const Certificate certificate(X509_new());
  const OpenSslPtr<BIGNUM, BN_free> serial(BN_new());
  if (key == nullptr || certificate == nullptr || serial == nullptr) return OpenSslFault("making a certificate");
  X509_NAME* name = X509_get_subject_name(certificate.get());
  const time_t from = absl::ToTimeT(now - absl::Minutes(5)), to = absl::ToTimeT(now + valid);
  if (X509_set_version(certificate.get(), X509_VERSION_3) != 1 || BN_rand(serial.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) != 1 ||
      BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get())) == nullptr ||
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(std::min<size_t>(common_name.size(), 64)), -1, 0) != 1 ||
      X509_set_issuer_name(certificate.get(), name) != 1 || ASN1_TIME_set(X509_getm_notBefore(certificate.get()), from) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate.get()), to) == nullptr || X509_set_pubkey(certificate.get(), key.get()) != 1 ||
      X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) {
    return OpenSslFault("making a certificate");
  }
  const Bio text(BIO_new(BIO_s_mem()));
  if (text == nullptr || PEM_write_bio_X509(text.get(), certificate.get()) != 1) return OpenSslFault("writing a certificate");
  char* bytes = nullptr;
  const auto size = BIO_get_mem_data(text.get(), &bytes);
  ASSIGN_OR_RETURN(ClientCertificate out, ReadClientCertificate(std::string_view(bytes, static_cast<size_t>(size))));
  out.private_key_pem = std::move(kept);
  return out;
}

}  // namespace latchkey::emulator::azure
