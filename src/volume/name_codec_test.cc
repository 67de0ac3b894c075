#include "volume/name_codec.h"

#include "base/testing.h"
#include "volume/testing.h"

namespace latchkey {
namespace {

class NameCodecTest : public testing::Test {
 protected:
  NameCodecTest() { keyring_.SetKeys({NewTestKey()}); }
  std::string Encoded(std::string_view name) {
    std::string lower;
    EXPECT_EQ(names_.Encode(name, &lower), 0);
    return lower;
  }
  FakeClock clock_;
  Keyring keyring_{clock_};
  NameCodec names_{keyring_, 8};
};

TEST_F(NameCodecTest, NamesComeBackAndFitTheLowerFolder) {
  for (const size_t size : {1, 2, 3, 100, 175}) {
    const std::string name(size, 'n');
    const std::string lower = Encoded(name);
    EXPECT_LE(lower.size(), 255u);
    EXPECT_EQ(lower.find('/'), std::string::npos);
    names_.Clear();
    EXPECT_EQ(names_.Decode(lower), name);
  }
  std::string lower;
  EXPECT_EQ(names_.Encode(std::string(176, 'n'), &lower), ENAMETOOLONG);
  EXPECT_EQ(names_.Encode("", &lower), EINVAL);
}

TEST_F(NameCodecTest, EqualNamesHaveEqualFormsWithAndWithoutTheCache) {
  const std::string first = Encoded("a");
  for (int i = 0; i < 50; ++i) Encoded(std::to_string(i));
  EXPECT_EQ(Encoded("a"), first);
  EXPECT_NE(Encoded("b"), first);
}

TEST_F(NameCodecTest, WhatIsNotOursIsNoName) {
  EXPECT_EQ(names_.Decode("README"), std::nullopt);
  EXPECT_EQ(names_.Decode("!!"), std::nullopt);
  std::string changed = Encoded("name");
  changed[3] = changed[3] == 'A' ? 'B' : 'A';
  EXPECT_EQ(names_.Decode(changed), std::nullopt);
}

TEST_F(NameCodecTest, ATargetIsNoNameAndANameIsNoTarget) {
  std::string target;
  ASSERT_EQ(names_.EncodeTarget("text", &target), 0);
  EXPECT_EQ(names_.Decode(target), std::nullopt);
  EXPECT_EQ(names_.DecodeTarget(Encoded("text")), std::nullopt);
  EXPECT_EQ(names_.DecodeTarget(target), "text");
}

TEST_F(NameCodecTest, TheLengthOfATargetIsKnownFromItsForm) {
  for (const size_t size : {1, 2, 3, 4, 500, 3'055}) {
    std::string lower;
    ASSERT_EQ(names_.EncodeTarget(std::string(size, 't'), &lower), 0);
    EXPECT_LE(lower.size(), 4'095u);
    EXPECT_EQ(TargetSize(lower.size()), size);
  }
  std::string lower;
  EXPECT_EQ(names_.EncodeTarget(std::string(3'056, 't'), &lower), ENAMETOOLONG);
}

TEST_F(NameCodecTest, OlderFormsAreKnownAndStillOpen) {
  const std::string old = Encoded("a");
  keyring_.AddCurrent(NewTestKey(2));
  EXPECT_NE(Encoded("a"), old);
  EXPECT_EQ(names_.OlderForms("a"), std::vector<std::string>{old});
  names_.Clear();
  EXPECT_EQ(names_.Decode(old), "a");
}

TEST(TextCacheTest, NeverHoldsMoreThanItsLimitAndKeepsWhatIsUsed) {
  TextCache cache(10);
  cache.Put("used", "1");
  for (int i = 0; i < 100; ++i) {
    cache.Put(std::to_string(i), "x");
    ASSERT_NE(cache.Find("used"), nullptr) << i;
    ASSERT_LE(cache.size(), 12u);
  }
  EXPECT_EQ(cache.Find("0"), nullptr);
}

}  // namespace
}  // namespace latchkey
