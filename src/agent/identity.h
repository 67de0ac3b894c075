// Who this host is to the server: a certificate of the server's own CA, obtained once with a join token and renewed over sync's connection.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <string>

#include "agent/config.h"
#include "http/client.h"

namespace latchkey {

struct Identity {
  std::string agent_id, organization;
  std::string private_key_pem;
  std::string certificate_pem;
  std::string ca_pem;
};

// <state>/identity.json, mode 0600. NotFound before the host has joined.
absl::StatusOr<Identity> LoadIdentity(const AgentConfig& config);

// Joins with config.join_token and stores the identity. The CA is fetched without trust and compared with the hash in the token; only then
// is the token's secret sent, over a connection that this CA vouches for. Unavailable when the server cannot be reached; PermissionDenied
// when it refuses the token; InvalidArgument for a malformed token; DataLoss when the CA is another one.
absl::StatusOr<Identity> Join(const AgentConfig& config, const std::string& hostname);

// True from two thirds of the certificate's life on.
bool RenewalIsDue(const Identity& identity, absl::Time now);
// A new key pair and certificate, stored before they are returned.
absl::StatusOr<Identity> Renew(const AgentConfig& config, const Identity& identity);

// A client that shows this identity and trusts the server's CA alone.
HttpClientOptions ClientOptionsFor(const Identity& identity);

}  // namespace latchkey
