#include "protocol/failure_class.h"

#include "base/testing.h"

namespace latchkey {
namespace {

TEST(FailureClassTest, EveryClassHasANameAndANextStepAndComesBackFromItsName) {
  for (int i = 0; i <= static_cast<int>(FailureClass::kUnsuitable); ++i) {
    const auto c = static_cast<FailureClass>(i);
    EXPECT_EQ(FailureClassFromName(FailureClassName(c)), c);
    EXPECT_FALSE(NextStep(c).empty());
  }
  EXPECT_EQ(FailureClassFromName("denied"), std::nullopt);
}

TEST(FailureClassTest, ARefusalIsNoOutageAndCorruptIsNeither) {
  for (int i = 0; i <= static_cast<int>(FailureClass::kUnsuitable); ++i) {
    EXPECT_FALSE(IsRefusal(static_cast<FailureClass>(i)) && IsOutage(static_cast<FailureClass>(i)));
  }
  EXPECT_TRUE(IsRefusal(FailureClass::kAmbiguous));
  EXPECT_TRUE(IsOutage(FailureClass::kIdentity));
  EXPECT_FALSE(IsRefusal(FailureClass::kCorrupt) || IsOutage(FailureClass::kCorrupt));
}

}  // namespace
}  // namespace latchkey
