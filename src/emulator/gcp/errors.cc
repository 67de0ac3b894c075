#include "emulator/gcp/errors.h"

#include <absl/strings/cord.h>

#include "base/json.h"
#include "base/status.h"

namespace latchkey::emulator::gcp {
namespace {

constexpr char kDetails[] = "latchkey.emulator/google-details";

absl::Status WithDetail(absl::Status status, json::object detail) {
  // As a view: Cord's constructor from a string has another name in Debian's library than clang gives it.
  const std::string text = json::serialize(json::array{std::move(detail)});
  status.SetPayload(kDetails, absl::Cord(absl::string_view(text)));
  return status;
}

json::object ErrorInfo(std::string_view reason, std::string_view domain, json::object metadata) {
  return {{"@type", "type.googleapis.com/google.rpc.ErrorInfo"}, {"reason", reason}, {"domain", domain}, {"metadata", std::move(metadata)}};
}

int HttpStatusOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

constexpr std::string_view kExpected =
    " Expected OAuth 2 access token, login cookie or other valid authentication credential. See "
    "https://developers.google.com/identity/sign-in/web/devconsole-project.";

}  // namespace

absl::Status Denied(std::string_view permission, const std::string& resource) {
  const bool iam = permission.substr(0, 4) == "iam.";
  // IAM Credentials was recorded without the resource's name.
  const std::string where = iam ? "" : absl::StrCat(" '", resource, "'");
  json::object metadata{{"permission", permission}};
  if (!iam) metadata["resource"] = resource;
  return WithDetail(PermissionDenied("Permission '", ToAbsl(permission), "' denied on resource", where, " (or it may not exist)."),
                    ErrorInfo("IAM_PERMISSION_DENIED", iam ? "iam.googleapis.com" : "cloudkms.googleapis.com", std::move(metadata)));
}

absl::Status NoCredentials() {
  return WithDetail(absl::UnauthenticatedError(absl::StrCat("Request is missing required authentication credential.", ToAbsl(kExpected))),
                    ErrorInfo("CREDENTIALS_MISSING", "googleapis.com", {}));
}

absl::Status BadCredentials() {
  return WithDetail(absl::UnauthenticatedError(absl::StrCat("Request had invalid authentication credentials.", ToAbsl(kExpected))),
                    ErrorInfo("ACCESS_TOKEN_EXPIRED", "googleapis.com", {}));
}

absl::Status TooFewScopes() {
  return WithDetail(PermissionDenied("Request had insufficient authentication scopes."),
                    ErrorInfo("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "googleapis.com", {}));
}

absl::Status NotEnabled(const std::string& version, const std::string& state) {
  absl::Status status = FailedPrecondition(version, " is not enabled, current state is: ", state, ".");
  if (state != "DISABLED") return status;
  return WithDetail(std::move(status), {{"@type", "type.googleapis.com/google.rpc.PreconditionFailure"},
                                        {"violations", json::array{json::object{{"type", "KEY_DISABLED"}, {"subject", version}}}}});
}

absl::Status WrongState(const std::string& version, const std::string& state) {
  return FailedPrecondition("The request cannot be fulfilled. Resource ", version, " has value ", state,
                            " in field crypto_key_version.state.");
}

HttpResponse GoogleError(const absl::Status& status) {
  json::array details;
  if (const auto payload = status.GetPayload(kDetails)) {
    if (auto value = ParseJson(std::string(*payload)); value.ok() && value->is_array()) details = value->get_array();
  }
  return GoogleError(HttpStatusOf(status.code()), NameOfCode(status), FromAbsl(status.message()), std::move(details));
}

HttpResponse GoogleError(int http_status, std::string_view name, std::string_view message, json::array details) {
  json::object error{{"code", http_status}, {"message", message}, {"status", name}};
  if (!details.empty()) error["details"] = std::move(details);
  HttpResponse response = HttpResponse::Json(http_status, json::serialize(json::object{{"error", std::move(error)}}));
  if (http_status == 401) response.headers["www-authenticate"] = "Bearer realm=\"https://accounts.google.com/\"";
  return response;
}

HttpResponse OauthError(int http_status, std::string_view error, std::string_view description) {
  json::object body{{"error", error}};
  if (!description.empty()) body["error_description"] = description;
  return HttpResponse::Json(http_status, json::serialize(body));
}

std::string NameOfCode(const absl::Status& status) { return absl::StatusCodeToString(status.code()); }

}  // namespace latchkey::emulator::gcp
