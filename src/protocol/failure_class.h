// Why a KMS did not do what it was asked: the class that decides what Latchkey does, carried from the wire to the console.
//
// no        (kDenied, kDisabled, kPendingDeletion, kDestroyed, kAmbiguous): the owner's side refuses. Confirmed, then the data is sealed.
// no answer (kUnreachable, kThrottled, kIdentity): nobody refused. Work goes on until the lease ends.
// kCorrupt: other bytes than expected. Never renews a lease and never seals by itself.
// kUnsuitable: a permanent fault of the key as named (malformed, other type, other region, no such usage): refused before it is accepted.
#pragma once

#include <optional>
#include <string_view>

namespace latchkey {

enum class FailureClass {
  kDenied,
  kDisabled,
  kPendingDeletion,
  kDestroyed,
  kUnreachable,
  kThrottled,
  kIdentity,
  kAmbiguous,
  kCorrupt,
  kUnsuitable,
};

// "DENIED", "DISABLED", "PENDING_DELETION", "DESTROYED", "UNREACHABLE", "THROTTLED", "IDENTITY", "AMBIGUOUS", "CORRUPT", "UNSUITABLE".
std::string_view FailureClassName(FailureClass c);
std::optional<FailureClass> FailureClassFromName(std::string_view name);

// The owner's side said no.
bool IsRefusal(FailureClass c);
// Nobody answered, or not about the key.
bool IsOutage(FailureClass c);
// One sentence for the owner: what to do about it.
std::string_view NextStep(FailureClass c);

}  // namespace latchkey
