// The lease keeper: asks the KMS about each KEK of a host at the check interval, and turns the answers into renewals, seals and silence.
//
// It decides; it does not act. One instance serves one KEK. It has no thread and no clock of its own: whoever drives it (the agent,
// `latchkey volume mount`) calls Due() and Check(), so that tests move time.
//
//   success            → renewal with the moment BEFORE the call; failures so far are forgotten
//   refusal            → asked again after 15 s and 30 s, on fresh connections and fresh owner-side credentials; the third refusal without a
//                        success between them → seal. "No answer" between them counts for nothing: neither towards the three nor as a success
//   no answer, identity, throttled → nothing is renewed, retried with back-off (10 s doubling to the check interval)
//   CORRUPT            → never renews and never seals; alert at once
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "keys/kek.h"
#include "protocol/node.h"

namespace latchkey {

struct LeasePolicy {
  absl::Duration check_interval = absl::Seconds(60);   // jittered by ±10 %
  absl::Duration outage_grace = absl::Hours(1);        // lease = moment before the KMS call + this
  std::vector<absl::Duration> confirm_after = {absl::Seconds(15), absl::Seconds(30)};  // waits before the 2nd, 3rd, … question after a refusal
  absl::Duration retry_base = absl::Seconds(10);       // after no answer, doubling up to check_interval
};

class LeaseKeeper {
 public:
  // A fresh unwrap of the KEK: the agent binds UnwrapKek() with the record and root key of desired state.
  using Unwrap = std::function<absl::StatusOr<Kek>(const KmsCall& call)>;

  LeaseKeeper(LeasePolicy policy, Clock& clock, Random& random);

  // When Check() should next be called, on the boot clock.
  absl::Duration Due() const { return due_; }
  // Ask at the next opportunity (the desired state changed, somebody pressed a button).
  void Hurry() { due_ = absl::ZeroDuration(); }

  struct Outcome {
    enum Kind { kRenew, kSeal, kNothing } kind = kNothing;
    std::optional<Kek> kek;                // with kRenew
    absl::Duration asked_at;               // boot clock, taken before the KMS call
    absl::Status status;                   // the failure otherwise
  };
  Outcome Check(const Unwrap& unwrap);

  // For status. Times are RFC 3339.
  const KeyHealth& health() const { return health_; }

 private:
  LeasePolicy policy_;
  Clock& clock_;
  Random& random_;
  absl::Duration due_;
  size_t refusals_ = 0;
  int silences_ = 0;
  KeyHealth health_;
};

}  // namespace latchkey
