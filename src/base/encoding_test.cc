#include "base/encoding.h"

#include "base/random.h"
#include "base/testing.h"

namespace latchkey {
namespace {

TEST(Base64Test, EncodesAsRfc4648Says) {
  // Section 10.
  const std::pair<const char*, const char*> vectors[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(Base64Encode(AsBytes(plain)), encoded);
    LK_ASSERT_OK_AND_ASSIGN(const auto decoded, Base64Decode(encoded));
    EXPECT_EQ(AsText(decoded), plain);
  }
}

TEST(Base64Test, RefusesWhatIsNotTheOneEncoding) {
  for (const char* text : {"Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "====", "=", "Z===", "Zm9v\n", " Zm9v", "Zm-v", "Zm=v", "Zg==Zg=="}) {
    EXPECT_THAT(Base64Decode(text), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  }
}

TEST(Base64UrlTest, HasItsOwnAlphabetAndNoPadding) {
  const std::vector<uint8_t> bytes = {0xfb, 0xff, 0xfe, 0x01};
  EXPECT_EQ(Base64UrlEncode(bytes), "-__-AQ");
  LK_ASSERT_OK_AND_ASSIGN(const auto decoded, Base64UrlDecode("-__-AQ"));
  EXPECT_EQ(decoded, bytes);
  for (const char* text : {"-__-AQ==", "+//+AQ", "A", "AAAAA", "AR"}) {
    EXPECT_THAT(Base64UrlDecode(text), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  }
}

TEST(HexTest, EncodesInLowerCaseAndDecodesEither) {
  EXPECT_EQ(HexEncode(std::vector<uint8_t>{0x00, 0xab, 0xff}), "00abff");
  LK_ASSERT_OK_AND_ASSIGN(const auto decoded, HexDecode("00AbfF"));
  EXPECT_EQ(decoded, (std::vector<uint8_t>{0x00, 0xab, 0xff}));
  for (const char* text : {"0", "0g", "0x", " 0"}) EXPECT_THAT(HexDecode(text), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
}

TEST(EncodingTest, BringsBytesOfEveryLengthBack) {
  for (size_t n = 0; n < 100; ++n) {
    const auto bytes = Random::System().Bytes(n);
    EXPECT_EQ(*Base64Decode(Base64Encode(bytes)), bytes);
    EXPECT_EQ(*Base64UrlDecode(Base64UrlEncode(bytes)), bytes);
    EXPECT_EQ(*HexDecode(HexEncode(bytes)), bytes);
  }
}

}  // namespace
}  // namespace latchkey
