#include "agent/retry.h"

#include <set>

#include "base/testing.h"
#include "keys/testing.h"

namespace latchkey {
namespace {

constexpr absl::Duration kMoment = absl::Milliseconds(1);

class RetriesTest : public testing::Test {
 protected:
  // The wait that this failure brings, found by moving the clock to its end.
  absl::Duration WaitAfterFailure(const std::string& what = "open", absl::Duration most = absl::Seconds(10)) {
    retries_.Failed(what, absl::Seconds(1), most);
    EXPECT_FALSE(retries_.Due(what));
    const absl::Duration wait = retries_.UntilNext();
    clock_.Advance(wait - kMoment);
    EXPECT_FALSE(retries_.Due(what)) << "a moment too early";
    clock_.Advance(2 * kMoment);
    EXPECT_TRUE(retries_.Due(what));
    return wait;
  }

  FakeClock clock_;
  ConstantRandom highest_{0xff}, lowest_{0};
  Retries retries_{clock_, highest_};
};

TEST_F(RetriesTest, LetsWhatNeverFailedBeTriedAtOnce) {
  EXPECT_TRUE(retries_.Due("open"));
  EXPECT_EQ(retries_.UntilNext(), absl::InfiniteDuration());
}

TEST_F(RetriesTest, WaitsTwiceAsLongAfterEachFailureUpToTheBound) {
  for (const double expected : {1, 2, 4, 8, 10, 10, 10}) EXPECT_NEAR(absl::ToDoubleSeconds(WaitAfterFailure()), expected, 1e-6);
}

TEST_F(RetriesTest, JittersDownToHalfAndNoFurther) {
  Retries lowest(clock_, lowest_);
  for (const double expected : {0.5, 1.0, 2.0, 4.0, 5.0, 5.0}) {
    lowest.Failed("open", absl::Seconds(1), absl::Seconds(10));
    EXPECT_DOUBLE_EQ(absl::ToDoubleSeconds(lowest.UntilNext()), expected);
    clock_.Advance(absl::Minutes(1));
  }
  FakeRandom some;
  Retries jittered(clock_, some);
  std::set<absl::Duration> waits;
  for (int i = 0; i < 20; ++i) {
    jittered.Failed(absl::StrCat("fetch ", i), absl::Seconds(1), absl::Seconds(10));
    const absl::Duration wait = jittered.UntilNext();
    EXPECT_GE(wait, absl::Milliseconds(500));
    EXPECT_LE(wait, absl::Seconds(1));
    waits.insert(wait);
    clock_.Advance(absl::Minutes(1));
  }
  EXPECT_GT(waits.size(), 15u) << "hosts that failed together do not come back together";
}

TEST_F(RetriesTest, BeginsAgainAfterASuccess) {
  for (int i = 0; i < 5; ++i) WaitAfterFailure();
  retries_.Succeeded("open");
  EXPECT_TRUE(retries_.Due("open"));
  EXPECT_NEAR(absl::ToDoubleSeconds(WaitAfterFailure()), 1, 1e-6);
}

TEST_F(RetriesTest, ASuccessEndsAWaitThatIsUnderWay) {
  retries_.Failed("open", absl::Hours(1), absl::Hours(1));
  ASSERT_FALSE(retries_.Due("open"));
  retries_.Succeeded("open");
  EXPECT_TRUE(retries_.Due("open"));
  EXPECT_EQ(retries_.UntilNext(), absl::InfiniteDuration());
}

TEST_F(RetriesTest, NewOrdersEndEveryWait) {
  retries_.Failed("open", absl::Hours(1), absl::Hours(1));
  retries_.Failed("mint", absl::Hours(1), absl::Hours(1));
  retries_.Clear();
  EXPECT_TRUE(retries_.Due("open"));
  EXPECT_TRUE(retries_.Due("mint"));
  EXPECT_NEAR(absl::ToDoubleSeconds(WaitAfterFailure()), 1, 1e-6) << "and the count begins again";
}

TEST_F(RetriesTest, CountsEachNameForItself) {
  for (int i = 0; i < 3; ++i) WaitAfterFailure("fetch a");
  EXPECT_TRUE(retries_.Due("fetch b"));
  EXPECT_NEAR(absl::ToDoubleSeconds(WaitAfterFailure("fetch b")), 1, 1e-6);
  EXPECT_NEAR(absl::ToDoubleSeconds(WaitAfterFailure("fetch a")), 8, 1e-6);
}

TEST_F(RetriesTest, TellsTheNearestOfThoseThatAreNotDueYet) {
  retries_.Failed("mint", absl::Minutes(1), absl::Hours(1));
  retries_.Failed("open", absl::Seconds(1), absl::Hours(1));
  EXPECT_NEAR(absl::ToDoubleSeconds(retries_.UntilNext()), 1, 1e-6);
  clock_.Advance(absl::Seconds(2));
  EXPECT_NEAR(absl::ToDoubleSeconds(retries_.UntilNext()), 58, 1e-6) << "what is due already is no reason to wake up";
}

// A host that slept has waited: the clock is the boot clock, which counts sleep.
TEST_F(RetriesTest, AreNotLengthenedByASleepOfTheHost) {
  retries_.Failed("open", absl::Seconds(10), absl::Seconds(10));
  clock_.Advance(absl::Hours(8));
  EXPECT_TRUE(retries_.Due("open"));
}

}  // namespace
}  // namespace latchkey
