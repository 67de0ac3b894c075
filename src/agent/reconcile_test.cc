#include "agent/reconcile_testing.h"

namespace latchkey {
namespace {

using testing::IsEmpty;
using testing::StartsWith;

TEST(ReconcileTest, ANewNodeFirstGetsAKek) {
  Case c;
  c.NeverMade();
  c.desired().wrapped_keks.clear();
  const Decision d = c.Decide();
  EXPECT_TRUE(d.mint);
  EXPECT_FALSE(d.previous);
  EXPECT_EQ(d.action, Action::kNone);
}

TEST(ReconcileTest, AMintedKekWaitsForTheServersWord) {
  Case c;
  c.NeverMade();
  c.desired().wrapped_keks.clear();
  c.in.record.minted = Record(1);
  EXPECT_FALSE(c.Decide().mint);
  EXPECT_EQ(c.Decide().action, Action::kNone);
}

TEST(ReconcileTest, ThenItsVolumeThenItsDataThenItsEngine) {
  Case c;
  c.NeverMade();
  Decision d = c.Decide();
  EXPECT_EQ(d.action, Action::kCreateVolume);
  EXPECT_EQ(d.kek->id, "kek1");
  EXPECT_EQ(d.lease->id, "kek1");

  c.in.record.volume_id = kVolume;
  c.in.record.volume_created = true;
  c.File().Open();
  c.in.engine.has_data = false;
  EXPECT_EQ(c.Decide().action, Action::kInitialiseEngine);

  c.in.record.engine_initialised = true;
  c.in.engine.has_data = true;
  EXPECT_EQ(c.Decide().action, Action::kStartEngine);

  c.in.engine = {.running = true};
  EXPECT_EQ(c.Decide().action, Action::kTellVolume);
  c.in.engine.known_to_volume = true;
  d = c.Decide();
  EXPECT_EQ(d.action, Action::kNone);
  EXPECT_FALSE(d.applied);
  c.in.engine.answers = true;
  EXPECT_TRUE(c.Decide().applied);
}

TEST(ReconcileTest, NothingIsCreatedTwiceAMissingVolumeIsReported) {
  Case c;
  c.in.volume = {};
  Decision d = c.Decide();
  EXPECT_EQ(d.action, Action::kNone);
  EXPECT_THAT(d.problem, StartsWith("VOLUME_MISSING"));
  EXPECT_EQ(VolumeStateOf(c.in, Action::kNone), VolumeState::kMissing);
  EXPECT_FALSE(d.applied);
  // Even when the server has forgotten that it was made.
  c.desired().volume_id.clear();
  EXPECT_EQ(c.Decide().action, Action::kNone);
}

TEST(ReconcileTest, NothingIsCreatedTwiceWhereTheHostCouldNotWriteDownThatItMadeIt) {
  Case named;
  named.in.volume = {};
  named.in.record.volume_created = named.in.record.engine_initialised = false;
  EXPECT_EQ(named.Decide().action, Action::kNone);
  EXPECT_THAT(named.Decide().problem, StartsWith("VOLUME_MISSING"));

  // Nor from what is remembered alone: the server may know of it since.
  Case remembered;
  remembered.NeverMade();
  ASSERT_EQ(remembered.Decide().action, Action::kCreateVolume);
  remembered.in.unheard = true;
  EXPECT_EQ(remembered.Decide().action, Action::kNone);
  // What is there is opened without anybody's word.
  Case there;
  there.in.unheard = true;
  EXPECT_EQ(there.Decide().action, Action::kOpenVolume);
}

TEST(ReconcileTest, NothingIsCreatedTwiceAnEmptyDataFolderIsReported) {
  Case c;
  c.Open();
  c.in.engine.has_data = false;
  const Decision d = c.Decide();
  EXPECT_EQ(d.action, Action::kNone);
  EXPECT_THAT(d.problem, StartsWith("ENGINE_DATA_MISSING"));
  EXPECT_EQ(EngineStateOf(c.in, Action::kNone), EngineState::kDataMissing);
}

TEST(ReconcileTest, AnotherVolumeInTheFolderIsLeftAlone) {
  Case c;
  c.File(kOtherVolume);
  EXPECT_EQ(c.Decide().action, Action::kNone);
  EXPECT_THAT(c.Decide().problem, StartsWith("VOLUME_MISMATCH"));

  Case server;
  server.desired().volume_id = kOtherVolume;
  EXPECT_EQ(server.Decide().action, Action::kNone);
  EXPECT_THAT(server.Decide().problem, StartsWith("VOLUME_MISMATCH"));

  Case unknown;
  unknown.NeverMade().File(kOtherVolume);
  EXPECT_EQ(unknown.Decide().action, Action::kNone);
  EXPECT_THAT(unknown.Decide().problem, StartsWith("VOLUME_MISMATCH"));
}

TEST(ReconcileTest, AnUnreadableKeyFileIsNoReasonToMakeANewOne) {
  Case c;
  c.NeverMade();
  c.in.volume.file = VolumeFacts::File::kUnreadable;
  EXPECT_EQ(c.Decide().action, Action::kNone);
  EXPECT_THAT(c.Decide().problem, StartsWith("VOLUME_UNREADABLE"));
}

TEST(ReconcileTest, AnOlderKeyFileIsNoticed) {
  Case c;
  c.Running();
  c.in.volume.revision = 3;
  c.in.record.volume_revision = 4;
  EXPECT_THAT(c.Decide().problem, StartsWith("VOLUME_OLDER"));
}

// Each reason to rest brings everything down in the same order.
class RestTest : public testing::TestWithParam<std::string> {
 protected:
  RestTest() {
    c_.Running();
    c_.desired().paused = GetParam() == "PAUSED";
    c_.desired().revoked = GetParam() == "REVOKED";
    c_.desired().deleted = GetParam() == "DELETED";
  }
  Case c_;
};

TEST_P(RestTest, StopsTheEngineThenSeals) {
  EXPECT_EQ(c_.Decide().action, Action::kStopEngine);
  c_.in.engine = {};
  EXPECT_EQ(c_.Decide().action, Action::kSeal);
  EXPECT_EQ(c_.Decide().seal_reason, GetParam());
  EXPECT_FALSE(c_.Decide().lease) << "the KMS is not asked for a volume that shall stay sealed";
  c_.in.volume = {};
  c_.File();
  if (GetParam() == "DELETED") {
    EXPECT_EQ(c_.Decide().action, Action::kDelete);
  } else {
    EXPECT_EQ(c_.Decide().action, Action::kNone);
    EXPECT_TRUE(c_.Decide().applied);
    EXPECT_EQ(VolumeStateOf(c_.in, Action::kNone), VolumeState::kSealed);
  }
}

TEST_P(RestTest, SealsWhatHangsAndCleansUpWhatDied) {
  c_.in.engine = {};
  c_.in.volume.daemon = c_.in.volume.open = false;
  c_.in.volume.daemon_hangs = true;
  EXPECT_EQ(c_.Decide().action, Action::kSeal);
  c_.in.volume.daemon_hangs = false;
  EXPECT_EQ(c_.Decide().action, Action::kCleanUpDeadMount);
  EXPECT_EQ(VolumeStateOf(c_.in, Action::kNone), VolumeState::kSealing);
}

TEST_P(RestTest, DoesNotWaitForAnEngineWhoseFilesHang) {
  c_.in.volume.daemon = c_.in.volume.open = false;
  c_.in.volume.daemon_hangs = true;
  EXPECT_TRUE(c_.in.engine.running);
  EXPECT_EQ(c_.Decide().action, Action::kSeal);
}

TEST_P(RestTest, IsNotSealedBeforeTheDaemonHasEnded) {
  c_.in.engine = {};
  c_.in.volume = {};
  c_.File();
  c_.in.volume.sealing = true;
  EXPECT_EQ(c_.Decide().action, Action::kNone);
  EXPECT_FALSE(c_.Decide().applied);
  EXPECT_EQ(VolumeStateOf(c_.in, Action::kNone), VolumeState::kSealing);
}

TEST_P(RestTest, DoesNotOpenWhateverTheKeySays) {
  c_.in.engine = {};
  c_.in.volume = {};
  c_.File();
  EXPECT_NE(c_.Decide().action, Action::kOpenVolume);
  EXPECT_FALSE(c_.Decide().lease);
}

INSTANTIATE_TEST_SUITE_P(Reasons, RestTest, testing::Values("PAUSED", "REVOKED", "DELETED"));

TEST(ReconcileTest, AShortSilenceOfTheDaemonStopsNothing) {
  Case c;
  c.Running().in.volume.silent = true;
  EXPECT_EQ(c.Decide().action, Action::kNone);
  EXPECT_TRUE(c.Decide().lease) << "the KMS is still asked";
  EXPECT_EQ(VolumeStateOf(c.in, Action::kNone), VolumeState::kOpen);
  c.in.engine = {};
  EXPECT_EQ(c.Decide().action, Action::kNone) << "no engine is started on a mount that may hang";

  Case found;  // by an agent that has just been started
  found.in.volume.silent = found.in.volume.mounted = true;
  found.in.engine.running = true;
  EXPECT_EQ(found.Decide().action, Action::kNone);
  EXPECT_EQ(VolumeStateOf(found.in, Action::kNone), VolumeState::kSealing);
}

TEST(ReconcileTest, ASilentDaemonIsNotWaitedForWhenItsVolumeShallClose) {
  for (const char* reason : {"REVOKED", "KMS_REFUSED", "LEASE_ENDED"}) {
    Case c;
    c.Running().in.volume.silent = true;
    c.desired().revoked = reason == std::string("REVOKED");
    c.in.key.refused = reason == std::string("KMS_REFUSED");
    if (reason == std::string("LEASE_ENDED")) c.in.volume.lease_end = c.in.now;
    EXPECT_EQ(c.Decide().action, Action::kSeal) << reason;
    EXPECT_EQ(c.Decide().seal_reason, reason);
  }
}

TEST(ReconcileTest, NoEngineIsPutOnABareMountPoint) {
  for (const bool has_data : {false, true}) {
    Case c;
    c.Open().in.volume.mounted = false;
    c.in.engine.has_data = has_data;
    c.in.record.engine_initialised = has_data;
    EXPECT_EQ(c.Decide().action, Action::kNone);
    EXPECT_THAT(c.Decide().problem, StartsWith("MOUNT_MISSING"));
    EXPECT_FALSE(c.Decide().applied);
  }
}

TEST(ReconcileTest, ARefusalOfTheKmsStopsAndSeals) {
  Case c;
  c.Running().in.key.refused = true;
  EXPECT_EQ(c.Decide().action, Action::kStopEngine);
  c.in.engine = {};
  EXPECT_EQ(c.Decide().action, Action::kSeal);
  EXPECT_EQ(c.Decide().seal_reason, "KMS_REFUSED");
  // The keeper goes on asking, and what the KMS closed opens by itself.
  EXPECT_TRUE(c.Decide().lease);
  c.in.volume = {};
  c.File();
  EXPECT_EQ(c.Decide().action, Action::kOpenVolume);
}

TEST(ReconcileTest, ALeaseNearItsEndIsUsedToStopGently) {
  Case c;
  c.Running().in.volume.lease_end = c.in.now + absl::Seconds(31);
  EXPECT_EQ(c.Decide().action, Action::kNone);
  c.in.volume.lease_end = c.in.now + absl::Seconds(30);
  EXPECT_EQ(c.Decide().action, Action::kStopEngine);
  c.in.engine = {};
  EXPECT_EQ(c.Decide().action, Action::kSeal);
  EXPECT_EQ(c.Decide().seal_reason, "LEASE_ENDED");
}

TEST(ReconcileTest, WithoutALeaseNothingEnds) {
  Case c;
  c.Running().in.volume.lease_end.reset();
  EXPECT_EQ(c.Decide().action, Action::kNone);
  EXPECT_TRUE(c.Decide().applied);
}

TEST(ReconcileTest, WhatADeadDaemonLeftIsCleanedUpBeforeItIsOpenedAgain) {
  Case c;
  c.Running();
  c.in.volume.daemon = c.in.volume.open = false;
  EXPECT_EQ(c.Decide().action, Action::kCleanUpDeadMount);
  c.in.volume.mounted = false;
  EXPECT_EQ(c.Decide().action, Action::kCleanUpDeadMount) << "the engine may still show plaintext";
  c.in.engine = {};
  EXPECT_EQ(c.Decide().action, Action::kOpenVolume);
}

TEST(ReconcileTest, WaitsWhileADaemonSeals) {
  Case c;
  c.in.volume.daemon = c.in.volume.sealing = c.in.volume.mounted = true;
  EXPECT_EQ(c.Decide().action, Action::kNone);
  EXPECT_EQ(VolumeStateOf(c.in, Action::kNone), VolumeState::kSealing);
}

TEST(ReconcileTest, ANewGenerationIsMintedWithTheOneBeforeWhileTheDatabaseRuns) {
  Case c;
  c.Running();
  c.desired().kek_generation = 2;
  c.desired().root.uri = "local://owner";
  const Decision d = c.Decide();
  EXPECT_TRUE(d.mint);
  EXPECT_EQ(d.previous->id, "kek1");
  EXPECT_EQ(d.action, Action::kNone);
  EXPECT_EQ(d.lease->id, "kek1");
  EXPECT_FALSE(d.applied);
}

TEST(ReconcileTest, ARewrapTakesTheRunningVolumeOver) {
  Case c;
  c.Running();
  c.desired().kek_generation = 2;
  c.desired().dek_generation = 2;
  c.desired().wrapped_keks.push_back(Record(2, "local://owner"));
  c.desired().root.uri = "local://owner";
  Decision d = c.Decide();
  EXPECT_TRUE(d.rewrap);
  EXPECT_EQ(d.from->id, "kek1");
  EXPECT_EQ(d.new_dek_generation, 2);
  EXPECT_EQ(d.lease->id, "kek1") << "until it is done";
  EXPECT_EQ(d.action, Action::kNone);
  EXPECT_FALSE(d.applied);

  c.in.volume.deks = {{.id = "dek1", .generation = 1, .kek_id = "kek2"},
                      {.id = "dek2", .generation = 2, .kek_id = "kek2", .current = true}};
  d = c.Decide();
  EXPECT_FALSE(d.rewrap);
  EXPECT_EQ(d.lease->id, "kek2");
  EXPECT_TRUE(d.applied);
}

TEST(ReconcileTest, NewDataKeysAloneAreARewrapFromTheKekToItself) {
  Case c;
  c.Running();
  c.desired().dek_generation = 2;
  const Decision d = c.Decide();
  EXPECT_TRUE(d.rewrap);
  EXPECT_EQ(d.from->id, "kek1");
  EXPECT_EQ(d.new_dek_generation, 2);
}

TEST(ReconcileTest, AHostThatWasAwayOpensThroughTheKekInForce) {
  Case c;
  c.desired().kek_generation = 3;
  c.desired().wrapped_keks = {Record(1), Record(2), Record(3, "local://owner")};
  c.desired().root.uri = "local://owner";
  const Decision d = c.Decide();
  EXPECT_EQ(d.action, Action::kOpenVolume);
  EXPECT_EQ(d.kek->id, "kek3");
  EXPECT_EQ(d.wrapping, "kek1");
  EXPECT_EQ(d.lease->id, "kek3");
}

TEST(ReconcileTest, AClosedVolumeOpensWithItsOwnKekWhileTheNextIsMinted) {
  Case c;
  c.desired().kek_generation = 2;
  const Decision d = c.Decide();
  EXPECT_EQ(d.action, Action::kOpenVolume);
  EXPECT_EQ(d.kek->id, "kek1");
  EXPECT_TRUE(d.mint);
}

TEST(ReconcileTest, AVolumeUnderAKekThatNobodyNamesStaysClosed) {
  Case c;
  c.File(kVolume, "somebody's");
  EXPECT_EQ(c.Decide().action, Action::kNone);
  EXPECT_THAT(c.Decide().problem, StartsWith("KEK_UNKNOWN"));
}

TEST(ReconcileTest, ARootKeyThatThisHostRefusesOpensNothingAndStopsNothing) {
  Case closed;
  closed.in.key.root_problem = "ROOT_REFUSED: x";
  EXPECT_EQ(closed.Decide().action, Action::kNone);
  EXPECT_EQ(closed.Decide().problem, "ROOT_REFUSED: x");

  Case running;
  running.Running().in.key.root_problem = "ROOT_REFUSED: x";
  running.desired().kek_generation = 2;
  running.desired().wrapped_keks.push_back(Record(2, "local://foreign"));
  Decision d = running.Decide();
  EXPECT_FALSE(d.rewrap);
  EXPECT_EQ(d.action, Action::kNone);
  EXPECT_EQ(d.lease->id, "kek1");
  EXPECT_EQ(d.problem, "ROOT_REFUSED: x");

  // Sealed in between, by a KMS that was away perhaps, it opens again as it was.
  Case sealed;
  sealed.in.key.root_problem = "ROOT_REFUSED: x";
  sealed.desired() = running.desired();
  d = sealed.Decide();
  ASSERT_EQ(d.action, Action::kOpenVolume);
  EXPECT_EQ(d.kek->id, "kek1");
  EXPECT_EQ(d.wrapping, "");
  EXPECT_EQ(d.lease->id, "kek1");
  EXPECT_EQ(d.problem, "ROOT_REFUSED: x");

  running.desired().wrapped_keks.pop_back();
  EXPECT_FALSE(running.Decide().mint);
  // A captured server can stop databases, but nothing more.
  running.desired().revoked = true;
  EXPECT_EQ(running.Decide().action, Action::kStopEngine);
}

TEST(ReconcileTest, WithoutAWordOfTheServerNothingIsDone) {
  Case c;
  c.in.record.desired.reset();
  EXPECT_EQ(c.Decide().action, Action::kNone);
  EXPECT_THAT(c.Decide().problem, IsEmpty());
}

TEST(ReconcileTest, AnEngineThatDiedAloneIsStartedAgain) {
  Case c;
  c.Open();
  EXPECT_EQ(c.Decide().action, Action::kStartEngine);
  EXPECT_EQ(EngineStateOf(c.in, Action::kNone), EngineState::kStopped);
  c.in.engine.message = "PostgreSQL does not run: FATAL: x";
  EXPECT_EQ(EngineStateOf(c.in, Action::kNone), EngineState::kFailed);
}

TEST(ReconcileTest, DataThatCouldNotBeSeenIsNotTakenForMissing) {
  Case c;
  c.Open();
  c.in.engine.has_data.reset();
  EXPECT_EQ(c.Decide().action, Action::kNone);
  EXPECT_THAT(c.Decide().problem, IsEmpty());
}

}  // namespace
}  // namespace latchkey
