// Who calls, and what that caller may do: access tokens, self-signed tokens, roles, denials.
//
// A token that this cloud gave out carries its whole meaning, sealed under the emulator's own key; nothing is stored:
//
//   "ya29." base64url(nonce(12) ‖ AES-256-GCM(token key, JSON{member, scopes, expires}))
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/jwt.h"
#include "emulator/cloud.h"
#include "emulator/gcp/world.h"

namespace latchkey::emulator::gcp {

inline constexpr std::string_view kCloudPlatformScope = "https://www.googleapis.com/auth/cloud-platform";
inline constexpr std::string_view kCloudKmsScope = "https://www.googleapis.com/auth/cloudkms";
inline constexpr std::string_view kIamScope = "https://www.googleapis.com/auth/iam";

struct AccessToken {
  std::string member;  // "serviceAccount:…" or "principal://…"
  std::vector<std::string> scopes;
  absl::Time expires;  // by the emulator's clock
};
std::string SealAccessToken(const AccessToken& token, const SecretBytes& key, Random& random);
// nullopt for every token that this key did not seal.
std::optional<AccessToken> OpenAccessToken(std::string_view token, const SecretBytes& key);

// Scopes as a request writes them: separated by spaces or commas. Empty when there is none or the text is too long.
std::vector<std::string> SplitScopes(std::string_view text);

struct Caller {
  std::string member;
  // As the log shows it: the e-mail address of a service account, otherwise the member.
  std::string Shown() const;
};
// The caller of a request to `service` ("cloudkms", "iamcredentials"), which must hold one of its scopes. Fills the record's principal.
// Unauthenticated, or PermissionDenied for too few scopes.
absl::StatusOr<Caller> Authenticate(const World& world, CloudCall& call, std::string_view service);

// Whether a token of a service account's own key stands at this moment: known key, RS256, iss, not longer than an hour. `wall` is the
// machine's clock, which its makers have. The words are those of the OAuth endpoint.
absl::StatusOr<const ServiceAccount*> CheckAccountJwt(const World& world, const DecodedJwt& token, absl::Time wall);

// Roles that bindings may name.
bool IsRole(std::string_view role);
// Whether `caller` may do `permission` (e.g. "cloudkms.cryptoKeys.get") on what `name` names: by bindings of the key or of the project,
// unless a denial forbids it. What is not there is subject to the project's bindings.
bool MayDo(const World& world, const Caller& caller, std::string_view permission, const ResourceName& name);
// Whether `caller` may get tokens for `account`.
bool MayActAs(const Caller& caller, const ServiceAccount& account);

}  // namespace latchkey::emulator::gcp
