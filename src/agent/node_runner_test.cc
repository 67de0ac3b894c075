#include "agent/node_runner.h"

#include <filesystem>
#include <future>

#include "agent/testing.h"

namespace latchkey {
namespace {

using testing::Contains;

class NodeRunnerTest : public NodeTest {};

TEST_F(NodeRunnerTest, MakesANodeFromNothing) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  EXPECT_EQ(host_->Get(&HostInMemory::created), 1);
  EXPECT_EQ(host_->Get(&HostInMemory::initialised), 1);
  EXPECT_EQ(host_->Get(&HostInMemory::started), 1);
  const ObservedNode seen = runner_->Observed();
  EXPECT_EQ(seen.volume, VolumeState::kOpen);
  EXPECT_EQ(seen.volume_id, host_->file->volume_id);
  EXPECT_TRUE(seen.key.ok);
  EXPECT_FALSE(seen.minted);
  EXPECT_EQ(seen.lease_end, "") << "an escrow key has no lease by default";
  EXPECT_EQ(seen.problem, "");
}

TEST_F(NodeRunnerTest, ARestartOfTheAgentTouchesNothing) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  StopAgent();
  EXPECT_TRUE(host_->Get(&HostInMemory::engine_running));
  EXPECT_TRUE(host_->Get(&HostInMemory::daemon));
  StartAgent();  // and the server is away
  ASSERT_TRUE(ReachRunning()) << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::opened), 1);
  EXPECT_EQ(host_->Get(&HostInMemory::started), 1);
  EXPECT_EQ(host_->Get(&HostInMemory::stopped), 0);
}

TEST_F(NodeRunnerTest, AKilledDaemonComesBackWithItsDatabase) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  host_->KillDaemon();
  ASSERT_TRUE(Reach([this](const ObservedNode& o) { return o.engine == EngineState::kRunning && host_->Get(&HostInMemory::opened) == 2; }))
      << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::cleaned), 1);
  EXPECT_EQ(host_->Get(&HostInMemory::started), 2);
  EXPECT_EQ(host_->Get(&HostInMemory::created), 1);
}

TEST_F(NodeRunnerTest, ADatabaseThatDiedAloneIsStartedAgainOnTheOpenVolume) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  host_->KillEngine();
  ASSERT_TRUE(Reach([this](const ObservedNode& o) { return o.engine == EngineState::kRunning && host_->Get(&HostInMemory::started) == 2; }))
      << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::opened), 1);
}

TEST_F(NodeRunnerTest, EnablingAnOwnerKeyRewrapsWithoutTouchingTheDatabase) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ASSERT_NO_FATAL_FAILURE(EnableOwnerKey());
  EXPECT_EQ(host_->Get(&HostInMemory::started), 1);
  EXPECT_EQ(host_->Get(&HostInMemory::rewrapped), 1);
  ASSERT_EQ(runner_->Observed().deks.size(), 2u);
  for (const ObservedDek& dek : runner_->Observed().deks) EXPECT_EQ(dek.kek_id, desired_.CurrentKek()->id);
  EXPECT_TRUE(Reach([](const ObservedNode& o) { return !o.lease_end.empty(); })) << "an owner key gives a lease";
  EXPECT_TRUE(runner_->Record().owner_key_held);
}

TEST_F(NodeRunnerTest, AfterARotationTheFirstKeyMayGo) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ASSERT_NO_FATAL_FAILURE(EnableOwnerKey());
  kms_->Fail("local://escrow", FailureClass::kDestroyed);
  host_->KillDaemon();
  EXPECT_TRUE(Reach([this](const ObservedNode& o) { return o.engine == EngineState::kRunning && host_->Get(&HostInMemory::opened) == 2; }))
      << Seen();
}

TEST_F(NodeRunnerTest, AConfirmedRefusalSealsAndTheKeysReturnServesAgain) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ASSERT_NO_FATAL_FAILURE(EnableOwnerKey());
  kms_->Fail("local://owner", FailureClass::kDisabled);
  ASSERT_TRUE(ReachSealed("KMS_REFUSED")) << Seen();
  const KeyHealth health = runner_->Observed().key;
  EXPECT_EQ(health.failure, FailureClass::kDisabled);
  EXPECT_TRUE(health.confirmed);
  EXPECT_NE(health.since, "");
  EXPECT_EQ(host_->Get(&HostInMemory::stopped), 1) << "the database is stopped before it is sealed";
  kms_->Fail("local://owner", std::nullopt);
  EXPECT_TRUE(ReachRunning()) << Seen();
  EXPECT_TRUE(runner_->Observed().key.ok);
}

