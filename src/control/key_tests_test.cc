#include "control/key_tests.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/testing.h"

namespace latchkey {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

KeyTest Question(const std::string& id) { return {.id = id, .cluster_id = "c", .region = "r", .root = {}}; }
KeyVerdict Yes(const std::string& id) { return {.test_id = id, .ok = true, .failure = std::nullopt, .message = ""}; }

TEST(KeyTestsTest, TheHostThatIsAskedAnswers) {
  KeyTests tests;
  LK_ASSERT_OK(tests.Ask("h1", Question("q")));
  EXPECT_TRUE(tests.Due("h1"));
  EXPECT_FALSE(tests.Due("h2"));
  EXPECT_THAT(tests.Hand("h2"), IsEmpty());
  std::thread host([&] {
    EXPECT_THAT(tests.Hand("h1"), SizeIs(1));
    tests.Deliver("h2", {.test_id = "q", .ok = false, .failure = std::nullopt, .message = "not asked"});
    tests.Deliver("h1", Yes("q"));
  });
  const auto verdict = tests.Await("q", absl::Seconds(20));
  host.join();
  ASSERT_TRUE(verdict.has_value());
  EXPECT_TRUE(verdict->ok);
  EXPECT_FALSE(tests.Await("q", absl::Seconds(20)).has_value()) << "it is forgotten";
}

TEST(KeyTestsTest, AQuestionThatWasHandedOutIsNotDueAgainAtOnce) {
  KeyTests tests;
  LK_ASSERT_OK(tests.Ask("h1", Question("q")));
  EXPECT_THAT(tests.Hand("h1"), SizeIs(1));
  EXPECT_FALSE(tests.Due("h1"));
  EXPECT_THAT(tests.Hand("h1"), SizeIs(1)) << "an answer may have been lost";
}

TEST(KeyTestsTest, SilenceEnds) {
  KeyTests tests;
  LK_ASSERT_OK(tests.Ask("h1", Question("q")));
  EXPECT_FALSE(tests.Await("q", absl::Milliseconds(5)).has_value());
  EXPECT_THAT(tests.Hand("h1"), IsEmpty());
}

TEST(KeyTestsTest, OneHostIsNotAskedWithoutEnd) {
  KeyTests tests;
  for (size_t i = 0; i < KeyTests::kMostPerAgent; ++i) LK_ASSERT_OK(tests.Ask("h1", Question(absl::StrCat(i))));
  EXPECT_THAT(tests.Ask("h1", Question("more")), StatusIs(absl::StatusCode::kUnavailable));
  LK_EXPECT_OK(tests.Ask("h2", Question("other")));
}

TEST(KeyTestsTest, StoppingEndsTheWait) {
  KeyTests tests;
  LK_ASSERT_OK(tests.Ask("h1", Question("q")));
  std::thread stopper([&] { tests.Stop(); });
  EXPECT_FALSE(tests.Await("q", absl::Minutes(1)).has_value());
  stopper.join();
}

}  // namespace
}  // namespace latchkey
