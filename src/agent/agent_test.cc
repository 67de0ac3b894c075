// The agent as a host sees it: what it does, and leaves alone, on real folders.
#include "agent/agent.h"

#include <algorithm>

#include "agent/agent_testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr char kTest[] = "77777777-7777-4777-8777-777777777777";

// ---- Nothing is deleted by silence ----

TEST_F(HostAgentTest, ANodeThatTheServerNeverNamesIsReportedAsAStrayAndNothingOfItIsTouched) {
  DesiredNode paused = LeaveNode(kNodeA, kVolumeA);
  paused.paused = true;
  NodeRecord record = ReadRecord(kNodeA);
  record.desired = paused;
  LeaveRecord(record);
  LeaveNode(kNodeB, kVolumeB);
  const auto data = Snapshot(config_.data_dir);
  const auto paused_state = Snapshot(Nodes() + "/" + kNodeA);
  const auto running_record = *ReadFile(RecordOf(kNodeB));

  Publish({});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  EXPECT_TRUE(Reports(kNodeA, [](const ObservedNode& o) {
    return o.stray && o.volume == VolumeState::kSealed && o.volume_id == kVolumeA && o.highest_generation == 3;
  })) << seen_;
  // One that was running is brought up again as it was: whether the server has forgotten it by mistake is not known.
  EXPECT_TRUE(Reports(kNodeB, [](const ObservedNode& o) { return o.stray && o.problem.starts_with("open volume"); })) << seen_;
  EXPECT_THAT(DaemonCalls(), HasSubstr("--lower " + DataOf(kNodeB) + " "));
  agent_->Stop();

  EXPECT_EQ(Snapshot(config_.data_dir), data);
  EXPECT_EQ(Snapshot(Nodes() + "/" + kNodeA), paused_state);
  EXPECT_EQ(*ReadFile(RecordOf(kNodeB)), running_record);
}

TEST_F(HostAgentTest, AStrayIsItsServersAgainAsSoonAsItIsNamed) {
  DesiredNode desired = LeaveNode(kNodeA, kVolumeA);
  Publish({});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  ASSERT_TRUE(Reports(kNodeA, [](const ObservedNode& o) { return o.stray; })) << seen_;
  desired.paused = true;
  ++desired.generation;
  Publish({desired});
  EXPECT_TRUE(Reports(kNodeA, [](const ObservedNode& o) { return !o.stray && o.applied_generation == 4; })) << seen_;
}

// ---- No going back ----

TEST_F(HostAgentTest, AServerRestoredFromAnOldCopyDoesNotUndoARevocation) {
  const DesiredNode old_copy = LeaveNode(kNodeA, kVolumeA);
  NodeRecord record = ReadRecord(kNodeA);
  record.desired->revoked = record.revoked_mark = true;
  record.highest_generation = record.desired->generation = 7;
  LeaveRecord(record);
  const auto data = Snapshot(config_.data_dir);
  const auto state = Snapshot(Nodes());

  Publish({old_copy});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  EXPECT_TRUE(Reports(kNodeA, [](const ObservedNode& o) {
    return o.problem.starts_with("GENERATION_BEHIND") && o.volume == VolumeState::kSealed && o.revoked_mark && o.highest_generation == 7;
  })) << seen_;
  // The same generation without the mark is no better.
  DesiredNode without_mark = old_copy;
  without_mark.generation = 7;
  Publish({without_mark});
  EXPECT_TRUE(ReportsProblem(kNodeA, "GENERATION_BEHIND: the server has lost the revocation")) << seen_;
  agent_->Stop();
  EXPECT_THAT(DaemonCalls(), IsEmpty());
  EXPECT_EQ(Snapshot(Nodes()), state);
  EXPECT_EQ(Snapshot(config_.data_dir), data);
}

// ---- Nothing is created twice ----