TEST_F(NodeRunnerTest, WhatTheKmsSealedServesAgainWhenTheKeyReturnsThoughTheAgentWasRestartedInBetween) {
  for (const FailureClass failure : {FailureClass::kDisabled, FailureClass::kUnreachable}) {
    StopAgent();
    config_.clocks.outage_grace = absl::Seconds(1);
    if (!host_->Get(&HostInMemory::file)) {
      ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
      ASSERT_NO_FATAL_FAILURE(EnableOwnerKey());
    } else {
      StartAgent();
      ASSERT_TRUE(ReachRunning()) << Seen();
    }
    kms_->Fail("local://owner", failure);
    ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.volume == VolumeState::kSealed; })) << Seen();
    StopAgent();
    StartAgent();
    ASSERT_TRUE(Reach([&](const ObservedNode& o) { return o.key.failure == failure; })) << Seen();
    EXPECT_EQ(runner_->Observed().volume, VolumeState::kSealed);
    kms_->Fail("local://owner", std::nullopt);
    ASSERT_TRUE(ReachRunning()) << Seen();
  }
}

TEST_F(NodeRunnerTest, ASilentKmsIsOutlivedUntilTheLeaseEndsAndItsReturnServesAgain) {
  config_.clocks.outage_grace = absl::Seconds(1);
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ASSERT_NO_FATAL_FAILURE(EnableOwnerKey());
  kms_->Fail("local://owner", FailureClass::kUnreachable);
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.key.failure == FailureClass::kUnreachable; })) << Seen();
  EXPECT_EQ(runner_->Observed().engine, EngineState::kRunning) << "no answer is no no";
  ASSERT_TRUE(ReachSealed("LEASE_ENDED")) << Seen();
  kms_->Fail("local://owner", std::nullopt);
  EXPECT_TRUE(ReachRunning()) << Seen();
}

TEST_F(NodeRunnerTest, ARevocationDoesNotWaitForAKmsThatHangs) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ASSERT_NO_FATAL_FAILURE(EnableOwnerKey());
  std::promise<void> release, hanging;
  std::atomic<bool> told = false;
  kms_->OnCall([&, released = release.get_future().share()] {
    if (!told.exchange(true)) hanging.set_value();
    released.wait();
  });
  hanging.get_future().wait();
  // A re-wrap is under way as well, and waits for that KMS.
  ++desired_.dek_generation;
  Change();
  desired_.revoked = true;
  const absl::Time ordered = absl::Now();
  Change();
  EXPECT_TRUE(ReachSealed("REVOKED")) << Seen();
  EXPECT_LT(absl::Now() - ordered, absl::Seconds(2));
  kms_->OnCall(nullptr);
  release.set_value();
  StopAgent();  // its threads use what this test holds
}

TEST_F(NodeRunnerTest, ARevokedNodeStaysSealedThroughRestartsUntilItIsRestored) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  desired_.revoked = true;
  Change();
  ASSERT_TRUE(ReachSealed("REVOKED")) << Seen();
  StopAgent();
  StartAgent();
  ASSERT_TRUE(Reach([this](const ObservedNode& o) { return o.applied_generation == desired_.generation; })) << Seen();
  EXPECT_EQ(runner_->Observed().volume, VolumeState::kSealed);
  EXPECT_TRUE(runner_->Observed().revoked_mark);
  EXPECT_EQ(host_->Get(&HostInMemory::opened), 1);
  desired_.revoked = false;
  Change();
  EXPECT_TRUE(ReachRunning()) << Seen();
}

TEST_F(NodeRunnerTest, ARevocationOvertakesAnOpeningThatWaitsForItsKey) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  desired_.paused = true;
  Change();
  ASSERT_TRUE(ReachSealed("PAUSED"));
  kms_->Fail("local://escrow", FailureClass::kUnreachable);
  desired_.paused = false;
  Change();
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.key.failure == FailureClass::kUnreachable; })) << Seen();
  desired_.revoked = true;
  Change();
  ASSERT_TRUE(Reach([this](const ObservedNode& o) { return o.applied_generation == desired_.generation; })) << Seen();
  kms_->Fail("local://escrow", std::nullopt);
  // The answer comes, and is not used: the next change is reached with the volume never opened in between.
  desired_.revoked_by = "somebody";
  Change();
  ASSERT_TRUE(Reach([this](const ObservedNode& o) { return o.applied_generation == desired_.generation; })) << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::opened), 1);
}

