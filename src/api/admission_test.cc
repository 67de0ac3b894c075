#include "api/admission.h"

#include <gtest/gtest.h>

namespace latchkey {
namespace {

TEST(SlowGateTest, AdmitsUpToItsBoundAndAgainWhenOneLeft) {
  SlowGate gate(2);
  {
    const SlowGate::Place first = gate.Enter(), second = gate.Enter();
    EXPECT_TRUE(first && second);
    EXPECT_FALSE(gate.Enter());
    EXPECT_EQ(gate.under_way(), 2);
  }
  EXPECT_EQ(gate.under_way(), 0);
  EXPECT_TRUE(gate.Enter());
}

TEST(RateLimiterTest, RefillsWithTimeAndCountsEachCallerAlone) {
  FakeClock clock;
  RateLimiter limiter(10, &clock);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(limiter.Admit("a"));
  EXPECT_FALSE(limiter.Admit("a"));
  EXPECT_TRUE(limiter.Admit("b"));
  clock.Advance(absl::Milliseconds(100));
  EXPECT_TRUE(limiter.Admit("a"));
  EXPECT_FALSE(limiter.Admit("a"));
  clock.Advance(absl::Hours(1));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(limiter.Admit("a"));
  EXPECT_FALSE(limiter.Admit("a"));
}

TEST(RateLimiterTest, LessThanOneASecondStillAdmitsOne) {
  FakeClock clock;
  RateLimiter limiter(0.5, &clock);
  EXPECT_TRUE(limiter.Admit("a"));
  EXPECT_FALSE(limiter.Admit("a"));
  clock.Advance(absl::Seconds(2));
  EXPECT_TRUE(limiter.Admit("a"));
}

}  // namespace
}  // namespace latchkey