TEST_F(HostAgentTest, ADataDiskThatIsNotMountedCreatesNothingAndIsFoundAgainByItself) {
  const DesiredNode desired = LeaveNode(kNodeA, kVolumeA);
  const auto data = Snapshot(config_.data_dir);
  ASSERT_NO_FATAL_FAILURE(UnmountData());
  Publish({desired});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  EXPECT_TRUE(Reports(kNodeA, [](const ObservedNode& o) {
    return o.problem.starts_with("VOLUME_MISSING") && o.volume == VolumeState::kMissing && o.engine != EngineState::kRunning;
  })) << seen_;
  EXPECT_THAT(DaemonCalls(), IsEmpty());

  ASSERT_NO_FATAL_FAILURE(MountData());
  EXPECT_TRUE(ReportsProblem(kNodeA, "open volume")) << "it is opened, not made: " << seen_;
  EXPECT_THAT(DaemonCalls(), HasSubstr("--lower " + DataOf(kNodeA) + " "));
  agent_->Stop();
  EXPECT_EQ(Snapshot(config_.data_dir), data);
}

TEST_F(HostAgentTest, ADataDiskThatGoesWhileTheAgentRunsCreatesNothing) {
  DesiredNode desired = LeaveNode(kNodeA, kVolumeA);
  desired.paused = true;
  ++desired.generation;
  Publish({desired});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  ASSERT_TRUE(Reports(kNodeA, [](const ObservedNode& o) { return o.volume == VolumeState::kSealed && o.applied_generation == 4; }))
      << seen_;
  const std::string calls_before = DaemonCalls();
  ASSERT_NO_FATAL_FAILURE(UnmountData());
  desired.paused = false;
  ++desired.generation;
  Publish({desired});
  EXPECT_TRUE(ReportsProblem(kNodeA, "VOLUME_MISSING")) << seen_;
  EXPECT_EQ(DaemonCalls(), calls_before);
  ASSERT_NO_FATAL_FAILURE(MountData());
  EXPECT_TRUE(ReportsProblem(kNodeA, "open volume")) << seen_;
}

TEST_F(HostAgentTest, AnOrderToDeleteWaitsForTheDiskAndIsNotCarriedOutOnTheEmptyPlace) {
  DesiredNode desired = LeaveNode(kNodeA, kVolumeA);
  ASSERT_NO_FATAL_FAILURE(UnmountData());
  desired.deleted = true;
  ++desired.generation;
  Publish({desired});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  EXPECT_TRUE(ReportsProblem(kNodeA, "VOLUME_MISSING")) << seen_;
  EXPECT_FALSE(ReadRecord(kNodeA).deleting || ReadRecord(kNodeA).deleted);
  ASSERT_NO_FATAL_FAILURE(MountData());
  EXPECT_TRUE(Reports(kNodeA, [](const ObservedNode& o) { return o.volume == VolumeState::kDeleted; })) << seen_;
  EXPECT_FALSE(PathExists(DataOf(kNodeA)));
  EXPECT_TRUE(ReadRecord(kNodeA).deleted) << "a tombstone";
}

TEST_F(HostAgentTest, AnOrderToDeleteThatNamesAnotherVolumeDeletesNothing) {
  DesiredNode desired = LeaveNode(kNodeA, kVolumeA);
  const auto data = Snapshot(config_.data_dir);
  desired.deleted = true;
  desired.volume_id = kVolumeB;
  ++desired.generation;
  Publish({desired});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  EXPECT_TRUE(ReportsProblem(kNodeA, "DELETE_REFUSED")) << seen_;
  agent_->Stop();
  EXPECT_EQ(Snapshot(config_.data_dir), data);
}

// ---- What this host has forgotten, or cannot read ----