TEST_F(NodeRunnerTest, AHostThatWasAwayOpensWithTheKeyInForceAlone) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  StopAgent();
  // Meanwhile, elsewhere: two rotations, and then the first key is closed.
  RootKey second = owner_;
  second.uri = "local://second";
  const KmsCall call;
  LK_ASSERT_OK_AND_ASSIGN(const Kek first, UnwrapKek(kms_set_, desired_.wrapped_keks[0], escrow_, call));
  KekContext context = first.context();
  context.generation = 2;
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek kek2, MintKek(kms_set_, owner_, context, &first, Random::System(), Clock::Real()));
  LK_ASSERT_OK_AND_ASSIGN(const Kek opened2, UnwrapKek(kms_set_, kek2, owner_, call));
  context.generation = 3;
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek kek3, MintKek(kms_set_, second, context, &opened2, Random::System(), Clock::Real()));
  kms_->Fail("local://escrow", FailureClass::kDestroyed);
  kms_->Fail("local://owner", FailureClass::kDisabled);
  {
    // The host was switched off.
    const std::lock_guard lock(host_->mutex);
    host_->daemon = host_->mount = host_->engine_running = false;
  }
  desired_.wrapped_keks.push_back(kek2);
  desired_.wrapped_keks.push_back(kek3);
  desired_.kek_generation = 3;
  desired_.dek_generation = 2;
  desired_.root = second;
  desired_.root_is_escrow = false;
  StartAgent();
  Change();
  ASSERT_TRUE(ReachRunning()) << Seen();
  for (const ObservedDek& dek : runner_->Observed().deks) EXPECT_EQ(dek.kek_id, kek3.id);
  EXPECT_EQ(runner_->Observed().deks.back().generation, 2);
}

TEST_F(NodeRunnerTest, AKekThatSomebodySlippedInIsRefused) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  // Minted by somebody who holds a root key, but never held the KEK before it.
  KekContext context = desired_.wrapped_keks[0].context;
  LK_ASSERT_OK_AND_ASSIGN(const Kek false_first, Kek::FromBytes(Random::System().Secret(kKekSize), context));
  context.generation = 2;
  LK_ASSERT_OK_AND_ASSIGN(WrappedKek slipped, MintKek(kms_set_, owner_, context, &false_first, Random::System(), Clock::Real()));
  desired_.wrapped_keks.push_back(slipped);
  desired_.kek_generation = 2;
  desired_.root = owner_;
  desired_.root_is_escrow = false;
  Change();
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.problem.starts_with("REWRAP_FAILED"); })) << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::rewrapped), 0);
  EXPECT_EQ(runner_->Observed().engine, EngineState::kRunning);
}

TEST_F(NodeRunnerTest, ARewrapNeedsBothKeys) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ASSERT_NO_FATAL_FAILURE(EnableOwnerKey());
  ++desired_.kek_generation;
  desired_.root.uri = "local://second";
  Change();
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.minted.has_value(); })) << Seen();
  desired_.wrapped_keks.push_back(*runner_->Observed().minted);
  kms_->Fail("local://owner", FailureClass::kUnreachable);
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.key.failure == FailureClass::kUnreachable; })) << Seen();
  Change();
  ASSERT_TRUE(Reach([this](const ObservedNode& o) { return o.highest_generation == desired_.generation; })) << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::rewrapped), 1);
  kms_->Fail("local://owner", std::nullopt);
  ASSERT_TRUE(ReachRunning()) << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::rewrapped), 2);
}

TEST_F(NodeRunnerTest, GoingBackToEscrowNeedsThisHostsPermission) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ASSERT_NO_FATAL_FAILURE(EnableOwnerKey());
  ++desired_.kek_generation;
  desired_.root = escrow_;
  desired_.root_is_escrow = true;
  Change();
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.problem.starts_with("ROOT_REFUSED"); })) << Seen();
  EXPECT_FALSE(runner_->Observed().minted);
  EXPECT_EQ(runner_->Observed().engine, EngineState::kRunning);
  StopAgent();
  config_.allow_return_to_escrow = true;
  StartAgent();
  ASSERT_NO_FATAL_FAILURE(NameMinted());
  EXPECT_TRUE(ReachRunning()) << Seen();
}

