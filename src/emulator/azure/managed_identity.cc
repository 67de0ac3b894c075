#include "emulator/azure/managed_identity.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/digest.h"
#include "emulator/arn.h"
#include "emulator/azure/access_token.h"
#include "emulator/azure/entra.h"

namespace latchkey::emulator::azure {
namespace {

constexpr std::string_view kMachinePath = "/metadata/identity/oauth2/token";
constexpr std::string_view kAppServicePath = "/msi/token";
constexpr absl::Duration kTokenLifetime = absl::Seconds(86'399);

HttpResponse Refuse(CloudCall& call, int status, const char* error, const std::string& text) {
  call.record.result = error;
  const json::object body{{"error", error}, {"error_description", text}};
  return HttpResponse::Json(status, json::serialize(body));
}

// Libraries write the path with a slash behind it, too.
std::string_view PathOf(const HttpRequest& request) {
  std::string_view path = request.path;
  if (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return path;
}

// The one that is named, or the machine's own.
const ManagedIdentity* Wanted(const World& world, const std::string& client_id) {
  if (!client_id.empty()) {
    const auto found = world.identities.find(LowerCase(client_id));
    return found == world.identities.end() ? nullptr : &found->second;
  }
  const auto own = std::find_if(world.identities.begin(), world.identities.end(), [](const auto& i) { return i.second.system_assigned; });
  if (own != world.identities.end()) return &own->second;
  return world.identities.size() == 1 ? &world.identities.begin()->second : nullptr;
}

}  // namespace

std::string IdentityOperation(const HttpRequest& request) {
  return request.method == "GET" && (PathOf(request) == kMachinePath || PathOf(request) == kAppServicePath) ? "managed-identity-token" : "";
}

HttpResponse AnswerIdentity(World& world, CloudCall& call) {
  const bool machine = PathOf(call.request) == kMachinePath;
  if (machine) {
    // The two headers keep a server that can be made to fetch addresses from fetching this one.
    if (LowerCase(call.request.Header("metadata")) != "true") {
      return Refuse(call, 400, "invalid_request", "Required metadata header not specified");
    }
    if (!call.request.Header("x-forwarded-for").empty())
      return Refuse(call, 400, "invalid_request", "Requests through a proxy are not served");
  } else if (!EqualInConstantTime(world.identity_header.Reveal(SecretAccess{}), AsBytes(call.request.Header("x-identity-header")))) {
    return Refuse(call, 401, "unauthorized", "X-IDENTITY-HEADER is missing or wrong");
  }
  if (call.request.Query("api-version").empty())
    return Refuse(call, 400, "invalid_request", "Required query variable 'api-version' is missing");
  const std::string resource = call.request.Query("resource");
  if (resource.empty()) return Refuse(call, 400, "invalid_request", "Required query variable 'resource' is missing");
  const std::string audience = AudienceOf(!resource.empty() && resource.back() == '/' ? resource.substr(0, resource.size() - 1) : resource);
  if (audience.empty()) {
    return Refuse(call, 400, "invalid_resource", "AADSTS500011: The resource principal named " + Quotable(resource) + " was not found");
  }
  const ManagedIdentity* identity = Wanted(world, call.request.Query("client_id"));
  const ServicePrincipal* principal = identity == nullptr ? nullptr : world.Principal(identity->tenant, identity->client_id);
  if (principal == nullptr) return Refuse(call, 400, "invalid_request", "Identity not found");
  call.record.principal = identity->client_id + "@" + identity->tenant;
  const std::string token = IssueAccessToken(world.token_key,
                                             {.audience = audience,
                                              .tenant = identity->tenant,
                                              .client_id = identity->client_id,
                                              .object_id = principal->object_id,
                                              .expires = call.now + kTokenLifetime},
                                             call.now, call.random);
  // Numbers are strings here. The client compares them with the machine's clock, not with ours.
  json::object body{{"access_token", token},
                    {"client_id", identity->client_id},
                    {"expires_on", std::to_string(absl::ToUnixSeconds(call.wall + kTokenLifetime))},
                    {"resource", resource},
                    {"token_type", "Bearer"}};
  if (machine) {
    body["expires_in"] = body["ext_expires_in"] = std::to_string(absl::ToInt64Seconds(kTokenLifetime));
    body["not_before"] = std::to_string(absl::ToUnixSeconds(call.wall));
  }
  return HttpResponse::Json(200, json::serialize(body));
}

}  // namespace latchkey::emulator::azure
