// Deletion by order, whole and interrupted.
#include "agent/node_runner.h"
#include "agent/testing.h"

namespace latchkey {
namespace {

using testing::Contains;

class NodeDeletionTest : public NodeTest {};

TEST_F(NodeDeletionTest, AnInterruptedDeletionGoesOnAfterARestart) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  {
    const std::lock_guard lock(host_->mutex);
    host_->remove_fails = true;
  }
  desired_.deleted = true;
  Change();
  ASSERT_TRUE(Reach([this](const ObservedNode&) { return host_->Get(&HostInMemory::removed) > 0; })) << Seen();
  StopAgent();
  EXPECT_FALSE(host_->file) << "the keys go first";
  const auto record = LoadNodeRecord(RecordPath());
  ASSERT_THAT(record, IsOk());
  EXPECT_TRUE(record->deleting && record->keys_erased && !record->deleted);
  host_->remove_fails = false;
  StartAgent();
  EXPECT_TRUE(Reach([](const ObservedNode& o) { return o.volume == VolumeState::kDeleted; })) << Seen();
}

TEST_F(NodeDeletionTest, AnAbsentDiskIsNotDeleted) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  desired_.paused = true;
  Change();
  ASSERT_TRUE(ReachSealed("PAUSED")) << Seen();
  StopAgent();
  host_->disk_mounted = false;
  // Even when the agent ended just after it wrote down that it would.
  for (const bool deleting : {false, true}) {
    auto record = LoadNodeRecord(RecordPath());
    ASSERT_THAT(record, IsOk());
    record->deleting = deleting;
    LK_ASSERT_OK(StoreNodeRecord(RecordPath(), *record));
    desired_.deleted = true;
    ++desired_.generation;
    StartAgent();
    runner_->SetDesired(desired_);
    ASSERT_TRUE(Reach([&](const ObservedNode& o) {
      return o.highest_generation == desired_.generation && o.problem.find("disk") != std::string::npos;
    })) << Seen();
    StopAgent();
    EXPECT_EQ(host_->removed, 0);
    EXPECT_TRUE(host_->file);
  }
  host_->disk_mounted = true;
  StartAgent();
  EXPECT_TRUE(Reach([](const ObservedNode& o) { return o.volume == VolumeState::kDeleted; })) << Seen();
}

TEST_F(NodeDeletionTest, DeletesByOrderAndKeepsATombstone) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  desired_.deleted = true;
  Change();
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.volume == VolumeState::kDeleted; })) << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::removed), 1);
  EXPECT_THAT(host_->Get(&HostInMemory::sealed), Contains("DELETED"));
  desired_.deleted = false;
  desired_.volume_id.clear();
  Change();
  EXPECT_TRUE(Reach([](const ObservedNode& o) { return o.problem.starts_with("DELETED"); })) << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::created), 1);
}

}  // namespace
}  // namespace latchkey