TEST_F(NodeRunnerTest, TheEscrowKeyUnderAnOwnersNameNeedsThisHostsPermissionAsWell) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ASSERT_NO_FATAL_FAILURE(EnableOwnerKey());
  ++desired_.kek_generation;
  desired_.root = escrow_;
  desired_.root_is_escrow = false;
  Change();
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.problem.starts_with("ROOT_REFUSED"); })) << Seen();
  EXPECT_FALSE(runner_->Observed().minted);
  EXPECT_EQ(host_->Get(&HostInMemory::rewrapped), 1);
}

TEST_F(NodeRunnerTest, AKeyThatWasNamedAsAnOwnersIsNeverWithoutALeaseWhateverItIsCalledLater) {
  config_.allow_return_to_escrow = true;
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ASSERT_NO_FATAL_FAILURE(EnableOwnerKey());
  desired_.root_is_escrow = true;
  Change();
  ASSERT_TRUE(ReachRunning()) << Seen();
  EXPECT_EQ(runner_->Record().escrow_uri, "local://escrow") << "the real one keeps its name";
  host_->KillDaemon();
  ASSERT_TRUE(Reach([this](const ObservedNode& o) { return o.engine == EngineState::kRunning && host_->Get(&HostInMemory::opened) == 2; }))
      << Seen();
  EXPECT_TRUE(host_->Get(&HostInMemory::lease_end));
}

TEST_F(NodeRunnerTest, AnOpenVolumeGetsItsLeaseWhenItsKeyIsNamedAsAnOwners) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ASSERT_FALSE(host_->Get(&HostInMemory::lease_end));
  desired_.root_is_escrow = false;
  Change();
  EXPECT_TRUE(Reach([](const ObservedNode& o) { return !o.lease_end.empty(); })) << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::opened), 1);
}

TEST_F(NodeRunnerTest, AKeyNamedAsAnOwnersBeforeItWasInForceIsNoEscrow) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ++desired_.kek_generation;
  desired_.root = owner_;
  desired_.root_is_escrow = false;
  Change();
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.minted.has_value(); })) << Seen();
  desired_.root_is_escrow = true;
  ASSERT_NO_FATAL_FAILURE(NameMinted());
  ASSERT_TRUE(Reach([this](const ObservedNode&) { return host_->Get(&HostInMemory::rewrapped) == 1; })) << Seen();
  EXPECT_TRUE(host_->Get(&HostInMemory::lease_end));
  EXPECT_EQ(runner_->Record().escrow_uri, "local://escrow");
}

TEST_F(NodeRunnerTest, AnOwnerKeyThatWrapsTheVolumeIsHeldEvenIfTheAgentEndedBeforeItWroteThatDown) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ASSERT_NO_FATAL_FAILURE(EnableOwnerKey());
  NodeRecord record = runner_->Record();
  StopAgent();
  record.owner_key_held = false;
  LK_ASSERT_OK(StoreNodeRecord(RecordPath(), record));
  StartAgent();
  ASSERT_TRUE(ReachRunning()) << Seen();
  EXPECT_TRUE(runner_->Record().owner_key_held);
}

TEST_F(NodeRunnerTest, APinnedEscrowKeyIsTheOnlyOneTakenForEscrow) {
  config_.escrow_uri = "local://escrow";
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  EXPECT_FALSE(host_->Get(&HostInMemory::lease_end));
  ++desired_.kek_generation;
  desired_.root = owner_;
  desired_.root_is_escrow = true;
  Change();
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.problem.starts_with("ROOT_REFUSED: the server calls local://owner escrow"); }))
      << Seen();
  EXPECT_FALSE(runner_->Observed().minted);
  EXPECT_EQ(runner_->Record().escrow_uri, "local://escrow");
  EXPECT_EQ(runner_->Observed().engine, EngineState::kRunning);
}

TEST_F(NodeRunnerTest, ARootKeyOutsideThePinsIsRefused) {
  config_.allowed_root_keys = {{.type = "LOCAL", .account = "escrow", .principal = ""}};
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ++desired_.kek_generation;
  desired_.root = owner_;
  desired_.root_is_escrow = false;
  Change();
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.problem.starts_with("ROOT_REFUSED"); })) << Seen();
  EXPECT_FALSE(runner_->Observed().minted);
  EXPECT_EQ(runner_->Observed().engine, EngineState::kRunning);
}

