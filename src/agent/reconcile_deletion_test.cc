// What is deleted, and what stays whatever is said.
#include "agent/reconcile_testing.h"

namespace latchkey {
namespace {

using testing::StartsWith;

TEST(ReconcileDeletionTest, DeletesOnlyWhatIsNamedByNodeAndVolume) {
  Case c;
  c.desired().deleted = true;
  EXPECT_EQ(c.Decide().action, Action::kDelete);
  for (const char* other : {kOtherVolume, ""}) {
    c.desired().volume_id = other;
    EXPECT_EQ(c.Decide().action, Action::kNone);
    EXPECT_THAT(c.Decide().problem, StartsWith("DELETE_REFUSED"));
    EXPECT_FALSE(c.Decide().applied);
  }
}

TEST(ReconcileDeletionTest, DeletesNothingThatIsNotThereOrIsAnother) {
  Case c;
  c.desired().deleted = true;
  c.File(kOtherVolume);
  EXPECT_EQ(c.Decide().action, Action::kNone);
  EXPECT_THAT(c.Decide().problem, StartsWith("DELETE_REFUSED: the folder holds another volume"));

  c.in.volume = {};
  EXPECT_EQ(c.Decide().action, Action::kNone) << "its disk may only not be mounted";
  EXPECT_THAT(c.Decide().problem, StartsWith("VOLUME_MISSING"));
  EXPECT_FALSE(c.Decide().applied);
  EXPECT_EQ(VolumeStateOf(c.in, Action::kNone), VolumeState::kMissing);

  c.in.record.deleting = true;
  EXPECT_EQ(c.Decide().action, Action::kDelete) << "it has begun";
  c.File(kOtherVolume);
  EXPECT_EQ(c.Decide().action, Action::kNone) << "but not with another";

  c.in.volume.file = VolumeFacts::File::kUnreadable;
  EXPECT_EQ(c.Decide().action, Action::kNone);
  EXPECT_THAT(c.Decide().problem, StartsWith("VOLUME_UNREADABLE"));

  Case never;
  never.NeverMade().desired().deleted = true;
  EXPECT_EQ(never.Decide().action, Action::kDelete);
}

TEST(ReconcileDeletionTest, WhatIsHalfDeletedIsNotMadeAgain) {
  Case c;
  c.in.record.deleting = true;
  c.in.record.volume_created = false;
  c.in.volume = {};
  EXPECT_EQ(c.Decide().action, Action::kNone);
  EXPECT_THAT(c.Decide().problem, StartsWith("DELETED"));
}

TEST(ReconcileDeletionTest, ATombstoneIsNotMadeAgain) {
  Case c;
  c.in.record.deleted = true;
  c.in.volume = {};
  c.desired().volume_id.clear();
  EXPECT_EQ(c.Decide().action, Action::kNone);
  EXPECT_THAT(c.Decide().problem, StartsWith("DELETED"));
  c.desired().deleted = true;
  EXPECT_TRUE(c.Decide().applied);
  EXPECT_EQ(VolumeStateOf(c.in, Action::kNone), VolumeState::kDeleted);
}

TEST(ReconcileDeletionTest, AStrayIsLeftAsItIs) {
  Case c;
  c.Running().in.stray = true;
  EXPECT_EQ(c.Decide().action, Action::kNone);
  EXPECT_EQ(c.Decide().lease->id, "kek1") << "its lease is still renewed";

  Case deleted;
  deleted.desired().deleted = true;
  deleted.in.stray = true;
  EXPECT_EQ(deleted.Decide().action, Action::kNone) << "nothing is deleted by silence";

  Case fresh;
  fresh.NeverMade().in.stray = true;
  EXPECT_EQ(fresh.Decide().action, Action::kNone);

  Case mint;
  mint.Running().in.stray = true;
  mint.desired().kek_generation = 2;
  EXPECT_FALSE(mint.Decide().mint);
}

}  // namespace
}  // namespace latchkey
