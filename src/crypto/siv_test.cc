#include "crypto/siv.h"

#include <thread>

#include "base/random.h"
#include "base/testing.h"
#include "crypto/vectors_testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

TEST(AesSivTest, EncryptsAndDecryptsAsTheVectorsOfRfc5297sConstructionSay) {
  int count = 0;
  for (const Vector& v : ReadVectors("ciphers/AES/SIV/openssl.txt", "COUNT")) {
    if (v.Bytes("Key").size() != kSivKeySize) continue;
    LK_ASSERT_OK_AND_ASSIGN(const auto cipher, SivCipher::Create(v.Secret("Key")));
    const auto aad = v.Bytes("AAD");
    LK_ASSERT_OK_AND_ASSIGN(const auto sealed, cipher->Seal(AsText(aad), v.Bytes("Plaintext")));
    EXPECT_EQ(HexEncode(sealed), v.Text("Tag") + v.Text("Ciphertext"));
    LK_ASSERT_OK_AND_ASSIGN(const auto opened, cipher->Open(AsText(aad), sealed));
    EXPECT_EQ(opened, v.Bytes("Plaintext"));
    ++count;
  }
  EXPECT_EQ(count, 1);
}

class SivCipherTest : public testing::Test {
 protected:
  void SetUp() override { LK_ASSERT_OK_AND_ASSIGN(cipher_, SivCipher::Create(Random::System().Secret(kSivKeySize))); }
  std::unique_ptr<SivCipher> cipher_;
};

TEST_F(SivCipherTest, GivesEqualNamesEqualFormsAndBringsEveryLengthBack) {
  for (size_t size = 1; size <= 255; ++size) {
    const std::string name(size, 'n');
    LK_ASSERT_OK_AND_ASSIGN(const auto once, cipher_->Seal("name", AsBytes(name)));
    LK_ASSERT_OK_AND_ASSIGN(const auto again, cipher_->Seal("name", AsBytes(name)));
    ASSERT_EQ(once, again);
    ASSERT_EQ(once.size(), size + kSivTagSize);
    LK_ASSERT_OK_AND_ASSIGN(const auto opened, cipher_->Open("name", once));
    ASSERT_EQ(AsText(opened), name);
  }
}

TEST_F(SivCipherTest, RefusesEveryFlippedBitAndAnotherPurposeOrKey) {
  LK_ASSERT_OK_AND_ASSIGN(const auto sealed, cipher_->Seal("name", AsBytes("pg_control")));
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    auto changed = sealed;
    changed[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    ASSERT_THAT(cipher_->Open("name", changed), StatusIs(absl::StatusCode::kDataLoss));
  }
  EXPECT_THAT(cipher_->Open("link", sealed), StatusIs(absl::StatusCode::kDataLoss));
  LK_ASSERT_OK_AND_ASSIGN(const auto other, SivCipher::Create(Random::System().Secret(kSivKeySize)));
  EXPECT_THAT(other->Open("name", sealed), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(SivCipherTest, RefusesWhatCannotBe) {
  EXPECT_THAT(cipher_->Seal("name", {}), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(cipher_->Open("name", std::vector<uint8_t>(kSivTagSize)), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(SivCipher::Create(Random::System().Secret(32)), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("64 bytes")));
}

TEST_F(SivCipherTest, ServesManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const std::string name = std::to_string(t) + "-" + std::to_string(i);
        const auto sealed = cipher_->Seal("name", AsBytes(name));
        const auto opened = sealed.ok() ? cipher_->Open("name", *sealed) : sealed;
        if (!opened.ok() || AsText(*opened) != name) ++wrong;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace latchkey
