// Time from outside, so that tests move it. Implementations are thread-safe.
#pragma once

#include <absl/time/time.h>

#include <mutex>
#include <string>

namespace latchkey {

class Clock {
 public:
  virtual ~Clock() = default;
  // Wall time (UTC), for records and signatures; may jump.
  virtual absl::Time Now() const = 0;
  // CLOCK_BOOTTIME: time since boot with suspend counted; never goes back. Leases are compared on this one only.
  virtual absl::Duration BootTime() const = 0;

  // The machine's clocks; lives as long as the process.
  static Clock& Real();
};

// A clock that stands still until a test moves it.
class FakeClock : public Clock {
 public:
  explicit FakeClock(absl::Time now = absl::FromUnixSeconds(1'700'000'000)) : now_(now), boot_(absl::Hours(1)) {}
  absl::Time Now() const override;
  absl::Duration BootTime() const override;
  void Advance(absl::Duration by);

 private:
  mutable std::mutex mutex_;
  absl::Time now_;
  absl::Duration boot_;
};

// RFC 3339 in UTC with microseconds, "2026-01-02T03:04:05.000006Z"; the form of every time that leaves the program.
// Call it qualified (latchkey::FormatTime): argument-dependent lookup finds absl::FormatTime too.
std::string FormatTime(absl::Time t);

}  // namespace latchkey