TEST_F(HostAgentTest, ARecordThatCannotBeReadIsReportedAndNeitherDeletedNorMadeAnew) {
  DesiredNode desired = LeaveNode(kNodeA, kVolumeA);
  const DesiredNode healthy = LeaveNode(kNodeB, kVolumeB);
  std::string of_a_newer_agent = *ReadFile(RecordOf(kNodeA));
  const std::string format = "\"format\":1";
  ASSERT_NE(of_a_newer_agent.find(format), std::string::npos);
  of_a_newer_agent.replace(of_a_newer_agent.find(format), format.size(), "\"format\":99");
  const std::string of_another_node = *ReadFile(RecordOf(kNodeB));

  for (const std::string& text : {std::string(), std::string("{\"format\":1,"), of_a_newer_agent, of_another_node}) {
    SCOPED_TRACE(text.substr(0, 60));
    LK_ASSERT_OK(WriteFileAtomically(RecordOf(kNodeA), text));
    const auto data = Snapshot(DataOf(kNodeA));
    const auto state = Snapshot(Nodes() + "/" + kNodeA);
    // Even to a server that takes it for one that was never made.
    DesiredNode never_made = desired;
    never_made.volume_id.clear();
    Publish({never_made, healthy});
    ASSERT_NO_FATAL_FAILURE(StartAgent());
    EXPECT_TRUE(ReportsProblem(kNodeA, "STATE_DAMAGED")) << seen_;
    // Nor is it deleted, since nobody knows what it is.
    desired.deleted = true;
    ++desired.generation;
    Publish({desired, healthy});
    EXPECT_TRUE(ReportsProblem(kNodeA, "STATE_DAMAGED")) << seen_;
    EXPECT_TRUE(ReportsProblem(kNodeB, "open volume")) << "its neighbour is not held up: " << seen_;
    agent_->Stop();
    agent_.reset();
    EXPECT_EQ(Snapshot(DataOf(kNodeA)), data);
    EXPECT_EQ(Snapshot(Nodes() + "/" + kNodeA), state);
    EXPECT_THAT(DaemonCalls(), Not(HasSubstr(DataOf(kNodeA))));
  }
}

TEST_F(HostAgentTest, ALostRecordIsMadeGoodByTheServersAndTheVolumeIsOpenedNotMade) {
  const DesiredNode desired = LeaveNode(kNodeA, kVolumeA);
  std::filesystem::remove_all(Nodes());
  const auto data = Snapshot(config_.data_dir);
  Publish({desired});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  EXPECT_TRUE(ReportsProblem(kNodeA, "open volume")) << seen_;
  agent_->Stop();
  EXPECT_EQ(Snapshot(config_.data_dir), data);
  EXPECT_TRUE(ReadRecord(kNodeA).volume_created);
}

TEST_F(HostAgentTest, ALostRecordAndAnAbsentDiskTogetherCreateNothing) {
  const DesiredNode desired = LeaveNode(kNodeA, kVolumeA);
  std::filesystem::remove_all(Nodes());
  ASSERT_NO_FATAL_FAILURE(UnmountData());
  Publish({desired});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  EXPECT_TRUE(ReportsProblem(kNodeA, "VOLUME_MISSING")) << seen_;
  EXPECT_THAT(DaemonCalls(), IsEmpty());
  EXPECT_NO_FATAL_FAILURE(MountData());
}

// The agent ended after it made the volume and before it could write that down; then the host came back without its disk.
TEST_F(HostAgentTest, AVolumeThatOnlyTheServerKnowsToBeMadeIsNotMadeFromWhatIsRemembered) {
  const DesiredNode desired = LeaveNode(kNodeA, kVolumeA);
  NodeRecord record = ReadRecord(kNodeA);
  record.volume_created = record.engine_initialised = false;
  record.volume_revision = 0;
  record.desired->volume_id.clear();
  record.highest_generation = record.desired->generation = desired.generation - 1;
  LeaveRecord(record);
  ASSERT_NO_FATAL_FAILURE(UnmountData());
  server_.sync_status = 503;
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  ASSERT_TRUE(server_.AwaitArrivals(3));
  EXPECT_THAT(DaemonCalls(), IsEmpty()) << "the server has not spoken yet";
  Publish({desired});
  server_.sync_status = 200;
  EXPECT_TRUE(ReportsProblem(kNodeA, "VOLUME_MISSING")) << seen_;
  EXPECT_THAT(DaemonCalls(), IsEmpty());
  ASSERT_NO_FATAL_FAILURE(MountData());
  EXPECT_TRUE(ReportsProblem(kNodeA, "open volume")) << seen_;
}

TEST_F(HostAgentTest, AVolumeThatNeitherHostNorServerKnowsIsNotOverwritten) {
  DesiredNode desired = LeaveNode(kNodeA, kVolumeA);
  std::filesystem::remove_all(Nodes());
  const auto data = Snapshot(config_.data_dir);
  desired.volume_id.clear();
  Publish({desired});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  EXPECT_TRUE(ReportsProblem(kNodeA, "VOLUME_MISMATCH")) << seen_;
  agent_->Stop();
  EXPECT_EQ(Snapshot(config_.data_dir), data);
}

