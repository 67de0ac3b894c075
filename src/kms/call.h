// What every provider that talks HTTP shares: the limits of one operation, the exchange with its repetitions, and a bounded cache of
// credentials. A provider adds its wire form and its table of errors.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "http/client.h"
#include "kms/kms.h"
#include "kms/single_flight.h"

namespace latchkey {

// How long the calls that make up one operation may take together.
class CallBudget {
 public:
  explicit CallBudget(absl::Duration budget) : end_(std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(budget)) {}
  absl::Duration Remaining() const { return absl::FromChrono(end_ - std::chrono::steady_clock::now()); }
  std::chrono::steady_clock::time_point end() const { return end_; }

 private:
  std::chrono::steady_clock::time_point end_;
};

// The same for every provider. The connect timeout is 3 s.
struct KmsCallOptions {
  std::string ca_pem;                                       // "" = the system's
  absl::Duration owner_credentials_age = absl::Minutes(5);  // owner-side credentials are fetched anew at least this often
  absl::Duration call_budget = absl::Seconds(10);           // for one describe, wrap or unwrap with all its requests and repetitions
  absl::Duration attempt_timeout = absl::Seconds(4);        // for one request
  absl::Duration first_backoff = absl::Milliseconds(100);
  std::function<std::string(const char* name)> environment;  // variables, "" when not set; null = the process's
  Clock* clock = &Clock::Real();

  // `environment`, or the process's.
  std::string Variable(const char* name) const;
};

// An answer that is not what was asked for, as the provider's table reads it.
struct KmsFailure {
  FailureClass failure_class;
  std::string words;   // the provider's own, cleaned (CleanWords); never a secret
  bool retry = false;  // worth asking again within this operation: throttled, or the service's own trouble
  std::optional<absl::Duration> retry_after;
};

// A service's text for a message of ours: at most 1,024 bytes, control characters and invalid UTF-8 made spaces.
std::string CleanWords(std::string_view text);

// `text` without these secrets, as they are or with slashes escaped: a service that quotes what it was sent does not get it into our
// messages. To be done before words are cut: half a secret would not be known. What is shorter than 4 bytes is none.
std::string WithoutSecrets(std::string_view text, std::span<const std::string_view> secrets);

// One request, repeated where that may help.
struct KmsExchange {
  std::string what;  // "Google Cloud KMS decrypt", for messages
  std::string url;
  HttpRequest request;  // method, headers, body; may hold secrets, wiped after use
  bool fresh = false;   // on a new connection
  // The exchange is with a metadata server of the machine: the only one that may go to link-local addresses.
  bool metadata = false;
  // The url comes from the configuration or the environment of this process, not from a key's name: loopback is allowed.
  bool configured = false;
  // nullopt: the answer is what was asked for.
  std::function<std::optional<KmsFailure>(const HttpResponse&)> read_failure;
  // Called before each attempt, to sign with the time of now. May be null.
  std::function<void(HttpRequest&)> prepare;
  // What the request holds that no message may: `read_failure` sees refusals without it. Credentials in the headers are known as such.
  // Pointed-to until Send comes back.
  std::vector<std::string_view> secrets = {};
  // The class of getting no answer at all: kUnreachable for a KMS; kIdentity where it is about ourselves.
  FailureClass no_answer = FailureClass::kUnreachable;
};

// Thread-safe. Connections are kept per thread. Redirects are never followed, answers are bounded to 256 KiB.
class KmsTransport {
 public:
  explicit KmsTransport(const KmsCallOptions& options);

  // The answer in which `read_failure` found nothing; it may hold secrets: the caller wipes it. Up to three attempts, with jittered
  // back-off (or as the service asks), all within `budget`. Every error carries its class, and names `what`.
  absl::StatusOr<HttpResponse> Send(KmsExchange exchange, const CallBudget& budget);

 private:
  const KmsCallOptions options_;
  const HttpClient kept_, fresh_, configured_kept_, configured_fresh_, metadata_;
};

// Credentials by name (a role, an impersonated account, a tenant), fetched by one caller at a time and kept no longer than allowed.
// Bounded. T is cheap to copy (a shared pointer) and has `expires`. Thread-safe.
template <typename T>
class CredentialCache {
 public:
  static constexpr size_t kMost = 256;
  explicit CredentialCache(Clock& clock) : clock_(clock) {}

  // As SingleFlight::Get. What is kept is used until its `expires`.
  absl::StatusOr<T> Get(const std::string& name, bool fresh, const std::function<absl::StatusOr<T>()>& fetch, const CallBudget& budget,
                        const absl::Status& timeout_status) {
    return Flight(name)->Get(fresh, [this](const T& value) { return clock_.Now() < value->expires; }, fetch, budget.end(), timeout_status);
  }

 private:
  std::shared_ptr<SingleFlight<T>> Flight(const std::string& name) {
    const std::lock_guard lock(mutex_);
    // Callers that wait on one that goes keep it alive; the next asks the service again, which is all that is lost.
    if (flights_.size() >= kMost && !flights_.contains(name)) flights_.erase(flights_.begin());
    std::shared_ptr<SingleFlight<T>>& flight = flights_[name];
    if (flight == nullptr) flight = std::make_shared<SingleFlight<T>>();
    return flight;
  }

  Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<SingleFlight<T>>> flights_;
};

// A bearer token and until when it is used.
struct BearerToken {
  SecretBytes token;
  absl::Time expires;
};
using SharedBearerToken = std::shared_ptr<const BearerToken>;

}  // namespace latchkey
