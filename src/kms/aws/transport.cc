#include "kms/aws/transport.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/status.h"
#include "crypto/digest.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

// Services accept five minutes; a server clock nearer than this to ours is not what made it refuse.
constexpr int64_t kNotableSkewSeconds = 60;

// "https://host:port" → "host:port"; empty when the endpoint has another form.
std::string AuthorityOf(std::string_view endpoint) {
  const size_t slashes = endpoint.find("://");
  if (slashes == std::string_view::npos) return "";
  std::string_view authority = endpoint.substr(slashes + 3);
  if (authority.ends_with('/')) authority.remove_suffix(1);
  return authority.find_first_of("/?#@ ") == std::string_view::npos ? std::string(authority) : "";
}

std::string WordsOf(const AwsError& error) {
  if (error.code.empty()) return absl::StrCat("answered with HTTP status ", error.http_status, " and no AWS error");
  return error.message.empty() ? error.code : absl::StrCat(error.message, " (", error.code, ")");
}

}  // namespace

absl::StatusOr<std::string> AwsTransport::Send(const AwsCall& call, const CallBudget& budget) {
  const std::string authority = AuthorityOf(call.endpoint);
  if (authority.empty()) {
    return KmsError(FailureClass::kIdentity, absl::StrCat(call.what, ": the configured endpoint is not of the form https://host[:port]"));
  }
  absl::Time signed_at;
  bool skew_tried = false;
  KmsExchange exchange{.what = call.what,
                       .url = call.endpoint.ends_with('/') ? call.endpoint : call.endpoint + "/",
                       .request = {.method = "POST", .headers = call.headers, .body = call.body},
                       .fresh = call.fresh,
                       .configured = call.configured,
                       .secrets = call.secrets};
  exchange.prepare = [&](HttpRequest& request) {
    signed_at = clock_.Now() + absl::Seconds(offset_seconds_.load());
    SigningInput input{.headers = std::move(request.headers), .body_sha256 = HexEncode(Sha256(request.body))};
    input.headers.insert_or_assign("host", authority);
    if (call.credentials != nullptr) SignRequest(input, *call.credentials, call.region, call.service, signed_at);
    request.headers = std::move(input.headers);
  };
  exchange.read_failure = [&](const HttpResponse& response) -> std::optional<KmsFailure> {
    if (response.status == 200) return std::nullopt;
    const AwsError error = call.read_error(response);
    KmsFailure failure{.failure_class = call.classify(error), .words = WordsOf(error), .retry = IsWorthRetrying(error)};
    if (IsAboutSignatureTime(error) && !skew_tried && LearnSkew(response, signed_at)) failure.retry = skew_tried = true;
    return failure;
  };
  ASSIGN_OR_RETURN(HttpResponse response, transport_.Send(std::move(exchange), budget));
  return std::move(response.body);
}

bool AwsTransport::LearnSkew(const HttpResponse& response, absl::Time signed_at) {
  const auto date = response.headers.find("date");
  absl::Time server;
  std::string error;
  if (date == response.headers.end() || !absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", date->second, &server, &error)) return false;
  if (std::abs(absl::ToInt64Seconds(server - signed_at)) < kNotableSkewSeconds) return false;
  offset_seconds_ = absl::ToInt64Seconds(server - clock_.Now());
  return true;
}

}  // namespace latchkey
