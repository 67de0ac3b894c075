#include "agent/key_chain.h"

#include "base/status.h"

namespace latchkey {

absl::StatusOr<Kek> DescendTo(const Kek& newest, const std::string& kek_id, const DesiredNode& desired) {
  ASSIGN_OR_RETURN(Kek at, Kek::FromBytes(newest.bytes().Clone(), newest.context()));
  // Each step lowers the generation by one, so this ends.
  while (at.id() != kek_id) {
    const WrappedKek* record = desired.FindKek(at.id());
    if (record == nullptr) return NotFound("desired state lacks the record of KEK ", at.id());
    ASSIGN_OR_RETURN(Kek previous, OpenPrevious(at, *record));
    RETURN_IF_ERROR(VerifyLink(previous, *record));
    if (previous.context().generation >= at.context().generation)
      return DataLoss("KEK ", at.id(), " names no older one as the one before it");
    at = std::move(previous);
  }
  return at;
}

}  // namespace latchkey
