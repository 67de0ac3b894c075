#include "crypto/certificate.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include <climits>

#include "base/encoding.h"
#include "base/random.h"
#include "base/secret_bytes.h"
#include "base/status.h"
#include "crypto/digest.h"
#include "crypto/openssl_handles.h"

namespace latchkey {
namespace {

constexpr size_t kLongestName = 64;  // ub-common-name, RFC 5280 appendix A
constexpr absl::Duration kClockDifference = absl::Minutes(5);

using Extension = OpenSslPtr<X509_EXTENSION, X509_EXTENSION_free>;
using Names = OpenSslPtr<GENERAL_NAMES, GENERAL_NAMES_free>;
using Integer = OpenSslPtr<ASN1_INTEGER, ASN1_INTEGER_free>;
using BigNumber = OpenSslPtr<BIGNUM, BN_free>;

Bio ReadFrom(std::string_view text) {
  if (text.size() > INT_MAX) return nullptr;
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

absl::Status CheckName(std::string_view common_name) {
  if (common_name.empty() || common_name.size() > kLongestName) {
    return InvalidArgument("a certificate's common name must have 1 to ", kLongestName, " bytes");
  }
  for (const char c : common_name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return InvalidArgument("a certificate's common name has a control character");
  }
  return absl::OkStatus();
}

absl::StatusOr<Pkey> GenerateKey() {
  Pkey key(EVP_EC_gen("P-256"));
  if (key == nullptr) return OpenSslFault("making an EC key");
  return key;
}

absl::StatusOr<std::string> KeyToPem(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return OpenSslFault("writing a private key");
  }
  std::string out = TextOf(bio.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  Wipe(data, static_cast<size_t>(size));
  return out;
}

// Never asks for a pass phrase on the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

absl::StatusOr<Pkey> KeyFromPem(std::string_view pem) {
  const Bio bio = ReadFrom(pem);
  Pkey key(bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (key == nullptr) return InvalidArgument("not a private key in PEM");
  return key;
}

absl::StatusOr<Certificate> CertificateFromPem(std::string_view pem) {
  const Bio bio = ReadFrom(pem);
  Certificate out(bio == nullptr ? nullptr : PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (out == nullptr) return InvalidArgument("not a certificate in PEM");
  return out;
}

bool IsP256(EVP_PKEY* key) {
  char group[32] = {};
  size_t size = 0;
  return key != nullptr && EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_group_name(key, group, sizeof group, &size) == 1 &&
         std::string_view(group, size) == "prime256v1";
}

bool SetName(X509_NAME* name, std::string_view common_name) {
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const uint8_t*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool SetTime(ASN1_TIME* field, absl::Time t) { return ASN1_TIME_set(field, absl::ToTimeT(t)) != nullptr; }

// RFC 5280 section 4.1.2.2: positive, at most 20 bytes.
bool SetSerial(X509* certificate) {
  std::vector<uint8_t> bytes = Random::System().Bytes(16);
  bytes[0] = static_cast<uint8_t>((bytes[0] & 0x7f) | 0x40);  // always 16 bytes, never negative
  const BigNumber number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  return number != nullptr && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

// `value` is text of our own, never from outside: this syntax of OpenSSL's can name files.
bool AddExtension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX ctx{};
  X509V3_set_ctx(&ctx, issuer, certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&ctx);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &ctx, nid, value));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

absl::Status AddName(GENERAL_NAMES* names, int type, std::string_view bytes) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_STRING* text = type == GEN_DNS ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();
  if (name == nullptr || text == nullptr || ASN1_STRING_set(text, bytes.data(), static_cast<int>(bytes.size())) != 1) {
    ASN1_STRING_free(text);
    GENERAL_NAME_free(name);
    return OpenSslFault("making a subjectAltName");
  }
  GENERAL_NAME_set0_value(name, type, text);  // takes `text`
  if (sk_GENERAL_NAME_push(names, name) <= 0) {
    GENERAL_NAME_free(name);
    return OpenSslFault("making a subjectAltName");
  }
  return absl::OkStatus();
}

absl::Status AddAlternativeNames(X509* certificate, const LeafOptions& options) {
  if (options.dns_names.empty() && options.ip_addresses.empty()) return absl::OkStatus();
  const Names names(sk_GENERAL_NAME_new_null());
  if (names == nullptr) return OpenSslFault("making a subjectAltName");
  for (const std::string& dns : options.dns_names) {
    constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._*";
    if (dns.empty() || dns.size() > 253 || dns.find_first_not_of(kAllowed) != std::string::npos) {
      return InvalidArgument("not a DNS name for a certificate: ", dns.substr(0, 253));
    }
    RETURN_IF_ERROR(AddName(names.get(), GEN_DNS, dns));
  }
  for (const std::string& ip : options.ip_addresses) {
    char bytes[16];
    size_t size = 0;
    if (inet_pton(AF_INET, ip.c_str(), bytes) == 1) size = 4;
    if (size == 0 && inet_pton(AF_INET6, ip.c_str(), bytes) == 1) size = 16;
    if (size == 0) return InvalidArgument("not an IP address for a certificate: ", ip.substr(0, 64));
    RETURN_IF_ERROR(AddName(names.get(), GEN_IPADD, {bytes, size}));
  }
  if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) != 1) {
    return OpenSslFault("adding a subjectAltName");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ToPem(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_X509(bio.get(), certificate) != 1) return OpenSslFault("writing a certificate");
  return TextOf(bio.get());
}

// A certificate with everything but extensions and signature.
absl::StatusOr<Certificate> Begin(std::string_view common_name, EVP_PKEY* key, absl::Time now, absl::Duration valid) {
  RETURN_IF_ERROR(CheckName(common_name));
  if (valid <= absl::ZeroDuration()) return InvalidArgument("a certificate must be valid for some time");
  Certificate out(X509_new());
  if (out == nullptr || X509_set_version(out.get(), X509_VERSION_3) != 1 || !SetSerial(out.get()) ||
      !SetName(X509_get_subject_name(out.get()), common_name) || !SetTime(X509_getm_notBefore(out.get()), now - kClockDifference) ||
      !SetTime(X509_getm_notAfter(out.get()), now + valid) || X509_set_pubkey(out.get(), key) != 1) {
    return OpenSslFault("making a certificate");
  }
  return out;
}

// Signs `key` as a leaf. `ca` null: by itself.
absl::StatusOr<std::string> SignLeaf(EVP_PKEY* key, X509* ca, EVP_PKEY* ca_key, const LeafOptions& options) {
  ASSIGN_OR_RETURN(const Certificate out, Begin(options.common_name, key, options.now, options.valid));
  X509* issuer = ca == nullptr ? out.get() : ca;
  if (X509_set_issuer_name(out.get(), X509_get_subject_name(issuer)) != 1 ||
      !AddExtension(out.get(), issuer, NID_basic_constraints, "critical,CA:FALSE") ||
      !AddExtension(out.get(), issuer, NID_key_usage, "critical,digitalSignature") ||
      !AddExtension(out.get(), issuer, NID_subject_key_identifier, "hash") ||
      !AddExtension(out.get(), issuer, NID_authority_key_identifier, "keyid")) {
    return OpenSslFault("making a certificate");
  }
  std::string usage = options.for_server ? "serverAuth" : "";
  if (options.for_client) usage += usage.empty() ? "clientAuth" : ",clientAuth";
  if (!usage.empty() && !AddExtension(out.get(), issuer, NID_ext_key_usage, usage.c_str())) return OpenSslFault("making a certificate");
  RETURN_IF_ERROR(AddAlternativeNames(out.get(), options));
  if (X509_sign(out.get(), ca_key, EVP_sha256()) <= 0) return OpenSslFault("signing a certificate");
  return ToPem(out.get());
}

struct Authority {
  Certificate certificate;
  Pkey key;
};

absl::StatusOr<Authority> LoadAuthority(const CertifiedKey& ca) {
  Authority out;
  ASSIGN_OR_RETURN(out.certificate, CertificateFromPem(ca.certificate_pem));
  ASSIGN_OR_RETURN(out.key, KeyFromPem(ca.private_key_pem));
  if (X509_check_ca(out.certificate.get()) != 1) return InvalidArgument("the certificate is none of an authority");
  if (X509_check_private_key(out.certificate.get(), out.key.get()) != 1) {
    ERR_clear_error();
    return InvalidArgument("the authority's key and certificate do not belong together");
  }
  return out;
}

absl::Time TimeOf(const ASN1_TIME* t) {
  tm fields{};
  if (ASN1_TIME_to_tm(t, &fields) != 1) return absl::InfinitePast();
  return absl::FromTM(fields, absl::UTCTimeZone());
}

}  // namespace

absl::StatusOr<KeyPair> NewKeyPair() {
  ASSIGN_OR_RETURN(const Pkey key, GenerateKey());
  KeyPair out;
  ASSIGN_OR_RETURN(out.private_key_pem, KeyToPem(key.get()));
  return out;
}

absl::StatusOr<CertifiedKey> NewCa(std::string_view common_name, absl::Time now, absl::Duration valid) {
  ASSIGN_OR_RETURN(const Pkey key, GenerateKey());
  ASSIGN_OR_RETURN(const Certificate out, Begin(common_name, key.get(), now, valid));
  X509* self = out.get();
  // pathlen 0: it signs leaves only.
  if (X509_set_issuer_name(self, X509_get_subject_name(self)) != 1 ||
      !AddExtension(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !AddExtension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !AddExtension(self, self, NID_subject_key_identifier, "hash") || X509_sign(self, key.get(), EVP_sha256()) <= 0) {
    return OpenSslFault("making an authority's certificate");
  }
  CertifiedKey ca;
  ASSIGN_OR_RETURN(ca.private_key_pem, KeyToPem(key.get()));
  ASSIGN_OR_RETURN(ca.certificate_pem, ToPem(self));
  return ca;
}

absl::StatusOr<std::string> NewRequest(std::string_view private_key_pem, std::string_view common_name) {
  RETURN_IF_ERROR(CheckName(common_name));
  ASSIGN_OR_RETURN(const Pkey key, KeyFromPem(private_key_pem));
  const CertificateRequest request(X509_REQ_new());
  const Bio bio(BIO_new(BIO_s_mem()));
  if (request == nullptr || bio == nullptr || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      !SetName(X509_REQ_get_subject_name(request.get()), common_name) || X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) <= 0 || PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) {
    return OpenSslFault("making a certificate request");
  }
  return TextOf(bio.get());
}

absl::StatusOr<std::string> IssueFromRequest(const CertifiedKey& ca, std::string_view request_pem, const LeafOptions& options) {
  ASSIGN_OR_RETURN(const Authority authority, LoadAuthority(ca));
  const Bio bio = ReadFrom(request_pem);
  const CertificateRequest request(bio == nullptr ? nullptr : PEM_read_bio_X509_REQ(bio.get(), nullptr, NoPassword, nullptr));
  EVP_PKEY* key = request == nullptr ? nullptr : X509_REQ_get0_pubkey(request.get());
  ERR_clear_error();
  if (key == nullptr) return InvalidArgument("not a certificate request in PEM");
  if (!IsP256(key)) return InvalidArgument("the request's key must be on the curve P-256");
  if (X509_REQ_verify(request.get(), key) != 1) {
    ERR_clear_error();
    return InvalidArgument("the request's signature is wrong");
  }
  return SignLeaf(key, authority.certificate.get(), authority.key.get(), options);
}

absl::StatusOr<CertifiedKey> IssueNew(const CertifiedKey& ca, const LeafOptions& options) {
  ASSIGN_OR_RETURN(const Authority authority, LoadAuthority(ca));
  ASSIGN_OR_RETURN(const Pkey key, GenerateKey());
  CertifiedKey out;
  ASSIGN_OR_RETURN(out.certificate_pem, SignLeaf(key.get(), authority.certificate.get(), authority.key.get(), options));
  ASSIGN_OR_RETURN(out.private_key_pem, KeyToPem(key.get()));
  return out;
}

absl::StatusOr<CertifiedKey> SelfSigned(const LeafOptions& options) {
  ASSIGN_OR_RETURN(const Pkey key, GenerateKey());
  CertifiedKey out;
  ASSIGN_OR_RETURN(out.certificate_pem, SignLeaf(key.get(), nullptr, key.get(), options));
  ASSIGN_OR_RETURN(out.private_key_pem, KeyToPem(key.get()));
  return out;
}

absl::StatusOr<CertificateFacts> ReadCertificate(std::string_view pem) {
  ASSIGN_OR_RETURN(const Certificate certificate, CertificateFromPem(pem));
  CertificateFacts out;
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at >= 0) {
    uint8_t* text = nullptr;
    const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (size >= 0) out.common_name.assign(reinterpret_cast<char*>(text), static_cast<size_t>(size));
    OPENSSL_free(text);
  }
  const BigNumber serial(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate.get()), nullptr));
  if (serial == nullptr) return InvalidArgument("the certificate has no readable serial number");
  std::vector<uint8_t> serial_bytes(static_cast<size_t>(BN_num_bytes(serial.get())));
  BN_bn2bin(serial.get(), serial_bytes.data());
  out.serial_hex = HexEncode(serial_bytes);
  out.not_before = TimeOf(X509_get0_notBefore(certificate.get()));
  out.not_after = TimeOf(X509_get0_notAfter(certificate.get()));
  uint8_t* der = nullptr;
  const int size = i2d_X509(certificate.get(), &der);
  if (size <= 0) return OpenSslFault("encoding a certificate");
  out.sha256_hex = HexEncode(Sha256(std::span<const uint8_t>(der, static_cast<size_t>(size))));
  OPENSSL_free(der);
  return out;
}

}  // namespace latchkey
