#include "base/backoff.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace latchkey {

absl::Duration Backoff::Next() {
  absl::Duration ceiling = base_;
  for (int i = 0; i < attempt_ && ceiling < most_; ++i) ceiling *= 2;
  ceiling = std::min(ceiling, most_);
  // Stops counting once the ceiling is reached for good; also keeps the counter from overflowing.
  if (attempt_ < 1'000'000) ++attempt_;
  uint8_t bytes[8];
  random_.Fill(bytes);
  uint64_t bits = 0;
  std::memcpy(&bits, bytes, sizeof bits);
  const double fraction = static_cast<double>(bits >> 11) * 0x1.0p-53;
  return ceiling / 2 + ceiling / 2 * fraction;
}

}  // namespace latchkey
