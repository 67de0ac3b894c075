#include "emulator/gcp/identity_api.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/digest.h"
#include "crypto/jwt.h"
#include "emulator/arn.h"
#include "emulator/gcp/access.h"
#include "emulator/gcp/errors.h"
#include "emulator/gcp/wire.h"

namespace latchkey::emulator::gcp {
namespace {

constexpr absl::Duration kTokenLifetime = absl::Hours(1);
constexpr std::string_view kAccessTokenType = "urn:ietf:params:oauth:token-type:access_token";

using Form = std::vector<std::pair<std::string, std::string>>;

std::string FormText(const Form& form, std::string_view name) {
  const auto found = std::find_if(form.begin(), form.end(), [&](const auto& item) { return item.first == name; });
  return found == form.end() ? std::string() : found->second;
}

HttpResponse Refused(CloudCall& call, int status, std::string_view error, std::string_view description) {
  call.record.result = std::string(error);
  return OauthError(status, error, description);
}

std::string Claim(const json::object& claims, std::string_view name) {
  const json::value* value = claims.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::string NewToken(const World& world, CloudCall& call, std::string member, std::vector<std::string> scopes, absl::Duration lifetime) {
  return SealAccessToken({.member = std::move(member), .scopes = std::move(scopes), .expires = call.now + lifetime}, world.token_key,
                         call.random);
}

json::object TokenAnswer(std::string token, absl::Duration lifetime) {
  // The services' own answers say one second less than they mean.
  return {{"access_token", std::move(token)}, {"expires_in", absl::ToInt64Seconds(lifetime) - 1}, {"token_type", "Bearer"}};
}

// The identity that a subject token proves to a provider; otherwise the refusal.
struct Proven {
  std::string subject;
  std::string error, description;  // error empty: proven
};

bool IsAudienceOf(const Provider& provider, const std::string& audience) {
  if (!provider.audiences.empty()) return provider.audiences.contains(audience);
  return audience == provider.Audience() || audience == "https:" + provider.Audience();
}

Proven Decide(const Provider& provider, const std::string& issuer, const std::string& subject, const std::vector<std::string>& audiences) {
  if (issuer != provider.issuer) {
    return {
        .subject = {},
        .error = "invalid_grant",
        .description = absl::StrCat("The issuer in ID Token ", Quotable(issuer), " does not match the expected ones: ", provider.issuer)};
  }
  if (std::none_of(audiences.begin(), audiences.end(), [&](const std::string& a) { return IsAudienceOf(provider, a); })) {
    return {.subject = {}, .error = "invalid_grant", .description = "The audience in ID Token does not match the expected audience."};
  }
  if (subject.empty() || subject.size() > 127 || Quotable(subject) != subject) {
    return {.subject = {}, .error = "invalid_grant", .description = "The mapped attribute 'google.subject' is missing or malformed."};
  }
  if (!provider.subjects.empty() && !provider.subjects.contains(subject)) {
    return {.subject = {}, .error = "unauthorized_client", .description = "The given credential is rejected by the attribute condition."};
  }
  return {.subject = subject, .error = {}, .description = {}};
}

Proven Prove(const World& world, const Provider& provider, const std::string& token, absl::Time wall) {
  const auto registered = world.subject_tokens.find(HexEncode(Sha256(token)));
  if (registered != world.subject_tokens.end()) {
    const SubjectToken& known = registered->second;
    return Decide(provider, known.issuer, known.subject, {known.audience});
  }
  const auto invalid = [](std::string_view why) {
    return Proven{.subject = {}, .error = "invalid_grant", .description = std::string(why)};
  };
  const absl::StatusOr<DecodedJwt> jwt = DecodeJwt(token);
  if (!jwt.ok()) return invalid("Invalid JWT: it is malformed.");
  if (provider.public_key != nullptr) {
    if (Claim(jwt->header, "alg") != "RS256" || !VerifyJwt(*jwt, *provider.public_key)) {
      return invalid("Error connecting to the given credential's issuer, or the signature of the token is invalid.");
    }
  } else if (Claim(jwt->header, "alg") != "none" || !jwt->signature.empty()) {
    return invalid("The provider has no key: its tokens must be unsigned.");
  }
  for (const auto& [name, in_past] : {std::pair<const char*, bool>{"exp", false}, {"iat", true}}) {
    const json::value* value = jwt->claims.if_contains(name);
    const int64_t seconds = value != nullptr && value->is_int64() ? value->get_int64() : -1;
    if (seconds < 0) return invalid(absl::StrCat("Invalid JWT: the claim ", name, " is missing."));
    const absl::Time at = absl::FromUnixSeconds(seconds);
    if (in_past ? at > wall + absl::Minutes(5) : at <= wall) {
      return invalid("ID Token issued at a time that lies ahead, or stale to sign-in.");
    }
  }
  std::vector<std::string> audiences{Claim(jwt->claims, "aud")};
  if (const json::value* list = jwt->claims.if_contains("aud"); list != nullptr && list->is_array()) {
    for (const json::value& item : list->get_array()) {
      if (item.is_string()) audiences.emplace_back(item.get_string());
    }
  }
  return Decide(provider, Claim(jwt->claims, "iss"), Claim(jwt->claims, "sub"), audiences);
}

absl::StatusOr<std::vector<std::string>> TextList(const json::object& body, std::string_view name, size_t most) {
  std::vector<std::string> out;
  const json::value* list = body.if_contains(name);
  if (list == nullptr || list->is_null()) return out;
  if (!list->is_array() || list->get_array().size() > most) return InvalidArgument("Invalid value at '", ToAbsl(name), "'.");
  for (const json::value& item : list->get_array()) {
    if (!item.is_string() || item.get_string().empty() || item.get_string().size() > 256) {
      return InvalidArgument("Invalid value at '", ToAbsl(name), "'.");
    }
    out.emplace_back(item.get_string());
  }
  return out;
}

absl::Status NoSuchAccount(const std::string& reference) {
  return NotFound("Not found; Gaia id not found for email ", Quotable(reference));
}

}  // namespace

HttpResponse OauthToken(const World& world, CloudCall& call) {
  const std::optional<Form> form = ParseForm(call.request.body);
  if (!form) return Refused(call, 400, "invalid_request", "The body is not a form.");
  const std::string grant = FormText(*form, "grant_type");
  if (grant != "urn:ietf:params:oauth:grant-type:jwt-bearer") {
    return Refused(call, 400, "unsupported_grant_type", absl::StrCat("Invalid grant_type: ", Quotable(grant, 64)));
  }
  const absl::StatusOr<DecodedJwt> jwt = DecodeJwt(FormText(*form, "assertion"));
  if (!jwt.ok()) return Refused(call, 400, "invalid_grant", "Bad Request");
  const absl::StatusOr<const ServiceAccount*> account = CheckAccountJwt(world, *jwt, call.wall);
  if (!account.ok()) return Refused(call, 400, "invalid_grant", FromAbsl(account.status().message()));
  call.record.principal = (*account)->email;
  const std::string audience = Claim(jwt->claims, "aud");
  if (audience != "https://oauth2.googleapis.com/token" && audience != "https://www.googleapis.com/oauth2/v4/token" &&
      audience != "https://accounts.google.com/o/oauth2/token" && audience != call.base_url + "/token") {
    return Refused(call, 400, "invalid_grant", "Invalid JWT: Failed audience check.");
  }
  const std::string subject = Claim(jwt->claims, "sub");
  if (!subject.empty() && subject != (*account)->email) {
    return Refused(call, 401, "unauthorized_client",
                   "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes "
                   "requested.");
  }
  std::vector<std::string> scopes = SplitScopes(Claim(jwt->claims, "scope"));
  if (scopes.empty()) return Refused(call, 400, "invalid_scope", "Invalid OAuth scope or ID token audience provided.");
  return HttpResponse::Json(
      200, json::serialize(TokenAnswer(NewToken(world, call, (*account)->member(), std::move(scopes), kTokenLifetime), kTokenLifetime)));
}

HttpResponse ExchangeToken(const World& world, CloudCall& call) {
  const std::optional<Form> form = ParseForm(call.request.body);
  if (!form) return Refused(call, 400, "invalid_request", "The body is not a form.");
  if (FormText(*form, "grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange") {
    return Refused(call, 400, "unsupported_grant_type", "Invalid value of grant_type in request.");
  }
  if (FormText(*form, "requested_token_type") != kAccessTokenType) {
    return Refused(call, 400, "invalid_request", "Invalid value of requested_token_type in request.");
  }
  const std::string type = FormText(*form, "subject_token_type");
  if (type != "urn:ietf:params:oauth:token-type:jwt" && type != "urn:ietf:params:oauth:token-type:id_token") {
    return Refused(call, 400, "invalid_request", "Invalid value of subject_token_type in request.");
  }
  std::vector<std::string> scopes = SplitScopes(FormText(*form, "scope"));
  if (scopes.empty()) return Refused(call, 400, "invalid_request", "Scope(s) must be provided.");
  const std::string audience = FormText(*form, "audience");
  constexpr std::string_view kAudienceStart = "//iam.googleapis.com/projects/";
  if (audience.compare(0, kAudienceStart.size(), kAudienceStart) != 0) {
    return Refused(call, 400, "invalid_request", "Invalid value for \"audience\".");
  }
  const auto provider = world.providers.find(audience);
  if (provider == world.providers.end()) {
    return Refused(call, 400, "invalid_target",
                   "The target service indicated by the \"audience\" parameters is invalid. This might either be because the pool or "
                   "provider is disabled or deleted or because it doesn't exist.");
  }
  const Proven proven = Prove(world, provider->second, FormText(*form, "subject_token"), call.wall);
  if (!proven.error.empty()) return Refused(call, proven.error == "unauthorized_client" ? 401 : 400, proven.error, proven.description);
  const std::string principal = provider->second.Principal(proven.subject);
  call.record.principal = principal;
  json::object answer = TokenAnswer(NewToken(world, call, principal, std::move(scopes), kTokenLifetime), kTokenLifetime);
  answer["issued_token_type"] = kAccessTokenType;
  return HttpResponse::Json(200, json::serialize(answer));
}

absl::StatusOr<json::object> GenerateAccessToken(const World& world, CloudCall& call, const std::string& resource) {
  ASSIGN_OR_RETURN(Caller caller, Authenticate(world, call, "iamcredentials"));
  const std::string reference = resource.substr(resource.find('/') + 1);
  call.record.key = Quotable(reference);
  if (resource.compare(0, 2, "-/") != 0)
    return InvalidArgument("Invalid form of account ID. The project of the name must be the wildcard \"-\".");
  ASSIGN_OR_RETURN(const json::object body, ReadBody(call.request.body));
  ASSIGN_OR_RETURN(std::vector<std::string> scopes, TextList(body, "scope", 16));
  ASSIGN_OR_RETURN(const std::vector<std::string> delegates, TextList(body, "delegates", 4));
  ASSIGN_OR_RETURN(const std::string lifetime_text, TextField(body, "lifetime", 32));
  if (scopes.empty()) return InvalidArgument("The scope field is required.");
  const std::optional<absl::Duration> lifetime = lifetime_text.empty() ? kTokenLifetime : ReadWireDuration(lifetime_text);
  if (!lifetime || *lifetime <= absl::ZeroDuration() || *lifetime > kTokenLifetime) {
    return InvalidArgument("The lifetime must be more than 0 and at most 3600 seconds.");
  }
  // Everybody in the chain acts as the next.
  std::vector<std::string> chain;
  constexpr std::string_view kPrefix = "projects/-/serviceAccounts/";
  for (const std::string& delegate : delegates) {
    if (delegate.compare(0, kPrefix.size(), kPrefix) != 0) return InvalidArgument("Invalid value at 'delegates'.");
    chain.push_back(delegate.substr(kPrefix.size()));
  }
  chain.push_back(reference);
  const ServiceAccount* account = nullptr;
  Caller acting = caller;
  for (const std::string& next : chain) {
    account = world.Account(next);
    if (account == nullptr) return NoSuchAccount(next);
    if (!MayActAs(acting, *account)) return Denied("iam.serviceAccounts.getAccessToken", next);
    acting.member = account->member();
  }
  call.record.key = account->email;
  return json::object{{"accessToken", NewToken(world, call, account->member(), std::move(scopes), *lifetime)},
                      {"expireTime", absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ", call.now + *lifetime, absl::UTCTimeZone())}};
}

HttpResponse Metadata(const World& world, CloudCall& call, const std::string& path) {
  const auto text = [&](int status, std::string body) {
    if (status != 200) call.record.result = "refused";
    HttpResponse response = HttpResponse::Text(status, std::move(body));
    response.headers["content-type"] = "application/text";
    response.headers["metadata-flavor"] = "Google";
    response.headers["server"] = "Metadata Server for VM";
    return response;
  };
  // Whoever can make a program of the machine fetch an address cannot, as a rule, also choose its headers.
  if (path.empty() && call.request.path == "/") return text(200, "computeMetadata/\n");
  if (call.request.Header("metadata-flavor") != "Google" || !call.request.Header("x-forwarded-for").empty()) {
    return text(403, "Missing required header: Metadata-Flavor: Google\n");
  }
  const auto account = world.accounts.find(world.machine.account);
  const bool there = account != world.accounts.end();
  if (there) call.record.principal = account->second.email;
  if (path == "universe/universe-domain" || path == "universe/universe_domain") return text(200, "googleapis.com");
  if (path.empty() || path == "instance" || path == "instance/") return text(200, "service-accounts/\n");
  if (!there) return text(404, "The machine has no service account.\n");
  const ServiceAccount& own = account->second;
  if (path == "project/project-id") return text(200, own.project);
  if (path == "project/numeric-project-id") return text(200, world.projects.at(own.project).number);
  if (path == "instance/service-accounts" || path == "instance/service-accounts/") {
    return text(200, absl::StrCat("default/\n", own.email, "/\n"));
  }
  constexpr std::string_view kAccounts = "instance/service-accounts/";
  if (path.compare(0, kAccounts.size(), kAccounts) != 0) return text(404, "Not found.\n");
  const std::string rest = path.substr(kAccounts.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::string name = rest.substr(0, slash);
  const std::string what = rest.substr(std::min(slash + 1, rest.size()));
  if (name != "default" && name != own.email) return text(404, "There is no such service account here.\n");
  const std::string scope_lines = [&] {
    std::string out;
    for (const std::string& scope : world.machine.scopes) out += scope + "\n";
    return out;
  }();
  if (what == "email") return text(200, own.email);
  if (what == "scopes") return text(200, scope_lines);
  if (what == "token") {
    std::vector<std::string> scopes = SplitScopes(call.request.Query("scopes"));
    if (scopes.empty()) scopes = world.machine.scopes;
    HttpResponse response =
        text(200, json::serialize(TokenAnswer(NewToken(world, call, own.member(), std::move(scopes), kTokenLifetime), kTokenLifetime)));
    response.headers["content-type"] = "application/json";
    return response;
  }
  if (what.empty()) {
    if (call.request.Query("recursive") != "true") return text(200, "aliases\nemail\nscopes\ntoken\n");
    HttpResponse response =
        text(200, json::serialize(json::object{{"aliases", json::array{"default"}},
                                               {"email", own.email},
                                               {"scopes", json::array(world.machine.scopes.begin(), world.machine.scopes.end())}}));
    response.headers["content-type"] = "application/json";
    return response;
  }
  return text(404, "Not found.\n");
}

}  // namespace latchkey::emulator::gcp
