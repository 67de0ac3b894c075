#include "emulator/sts_api.h"

#include <algorithm>
#include <cctype>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/digest.h"
#include "emulator/arn.h"
#include "emulator/session.h"

namespace latchkey::emulator {
namespace {

constexpr int64_t kShortestSession = 900;
constexpr int64_t kLongestSession = 43'200;
constexpr int64_t kLongestChained = 3'600;

AwsError Invalid(std::string message) { return {"ValidationError", std::move(message), 400}; }

// The service's complaint about a parameter that breaks its rules of length or form.
AwsError Constraint(const std::string& value, const char* name, std::string_view rule) {
  return Invalid(absl::StrCat("1 validation error detected: Value '", value, "' at '", name, "' failed to satisfy constraint: Member must ",
                              ToAbsl(rule)));
}

// [\w+=,.@-]* and, for external ids, : and / too.
bool Fits(std::string_view text, std::string_view more) {
  return std::all_of(text.begin(), text.end(), [&](unsigned char c) {
    return (c < 128 && std::isalnum(c)) || c == '_' || std::string_view("+=,.@-").find(static_cast<char>(c)) != std::string_view::npos ||
           more.find(static_cast<char>(c)) != std::string_view::npos;
  });
}

Outcome<std::string> ReadText(const Form& form, const char* name, const char* shown, size_t least, size_t most, std::string_view more,
                              std::string_view pattern) {
  std::string value = FormValue(form, name);
  if (value.empty()) {
    return Invalid(
        absl::StrCat("1 validation error detected: Value null at '", shown, "' failed to satisfy constraint: Member must not be null"));
  }
  if (value.size() < least) return Constraint(value, shown, absl::StrCat("have length greater than or equal to ", least));
  if (value.size() > most) return Constraint(value.substr(0, 2048), shown, absl::StrCat("have length less than or equal to ", most));
  if (!Fits(value, more)) return Constraint(value, shown, absl::StrCat("satisfy regular expression pattern: ", ToAbsl(pattern)));
  return value;
}

Outcome<std::string> ReadSessionName(const Form& form) {
  return ReadText(form, "RoleSessionName", "roleSessionName", 2, 64, "", "[\\w+=,.@-]*");
}

Outcome<std::string> ReadRoleArn(const Form& form) {
  const std::string value = FormValue(form, "RoleArn");
  if (value.empty()) {
    return Invalid("1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null");
  }
  const std::optional<Arn> arn = ParseArn(value);
  if (!arn || arn->service != "iam" || !IsAccountId(arn->account) || arn->resource.compare(0, 5, "role/") != 0) {
    return Invalid(absl::StrCat(value.substr(0, 2048), " is invalid"));
  }
  return value;
}

Outcome<int64_t> ReadDuration(const Form& form) {
  const std::string value = FormValue(form, "DurationSeconds");
  if (value.empty()) return kLongestChained;
  if (value.size() > 9 || value.find_first_not_of("0123456789") != std::string::npos)
    return Constraint(value.substr(0, 64), "durationSeconds", "be a number");
  const int64_t seconds = std::stoll(value);
  if (seconds < kShortestSession)
    return Constraint(value, "durationSeconds", absl::StrCat("have value greater than or equal to ", kShortestSession));
  if (seconds > kLongestSession)
    return Constraint(value, "durationSeconds", absl::StrCat("have value less than or equal to ", kLongestSession));
  return seconds;
}

// Parameters that would change what the session may do; ignoring them would be a lie.
Outcome<Done> RefuseUnsupported(const Form& form) {
  for (const auto& [name, value] : form) {
    for (const char* refused :
         {"Policy", "PolicyArns.", "Tags.", "TransitiveTagKeys.", "SerialNumber", "TokenCode", "SourceIdentity", "ProvidedContexts."}) {
      if (name.compare(0, std::string_view(refused).size(), refused) == 0)
        return Invalid(absl::StrCat("The emulator does not support ", name.substr(0, 64)));
    }
  }
  return Done{};
}

AwsError MayNotAssume(const Caller& caller, const std::string& role) {
  return {"AccessDenied", absl::StrCat("User: ", caller.arn, " is not authorized to perform: sts:AssumeRole on resource: ", role), 403};
}

std::string CredentialsXml(StsCallState& call, const Role& role, const std::string& name, int64_t seconds) {
  Session session{.access_key_id = NewIdentifier("ASIA", call.random),
                  .secret_access_key = NewSecretAccessKey(call.random),
                  .role_arn = role.arn,
                  .role_id = role.role_id,
                  .name = name,
                  .expires = call.now + absl::Seconds(seconds)};
  const std::string token = SealSession(session, call.world.session_key, call.random);
  return absl::StrCat("<AssumedRoleUser><AssumedRoleId>", role.role_id, ":", XmlEscape(name), "</AssumedRoleId><Arn>",
                      XmlEscape(SessionArn(role.account, role.name, name)), "</Arn></AssumedRoleUser><Credentials><AccessKeyId>",
                      session.access_key_id, "</AccessKeyId><SecretAccessKey>",
                      ToAbsl(session.secret_access_key.RevealText(SecretAccess{})), "</SecretAccessKey><SessionToken>", token,
                      "</SessionToken><Expiration>", absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", session.expires, absl::UTCTimeZone()),
                      "</Expiration></Credentials>");
}

struct TokenClaims {
  WebIdentity identity;
  std::string provider;
};

// An unsigned JWT (RFC 7519 section 6) with sub, aud and, if it has one, a time until which it holds.
Outcome<TokenClaims> ReadJwt(std::string_view token, absl::Time now) {
  const AwsError bad{"InvalidIdentityToken",
                     "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)", 400};
  const size_t first = token.find('.');
  const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || second + 1 != token.size()) return bad;
  const auto decode = [](std::string_view part) -> absl::StatusOr<json::object> {
    ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, Base64UrlDecode(part));
    return ParseJsonObject(AsText(bytes));
  };
  const absl::StatusOr<json::object> header = decode(token.substr(0, first));
  const absl::StatusOr<json::object> claims = decode(token.substr(first + 1, second - first - 1));
  if (!header.ok() || !claims.ok()) return bad;
  JsonReader header_reader(*header);
  if (header_reader.String("alg") != "none") return bad;
  JsonReader reader(*claims);
  TokenClaims out;
  out.identity.subject = reader.String("sub");
  out.identity.audience = reader.String("aud");
  out.provider = reader.OptionalString("iss", "latchkey-kms-emulator");
  const int64_t expires = reader.OptionalInt("exp", 0);
  if (!reader.status().ok()) return bad;
  if (expires != 0 && absl::FromUnixSeconds(expires) <= now) {
    return AwsError{
        "ExpiredTokenException",
        absl::StrCat("Token expired: current date/time ", absl::ToUnixSeconds(now), " must be before the expiration date/time ", expires),
        400};
  }
  return out;
}

}  // namespace

