// What a vault answers to a request without a token (RFC 6750, 3): whose tokens it takes, and for which resource.
//
//   WWW-Authenticate: Bearer authorization="https://login.microsoftonline.com/<tenant>", resource="https://vault.azure.net"
//
// With continuous access evaluation also: error="insufficient_claims", claims="<base64 of JSON>".
// Source: learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses,
// learn.microsoft.com/entra/identity-platform/claims-challenge.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

namespace latchkey {

struct AzureChallenge {
  std::string tenant;    // UUID in lower case
  std::string resource;  // "https://vault.azure.net", without a slash at the end
  std::string claims;    // JSON that the next token must answer to; empty when none are asked for

  bool operator==(const AzureChallenge&) const = default;
};

// The first Bearer challenge of a WWW-Authenticate header. The host of `authorization` is not used: tokens are asked for where we are
// configured to. InvalidArgument when it is malformed, longer than 16 KiB or names no tenant or resource.
absl::StatusOr<AzureChallenge> ParseAzureChallenge(std::string_view header);

// Whether a token may be sent to who asks so. `suffix`: of the vault's host, which the resource must be: a token is for one resource, and
// whoever gets it may use it there. `tenant`: whose the vault must be. Each is not looked at when empty. kUnreachable for another resource
// (what answers is no vault), kUnsuitable for another tenant.
absl::Status CheckAzureChallenge(const AzureChallenge& challenge, std::string_view suffix, std::string_view tenant);

}  // namespace latchkey
