// What a runner does about a mount that may hang, or is none.
#include "agent/node_runner.h"
#include "agent/testing.h"

namespace latchkey {
namespace {

class NodeMountTest : public NodeTest {};

TEST_F(NodeMountTest, ASilentDaemonIsLeftAloneAndItsVolumeIsNotLookedInto) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  const size_t sealed_before = [this] {
    const std::lock_guard lock(host_->mutex);
    host_->daemon_silent = true;
    host_->engine_running = false;  // there is reason to look for one
    return host_->sealed.size();
  }();
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.engine == EngineState::kStopped; })) << Seen();
  // The look that was under way when it fell silent is over.
  {
    const std::lock_guard lock(host_->mutex);
    host_->looked_in_vain = 0;
    host_->looks = 0;
  }
  ASSERT_TRUE(Reach([this](const ObservedNode&) { return host_->Get(&HostInMemory::looks) >= 3; }));
  EXPECT_EQ(host_->Get(&HostInMemory::looked_in_vain), 0);
  EXPECT_EQ(host_->Get(&HostInMemory::sealed).size(), sealed_before);
  EXPECT_EQ(runner_->Observed().volume, VolumeState::kOpen);
  {
    const std::lock_guard lock(host_->mutex);
    host_->daemon_silent = false;
  }
  EXPECT_TRUE(ReachRunning()) << Seen();
}

TEST_F(NodeMountTest, NoEngineIsStartedWhereTheMountWentAtTheLastMoment) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  {
    const std::lock_guard lock(host_->mutex);
    host_->mounted_at_last = false;
    host_->engine_running = false;
  }
  EXPECT_TRUE(Reach([](const ObservedNode& o) { return o.problem.find("is not a mount") != std::string::npos; })) << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::started), 1);
}

TEST_F(NodeMountTest, NoEngineIsInitialisedWhereTheMountWentAtTheLastMoment) {
  host_->mounted_at_last = false;
  StartAgent();
  runner_->SetDesired(desired_);
  ASSERT_NO_FATAL_FAILURE(NameMinted());
  EXPECT_TRUE(Reach([](const ObservedNode& o) { return o.problem.find("is not a mount") != std::string::npos; })) << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::initialised), 0);
}

}  // namespace
}  // namespace latchkey
