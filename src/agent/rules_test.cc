// The three rules that keep level-triggered code from destroying what it does not see, each as it would happen to somebody.
#include "agent/testing.h"

namespace latchkey {
namespace {

class RulesTest : public NodeTest {};

TEST_F(RulesTest, ADataDiskThatIsNotMountedAfterARebootDoesNotBecomeAnEmptyDatabase) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  StopAgent();
  {
    const std::lock_guard lock(host_->mutex);
    host_->daemon = host_->mount = host_->engine_running = false;
    host_->disk_mounted = false;
  }
  StartAgent();
  runner_->SetDesired(desired_);
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.volume == VolumeState::kMissing; })) << Seen();
  EXPECT_TRUE(runner_->Observed().problem.starts_with("VOLUME_MISSING")) << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::created), 1);
  EXPECT_EQ(host_->Get(&HostInMemory::initialised), 1);
  EXPECT_EQ(host_->Get(&HostInMemory::started), 1);

  {
    const std::lock_guard lock(host_->mutex);
    host_->disk_mounted = true;
  }
  EXPECT_TRUE(ReachRunning()) << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::created), 1);
}

TEST_F(RulesTest, AServerRestoredFromAnOldCopyDoesNotUndoARevocation) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  const DesiredNode old_copy = desired_;
  desired_.revoked = true;
  Change();
  ASSERT_TRUE(ReachSealed("REVOKED")) << Seen();

  runner_->SetDesired(old_copy);
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.problem.starts_with("GENERATION_BEHIND"); })) << Seen();
  const ObservedNode seen = runner_->Observed();
  EXPECT_EQ(seen.volume, VolumeState::kSealed);
  EXPECT_TRUE(seen.revoked_mark);
  EXPECT_EQ(seen.highest_generation, desired_.generation) << "from this the server learns how far it has to raise its own";
  EXPECT_EQ(host_->Get(&HostInMemory::opened), 1);

  // Nor does a restart of the agent in between forget it.
  StopAgent();
  StartAgent();
  runner_->SetDesired(old_copy);
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.problem.starts_with("GENERATION_BEHIND"); })) << Seen();
  EXPECT_EQ(runner_->Observed().volume, VolumeState::kSealed);
}

TEST_F(RulesTest, ANodeThatTheServerDoesNotNameIsLeftAsItIsAndReported) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ASSERT_NO_FATAL_FAILURE(EnableOwnerKey());
  runner_->SetStray();
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.stray; })) << Seen();
  const std::string lease = runner_->Observed().lease_end;
  ASSERT_TRUE(Reach([&](const ObservedNode& o) { return o.lease_end > lease; })) << "its lease is renewed still: " << Seen();
  EXPECT_EQ(runner_->Observed().engine, EngineState::kRunning);
  EXPECT_EQ(host_->Get(&HostInMemory::stopped), 0);
  EXPECT_EQ(host_->Get(&HostInMemory::removed), 0);

  // The owner's no still counts.
  kms_->Fail("local://owner", FailureClass::kDenied);
  ASSERT_TRUE(ReachSealed("KMS_REFUSED")) << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::removed), 0);
  kms_->Fail("local://owner", std::nullopt);
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.engine == EngineState::kRunning; })) << Seen();

  runner_->SetDesired(desired_);
  EXPECT_TRUE(Reach([](const ObservedNode& o) { return !o.stray; })) << Seen();
}

}  // namespace
}  // namespace latchkey
