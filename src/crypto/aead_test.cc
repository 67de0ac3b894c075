#include "crypto/aead.h"

#include "base/testing.h"
#include "crypto/vectors_testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

bool Ours(const Vector& v) { return v.Number("[IVlen]") == 96 && v.Number("[Taglen]") == 128; }

std::vector<uint8_t> Joined(std::vector<uint8_t> a, const std::vector<uint8_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(AesGcmTest, EncryptsAsNistsVectorsSay) {
  int count = 0;
  for (const Vector& v : ReadVectors("ciphers/AES/GCM/gcmEncryptExtIV256.rsp", "Count")) {
    if (!Ours(v)) continue;
    LK_ASSERT_OK_AND_ASSIGN(const auto sealed, GcmSeal(v.Secret("Key"), v.Bytes("IV"), AsText(v.Bytes("AAD")), v.Bytes("PT")));
    ASSERT_EQ(sealed, Joined(v.Bytes("CT"), v.Bytes("Tag"))) << "Count " << v.Text("Count");
    ++count;
  }
  EXPECT_EQ(count, 375);
}

TEST(AesGcmTest, DecryptsOrRefusesAsNistsVectorsSay) {
  int good = 0, refused = 0;
  for (const Vector& v : ReadVectors("ciphers/AES/GCM/gcmDecrypt256.rsp", "Count")) {
    if (!Ours(v)) continue;
    const auto opened = GcmOpen(v.Secret("Key"), v.Bytes("IV"), AsText(v.Bytes("AAD")), Joined(v.Bytes("CT"), v.Bytes("Tag")));
    if (v.Has("FAIL")) {
      ASSERT_THAT(opened, StatusIs(absl::StatusCode::kDataLoss));
      ++refused;
    } else {
      LK_ASSERT_OK(opened);
      ASSERT_TRUE(opened->Equals(v.Secret("PT")));
      ++good;
    }
  }
  EXPECT_EQ(good + refused, 375);
  EXPECT_GT(good, 100);
  EXPECT_GT(refused, 100);
}

TEST(AesGcmTest, RefusesEveryFlippedBitAndAnotherContext) {
  const SecretBytes key = Random::System().Secret(32);
  const auto nonce = Random::System().Bytes(12);
  LK_ASSERT_OK_AND_ASSIGN(const auto sealed, GcmSeal(key, nonce, "volume 1", AsBytes("a data key")));
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    auto changed = sealed;
    changed[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    ASSERT_THAT(GcmOpen(key, nonce, "volume 1", changed), StatusIs(absl::StatusCode::kDataLoss));
  }
  EXPECT_THAT(GcmOpen(key, nonce, "volume 2", sealed), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(GcmOpen(Random::System().Secret(32), nonce, "volume 1", sealed), StatusIs(absl::StatusCode::kDataLoss));
  LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, GcmOpen(key, nonce, "volume 1", sealed));
  EXPECT_EQ(opened.RevealText(SecretAccess{}), "a data key");
}

TEST(AesGcmTest, RefusesOtherSizes) {
  const SecretBytes key = Random::System().Secret(32);
  const auto nonce = Random::System().Bytes(12);
  EXPECT_THAT(GcmSeal(Random::System().Secret(16), nonce, "", {}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("32 bytes")));
  EXPECT_THAT(GcmSeal(key, Random::System().Bytes(16), "", {}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("12 bytes")));
  EXPECT_THAT(GcmOpen(key, nonce, "", std::vector<uint8_t>(15)), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("shorter")));
}

}  // namespace
}  // namespace latchkey
