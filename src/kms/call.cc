#include "kms/call.h"

#include <absl/strings/str_replace.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "base/backoff.h"
#include "base/random.h"
#include "base/status.h"
#include "base/utf8.h"

namespace latchkey {
namespace {

constexpr int kMaxAttempts = 3;
constexpr size_t kMaxAnswer = 256 << 10;
constexpr size_t kMaxWords = 1024;

HttpClientOptions ClientOptions(const KmsCallOptions& options, AddressRule addresses, bool fresh) {
  return {.connect_timeout = std::min(absl::Seconds(3), options.attempt_timeout),
          .total_timeout = options.attempt_timeout,
          .max_response = kMaxAnswer,
          .ca_pem = options.ca_pem,
          .fresh_connection = fresh,
          .addresses = addresses};
}

// Headers that carry credentials; of "Bearer <token>" the token.
std::vector<std::string_view> SecretsOf(const HttpRequest& request, const std::vector<std::string_view>& others) {
  std::vector<std::string_view> secrets = others;
  for (const char* name : {"authorization", "x-amz-security-token", "x-vault-token", "x-identity-header", "x-aws-ec2-metadata-token"}) {
    const auto found = request.headers.find(name);
    if (found == request.headers.end()) continue;
    const std::string_view value = found->second;
    const size_t blank = value.find(' ');
    secrets.push_back(blank == std::string_view::npos ? value : value.substr(blank + 1));
  }
  return secrets;
}

bool IsSuccess(const HttpResponse& response) { return response.status >= 200 && response.status < 300; }

void WipeRequest(HttpRequest& request) {
  Wipe(request.body);
  for (auto& [name, value] : request.headers) Wipe(value);
}

}  // namespace

std::string KmsCallOptions::Variable(const char* name) const {
  if (environment) return environment(name);
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string CleanWords(std::string_view text) {
  std::string out = CutUtf8(text, kMaxWords);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out;
}

std::string WithoutSecrets(std::string_view text, std::span<const std::string_view> secrets) {
  constexpr size_t kLeast = 4;
  std::string out(text);
  for (const std::string_view secret : secrets) {
    if (secret.size() < kLeast) continue;
    std::string escaped = absl::StrReplaceAll(ToAbsl(secret), {{"/", "\\/"}});
    std::string cleaned = absl::StrReplaceAll(out, {{ToAbsl(secret), "[secret]"}, {escaped, "[secret]"}});
    Wipe(escaped);
    Wipe(out);
    out = std::move(cleaned);
  }
  return out;
}

KmsTransport::KmsTransport(const KmsCallOptions& options)
    : options_(options),
      kept_(ClientOptions(options, AddressRule::kNotThisHost, false)),
      fresh_(ClientOptions(options, AddressRule::kNotThisHost, true)),
      configured_kept_(ClientOptions(options, AddressRule::kNotMetadata, false)),
      configured_fresh_(ClientOptions(options, AddressRule::kNotMetadata, true)),
      metadata_(ClientOptions(options, AddressRule::kAny, true)) {}

absl::StatusOr<HttpResponse> KmsTransport::Send(KmsExchange exchange, const CallBudget& budget) {
  const HttpClient& client = exchange.metadata     ? metadata_
                             : exchange.configured ? (exchange.fresh ? configured_fresh_ : configured_kept_)
                                                   : (exchange.fresh ? fresh_ : kept_);
  Backoff backoff(options_.first_backoff, absl::Seconds(1), Random::System());
  for (int attempt = 1;; ++attempt) {
    HttpRequest request = exchange.request;
    if (exchange.prepare) exchange.prepare(request);
    absl::StatusOr<HttpResponse> response = client.Send(exchange.url, request, std::min(options_.attempt_timeout, budget.Remaining()));
    if (response.ok() && !IsSuccess(*response)) response->body = WithoutSecrets(response->body, SecretsOf(request, exchange.secrets));
    WipeRequest(request);
    absl::Status failure;
    absl::Duration pause = backoff.Next();
    bool again = true;
    if (response.ok()) {
      const std::optional<KmsFailure> read = exchange.read_failure(*response);
      if (!read) {
        WipeRequest(exchange.request);
        return response;
      }
      failure = KmsError(read->failure_class, absl::StrCat(exchange.what, ": ", read->words));
      again = read->retry;
      if (read->retry_after) pause = std::max(pause, *read->retry_after);
    } else if (absl::IsInvalidArgument(response.status())) {
      failure = KmsError(exchange.no_answer, absl::StrCat(exchange.what, ": ", response.status().message()));
      again = false;
    } else {
      failure = KmsError(exchange.no_answer, absl::StrCat(exchange.what, ": no answer: ", response.status().message()));
    }
    if (!again || attempt >= kMaxAttempts || budget.Remaining() <= pause) {
      WipeRequest(exchange.request);
      return failure;
    }
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(pause));
  }
}

}  // namespace latchkey
