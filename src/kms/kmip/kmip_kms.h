// Keys on a KMIP server (OASIS KMIP 1.4, TTLV over mutual TLS): Encrypt and Decrypt with AES-GCM, the context as authenticated data.
//
//   uri             kmip://<connection>/<unique identifier of the key>
//   auth_principal  must be empty: who we are is the connection's certificate
#pragma once

#include <map>
#include <memory>
#include <string>

#include "kms/call.h"
#include "kms/kms.h"

namespace latchkey {

struct KmipConnection {
  std::string host;
  int port = 5696;
  std::string ca_file;                                   // PEM, required: a KMIP server has a private CA
  std::string client_certificate_file, client_key_file;  // PEM; the key 0600
  std::string server_name;                               // expected in the server's certificate; "" = host
};

// OK, or InvalidArgument naming the field of the connection. Looks at the form only; files are read for each new TLS connection.
absl::Status CheckKmipConnection(const KmipConnection& connection);

// An unwrap is two requests, Decrypt and Get Attributes: a server may decrypt under a key that its owner has revoked (KMIP 1.4,
// section 3.22), and such a key counts as disabled here. `call.ca_pem` and `call.environment` are not used.
std::unique_ptr<Kms> NewKmipKms(std::map<std::string, KmipConnection> connections, KmsCallOptions call);

}  // namespace latchkey