TEST_F(NodeRunnerTest, AnotherRootKeyForAGenerationThatWasNeverStoredIsMintedForAnew) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  ++desired_.kek_generation;
  desired_.root = owner_;
  desired_.root_is_escrow = false;
  Change();
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.minted.has_value(); })) << Seen();
  desired_.root.uri = "local://second";
  Change();
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.minted && o.minted->root.uri == "local://second"; })) << Seen();
  EXPECT_EQ(runner_->Observed().minted->context.generation, 2);
  ASSERT_NO_FATAL_FAILURE(NameMinted());
  ASSERT_TRUE(ReachRunning()) << Seen();
  for (const ObservedDek& dek : runner_->Observed().deks) EXPECT_EQ(dek.kek_id, desired_.CurrentKek()->id);
}

TEST_F(NodeRunnerTest, AMintThatHangsDoesNotHoldUpTheOneThatOvertookIt) {
  StartAgent();
  std::promise<void> release, hanging;
  std::atomic<bool> told = false;
  kms_->OnCall([&, released = release.get_future().share()] {
    if (told.exchange(true)) return;
    hanging.set_value();
    released.wait();
  });
  desired_.root = owner_;  // nothing is known of this node: its first question is the minting
  runner_->SetDesired(desired_);
  hanging.get_future().wait();
  desired_.root.uri = "local://second";
  Change();
  EXPECT_TRUE(Reach([](const ObservedNode& o) { return o.minted && o.minted->root.uri == "local://second"; }, absl::Seconds(5))) << Seen();
  release.set_value();
  StopAgent();  // its threads use what this test holds
}

TEST_F(NodeRunnerTest, AMintThatFailsIsReportedWithItsClassAndRepeated) {
  kms_->Fail("local://escrow", FailureClass::kDenied);
  StartAgent();
  runner_->SetDesired(desired_);
  ASSERT_TRUE(Reach([](const ObservedNode& o) { return o.key.failure == FailureClass::kDenied; })) << Seen();
  EXPECT_FALSE(runner_->Observed().key.ok);
  kms_->Fail("local://escrow", std::nullopt);
  EXPECT_TRUE(Reach([](const ObservedNode& o) { return o.minted.has_value(); })) << Seen();
}

TEST_F(NodeRunnerTest, ARevocationThatCannotBeWrittenDownIsCarriedOutButDoesNotCountYet) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  const int64_t before = desired_.generation;
  std::filesystem::rename(folder_.path(), folder_.path() + ".away");
  desired_.revoked = true;
  Change();
  EXPECT_TRUE(ReachSealed("REVOKED")) << Seen();
  EXPECT_TRUE(Reach([](const ObservedNode& o) { return o.problem.starts_with("STATE_UNWRITABLE"); })) << Seen();
  // An agent that crashed now would come back with the order before.
  const ObservedNode seen = runner_->Observed();
  EXPECT_EQ(seen.applied_generation, before);
  // What it heard is told: a server that was restored from an old copy keeps the revocation by it.
  EXPECT_EQ(seen.highest_generation, desired_.generation);
  EXPECT_TRUE(seen.revoked_mark);

  std::filesystem::rename(folder_.path() + ".away", folder_.path());
  EXPECT_TRUE(Reach([this](const ObservedNode& o) { return o.applied_generation == desired_.generation; })) << Seen();
  EXPECT_EQ(runner_->Observed().volume, VolumeState::kSealed);
}

TEST_F(NodeRunnerTest, WithoutARecordOnDiskDoorsAreClosedButNotOpened) {
  ASSERT_NO_FATAL_FAILURE(MakeRunningNode());
  std::filesystem::rename(folder_.path(), folder_.path() + ".away");
  desired_.revoked = true;
  Change();
  EXPECT_TRUE(ReachSealed("REVOKED")) << Seen();
  desired_.revoked = false;
  Change();
  EXPECT_TRUE(Reach([](const ObservedNode& o) { return o.problem.starts_with("STATE_UNWRITABLE"); })) << Seen();
  EXPECT_EQ(host_->Get(&HostInMemory::opened), 1);
  std::filesystem::rename(folder_.path() + ".away", folder_.path());
  EXPECT_TRUE(ReachRunning()) << Seen();
}

}  // namespace
}  // namespace latchkey
