#include "kms/aws/transport.h"

#include <algorithm>
#include <thread>

#include "base/backoff.h"
#include "base/encoding.h"
#include "base/random.h"
#include "base/status.h"
#include "crypto/digest.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

constexpr int kMaxAttempts = 3;
constexpr size_t kMaxAnswer = 256 << 10;
// Services accept five minutes; a server clock nearer than this to ours is not what made it refuse.
constexpr int64_t kNotableSkewSeconds = 60;

HttpClientOptions ClientOptions(const AwsTransport::Options& options, bool fresh) {
  return {.connect_timeout = std::min(absl::Seconds(3), options.attempt_timeout),
          .total_timeout = options.attempt_timeout,
          .max_response = kMaxAnswer,
          .ca_pem = options.ca_pem,
          .fresh_connection = fresh};
}

// "https://host:port" → "host:port"; empty when the endpoint has another form.
std::string AuthorityOf(std::string_view endpoint) {
  const size_t slashes = endpoint.find("://");
  if (slashes == std::string_view::npos) return "";
  std::string_view authority = endpoint.substr(slashes + 3);
  if (authority.ends_with('/')) authority.remove_suffix(1);
  return authority.find_first_of("/?#@ ") == std::string_view::npos ? std::string(authority) : "";
}

absl::Status ErrorOf(const AwsCall& call, const AwsError& error) {
  std::string text = error.message;
  if (error.code.empty()) {
    text = absl::StrCat("answered with HTTP status ", error.http_status, " and no AWS error");
  } else if (text.empty()) {
    text = error.code;
  } else {
    absl::StrAppend(&text, " (", error.code, ")");
  }
  return KmsError(call.classify(error), absl::StrCat(call.what, ": ", text));
}

}  // namespace

AwsTransport::AwsTransport(Options options)
    : options_(std::move(options)), kept_(ClientOptions(options_, false)), fresh_(ClientOptions(options_, true)) {}

absl::StatusOr<std::string> AwsTransport::Send(const AwsCall& call, const CallBudget& budget) {
  Backoff backoff(options_.first_backoff, absl::Seconds(1), Random::System());
  bool skew_tried = false;
  for (int attempt = 1;; ++attempt) {
    const absl::Time signed_at = options_.clock->Now() + absl::Seconds(offset_seconds_.load());
    absl::StatusOr<HttpResponse> response = Attempt(call, signed_at, budget);
    absl::Status failure;
    if (response.ok()) {
      if (response->status == 200) return std::move(response->body);
      const AwsError error = call.read_error(*response);
      failure = ErrorOf(call, error);
      if (IsAboutSignatureTime(error) && !skew_tried && LearnSkew(*response, signed_at)) {
        skew_tried = true;
        --attempt;
        continue;
      }
      if (!IsWorthRetrying(error)) return failure;
    } else if (absl::IsInvalidArgument(response.status())) {
      return KmsError(FailureClass::kIdentity, absl::StrCat(call.what, ": ", response.status().message()));
    } else {
      failure = KmsError(FailureClass::kUnreachable, absl::StrCat(call.what, ": no answer: ", response.status().message()));
    }
    const absl::Duration pause = backoff.Next();
    if (attempt >= kMaxAttempts || budget.Remaining() <= pause) return failure;
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(pause));
  }
}

absl::StatusOr<HttpResponse> AwsTransport::Attempt(const AwsCall& call, absl::Time now, const CallBudget& budget) {
  const std::string authority = AuthorityOf(call.endpoint);
  if (authority.empty()) return InvalidArgument("the configured endpoint is not of the form https://host[:port]");
  SigningInput input{.headers = call.headers, .body_sha256 = HexEncode(Sha256(call.body))};
  input.headers.insert_or_assign("host", authority);
  if (call.credentials != nullptr) SignRequest(input, *call.credentials, call.region, call.service, now);
  HttpRequest request{.method = "POST", .headers = std::move(input.headers), .body = call.body};
  auto response = (call.fresh ? fresh_ : kept_)
                      .Send(call.endpoint.ends_with('/') ? call.endpoint : call.endpoint + "/", request,
                            std::min(options_.attempt_timeout, budget.Remaining()));
  Wipe(request.body);
  if (const auto token = request.headers.find("x-amz-security-token"); token != request.headers.end()) Wipe(token->second);
  return response;
}

bool AwsTransport::LearnSkew(const HttpResponse& response, absl::Time signed_at) {
  const auto date = response.headers.find("date");
  absl::Time server;
  std::string error;
  if (date == response.headers.end() || !absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", date->second, &server, &error)) return false;
  if (std::abs(absl::ToInt64Seconds(server - signed_at)) < kNotableSkewSeconds) return false;
  offset_seconds_ = absl::ToInt64Seconds(server - options_.clock->Now());
  return true;
}

}  // namespace latchkey
