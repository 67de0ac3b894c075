#include "emulator/tls_folder.h"

#include "base/file.h"
#include "base/status.h"

namespace latchkey {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);

// The pair in `name`.pem and `name`.key; empty when one is missing.
absl::StatusOr<CertifiedKey> ReadPair(const std::string& name) {
  if (!PathExists(name + ".pem") || !PathExists(name + ".key")) return CertifiedKey{};
  CertifiedKey pair;
  ASSIGN_OR_RETURN(pair.certificate_pem, ReadFile(name + ".pem"));
  ASSIGN_OR_RETURN(pair.private_key_pem, ReadFile(name + ".key"));
  return pair;
}

absl::Status WritePair(const std::string& name, const CertifiedKey& pair) {
  RETURN_IF_ERROR(WriteFileAtomically(name + ".key", pair.private_key_pem, 0600));
  return WriteFileAtomically(name + ".pem", pair.certificate_pem, 0644);
}

// Whether a certificate is there and holds for another `least`.
absl::StatusOr<bool> Holds(const CertifiedKey& pair, absl::Time now, absl::Duration least, const std::string& name) {
  if (pair.certificate_pem.empty()) return false;
  absl::StatusOr<CertificateFacts> facts = ReadCertificate(pair.certificate_pem);
  if (!facts.ok()) return Prefixed(facts.status(), name + ".pem");
  return facts->not_after - now > least;
}

}  // namespace

absl::StatusOr<EmulatorTls> OpenTlsFolder(const std::string& folder, absl::Time now) {
  RETURN_IF_ERROR(MakeFolders(folder, 0700));
  const std::string ca_name = folder + "/ca", server_name = folder + "/server";
  ASSIGN_OR_RETURN(CertifiedKey ca, ReadPair(ca_name));
  ASSIGN_OR_RETURN(CertifiedKey server, ReadPair(server_name));
  ASSIGN_OR_RETURN(const bool ca_holds, Holds(ca, now, 400 * kDay, ca_name));
  if (!ca_holds) {
    ASSIGN_OR_RETURN(ca, NewCa("Latchkey KMS emulator", now, 3650 * kDay));
    // What the old CA signed goes first, so that no crash leaves it beside the new one.
    RETURN_IF_ERROR(RemoveTree(server_name + ".pem"));
    RETURN_IF_ERROR(WritePair(ca_name, ca));
    server = {};
  }
  ASSIGN_OR_RETURN(const bool server_holds, Holds(server, now, 30 * kDay, server_name));
  if (!server_holds) {
    ASSIGN_OR_RETURN(server, IssueNew(ca, {.common_name = "localhost",
                                           .dns_names = {"localhost", "*.vault.azure.net", "*.managedhsm.azure.net"},
                                           .ip_addresses = {"127.0.0.1", "::1"},
                                           .for_server = true,
                                           .now = now,
                                           .valid = 365 * kDay}));
    RETURN_IF_ERROR(WritePair(server_name, server));
  }
  return EmulatorTls{.ca_file = ca_name + ".pem", .server = std::move(server)};
}

}  // namespace latchkey
