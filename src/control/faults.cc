#include <absl/strings/cord.h>

#include "control/services.h"

namespace latchkey {
namespace {

constexpr char kPayload[] = "latchkey/key-fault";

}  // namespace

absl::Status WithKeyFault(absl::Status status, KeyFault fault) {
  status.SetPayload(kPayload, absl::Cord(fault == KeyFault::kPermanent ? "permanent" : "refused"));
  return status;
}

std::optional<KeyFault> KeyFaultOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  if (!payload) return std::nullopt;
  return *payload == "permanent" ? KeyFault::kPermanent : KeyFault::kRefused;
}

}  // namespace latchkey
