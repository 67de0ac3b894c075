#include "emulator/azure/entra.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/digest.h"
#include "emulator/arn.h"
#include "emulator/azure/access_token.h"
#include "emulator/azure/assertion.h"

namespace latchkey::emulator::azure {
namespace {

constexpr std::string_view kTokenPath = "/oauth2/v2.0/token";
constexpr std::string_view kConfigurationPath = "/v2.0/.well-known/openid-configuration";
constexpr std::string_view kKeysPath = "/discovery/v2.0/keys";
constexpr std::string_view kDiscoveryPath = "/common/discovery/instance";
constexpr std::string_view kAuthority = "https://login.microsoftonline.com";
constexpr std::string_view kJwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
constexpr absl::Duration kTokenLifetime = absl::Seconds(3599);

using Form = std::vector<std::pair<std::string, std::string>>;

std::string Field(const Form& form, std::string_view name) {
  const auto found = std::find_if(form.begin(), form.end(), [&](const auto& item) { return item.first == name; });
  return found == form.end() ? "" : found->second;
}

// The tenant of "/<tenant><rest>"; nullopt when the path is another one.
std::optional<std::string> TenantBefore(std::string_view path, std::string_view rest) {
  if (path.size() <= rest.size() + 1 || path.substr(path.size() - rest.size()) != rest) return std::nullopt;
  const std::string_view segment = path.substr(1, path.size() - rest.size() - 1);
  if (segment.find('/') != std::string_view::npos) return std::nullopt;
  return PercentDecode(segment);
}

HttpResponse NotCached(HttpResponse response) {
  response.headers["cache-control"] = "no-store";
  return response;
}

HttpResponse Refused(CloudCall& call, const Refusal& refusal) {
  call.record.result = absl::StrCat("AADSTS", refusal.code);
  return EntraError(refusal.status, refusal.error, refusal.code, refusal.text, call.now, NewUuid(call.random));
}

Refusal NoSuchTenant(std::string_view name) {
  const std::string lower = LowerCase(name);
  if (!IsUuid(lower) && lower.find('.') == std::string::npos) {
    return {
        900023,
        absl::StrCat("Specified tenant identifier '", Quotable(name, 64), "' is neither a valid DNS name, nor a valid external domain."),
        "invalid_request", 400};
  }
  return {90002,
          absl::StrCat("Tenant '", Quotable(name, 64),
                       "' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."),
          "invalid_request", 400};
}

// Everything about the form that does not depend on who asks.
std::optional<Refusal> CheckForm(const std::optional<Form>& form, std::string_view content_type) {
  if (!form || content_type.substr(0, 33) != "application/x-www-form-urlencoded") {
    return Refusal{900144, "The request body must contain the following parameter: 'grant_type'.", "invalid_request", 400};
  }
  for (const char* name : {"grant_type", "client_id", "scope"}) {
    const auto times = std::count_if(form->begin(), form->end(), [&](const auto& item) { return item.first == name; });
    if (times > 1) return Refusal{9000411, absl::StrCat("The parameter '", name, "' is duplicated."), "invalid_request", 400};
    if (times == 0 || Field(*form, name).empty()) {
      return Refusal{900144, absl::StrCat("The request body must contain the following parameter: '", name, "'."), "invalid_request", 400};
    }
  }
  if (Field(*form, "grant_type") != "client_credentials") {
    return Refusal{70003, "The app requested an unsupported grant type.", "unsupported_grant_type", 400};
  }
  return std::nullopt;
}

std::optional<Refusal> CheckSecret(const Application& application, std::string_view presented, absl::Time now) {
  for (const ClientSecret& secret : application.secrets) {
    if (!EqualInConstantTime(secret.value.Reveal(SecretAccess{}), AsBytes(presented))) continue;
    if (!secret.expires || *secret.expires > now) return std::nullopt;
    return Refusal{7000222, absl::StrCat("The provided client secret keys for app '", application.client_id, "' are expired.")};
  }
  return Refusal{7000215,
                 absl::StrCat("Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
                              "not the client secret ID, for a secret added to app '",
                              application.client_id, "'.")};
}

std::optional<Refusal> CheckCredential(const Application& application, const Form& form, std::string_view tenant, const CloudCall& call) {
  const std::string assertion = Field(form, "client_assertion");
  if (!assertion.empty()) {
    if (Field(form, "client_assertion_type") != kJwtBearer) {
      return Refusal{900144, "The request body must contain the following parameter: 'client_assertion_type'.", "invalid_request", 400};
    }
    std::vector<std::string> audiences;
    for (const std::string_view base : {std::string_view(call.base_url), kAuthority}) {
      for (const std::string_view end : {kTokenPath, std::string_view("/v2.0"), std::string_view("/oauth2/token")}) {
        audiences.push_back(absl::StrCat(ToAbsl(base), "/", ToAbsl(tenant), ToAbsl(end)));
      }
    }
    return CheckClientAssertion(application, assertion, audiences, call.wall);
  }
  const std::string secret = Field(form, "client_secret");
  if (!secret.empty()) return CheckSecret(application, secret, call.now);
  return Refusal{7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."};
}

HttpResponse Token(World& world, CloudCall& call, const std::string& tenant_name) {
  const std::optional<Form> form = ParseForm(call.request.body);
  if (const auto refusal = CheckForm(form, call.request.Header("content-type"))) return Refused(call, *refusal);
  const std::string tenant = world.TenantOf(tenant_name);
  if (tenant.empty()) return Refused(call, NoSuchTenant(tenant_name));
  const std::string client_id = LowerCase(Field(*form, "client_id"));
  const auto application = world.applications.find(client_id);
  const ServicePrincipal* principal = world.Principal(tenant, client_id);
  if (application == world.applications.end() || principal == nullptr || !principal->consented) {
    return Refused(call,
                   {700016,
                    absl::StrCat("Application with identifier '", Quotable(client_id, 64), "' was not found in the directory '", tenant,
                                 "'. This can happen if the application has not been installed by the administrator of the tenant or "
                                 "consented to by any user in the tenant. You may have sent your authentication request to the wrong "
                                 "tenant."),
                    "unauthorized_client", 400});
  }
  call.record.principal = client_id + "@" + tenant;
  if (const auto refusal = CheckCredential(application->second, *form, tenant_name, call)) return Refused(call, *refusal);
  const std::string scope = Field(*form, "scope");
  constexpr std::string_view kDefault = "/.default";
  if (scope.size() <= kDefault.size() || scope.substr(scope.size() - kDefault.size()) != kDefault) {
    return Refused(call, {1002012,
                          absl::StrCat("The provided value for scope ", Quotable(scope),
                                       " is not valid. Client credential flows must have a scope value with /.default suffixed to the "
                                       "resource identifier (application ID URI)."),
                          "invalid_scope", 400});
  }
  const std::string resource = scope.substr(0, scope.size() - kDefault.size());
  const std::string audience = AudienceOf(resource);
  if (audience.empty()) {
    return Refused(
        call,
        {500011, absl::StrCat("The resource principal named ", Quotable(resource), " was not found in the tenant named ", tenant, "."),
         "invalid_resource", 400});
  }
  const std::string token = IssueAccessToken(world.token_key,
                                             {.audience = audience,
                                              .tenant = tenant,
                                              .client_id = client_id,
                                              .object_id = principal->object_id,
                                              .expires = call.now + kTokenLifetime},
                                             call.now, call.random);
  const int64_t seconds = absl::ToInt64Seconds(kTokenLifetime);
  const json::object body{{"token_type", "Bearer"}, {"expires_in", seconds}, {"ext_expires_in", seconds}, {"access_token", token}};
  return NotCached(HttpResponse::Json(200, json::serialize(body)));
}

HttpResponse Configuration(World& world, CloudCall& call, const std::string& tenant_name) {
  const std::string tenant = world.TenantOf(tenant_name);
  if (tenant.empty()) {
    Refusal refusal = NoSuchTenant(tenant_name);
    refusal.error = "invalid_tenant";
    return Refused(call, refusal);
  }
  const std::string base = call.base_url + "/" + tenant;
  json::object body{{"token_endpoint", base + std::string(kTokenPath)},
                    {"jwks_uri", base + std::string(kKeysPath)},
                    {"issuer", base + "/v2.0"},
                    {"authorization_endpoint", base + "/oauth2/v2.0/authorize"},
                    {"end_session_endpoint", base + "/oauth2/v2.0/logout"},
                    {"cloud_instance_name", "microsoftonline.com"},
                    {"tenant_region_scope", "EU"}};
  body["token_endpoint_auth_methods_supported"] = json::array{"client_secret_post", "private_key_jwt"};
  body["response_types_supported"] = json::array{"token"};
  body["subject_types_supported"] = json::array{"pairwise"};
  return HttpResponse::Json(200, json::serialize(body));
}

// Which authority the caller trusts is its own affair; we answer for the one that it reached.
HttpResponse InstanceDiscovery(const World& world, CloudCall& call) {
  const std::string wanted = call.request.Query("authorization_endpoint");
  const size_t end = wanted.rfind("/oauth2/v2.0/authorize");
  const size_t start = end == std::string::npos || end == 0 ? end : wanted.rfind('/', end - 1);
  const std::string name = start == std::string::npos || end == 0 ? "" : wanted.substr(start + 1, end - start - 1);
  const std::string tenant = name == "common" || name == "organizations" ? name : world.TenantOf(name);
  if (tenant.empty()) {
    return Refused(call, {50049, "Unknown or invalid instance.", "invalid_instance", 400});
  }
  const size_t host_at = call.base_url.find("://");
  const std::string host = host_at == std::string::npos ? call.base_url : call.base_url.substr(host_at + 3);
  json::object one{{"preferred_network", host}, {"preferred_cache", host}};
  one["aliases"] = json::array{host};
  json::array metadata;
  metadata.push_back(std::move(one));
  json::object body{{"tenant_discovery_endpoint", call.base_url + "/" + tenant + std::string(kConfigurationPath)}, {"api-version", "1.1"}};
  body["metadata"] = std::move(metadata);
  return HttpResponse::Json(200, json::serialize(body));
}

}  // namespace

std::string EntraOperation(const HttpRequest& request) {
  if (request.method == "POST") return TenantBefore(request.path, kTokenPath) ? "token" : "";
  if (request.method != "GET") return "";
  if (request.path == kDiscoveryPath) return "instance-discovery";
  if (TenantBefore(request.path, kConfigurationPath)) return "openid-configuration";
  return TenantBefore(request.path, kKeysPath) ? "jwks" : "";
}

std::string AudienceOf(std::string_view resource) {
  if (resource == "https://vault.azure.net" || resource == "https://managedhsm.azure.net") return std::string(resource);
  // The application id of Key Vault itself.
  if (resource == "cfa8b339-82a2-471a-a3c9-0fc0be7a4093") return "https://vault.azure.net";
  return "";
}

HttpResponse EntraError(int status, std::string_view error, int64_t code, std::string_view text, absl::Time now, std::string_view trace) {
  const std::string stamp = absl::FormatTime("%Y-%m-%d %H:%M:%SZ", now, absl::UTCTimeZone());
  json::object body{{"error", error},
                    {"error_description", absl::StrCat("AADSTS", code, ": ", ToAbsl(text), " Trace ID: ", ToAbsl(trace),
                                                       " Correlation ID: ", ToAbsl(trace), " Timestamp: ", stamp)}};
  json::array codes;
  codes.push_back(code);
  body["error_codes"] = std::move(codes);
  body["timestamp"] = stamp;
  body["trace_id"] = trace;
  body["correlation_id"] = trace;
  body["error_uri"] = absl::StrCat("https://login.microsoftonline.com/error?code=", code);
  return NotCached(HttpResponse::Json(status, json::serialize(body)));
}

HttpResponse AnswerEntra(World& world, CloudCall& call) {
  const std::string& operation = call.name.operation;
  const std::string& path = call.request.path;
  if (operation == "token") return Token(world, call, TenantBefore(path, kTokenPath).value_or(""));
  if (operation == "openid-configuration") return Configuration(world, call, TenantBefore(path, kConfigurationPath).value_or(""));
  if (operation == "instance-discovery") return InstanceDiscovery(world, call);
  json::object body;
  body["keys"] = json::array();
  return HttpResponse::Json(200, json::serialize(body));
}

}  // namespace latchkey::emulator::azure
