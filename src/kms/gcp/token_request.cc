#include "kms/gcp/token_request.h"

#include <algorithm>

#include "base/json.h"
#include "base/status.h"
#include "kms/gcp/kms_client.h"

namespace latchkey {
namespace {

constexpr size_t kMaxToken = 16 << 10;
constexpr int64_t kLongestSeconds = 24 * 3600;

// Moves a text out of an answer into locked memory. Empty when it is absent or could not stand in a header.
SecretBytes TakeToken(json::object& answer, std::string_view name) {
  json::value* value = answer.if_contains({name.data(), name.size()});
  json::string* text = value == nullptr ? nullptr : value->if_string();
  if (text == nullptr) return {};
  const std::string_view view(text->data(), text->size());
  const bool plain =
      view.size() <= kMaxToken && std::all_of(view.begin(), view.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  SecretBytes token = plain ? SecretBytes::CopyOf(view) : SecretBytes();
  Wipe(text->data(), text->size());
  return token;
}

std::string TextOf(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

absl::StatusOr<SharedBearerToken> ReadToken(HttpResponse response, const std::string& what, absl::Time asked) {
  auto answer = ParseJsonObject(response.body);
  Wipe(response.body);
  const absl::Status half = KmsError(FailureClass::kIdentity, absl::StrCat(what, ": the answer holds no complete access token"));
  if (!answer.ok()) return half;
  auto token = std::make_shared<BearerToken>();
  token->token = TakeToken(*answer, "access_token");
  std::string type = TextOf(*answer, "token_type");
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const json::value* seconds = answer->if_contains("expires_in");
  const bool dated = seconds != nullptr && seconds->is_int64() && seconds->get_int64() > 0 && seconds->get_int64() <= kLongestSeconds;
  if (token->token.empty() || !dated || (!type.empty() && type != "bearer")) return half;
  token->expires = asked + absl::Seconds(seconds->get_int64()) - kGcpRenewBefore;
  return SharedBearerToken(std::move(token));
}

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
  return ReadToken(std::move(response), request.what, asked);
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
  auto answer = ParseJsonObject(response.body);
  Wipe(response.body);
  auto token = std::make_shared<BearerToken>();
  absl::Time expires;
  std::string error;
  if (answer.ok()) token->token = TakeToken(*answer, "accessToken");
  // Half an answer is no answer.
  if (token->token.empty() || !absl::ParseTime(absl::RFC3339_full, TextOf(*answer, "expireTime"), &expires, &error)) {
    return KmsError(no_answer, absl::StrCat(what, ": the answer holds no complete access token"));
  }
  token->expires = std::min(expires, asked + request.lifetime) - kGcpRenewBefore;
  return SharedBearerToken(std::move(token));
}

}  // namespace latchkey
