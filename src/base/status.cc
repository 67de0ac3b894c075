#include "base/status.h"

#include <cstring>

namespace latchkey {

absl::Status ErrnoStatus(int error, std::string_view what) { return absl::ErrnoToStatus(error, ToAbsl(what)); }

absl::Status Prefixed(const absl::Status& status, std::string_view prefix) {
  if (status.ok()) return status;
  absl::Status out(status.code(), absl::StrCat(ToAbsl(prefix), ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { out.SetPayload(url, payload); });
  return out;
}

}  // namespace latchkey
