#include "emulator/authenticate.h"

#include "emulator/arn.h"
#include "emulator/session.h"

namespace latchkey::emulator {
namespace {

AwsError UnknownIdentity(const SignedService& service) {
  constexpr const char* kText = "The security token included in the request is invalid.";
  if (service.json) return {"UnrecognizedClientException", kText, 400};
  return {"InvalidClientTokenId", kText, 403};
}

AwsError Expired(const SignedService& service) {
  constexpr const char* kText = "The security token included in the request is expired";
  if (service.json) return {"ExpiredTokenException", kText, 400};
  return {"ExpiredToken", kText, 403};
}

}  // namespace

Outcome<Authenticated> Authenticate(const World& world, const HttpRequest& request, const SignedService& service, absl::Time wall,
                                    absl::Time now) {
  AWS_ASSIGN(const SignatureClaim claim, ReadClaim(request, service, wall));
  if (claim.session_token.empty()) {
    const auto found = world.users.find(claim.access_key_id);
    if (found == world.users.end()) return UnknownIdentity(service);
    const User& user = found->second;
    AWS_TRY(VerifySignature(request, claim, user.secret_access_key, service));
    const std::string arn = UserArn(user.account, user.name);
    return Authenticated{{.arn = arn, .principal = arn, .account = user.account, .user_id = user.user_id}, claim.region};
  }
  const std::optional<Session> session = OpenSession(claim.session_token, world.session_key);
  if (!session || session->access_key_id != claim.access_key_id) return UnknownIdentity(service);
  const auto role = world.roles.find(session->role_arn);
  if (role == world.roles.end() || role->second.role_id != session->role_id) return UnknownIdentity(service);
  AWS_TRY(VerifySignature(request, claim, session->secret_access_key, service));
  if (session->expires <= now) return Expired(service);
  return Authenticated{{.arn = SessionArn(role->second.account, role->second.name, session->name),
                        .principal = role->second.arn,
                        .account = role->second.account,
                        .user_id = session->role_id + ":" + session->name,
                        .is_session = true},
                       claim.region};
}

}  // namespace latchkey::emulator
