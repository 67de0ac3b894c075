#include "keys/dek.h"

#include "base/encoding.h"
#include "base/testing.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "keys/testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

constexpr char kVolume[] = "c2a9d1f4-1111-4222-8333-444455556666";

class DekTest : public testing::Test {
 protected:
  static Kek MakeKek(FakeRandom& random) {
    return *Kek::FromBytes(random.Secret(kKekSize), {.organization = "o", .cluster = "c", .region = "r", .generation = 1});
  }
  FakeRandom random_;
  const Kek kek_ = MakeKek(random_);
  const Dek dek_ = Dek::Generate(kVolume, 3, random_);
};

TEST_F(DekTest, IsBornWithRandomBytesAndId) {
  const Dek other = Dek::Generate(kVolume, 3, random_);
  EXPECT_EQ(dek_.id().size(), 32u);
  EXPECT_EQ(dek_.bytes().size(), kDekSize);
  EXPECT_EQ(dek_.volume_id(), kVolume);
  EXPECT_EQ(dek_.generation(), 3);
  EXPECT_NE(dek_.id(), other.id());
  EXPECT_FALSE(dek_.bytes().Equals(other.bytes()));
}

TEST_F(DekTest, RefusesMalformedParts) {
  const std::string id(32, 'a');
  const auto invalid = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Dek::FromBytes(SecretBytes(32), kVolume, id, 1), IsOk());
  EXPECT_THAT(Dek::FromBytes(SecretBytes(31), kVolume, id, 1), invalid);
  EXPECT_THAT(Dek::FromBytes(SecretBytes(32), "", id, 1), invalid);
  EXPECT_THAT(Dek::FromBytes(SecretBytes(32), "a\nb", id, 1), invalid);
  EXPECT_THAT(Dek::FromBytes(SecretBytes(32), kVolume, std::string(32, 'A'), 1), invalid);
  EXPECT_THAT(Dek::FromBytes(SecretBytes(32), kVolume, "abc", 1), invalid);
  EXPECT_THAT(Dek::FromBytes(SecretBytes(32), kVolume, id, 0), invalid);
}

TEST_F(DekTest, DerivesKeysByPurposeAndSalt) {
  const std::vector<uint8_t> salt(32, 1);
  const SecretBytes key = dek_.Derive(salt, "purpose", 64);
  EXPECT_TRUE(key.Equals(HkdfSha256(dek_.bytes(), salt, "purpose", 64)));
  EXPECT_FALSE(key.Equals(dek_.Derive(salt, "another purpose", 64)));
  EXPECT_FALSE(key.Equals(dek_.Derive({}, "purpose", 64)));
}

TEST_F(DekTest, ComesBackOutOfItsWrapping) {
  LK_ASSERT_OK_AND_ASSIGN(const WrappedDek wrapped, WrapDek(kek_, dek_, random_));
  EXPECT_EQ(wrapped.kek_id, kek_.id());
  LK_ASSERT_OK_AND_ASSIGN(const Dek opened, UnwrapDek(kek_, wrapped, kVolume, dek_.id(), 3));
  EXPECT_TRUE(opened.bytes().Equals(dek_.bytes()));
  EXPECT_EQ(opened.id(), dek_.id());
  EXPECT_EQ(opened.volume_id(), kVolume);
  EXPECT_EQ(opened.generation(), 3);
}

TEST_F(DekTest, IsWrappedInTheFormThatTheHeaderTells) {
  LK_ASSERT_OK_AND_ASSIGN(const WrappedDek wrapped, WrapDek(kek_, dek_, random_));
  const std::string aad = std::string("latchkey dek\n") + kVolume + "\n" + dek_.id() + "\n3\n" + kek_.id();
  LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened,
                          GcmOpen(kek_.bytes(), *Base64Decode(wrapped.nonce), aad, *Base64Decode(wrapped.ciphertext)));
  EXPECT_TRUE(opened.Equals(dek_.bytes()));
}

TEST_F(DekTest, EachWrappingHasANonceOfItsOwn) {
  LK_ASSERT_OK_AND_ASSIGN(const WrappedDek one, WrapDek(kek_, dek_, random_));
  LK_ASSERT_OK_AND_ASSIGN(const WrappedDek two, WrapDek(kek_, dek_, random_));
  EXPECT_NE(one.nonce, two.nonce);
}

TEST_F(DekTest, OpensOnlyAsWhatItWasWrapped) {
  LK_ASSERT_OK_AND_ASSIGN(const WrappedDek wrapped, WrapDek(kek_, dek_, random_));
  const auto loss = StatusIs(absl::StatusCode::kDataLoss);
  EXPECT_THAT(UnwrapDek(kek_, wrapped, "another-volume", dek_.id(), 3), loss);
  EXPECT_THAT(UnwrapDek(kek_, wrapped, kVolume, std::string(32, '0'), 3), loss);
  EXPECT_THAT(UnwrapDek(kek_, wrapped, kVolume, dek_.id(), 4), loss);
  const Kek other = MakeKek(random_);
  EXPECT_THAT(UnwrapDek(other, wrapped, kVolume, dek_.id(), 3), loss);
  WrappedDek relabelled = wrapped;
  relabelled.kek_id = other.id();
  EXPECT_THAT(UnwrapDek(other, relabelled, kVolume, dek_.id(), 3), loss);
  WrappedDek changed = wrapped;
  changed.ciphertext = Base64Encode(std::vector<uint8_t>(48));
  EXPECT_THAT(UnwrapDek(kek_, changed, kVolume, dek_.id(), 3), loss);
  changed.ciphertext = "AA==";
  EXPECT_THAT(UnwrapDek(kek_, changed, kVolume, dek_.id(), 3), loss);
  changed = wrapped;
  changed.nonce = "AAAA";
  EXPECT_THAT(UnwrapDek(kek_, changed, kVolume, dek_.id(), 3), loss);
}

TEST_F(DekTest, IsNotWrappedUnderAnAmbiguousName) {
  EXPECT_THAT(WrapDek(kek_, Dek::Generate("a\nb", 1, random_), random_), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(WrapDek(kek_, Dek::Generate(kVolume, 0, random_), random_), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(DekTest, WrappingsTravelAsJson) {
  LK_ASSERT_OK_AND_ASSIGN(const WrappedDek wrapped, WrapDek(kek_, dek_, random_));
  LK_ASSERT_OK_AND_ASSIGN(const WrappedDek read, WrappedDek::FromJson(wrapped.ToJson(), "wrapped[0]"));
  EXPECT_EQ(read, wrapped);

  const auto with = [&](std::string_view field, boost::json::value value) {
    boost::json::object object = wrapped.ToJson();
    object[field] = std::move(value);
    return WrappedDek::FromJson(object, "wrapped[0]");
  };
  const auto names = [](std::string_view field) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("wrapped[0]." + std::string(field)));
  };
  EXPECT_THAT(with("kek", "abc"), names("kek"));
  EXPECT_THAT(with("kek", boost::json::string(32, 'F')), names("kek"));
  EXPECT_THAT(with("nonce", "AAAA"), names("nonce"));
  EXPECT_THAT(with("ciphertext", boost::json::string(Base64Encode(std::vector<uint8_t>(47)))), names("ciphertext"));
  EXPECT_THAT(with("ciphertext", 5), names("ciphertext"));
  EXPECT_THAT(with("ciphertext", nullptr), names("ciphertext"));
  EXPECT_THAT(with("extra", 1), names("extra"));
}

}  // namespace
}  // namespace latchkey
