// Access tokens of the emulated Entra ID. Clients must not read them, as with the service's; what is inside is for the vault:
//
//   base64url({"alg": "HS256", "typ": "JWT"}) . base64url({"aud", "iss", "iat", "nbf", "exp", "tid", "appid", "oid", …}) . base64url(MAC)
#pragma once

#include <absl/time/time.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/secret_bytes.h"

namespace latchkey::emulator::azure {

struct Caller {
  std::string audience;   // "https://vault.azure.net"
  std::string tenant;     // UUID
  std::string client_id;  // of the application or managed identity
  std::string object_id;  // of its service principal in that tenant
  absl::Time expires;

  std::string issuer() const { return "https://sts.windows.net/" + tenant + "/"; }
};

std::string IssueAccessToken(const SecretBytes& key, const Caller& caller, absl::Time now, Random& random);
// Whom a token was issued to. nullopt unless it is one of ours, unchanged; it may have expired.
std::optional<Caller> ReadAccessToken(const SecretBytes& key, std::string_view token);

}  // namespace latchkey::emulator::azure