// ---- New nodes, tests of keys, and the agent itself ----

TEST_F(HostAgentTest, NewNodesGetARecordAndAPortEach) {
  DesiredNode first = LeaveNode(kNodeA, kVolumeA);
  first.volume_id.clear();
  std::filesystem::remove_all(Nodes());
  std::filesystem::remove_all(DataOf(kNodeA));
  first.paused = true;
  DesiredNode second = first;
  second.node_id = kNodeB;
  Publish({first, second});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  const auto reached = [](const ObservedNode& o) { return o.applied_generation == 3 && o.port != 0; };
  EXPECT_TRUE(Reports(kNodeA, reached)) << seen_;
  EXPECT_TRUE(Reports(kNodeB, reached)) << seen_;
  agent_->Stop();
  const int port = ReadRecord(kNodeA).port;
  EXPECT_NE(port, ReadRecord(kNodeB).port);
  EXPECT_GE(port, config_.first_port);
  EXPECT_LE(port, config_.last_port);
  agent_.reset();
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  EXPECT_TRUE(Reports(kNodeA, [&](const ObservedNode& o) { return o.port == port; })) << "the port stays: " << seen_;
}

TEST_F(HostAgentTest, ANodeWhoseNameWouldLeadOutOfItsFolderIsIgnored) {
  DesiredNode evil = LeaveNode(kNodeA, kVolumeA);
  const DesiredNode honest = evil;
  evil.node_id = "../../evil";
  Publish({evil, honest});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  EXPECT_TRUE(ReportsProblem(kNodeA, "open volume")) << seen_;
  EXPECT_FALSE(PathExists(folder_ / "evil"));
  EXPECT_FALSE(PathExists(config_.state_dir + "/evil"));
}

TEST_F(HostAgentTest, AKeyIsTestedOnceHoweverOftenTheServerAsks) {
  Publish({}, {{.id = kTest, .cluster_id = "44444444-4444-4444-8444-444444444444", .region = "us-east-1", .root = root_}});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  EXPECT_TRUE(server_.Await([](const std::deque<SyncRequest>& requests) {
    return std::any_of(requests.begin(), requests.end(), [](const SyncRequest& request) {
      return !request.verdicts.empty() && request.verdicts[0].test_id == kTest && request.verdicts[0].ok;
    });
  }));
  // Received, so not told again; and asked again with the next state, so not done again.
  Publish({}, {{.id = kTest, .cluster_id = "44444444-4444-4444-8444-444444444444", .region = "us-east-1", .root = root_}});
  size_t at = 0;
  ASSERT_TRUE(server_.Await([&](const std::deque<SyncRequest>& requests) {
    at = requests.size();
    return requests.back().seen_version == version_ && requests.back().verdicts.empty();
  }));
  Publish({});
  EXPECT_TRUE(server_.Await([&](const std::deque<SyncRequest>& requests) { return requests.back().seen_version == version_; }));
  EXPECT_TRUE(server_.Await([&](const std::deque<SyncRequest>& requests) {
    return std::all_of(requests.begin() + static_cast<std::ptrdiff_t>(at), requests.end(),
                       [](const SyncRequest& request) { return request.verdicts.empty(); });
  }));
}

TEST_F(HostAgentTest, TwoAgentsDoNotShareAStateFolder) {
  Publish({});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  EXPECT_THAT(Agent::Start(config_), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another agent runs")));
  agent_.reset();
  config_.join_token.clear();
  StartAgent();  // it has joined, and the first one has let go
}

TEST_F(HostAgentTest, DoesNotBeginWithoutATokenBeforeItHasJoined) {
  config_.join_token.clear();
  EXPECT_THAT(Agent::Start(config_), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("join_token")));
}

TEST_F(HostAgentTest, SaysWhenTheServerRefusesItsToken) {
  server_.join_status = 403;
  EXPECT_THAT(Agent::Start(config_), StatusIs(absl::StatusCode::kPermissionDenied, StartsWith("cannot join")));
}

}  // namespace
}  // namespace latchkey
