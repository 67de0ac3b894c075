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

absl::Status CheckKmipConnection(const KmipConnection& connection);

std::unique_ptr<Kms> NewKmipKms(std::map<std::string, KmipConnection> connections, KmsCallOptions call);

}  // namespace latchkey
