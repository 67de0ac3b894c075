// Exponential back-off with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter").
#pragma once

#include <absl/time/time.h>

#include "base/random.h"

namespace latchkey {

// Not thread-safe. The n-th delay is uniform in [base·2ⁿ/2, base·2ⁿ], capped at `most`.
class Backoff {
 public:
  Backoff(absl::Duration base, absl::Duration most, Random& random) : base_(base), most_(most), random_(random) {}
  absl::Duration Next();
  void Reset() { attempt_ = 0; }
  int attempts() const { return attempt_; }

 private:
  absl::Duration base_, most_;
  Random& random_;
  int attempt_ = 0;
};

}  // namespace latchkey
