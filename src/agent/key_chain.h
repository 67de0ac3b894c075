// Walking the chain of KEK generations with plaintext KEKs in hand: each record carries the KEK before it, and a MAC by that one.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "keys/kek.h"
#include "protocol/node.h"

namespace latchkey {

// From `newest` (with its record in `desired`) back to the KEK with this id; every link is verified on the way. DataLoss when the chain is
// broken or somebody slipped a KEK in; NotFound when it ends before.
absl::StatusOr<Kek> DescendTo(const Kek& newest, const std::string& kek_id, const DesiredNode& desired);

}  // namespace latchkey
