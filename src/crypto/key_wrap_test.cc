#include "crypto/key_wrap.h"

#include "base/random.h"
#include "base/testing.h"
#include "crypto/vectors_testing.h"

namespace latchkey {
namespace {

// NIST SP 800-38F's files, one a key length: AE wraps, AD unwraps or refuses.
class KeyWrapVectorsTest : public testing::TestWithParam<bool> {
 protected:
  static std::string File(const char* direction, int bits) {
    return "keywrap/kwtestvectors/" + std::string(GetParam() ? "KWP_" : "KW_") + direction + "_" + std::to_string(bits) + ".txt";
  }
};

TEST_P(KeyWrapVectorsTest, WrapsAsNistsVectorsSay) {
  int count = 0;
  for (int bits : {128, 192, 256}) {
    for (const Vector& v : ReadVectors(File("AE", bits), "COUNT")) {
      LK_ASSERT_OK_AND_ASSIGN(const auto wrapped, AesKeyWrap(v.Secret("K"), v.Secret("P"), GetParam()));
      ASSERT_EQ(wrapped, v.Bytes("C")) << bits << " COUNT " << v.Text("COUNT");
      ++count;
    }
  }
  EXPECT_EQ(count, 1500);
}

TEST_P(KeyWrapVectorsTest, UnwrapsOrRefusesAsNistsVectorsSay) {
  int good = 0, refused = 0;
  for (int bits : {128, 192, 256}) {
    for (const Vector& v : ReadVectors(File("AD", bits), "COUNT")) {
      const auto key = AesKeyUnwrap(v.Secret("K"), v.Bytes("C"), GetParam());
      if (v.Has("FAIL")) {
        ASSERT_THAT(key, StatusIs(absl::StatusCode::kDataLoss));
        ++refused;
      } else {
        LK_ASSERT_OK(key);
        ASSERT_TRUE(key->Equals(v.Secret("P"))) << bits << " COUNT " << v.Text("COUNT");
        ++good;
      }
    }
  }
  EXPECT_EQ(good + refused, 1500);
  EXPECT_GT(good, 1000);
  EXPECT_GT(refused, 200);
}

INSTANTIATE_TEST_SUITE_P(PlainAndPadded, KeyWrapVectorsTest, testing::Bool(),
                         [](const auto& param_info) { return param_info.param ? "Padded" : "Plain"; });

TEST(KeyWrapTest, RefusesSizesThatTheStandardDoesNotHave) {
  const SecretBytes kek = Random::System().Secret(32);
  const auto invalid = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(AesKeyWrap(Random::System().Secret(20), Random::System().Secret(32), false), invalid);
  EXPECT_THAT(AesKeyWrap(kek, Random::System().Secret(8), false), invalid);
  EXPECT_THAT(AesKeyWrap(kek, Random::System().Secret(33), false), invalid);
  EXPECT_THAT(AesKeyWrap(kek, SecretBytes(), true), invalid);
  EXPECT_THAT(AesKeyUnwrap(kek, std::vector<uint8_t>(16), false), invalid);
  EXPECT_THAT(AesKeyUnwrap(kek, std::vector<uint8_t>(25), true), invalid);
  EXPECT_THAT(AesKeyUnwrap(Random::System().Secret(8), std::vector<uint8_t>(40), true), invalid);
}

TEST(KeyWrapTest, BringsEveryLengthBackWithPadding) {
  const SecretBytes kek = Random::System().Secret(32);
  for (size_t size = 1; size <= 70; ++size) {
    const SecretBytes key = Random::System().Secret(size);
    LK_ASSERT_OK_AND_ASSIGN(const auto wrapped, AesKeyWrap(kek, key, true));
    LK_ASSERT_OK_AND_ASSIGN(const SecretBytes back, AesKeyUnwrap(kek, wrapped, true));
    ASSERT_TRUE(back.Equals(key)) << size;
  }
}

}  // namespace
}  // namespace latchkey
