// From a signed request to the one who signed it.
#pragma once

#include <absl/time/time.h>

#include "emulator/outcome.h"
#include "emulator/policy.h"
#include "emulator/sigv4_verifier.h"
#include "emulator/world.h"

namespace latchkey::emulator {

struct Authenticated {
  Caller caller;
  std::string region;  // of the credential scope
};

// `wall` is the clock that signatures are held against; `now` the emulator's own, which an operator may have moved and by which sessions
// expire.
Outcome<Authenticated> Authenticate(const World& world, const HttpRequest& request, const SignedService& service, absl::Time wall,
                                    absl::Time now);

}  // namespace latchkey::emulator
