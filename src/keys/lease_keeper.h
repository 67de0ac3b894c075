// The lease keeper: asks the KMS about each KEK of a host at the check interval, and turns the answers into renewals, seals and silence.
//
// It decides; it does not act. One instance serves one KEK. It has no thread and no clock of its own: whoever drives it (the agent,
// `latchkey volume mount`) calls Due() and Check(), so that tests move time. Not thread-safe: one thread at a time.
//
//   success            → renewal with the moment BEFORE the call; failures so far are forgotten
//   refusal            → asked again after 15 s and 30 s, on fresh connections and fresh owner-side credentials; the third refusal without
//   a
//                        success between them → seal. "No answer" between them counts for nothing: neither towards the three nor as a
//                        success. A refusal that comes before its 15 or 30 s are over (somebody hurried) counts for nothing either
//   refusal afterwards → seal again, each time: sealing is idempotent, and an order that got lost is repeated so. It goes on asking, fresh,
//   at
//                        the check interval, until a success renews
//   no answer, identity, throttled → nothing is renewed, retried with back-off (10 s doubling to the check interval)
//   CORRUPT            → never renews and never seals; alert at once; asked again at the check interval
//   UNSUITABLE, or a failure without a class (nobody was asked: the record names another root key) → as CORRUPT
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/random.h"
#include "keys/kek.h"
#include "protocol/node.h"

namespace latchkey {

struct LeasePolicy {
  absl::Duration check_interval = absl::Seconds(60);  // jittered by ±10 %
  absl::Duration outage_grace = absl::Hours(1);       // lease = moment before the KMS call + this; the keeper itself does not use it
  std::vector<absl::Duration> confirm_after = {absl::Seconds(15),
                                               absl::Seconds(30)};  // waits before the 2nd, 3rd, … question after a refusal
  absl::Duration retry_base = absl::Seconds(10);  // after no answer, doubling up to check_interval, with the jitter of Backoff
};

class LeaseKeeper {
 public:
  // A fresh unwrap of the KEK: the agent binds UnwrapKek() with the record and root key of desired state. The call is {fresh = true} while
  // a refusal is being confirmed or stands.
  using Unwrap = std::function<absl::StatusOr<Kek>(const KmsCall& call)>;

  // `clock` and `random` outlive the keeper. The first question is due at once.
  LeaseKeeper(LeasePolicy policy, Clock& clock, Random& random);

  // When Check() should next be called, on the boot clock.
  absl::Duration Due() const { return due_; }
  // Ask at the next opportunity (the desired state changed, somebody pressed a button). Never hastens a seal.
  void Hurry() { due_ = absl::ZeroDuration(); }

  struct Outcome {
    enum Kind { kRenew, kSeal, kNothing } kind = kNothing;
    std::optional<Kek> kek;   // with kRenew, and only then
    absl::Duration asked_at;  // boot clock, taken before the KMS call
    absl::Status status;      // the failure otherwise, as `unwrap` gave it
  };
  // Asks once, now, whatever Due() says, and sets the next Due(), counted from the answer.
  Outcome Check(const Unwrap& unwrap);

  // For status. Times are RFC 3339 (wall clock).
  //   failure       the class of the last answer; unset when it had none (see above) or was a success
  //   message       the KMS's words: printable ASCII (anything else is "?"), at most 1,000 bytes; empty after a success
  //   since         when this class was first seen in a row; empty after a success
  //   confirmed     a seal was ordered and no success came since; stays while the KMS is silent afterwards
  const KeyHealth& health() const { return health_; }

 private:
  Outcome Failed(absl::Status status, absl::Duration asked_at);
  // Whether this refusal orders a seal.
  bool CountRefusal(absl::Duration asked_at);
  absl::Duration JitteredInterval();
  bool Confirmed() const { return refusals_ > policy_.confirm_after.size(); }

  LeasePolicy policy_;
  Clock& clock_;
  Random& random_;
  Backoff silence_;
  absl::Duration due_;
  size_t refusals_ = 0;         // that count
  absl::Duration counts_from_;  // boot clock: an earlier refusal does not confirm
  KeyHealth health_;
};

}  // namespace latchkey
