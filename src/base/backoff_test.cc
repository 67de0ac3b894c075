#include "base/backoff.h"

#include "base/testing.h"

namespace latchkey {
namespace {

class ConstantRandom : public Random {
 public:
  explicit ConstantRandom(uint8_t byte) : byte_(byte) {}
  void Fill(std::span<uint8_t> out) override { std::fill(out.begin(), out.end(), byte_); }

 private:
  uint8_t byte_;
};

TEST(BackoffTest, DoublesUpToItsCeiling) {
  ConstantRandom highest(0xff);
  Backoff backoff(absl::Seconds(1), absl::Seconds(10), highest);
  for (double expected : {1, 2, 4, 8, 10, 10}) EXPECT_NEAR(absl::ToDoubleSeconds(backoff.Next()), expected, 1e-6);
  EXPECT_EQ(backoff.attempts(), 6);
}

TEST(BackoffTest, NeverWaitsLessThanHalf) {
  ConstantRandom lowest(0);
  Backoff backoff(absl::Seconds(1), absl::Seconds(10), lowest);
  for (double expected : {0.5, 1.0, 2.0, 4.0, 5.0}) EXPECT_DOUBLE_EQ(absl::ToDoubleSeconds(backoff.Next()), expected);
}

TEST(BackoffTest, BeginsAgainAfterAReset) {
  ConstantRandom highest(0xff);
  Backoff backoff(absl::Seconds(1), absl::Seconds(10), highest);
  backoff.Next();
  backoff.Next();
  backoff.Reset();
  EXPECT_NEAR(absl::ToDoubleSeconds(backoff.Next()), 1, 1e-6);
}

TEST(BackoffTest, StaysWithinItsBoundsAfterVeryManyAttempts) {
  Backoff backoff(absl::Milliseconds(1), absl::Hours(1), Random::System());
  for (int i = 0; i < 10000; ++i) {
    const absl::Duration d = backoff.Next();
    ASSERT_GE(d, absl::Microseconds(500));
    ASSERT_LE(d, absl::Hours(1));
  }
}

}  // namespace
}  // namespace latchkey
