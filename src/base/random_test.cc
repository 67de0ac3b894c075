#include "base/random.h"

#include <set>

#include "base/testing.h"

namespace latchkey {
namespace {

using testing::MatchesRegex;

TEST(RandomTest, MakesVersion4Uuids) {
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    const std::string id = NewUuid(Random::System());
    EXPECT_THAT(id, MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
    EXPECT_EQ(id.size(), 36u);
    seen.insert(id);
  }
  EXPECT_EQ(seen.size(), 200u);
}

TEST(RandomTest, FillsLongBuffersCompletely) {
  const auto bytes = Random::System().Bytes(1 << 20);
  std::array<int, 256> count{};
  for (uint8_t b : bytes) ++count[b];
  // 4,096 expected of each, standard deviation 64.
  for (int c : count) EXPECT_NEAR(c, 4096, 600);
}

TEST(RandomTest, MakesTextOfTheLengthAndAlphabetThatWereAskedFor) {
  EXPECT_THAT(RandomHex(Random::System(), 16), MatchesRegex("[0-9a-f]{32}"));
  const std::string text = RandomAlphanumeric(Random::System(), 20000);
  EXPECT_EQ(text.size(), 20000u);
  std::map<char, int> count;
  for (char c : text) ++count[c];
  EXPECT_EQ(count.size(), 62u);
  for (const auto& [c, n] : count) EXPECT_TRUE(std::isalnum(static_cast<unsigned char>(c))) << c;
  EXPECT_EQ(RandomAlphanumeric(Random::System(), 0), "");
}

TEST(RandomTest, MakesSecretsInLockedMemory) {
  const SecretBytes a = Random::System().Secret(32), b = Random::System().Secret(32);
  EXPECT_TRUE(SecretArena::Owns(a.Reveal(SecretAccess{}).data()));
  EXPECT_FALSE(a.Equals(b));
}

}  // namespace
}  // namespace latchkey
