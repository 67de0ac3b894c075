#include "kms/kmip/client.h"

#include <algorithm>
#include <thread>

#include "base/backoff.h"
#include "base/random.h"
#include "base/status.h"

namespace latchkey {
namespace {

constexpr int kMaxAttempts = 3;
constexpr size_t kMostKept = 4;
constexpr auto kKeptFor = std::chrono::minutes(5);
constexpr absl::Duration kConnectTimeout = absl::Seconds(3);

SteadyTime In(absl::Duration timeout, const CallBudget& budget) {
  return std::min(std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout), budget.end());
}

}  // namespace

std::unique_ptr<TlsChannel> KmipClient::TakeKept() {
  const std::lock_guard lock(mutex_);
  const auto old = std::chrono::steady_clock::now() - kKeptFor;
  while (!kept_.empty()) {
    std::unique_ptr<TlsChannel> channel = std::move(kept_.back());
    kept_.pop_back();
    if (channel->opened() > old && !channel->IsStale()) return channel;
  }
  return nullptr;
}

void KmipClient::Keep(std::unique_ptr<TlsChannel> channel) {
  const std::lock_guard lock(mutex_);
  if (kept_.size() < kMostKept) kept_.push_back(std::move(channel));
}

absl::StatusOr<KmipAnswer> KmipClient::Ask(kmip::Operation operation, const SecretBytes& request, bool fresh, const CallBudget& budget,
                                           SecretBytes& message) {
  std::unique_ptr<TlsChannel> channel = fresh ? nullptr : TakeKept();
  absl::StatusOr<SecretBytes> answer = KmsError(FailureClass::kUnreachable, "not asked");
  if (channel != nullptr) answer = channel->Exchange(request, In(options_.attempt_timeout, budget));
  // A kept connection may have ended unseen while nobody used it: that says nothing about the server.
  if (!answer.ok()) {
    ASSIGN_OR_RETURN(channel, TlsChannel::Open(connection_, In(std::min(kConnectTimeout, options_.attempt_timeout), budget),
                                               In(options_.attempt_timeout, budget)));
    answer = channel->Exchange(request, In(options_.attempt_timeout, budget));
  }
  if (!answer.ok()) return answer.status();
  message = *std::move(answer);
  auto read = ReadKmipAnswer(message.Reveal(SecretAccess{}), operation);
  if (!read.ok()) return KmsError(FailureClass::kUnreachable, absl::StrCat("the answer is malformed: ", read.status().message()));
  // A connection whose certificate was refused is of no use, even when the files hold a better one meanwhile.
  if (read->reason != kmip::Reason::kAuthenticationNotSuccessful) Keep(std::move(channel));
  return read;
}

KmipOutcome KmipClient::Call(kmip::Operation operation, const SecretBytes& request, bool fresh, const CallBudget& budget,
                             const SecretBytes* secret) {
  std::vector<std::string_view> secrets;
  if (secret != nullptr) secrets.push_back(secret->RevealText(SecretAccess{}));
  const std::string what = absl::StrCat("KMIP ", ToAbsl(KmipOperationName(operation)), ": ");
  Backoff backoff(options_.first_backoff, absl::Seconds(1), Random::System());
  for (int attempt = 1;; ++attempt) {
    KmipReply reply;
    KmipOutcome outcome;
    bool retry = true;
    absl::StatusOr<KmipAnswer> answer = Ask(operation, request, fresh, budget, reply.message);
    if (!answer.ok()) {
      const FailureClass c = FailureClassOf(answer.status()).value_or(FailureClass::kUnreachable);
      // Neither a refused certificate nor a file that cannot be read gets better within seconds.
      retry = c == FailureClass::kUnreachable;
      outcome.status = KmsError(c, absl::StrCat(what, answer.status().message()));
    } else if (answer->status == kmip::ResultStatus::kSuccess) {
      reply.payload = *std::move(answer->payload);
      outcome.reply = std::move(reply);
      return outcome;
    } else {
      const KmipVerdict verdict = ClassifyKmipFailure(operation, *answer);
      retry = verdict.retry;
      outcome.reason = answer->reason;
      outcome.ask_state = verdict.ask_state;
      const std::string words = CleanWords(WithoutSecrets(answer->words, secrets));
      outcome.status = KmsError(verdict.failure_class, absl::StrCat(what, words, words.empty() ? "" : " (", KmipReasonName(answer->reason),
                                                                    words.empty() ? "" : ")"));
    }
    const absl::Duration pause = backoff.Next();
    if (!retry || attempt >= kMaxAttempts || budget.Remaining() <= pause) return outcome;
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(pause));
  }
}

}  // namespace latchkey
