// Microsoft Entra ID as far as applications without a user need it: the token endpoint with a client secret, a certificate's assertion or
// another issuer's token, and the documents by which libraries find it.
//
//   POST /{tenant}/oauth2/v2.0/token
//   GET  /{tenant}/v2.0/.well-known/openid-configuration
//   GET  /{tenant}/discovery/v2.0/keys        empty: access tokens carry a MAC here, and are nobody's to verify but the vault's
//   GET  /common/discovery/instance
//
// Wire: learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow; codes: …/reference-error-codes.
#pragma once

#include <string>
#include <string_view>

#include "emulator/azure/world.h"
#include "emulator/cloud.h"

namespace latchkey::emulator::azure {

// "token", "openid-configuration", "jwks", "instance-discovery"; "" when the request is not for Entra ID.
std::string EntraOperation(const HttpRequest& request);
HttpResponse AnswerEntra(World& world, CloudCall& call);

// {"error", "error_description": "AADSTS<code>: <text> …", "error_codes": [code], …}
HttpResponse EntraError(int status, std::string_view error, int64_t code, std::string_view text, absl::Time now, std::string_view trace);

// The audience of tokens for a resource or scope; "" when this cloud has no such resource.
std::string AudienceOf(std::string_view resource);

}  // namespace latchkey::emulator::azure
