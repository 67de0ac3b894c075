// The emulator's own CA and server certificate, kept in a folder so that clients trust the same CA from run to run.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <string>

#include "crypto/certificate.h"

namespace latchkey {

struct EmulatorTls {
  std::string ca_file;  // PEM; what clients trust (NODE_EXTRA_CA_CERTS, SSL_CERT_FILE)
  CertifiedKey server;  // for localhost, 127.0.0.1, ::1, *.vault.azure.net and *.managedhsm.azure.net
};

// Reads or makes `folder` (0700) with ca.pem, ca.key (0600), server.pem and server.key (0600). A CA lives for ten years; a server
// certificate for a year, and is made anew when less than a month is left. Not for two processes at once. Errors: the folder cannot be
// written; what lies in it is no certificate.
absl::StatusOr<EmulatorTls> OpenTlsFolder(const std::string& folder, absl::Time now);

}  // namespace latchkey
