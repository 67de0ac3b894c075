#include "crypto/xts.h"

#include "base/random.h"
#include "base/testing.h"
#include "crypto/vectors_testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

std::vector<uint8_t> LittleEndianTweak(uint64_t unit) {
  std::vector<uint8_t> tweak(16);
  for (size_t i = 0; i < 8; ++i) tweak[i] = static_cast<uint8_t>(unit >> (8 * i));
  return tweak;
}

// NIST's files also have data units that end inside a byte (130, 140, 250 bits); those no file has.
int RunNistVectors(const std::string& folder, const std::string& file) {
  int count = 0;
  for (const Vector& v : ReadVectors("ciphers/AES/XTS/" + folder + "/" + file, "COUNT")) {
    if (v.Number("DataUnitLen") % 8 != 0) continue;
    const bool encrypt = v.Text("[mode]") == "ENCRYPT";
    const auto tweak = v.Has("i") ? v.Bytes("i") : LittleEndianTweak(std::stoull(v.Text("DataUnitSeqNumber")));
    const auto out = XtsRaw(encrypt, v.Secret("Key"), tweak, v.Bytes(encrypt ? "PT" : "CT"));
    EXPECT_THAT(out, IsOk());
    if (!out.ok()) return count;
    EXPECT_EQ(*out, v.Bytes(encrypt ? "CT" : "PT")) << file << " COUNT " << v.Text("COUNT");
    ++count;
  }
  return count;
}

TEST(AesXtsTest, EncryptsAndDecryptsAsNistsVectorsSay) {
  EXPECT_EQ(RunNistVectors("tweak-128hexstr", "XTSGenAES128.rsp"), 800);
  EXPECT_EQ(RunNistVectors("tweak-128hexstr", "XTSGenAES256.rsp"), 600);
  EXPECT_EQ(RunNistVectors("tweak-dataunitseqno", "XTSGenAES128.rsp"), 800);
  EXPECT_EQ(RunNistVectors("tweak-dataunitseqno", "XTSGenAES256.rsp"), 600);
}

class XtsCipherTest : public testing::Test {
 protected:
  void SetUp() override {
    LK_ASSERT_OK_AND_ASSIGN(cipher_, XtsCipher::Create(key_));
    LK_ASSERT_OK_AND_ASSIGN(whole_, XtsRaw(true, key_, LittleEndianTweak(kUnit), plain_));
  }

  static constexpr uint64_t kUnit = 0x0123456789abcdef;
  const SecretBytes key_ = Random::System().Secret(64);
  const std::vector<uint8_t> plain_ = Random::System().Bytes(kXtsUnit);
  std::unique_ptr<XtsCipher> cipher_;
  std::vector<uint8_t> whole_;  // the unit as the raw function encrypts it
};

TEST_F(XtsCipherTest, EncryptsAUnitUnderItsNumber) {
  std::vector<uint8_t> out(kXtsUnit);
  LK_ASSERT_OK(cipher_->Encrypt(kUnit, 0, plain_, out.data()));
  EXPECT_EQ(out, whole_);
  LK_ASSERT_OK(cipher_->Encrypt(kUnit + 1, 0, plain_, out.data()));
  EXPECT_NE(out, whole_);
}

TEST_F(XtsCipherTest, EncryptsAndDecryptsEveryPartOfAUnitAsThatPartOfTheWhole) {
  for (size_t offset = 0; offset < kXtsUnit; offset += 176) {
    for (size_t size : {size_t{16}, size_t{32}, size_t{512}, kXtsUnit - offset}) {
      if (size > kXtsUnit - offset) continue;
      std::vector<uint8_t> out(size);
      LK_ASSERT_OK(cipher_->Encrypt(kUnit, offset, std::span(plain_).subspan(offset, size), out.data()));
      ASSERT_TRUE(std::equal(out.begin(), out.end(), whole_.begin() + static_cast<std::ptrdiff_t>(offset))) << offset << " " << size;
      LK_ASSERT_OK(cipher_->Decrypt(kUnit, offset, out, out.data()));  // in place
      ASSERT_TRUE(std::equal(out.begin(), out.end(), plain_.begin() + static_cast<std::ptrdiff_t>(offset))) << offset << " " << size;
    }
  }
}

TEST_F(XtsCipherTest, ForgetsThePreviousUnit) {
  std::vector<uint8_t> out(kXtsUnit);
  for (uint64_t unit : {uint64_t{0}, uint64_t{7}, kUnit}) LK_ASSERT_OK(cipher_->Encrypt(unit, 0, plain_, out.data()));
  EXPECT_EQ(out, whole_);
  LK_ASSERT_OK(cipher_->Decrypt(kUnit, 0, whole_, out.data()));
  EXPECT_EQ(out, plain_);
}

TEST_F(XtsCipherTest, RefusesWhatIsNoWholeBlocksOfOneUnit) {
  std::vector<uint8_t> out(2 * kXtsUnit);
  const std::vector<uint8_t> in(2 * kXtsUnit);
  const auto part = [&](size_t n) { return std::span(in).first(n); };
  EXPECT_THAT(cipher_->Encrypt(0, 8, part(16), out.data()), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("whole blocks")));
  EXPECT_THAT(cipher_->Encrypt(0, 0, part(17), out.data()), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(cipher_->Encrypt(0, 16, part(kXtsUnit), out.data()), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(cipher_->Decrypt(0, 2 * kXtsUnit, part(16), out.data()), StatusIs(absl::StatusCode::kInvalidArgument));
  LK_EXPECT_OK(cipher_->Encrypt(0, 0, part(0), out.data()));
}

TEST(XtsCipherKeyTest, RefusesOtherSizesAndEqualHalves) {
  EXPECT_THAT(XtsCipher::Create(Random::System().Secret(32)), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("64 bytes")));
  EXPECT_THAT(XtsCipher::Create(SecretBytes(64)), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("halves")));
}

}  // namespace
}  // namespace latchkey
