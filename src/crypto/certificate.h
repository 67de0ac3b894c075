// X.509 for Latchkey's own small CA: ECDSA P-256 keys and certificates in PEM (RFC 5280, RFC 2986).
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <string>
#include <string_view>
#include <vector>

namespace latchkey {

struct KeyPair {
  std::string private_key_pem;  // PKCS #8; a secret: write it with mode 0600 only
};
struct CertifiedKey {
  std::string private_key_pem;
  std::string certificate_pem;
};

absl::StatusOr<KeyPair> NewKeyPair();
// A self-signed CA (CA:TRUE, keyCertSign), 128-bit random serial.
absl::StatusOr<CertifiedKey> NewCa(std::string_view common_name, absl::Time now, absl::Duration valid);
// A PKCS #10 request with this common name.
absl::StatusOr<std::string> NewRequest(std::string_view private_key_pem, std::string_view common_name);
struct LeafOptions {
  std::string common_name;                // overrides what the request says
  std::vector<std::string> dns_names;     // subjectAltName DNS
  std::vector<std::string> ip_addresses;  // subjectAltName IP
  bool for_server = false;                // extendedKeyUsage serverAuth
  bool for_client = false;                // extendedKeyUsage clientAuth
  absl::Time now;                         // notBefore is five minutes earlier, for clocks that differ
  absl::Duration valid;
};
// Signs a request after checking its own signature. InvalidArgument when it is malformed or its key is not EC P-256.
absl::StatusOr<std::string> IssueFromRequest(const CertifiedKey& ca, std::string_view request_pem, const LeafOptions& options);
// Key and certificate in one go (the server's own).
absl::StatusOr<CertifiedKey> IssueNew(const CertifiedKey& ca, const LeafOptions& options);
// A self-signed server certificate (PostgreSQL's).
absl::StatusOr<CertifiedKey> SelfSigned(const LeafOptions& options);

struct CertificateFacts {
  std::string common_name;
  std::string serial_hex;  // lower case
  absl::Time not_before, not_after;
  std::string sha256_hex;  // over the DER form
};
absl::StatusOr<CertificateFacts> ReadCertificate(std::string_view pem);

}  // namespace latchkey
