#include "protocol/key_facts.h"

#include "base/testing.h"

namespace latchkey {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

std::string In(absl::Duration d) { return absl::FormatTime(absl::RFC3339_sec, kNow + d, absl::UTCTimeZone()); }

TEST(RootKeyFactsTest, SurviveTheWire) {
  const RootKeyFacts facts{.read_at = In(absl::ZeroDuration()),
                           .state = "ENABLED",
                           .version = "7",
                           .wrapped_version = "6",
                           .protection_level = "HSM",
                           .deletion_date = In(absl::Hours(1)),
                           .expires_at = In(absl::Hours(2)),
                           .next_rotation = In(absl::Hours(3)),
                           .rotation_enabled = false,
                           .purge_protected = true};
  LK_ASSERT_OK_AND_ASSIGN(const RootKeyFacts read, RootKeyFacts::FromJson(facts.ToJson(), "facts"));
  EXPECT_EQ(read, facts);
  LK_ASSERT_OK_AND_ASSIGN(const RootKeyFacts none, RootKeyFacts::FromJson(RootKeyFacts{}.ToJson(), "facts"));
  EXPECT_EQ(none, RootKeyFacts{});
}

TEST(RootKeyFactsTest, WarnAtThirtySevenAndOneDays) {
  const auto stages = [](absl::Duration ahead) {
    std::vector<int> out;
    for (const KeyWarning& w : KeyWarnings({.deletion_date = In(ahead)}, kNow)) out.push_back(w.stage);
    return out;
  };
  EXPECT_THAT(stages(absl::Hours(24 * 31)), IsEmpty());
  EXPECT_THAT(stages(absl::Hours(24 * 30)), ElementsAre(30));
  EXPECT_THAT(stages(absl::Hours(24 * 7 + 1)), ElementsAre(30));
  EXPECT_THAT(stages(absl::Hours(24 * 7)), ElementsAre(7));
  EXPECT_THAT(stages(absl::Hours(24)), ElementsAre(1));
  EXPECT_THAT(stages(absl::Hours(-1)), ElementsAre(0));
}

TEST(RootKeyFactsTest, TheMostUrgentWarningComesFirst) {
  const auto warnings = KeyWarnings(
      {.version = "2", .wrapped_version = "1", .deletion_date = In(absl::Hours(24 * 20)), .expires_at = In(absl::Hours(5))}, kNow);
  EXPECT_THAT(warnings, ElementsAre(Field(&KeyWarning::code, "EXPIRY_AHEAD"), Field(&KeyWarning::code, "DELETION_AHEAD"),
                                    Field(&KeyWarning::code, "NEWER_VERSION")));
  EXPECT_THAT(warnings[0].message, HasSubstr(In(absl::Hours(5))));
}

TEST(RootKeyFactsTest, AKeyThatIsClosedForNewWrappingsOnlyIsToldOfFirst) {
  const auto warnings = KeyWarnings({.version = "2", .unusable_because = "it is disabled", .wrapped_version = "1"}, kNow);
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_EQ(warnings[0].code, "NOT_USABLE");
  EXPECT_THAT(warnings[0].message, testing::AllOf(HasSubstr("it is disabled"), HasSubstr("version 1")));
  EXPECT_THAT(KeyWarnings({.unusable_because = "it is disabled"}, kNow, false), IsEmpty());
}

TEST(RootKeyFactsTest, UnreadableDatesAndUnknownVersionsWarnOfNothing) {
  EXPECT_THAT(KeyWarnings({.version = "2", .deletion_date = "soon"}, kNow), IsEmpty());
  EXPECT_THAT(KeyWarnings({.version = "2", .wrapped_version = "2"}, kNow), IsEmpty());
}

}  // namespace
}  // namespace latchkey
