#include "kms/gcp/token_request.h"

#include "base/json.h"
#include "base/status.h"
#include "kms/gcp/answers.h"
#include "kms/gcp/kms_client.h"

namespace latchkey {
namespace {

std::string FormBody(const OwnTokenRequest& request) {
  std::string body;
  size_t room = 1;
  for (const auto& [name, value] : request.form) room += name.size() + 3 * value.size() + 2;
  body.reserve(room);
  for (const auto& [name, value] : request.form) {
    std::string encoded = PercentEncode(value.RevealText(SecretAccess{}));
    body.append(body.empty() ? "" : "&").append(name).append("=").append(encoded);
    Wipe(encoded);
  }
  return body;
}

// The two long parameters that are credentials.
std::string_view Credential(const OwnTokenRequest& request) {
  for (const auto& [name, value] : request.form) {
    if (name == "assertion" || name == "subject_token") return value.RevealText(SecretAccess{});
  }
  return "";
}

}  // namespace

absl::StatusOr<SharedBearerToken> RequestOwnToken(KmsTransport& transport, OwnTokenRequest request, Clock& clock,
                                                  const CallBudget& budget) {
  KmsExchange exchange{.what = request.what,
                       .url = request.url,
                       .metadata = request.metadata,
                       .configured = request.configured,
                       .no_answer = FailureClass::kIdentity};
  if (request.metadata) {
    // The header shows that a program of the machine asks, and not a browser or a proxy that was led here.
    exchange.request = {.method = "GET", .headers = {{"metadata-flavor", "Google"}}};
  } else {
    exchange.request = {.method = "POST", .headers = {{"content-type", "application/x-www-form-urlencoded"}}, .body = FormBody(request)};
  }
  exchange.read_failure = [&](const HttpResponse& response) -> std::optional<KmsFailure> {
    const auto flavor = response.headers.find("metadata-flavor");
    if (request.metadata && (flavor == response.headers.end() || flavor->second != "Google")) {
      return KmsFailure{.failure_class = FailureClass::kIdentity,
                        .words = "what answers is not a metadata server of Google Cloud's (no Metadata-Flavor header)",
                        .retry = response.status >= 500,
                        .retry_after = {}};
    }
    if (response.status == 200) return std::nullopt;
    return IdentityFailure(response, {Credential(request)});
  };
  const absl::Time asked = clock.Now();
  ASSIGN_OR_RETURN(HttpResponse response, transport.Send(std::move(exchange), budget));
  return ReadGcpOwnToken(response.body, request.what, asked);
}

absl::StatusOr<SharedBearerToken> GenerateAccessToken(KmsTransport& transport, const ImpersonationRequest& request, Clock& clock,
                                                      const CallBudget& budget, GcpError* refusal) {
  const std::string what = absl::StrCat("Google IAM Credentials generateAccessToken for ", request.service_account);
  const FailureClass no_answer = request.own_account ? FailureClass::kIdentity : FailureClass::kUnreachable;
  const json::object body = {{"scope", json::array{json::value(std::string(request.scope))}},
                             {"lifetime", absl::StrCat(absl::ToInt64Seconds(request.lifetime), "s")}};
  KmsExchange exchange{
      .what = what,
      .url = JoinUrl(request.endpoint, absl::StrCat("/v1/projects/-/serviceAccounts/", request.service_account, ":generateAccessToken")),
      .request = {.method = "POST",
                  .headers = {{"content-type", "application/json"}, {"authorization", BearerHeader(*request.as)}},
                  .body = json::serialize(body)},
      .fresh = request.fresh,
      .configured = request.configured,
      .no_answer = no_answer};
  exchange.read_failure = [&](const HttpResponse& response) -> std::optional<KmsFailure> {
    if (response.status == 200) return std::nullopt;
    const GcpError error = ReadGcpError(response, {request.as->token.RevealText(SecretAccess{})});
    if (refusal != nullptr) *refusal = error;
    return GcpFailure(error, request.own_account ? FailureClass::kIdentity : ClassifyImpersonationError(error));
  };
  const absl::Time asked = clock.Now();
  ASSIGN_OR_RETURN(HttpResponse response, transport.Send(std::move(exchange), budget));
  return ReadGcpImpersonatedToken(response.body, what, asked, request.lifetime, no_answer);
}

}  // namespace latchkey