std::string FormValue(const Form& form, std::string_view name) {
  for (const auto& [key, value] : form) {
    if (key == name) return value;
  }
  return "";
}

std::string XmlEscape(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        // Controls have no place in XML 1.0, and what came percent-encoded need not be UTF-8.
        out.push_back((c < 0x20 && c != '\t' && c != '\n') || c > 0x7e ? '?' : static_cast<char>(c));
    }
  }
  return out;
}

StsResult GetCallerIdentity(StsCallState& call, const Form&) {
  return absl::StrCat("<Arn>", XmlEscape(call.caller.arn), "</Arn><UserId>", XmlEscape(call.caller.user_id), "</UserId><Account>",
                      call.caller.account, "</Account>");
}

StsResult AssumeRole(StsCallState& call, const Form& form) {
  AWS_TRY(RefuseUnsupported(form));
  AWS_ASSIGN(const std::string arn, ReadRoleArn(form));
  call.key = Quotable(arn);
  AWS_ASSIGN(const std::string name, ReadSessionName(form));
  AWS_ASSIGN(const int64_t seconds, ReadDuration(form));
  std::string external_id;
  if (!FormValue(form, "ExternalId").empty()) {
    AWS_ASSIGN(external_id, ReadText(form, "ExternalId", "externalId", 2, 1224, ":/", "[\\w+=,.@:\\/-]*"));
  }
  const auto found = call.world.roles.find(arn);
  if (found == call.world.roles.end() || !found->second.trusted) return MayNotAssume(call.caller, arn);
  const Role& role = found->second;
  const bool principal_fits =
      std::any_of(role.principals.begin(), role.principals.end(), [&](const std::string& p) { return PrincipalMatches(p, call.caller); });
  if (!principal_fits || (!role.external_id.empty() && role.external_id != external_id)) return MayNotAssume(call.caller, arn);
  if (call.caller.is_session && seconds > kLongestChained) {
    return Invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining");
  }
  if (seconds > role.max_session_seconds) return Invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
  return CredentialsXml(call, role, name, seconds);
}

StsResult AssumeRoleWithWebIdentity(StsCallState& call, const Form& form) {
  AWS_TRY(RefuseUnsupported(form));
  AWS_ASSIGN(const std::string arn, ReadRoleArn(form));
  call.key = Quotable(arn);
  AWS_ASSIGN(const std::string name, ReadSessionName(form));
  AWS_ASSIGN(const int64_t seconds, ReadDuration(form));
  const std::string token = FormValue(form, "WebIdentityToken");
  if (token.size() < 4 || token.size() > 20000) {
    return Invalid(
        "1 validation error detected: Value at 'webIdentityToken' failed to satisfy constraint: Member must have length 4 to 20000");
  }
  TokenClaims claims;
  const auto registered = call.world.web_tokens.find(HexEncode(Sha256(token)));
  if (registered != call.world.web_tokens.end()) {
    claims = {registered->second, "latchkey-kms-emulator"};
  } else {
    AWS_ASSIGN(claims, ReadJwt(token, call.now));
  }
  const auto found = call.world.roles.find(arn);
  const bool trusts = found != call.world.roles.end() && found->second.trusted &&
                      std::find(found->second.web_identities.begin(), found->second.web_identities.end(), claims.identity) !=
                          found->second.web_identities.end();
  if (!trusts) return AwsError{"AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403};
  if (seconds > found->second.max_session_seconds) {
    return Invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
  }
  return absl::StrCat("<SubjectFromWebIdentityToken>", XmlEscape(claims.identity.subject), "</SubjectFromWebIdentityToken><Audience>",
                      XmlEscape(claims.identity.audience), "</Audience><Provider>", XmlEscape(claims.provider), "</Provider>",
                      CredentialsXml(call, found->second, name, seconds));
}

}  // namespace latchkey::emulator
