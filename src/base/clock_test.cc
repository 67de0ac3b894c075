#include "base/clock.h"

#include "base/testing.h"

namespace latchkey {
namespace {

TEST(ClockTest, FormatsTimesInUtcWithMicroseconds) {
  const absl::Time t = absl::FromCivil(absl::CivilSecond(2026, 1, 2, 3, 4, 5), absl::UTCTimeZone()) + absl::Microseconds(6);
  EXPECT_EQ(latchkey::FormatTime(t), "2026-01-02T03:04:05.000006Z");
}

TEST(ClockTest, TheRealBootTimeNeverGoesBack) {
  const absl::Duration before = Clock::Real().BootTime();
  EXPECT_GT(before, absl::ZeroDuration());
  EXPECT_GE(Clock::Real().BootTime(), before);
}

TEST(FakeClockTest, StandsStillUntilItIsMovedAndMovesBothTimes) {
  FakeClock clock;
  const absl::Time now = clock.Now();
  const absl::Duration boot = clock.BootTime();
  EXPECT_EQ(clock.Now(), now);
  clock.Advance(absl::Minutes(5));
  EXPECT_EQ(clock.Now(), now + absl::Minutes(5));
  EXPECT_EQ(clock.BootTime(), boot + absl::Minutes(5));
}

}  // namespace
}  // namespace latchkey
