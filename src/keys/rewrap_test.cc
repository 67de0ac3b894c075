#include "base/encoding.h"
#include "base/testing.h"
#include "keys/volume_fixture.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

using RewrapTest = VolumeFileTest;

TEST_F(RewrapTest, CarriesEveryDekOverAndErasesTheOldWrapping) {
  EXPECT_TRUE(IsWrappedOnlyBy(file_, first_->id()));
  LK_ASSERT_OK_AND_ASSIGN(const VolumeFile next, RewrapToSecond());
  EXPECT_TRUE(IsWrappedOnlyBy(next, second_->id()));
  EXPECT_FALSE(IsWrappedOnlyBy(next, first_->id()));
  EXPECT_EQ(next.revision, 2);
  EXPECT_EQ(next.current_dek, file_.current_dek);
  ASSERT_EQ(next.keks.size(), 1u);
  EXPECT_EQ(next.keks[0], second_record_);
  EXPECT_THAT(next.Serialize(), testing::Not(HasSubstr(first_record_.ciphertext)));
  EXPECT_THAT(next.Serialize(), testing::Not(HasSubstr(file_.deks[0].wrapped[0].ciphertext)));
  EXPECT_THAT(VolumeFile::Parse(next.Serialize()), IsOk());
  LK_ASSERT_OK_AND_ASSIGN(const auto opened, OpenDeks(next, *second_));
  ASSERT_EQ(opened.size(), 1u);
  EXPECT_TRUE(opened[0].bytes().Equals(deks_[0].bytes()));
  EXPECT_THAT(OpenDeks(next, *first_), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(RewrapTest, ANewDekIsWrappedByTheNewKekOnlyAndCurrent) {
  clock_.Advance(absl::Hours(1));
  Dek newer = Dek::Generate(kVolume, 2, random_);
  LK_ASSERT_OK_AND_ASSIGN(const VolumeFile next, RewrapToSecond(&newer));
  ASSERT_EQ(next.deks.size(), 2u);
  EXPECT_EQ(next.deks[0].created_at, file_.deks[0].created_at);
  EXPECT_EQ(next.deks[1].id, newer.id());
  EXPECT_EQ(next.deks[1].created_at, latchkey::FormatTime(clock_.Now()));
  EXPECT_EQ(next.current_dek, newer.id());
  EXPECT_EQ(next.revision, 2);
  EXPECT_TRUE(IsWrappedOnlyBy(next, second_->id()));
  EXPECT_THAT(VolumeFile::Parse(next.Serialize()), IsOk());
  EXPECT_THAT(next.Verify(newer), IsOk()) << "signed by the new current DEK";
  LK_ASSERT_OK_AND_ASSIGN(const auto opened, OpenDeks(next, *second_));
  ASSERT_EQ(opened.size(), 2u);
  EXPECT_EQ(opened.back().id(), newer.id());

  // And on to a third KEK, with both DEKs, given in any order.
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek third_record, MintKek(kms_, kOwner, ContextOf(3), &*second_, random_, clock_));
  LK_ASSERT_OK_AND_ASSIGN(const Kek third, UnwrapKek(kms_, third_record, kOwner, {}));
  std::vector<Dek> both;
  both.push_back(std::move(newer));
  both.push_back(std::move(deks_[0]));
  LK_ASSERT_OK_AND_ASSIGN(const VolumeFile last, Rewrap(next, both, *second_, third, third_record, nullptr, random_, clock_));
  LK_ASSERT_OK_AND_ASSIGN(const auto all, OpenDeks(last, third));
  EXPECT_EQ(all.size(), 2u);
  EXPECT_EQ(last.revision, 3);
}

TEST_F(RewrapTest, ANewDekMayComeWithoutANewKek) {
  const Dek newer = Dek::Generate(kVolume, 2, random_);
  LK_ASSERT_OK_AND_ASSIGN(const VolumeFile next, Rewrap(file_, deks_, *first_, *first_, first_record_, &newer, random_, clock_));
  EXPECT_TRUE(IsWrappedOnlyBy(next, first_->id()));
  LK_ASSERT_OK_AND_ASSIGN(const auto opened, OpenDeks(next, *first_));
  EXPECT_EQ(opened.size(), 2u);
}

// The rule that makes a closed key final: the DEKs in memory alone are not enough to move the data to another key.
TEST_F(RewrapTest, NeedsTheOldKek) {
  const auto refused = StatusIs(absl::StatusCode::kFailedPrecondition);
  const Kek stranger = MakeKek(1);
  EXPECT_THAT(Rewrap(file_, deks_, stranger, *second_, second_record_, nullptr, random_, clock_), refused);
  EXPECT_THAT(Rewrap(file_, deks_, *second_, *second_, second_record_, nullptr, random_, clock_), refused);

  VolumeFile broken = file_;
  broken.deks[0].wrapped[0].ciphertext = Base64Encode(std::vector<uint8_t>(48));
  broken.Sign(deks_[0]);
  EXPECT_THAT(Rewrap(broken, deks_, *first_, *second_, second_record_, nullptr, random_, clock_), refused);
}

TEST_F(RewrapTest, RefusesDeksThatAreNotThoseOfTheFile) {
  const auto refused = StatusIs(absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Rewrap(file_, {}, *first_, *second_, second_record_, nullptr, random_, clock_), refused);
  std::vector<Dek> strangers;
  strangers.push_back(Dek::Generate(kVolume, 1, random_));
  EXPECT_THAT(Rewrap(file_, strangers, *first_, *second_, second_record_, nullptr, random_, clock_), refused);

  // The right names over other bytes: the file is signed by them, and what `from` opens differs.
  std::vector<Dek> swapped;
  swapped.push_back(*Dek::FromBytes(random_.Secret(kDekSize), kVolume, deks_[0].id(), 1));
  VolumeFile resigned = file_;
  resigned.Sign(swapped[0]);
  EXPECT_THAT(Rewrap(resigned, swapped, *first_, *second_, second_record_, nullptr, random_, clock_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("other bytes")));

  deks_.push_back(Dek::Generate(kVolume, 2, random_));
  EXPECT_THAT(RewrapToSecond(), refused);
}

TEST_F(RewrapTest, RefusesAFileThatWasChanged) {
  file_.revision = 7;
  EXPECT_THAT(RewrapToSecond(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("mac")));
}

TEST_F(RewrapTest, GoesOnlyForwardAndOnlyWithinOneClusterRegion) {
  const auto to = [&](const Kek& kek) { return Rewrap(file_, deks_, *first_, kek, RecordOf(kek), nullptr, random_, clock_); };
  const auto refused = StatusIs(absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(to(MakeKek(2)), IsOk());
  EXPECT_THAT(to(MakeKek(5)), IsOk()) << "a host that was away for some generations";
  EXPECT_THAT(to(MakeKek(1)), refused) << "another KEK of the same generation";
  EXPECT_THAT(to(MakeKek(2, "eu-west-1")), refused);
  EXPECT_THAT(Rewrap(file_, deks_, *first_, *second_, first_record_, nullptr, random_, clock_),
              StatusIs(absl::StatusCode::kInvalidArgument));

  LK_ASSERT_OK_AND_ASSIGN(const VolumeFile next, RewrapToSecond());
  EXPECT_THAT(Rewrap(next, deks_, *second_, *first_, first_record_, nullptr, random_, clock_), refused) << "no going back";
}

TEST_F(RewrapTest, RefusesANewDekThatDoesNotFit) {
  const auto refused = StatusIs(absl::StatusCode::kFailedPrecondition);
  const Dek foreign = Dek::Generate("another-volume", 2, random_);
  EXPECT_THAT(RewrapToSecond(&foreign), refused);
  const Dek old = Dek::Generate(kVolume, 1, random_);
  EXPECT_THAT(RewrapToSecond(&old), refused);
  const Dek same = *Dek::FromBytes(random_.Secret(kDekSize), kVolume, deks_[0].id(), 2);
  EXPECT_THAT(RewrapToSecond(&same), refused);
}

TEST_F(RewrapTest, RefusesMoreDeksThanAFileHolds) {
  for (int64_t generation = 2; generation <= static_cast<int64_t>(kMaxVolumeDeks); ++generation) {
    Dek next = Dek::Generate(kVolume, generation, random_);
    LK_ASSERT_OK_AND_ASSIGN(file_, Rewrap(file_, deks_, *first_, *first_, first_record_, &next, random_, clock_));
    deks_.push_back(std::move(next));
  }
  EXPECT_THAT(VolumeFile::Parse(file_.Serialize()), IsOk());
  const Dek next = Dek::Generate(kVolume, 65, random_);
  EXPECT_THAT(Rewrap(file_, deks_, *first_, *first_, first_record_, &next, random_, clock_),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(RewrapTest, LeavesNoSecretBehindAndChangesNothingGiven) {
  const VolumeFile before = file_;
  const Dek newer = Dek::Generate(kVolume, 2, random_);
  const size_t in_use = SecretArena::BytesInUse();
  LK_ASSERT_OK(RewrapToSecond(&newer));
  EXPECT_EQ(SecretArena::BytesInUse(), in_use);
  EXPECT_EQ(file_, before);
}

}  // namespace
}  // namespace latchkey
