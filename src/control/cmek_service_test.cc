#include <gtest/gtest.h>

#include "control/control_testing.h"

namespace latchkey {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class CmekTest : public ControlTest {};

TEST_F(CmekTest, AClusterBeginsWithoutAnOwnerKey) {
  const auto host = Host();
  const std::string id = Running(*host);
  EXPECT_EQ(State(id), "CREATED");
  const CmekView view = Cmek(id);
  EXPECT_EQ(view.status, "DISABLED");
  EXPECT_THAT(view.regions, IsEmpty());
  EXPECT_EQ(host->only_desired().root.uri, "local://escrow");
  EXPECT_EQ(host->only_desired().root.external_id, control_->organization_id());
  EXPECT_TRUE(host->only_desired().root_is_escrow);
}

TEST_F(CmekTest, EnablingTakesTheOwnersKeyWithANewKekAndANewDek) {
  const auto host = Host();
  const std::string id = Running(*host);
  host->StartPolling();
  host->StopPolling();
  host->obedient = false;
  host->StartPolling();
  const auto answer = control_->cmek().Enable(caller_, id, Specs("a"));
  host->StopPolling();
  LK_ASSERT_OK(answer);
  EXPECT_EQ(answer->status, "ENABLING");
  EXPECT_EQ(State(id), "LOCKED");
  EXPECT_EQ(control_->clusters().Get(id)->operation_status, "CRDB_CMEK_OPERATION_RUNNING");
  EXPECT_THAT(Cmek(id).regions[0].keys[0].user_message, HasSubstr("waiting for host h1 (last heard 0 s ago) to mint"));
  host->obedient = true;
  LK_ASSERT_OK(host->Settle());
  const DesiredNode desired = host->only_desired();
  EXPECT_EQ(desired.root.uri, Key("a").uri);
  EXPECT_EQ(desired.root.external_id, control_->organization_id());
  EXPECT_FALSE(desired.root_is_escrow);
  EXPECT_EQ(desired.kek_generation, 2);
  EXPECT_EQ(desired.dek_generation, 2);
  ASSERT_NE(desired.CurrentKek(), nullptr);
  const CmekView view = Cmek(id);
  EXPECT_EQ(view.status, "ENABLED");
  ASSERT_THAT(view.regions, SizeIs(1));
  EXPECT_EQ(view.regions[0].status, "ENABLED");
  ASSERT_THAT(view.regions[0].keys, SizeIs(1));
  EXPECT_EQ(view.regions[0].keys[0].spec.uri, Key("a").uri);
  EXPECT_EQ(view.regions[0].keys[0].status, "ENABLED");
  EXPECT_EQ(State(id), "CREATED");
  EXPECT_THAT(AuditOf("CMEK_ENABLE"), ElementsAre(Field(&AuditEntry::actor, "ann (LKEY1_test)")));
}

TEST_F(CmekTest, StatusSaysHowMuchDataTheFormerRootKeyCouldOpen) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  ObservedNode seen = host->only();
  ASSERT_THAT(seen.deks, SizeIs(2));
  seen.deks[0].bytes = 12'897'485;
  seen.deks[1].bytes = 47'185'920 - 12'897'485;
  host->Observe(seen);
  LK_ASSERT_OK(host->Sync());
  EXPECT_EQ(Cmek(id).regions[0].status, "ENABLED");
  EXPECT_EQ(Cmek(id).regions[0].keys[0].user_message,
            "12.3 MiB of 45 MiB of file data is still under the data key that the former root key could open; new files use the new one.");
  EXPECT_EQ(Cmek(id).regions[0].bytes_under_former_keys, 12'897'485);
  EXPECT_EQ(Cmek(id).regions[0].bytes_total, 47'185'920);
}

TEST_F(CmekTest, ThePostThatIsSentAgainChangesNothing) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  const int64_t generation = host->only_desired().generation;
  LK_ASSERT_OK(control_->cmek().Enable(caller_, id, Specs("a")));
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(host->only_desired().generation, generation);
  EXPECT_THAT(AuditOf("CMEK_ENABLE"), SizeIs(1));
}

TEST_F(CmekTest, APostWithOtherKeysIsAborted) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  EXPECT_THAT(control_->cmek().Enable(caller_, id, Specs("b")), StatusIs(absl::StatusCode::kAborted, HasSubstr("PUT")));
  EXPECT_THAT(AuditOf("CMEK_ENABLE"), ElementsAre(Field(&AuditEntry::error, ""), Field(&AuditEntry::error, HasSubstr("PUT"))));
}

TEST_F(CmekTest, EveryRegionMustBeNamedOnce) {
  const auto host = Host();
  const std::string id = Running(*host);
  CmekService& cmek = control_->cmek();
  using absl::StatusCode;
  EXPECT_THAT(cmek.Enable(caller_, id, {}), StatusIs(StatusCode::kInvalidArgument, HasSubstr("region_specs")));
  // Asking again cannot help with any of these.
  RootKey unknown = Key("a");
  unknown.type = "PAPER";
  for (const std::vector<RegionKeySpec>& specs : std::vector<std::vector<RegionKeySpec>>{
           {}, {{"", Key("a")}}, {{"mars-1", Key("a")}}, {{"us-east-1", Key("a")}, {"us-east-1", Key("a")}}, {{"us-east-1", unknown}}}) {
    EXPECT_EQ(KeyFaultOf(control_->cmek().Update(caller_, id, specs).status()), KeyFault::kPermanent);
  }
  EXPECT_THAT(cmek.Enable(caller_, id, {{"mars-1", Key("a")}}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("region_specs[0].region")));
  EXPECT_THAT(cmek.Enable(caller_, id, {{"us-east-1", Key("a")}, {"us-east-1", Key("a")}}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("region_specs[1].region")));
  RootKey none = Key("a");
  none.type = "NULL_KMS";
  EXPECT_THAT(cmek.Enable(caller_, id, {{"us-east-1", none}}), StatusIs(StatusCode::kUnimplemented, HasSubstr("NULL_KMS")));
  RootKey odd = Key("a b");
  EXPECT_THAT(cmek.Enable(caller_, id, {{"us-east-1", odd}}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("region_specs[0].key_spec.uri")));
  odd.uri = std::string(2049, 'x');
  const auto too_long = cmek.Enable(caller_, id, {{"us-east-1", odd}});
  EXPECT_EQ(KeyFaultOf(too_long.status()), KeyFault::kPermanent);
  EXPECT_THAT(cmek.Enable(caller_, "nowhere", Specs("a")), StatusIs(StatusCode::kNotFound));
  EXPECT_EQ(Cmek(id).status, "DISABLED");
  EXPECT_THAT(AuditOf("CMEK_ENABLE"), SizeIs(7));
}

KeyVerdict No(const KeyTest& test, FailureClass failure) {
  return {.test_id = test.id, .ok = false, .failure = failure, .message = "the provider's words"};
}

TEST_F(CmekTest, AKeyThatItsKmsRefusesIsRefusedWithTheNextStep) {
  const auto host = Host();
  const std::string id = Running(*host);
  FailureClass failure = FailureClass::kDisabled;
  host->on_key_test = [&](const KeyTest& test) {
    EXPECT_EQ(test.root.external_id, control_->organization_id());
    EXPECT_EQ(test.region, "us-east-1");
    return std::optional(No(test, failure));
  };
  host->StartPolling();
  const auto refused = control_->cmek().Enable(caller_, id, Specs("a"));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument,
                                testing::AllOf(HasSubstr("region_specs[0].key_spec: DISABLED: the provider's words."),
                                               HasSubstr("Enable the key"))));
  EXPECT_EQ(KeyFaultOf(refused.status()), KeyFault::kRefused);
  failure = FailureClass::kUnsuitable;
  const auto unsuitable = control_->cmek().Enable(caller_, id, Specs("a"));
  EXPECT_THAT(unsuitable, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(KeyFaultOf(unsuitable.status()), KeyFault::kPermanent);
  failure = FailureClass::kUnreachable;
  const auto silent = control_->cmek().Enable(caller_, id, Specs("a"));
  EXPECT_THAT(silent, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("UNREACHABLE")));
  EXPECT_EQ(KeyFaultOf(silent.status()), std::nullopt);
  host->StopPolling();
  EXPECT_EQ(Cmek(id).status, "DISABLED");
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(host->only_desired().kek_generation, 1);
}

TEST_F(CmekTest, WithoutAnAnswerInTimeTheAnswerIsUnavailable) {
  key_test_timeout_ = absl::Milliseconds(30);
  Reopen();
  const auto host = Host();
  const std::string id = Running(*host);
  EXPECT_THAT(control_->cmek().Enable(caller_, id, Specs("a")), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("h1")));
  clock_.Advance(absl::Seconds(61));
  EXPECT_THAT(control_->cmek().Enable(caller_, id, Specs("a")), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("us-east-1")));
}

TEST_F(CmekTest, AVerdictFromAnotherHostCountsForNothing) {
  key_test_timeout_ = absl::Milliseconds(200);
  Reopen();
  const auto host = Host("h1");
  const std::string id = Running(*host);
  const auto liar = Host("h2");
  std::optional<KeyTest> seen;
  host->on_key_test = [&](const KeyTest& test) -> std::optional<KeyVerdict> {
    SyncRequest request = liar->MakeRequest(0);
    request.verdicts.push_back({.test_id = test.id, .ok = true, .failure = std::nullopt, .message = ""});
    control_->agents().Sync(liar->agent_id(), liar->serial(), request, [](const absl::StatusOr<SyncResponse>&) {});
    seen = test;
    return std::nullopt;
  };
  host->StartPolling();
  EXPECT_THAT(control_->cmek().Enable(caller_, id, Specs("a")), StatusIs(absl::StatusCode::kUnavailable));
  host->StopPolling();
  EXPECT_TRUE(seen.has_value());
  EXPECT_EQ(Cmek(id).status, "DISABLED");
}

TEST_F(CmekTest, ARotationKeepsTheDekAndTheHistoryNewestFirst) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  host->obedient = false;
  clock_.Advance(absl::Seconds(10));
  host->StartPolling();
  const auto answer = control_->cmek().Update(caller_, id, Specs("b"));
  host->StopPolling();
  LK_ASSERT_OK(answer);
  ASSERT_THAT(answer->regions, SizeIs(1));
  EXPECT_EQ(answer->regions[0].status, "ROTATING");
  ASSERT_THAT(answer->regions[0].keys, SizeIs(2));
  EXPECT_EQ(answer->regions[0].keys[0].spec.uri, Key("b").uri);
  EXPECT_EQ(answer->regions[0].keys[0].status, "ENABLING");
  EXPECT_EQ(answer->regions[0].keys[1].status, "DISABLING");
  EXPECT_EQ(State(id), "LOCKED");
  host->obedient = true;
  LK_ASSERT_OK(host->Settle());
  const CmekView view = Cmek(id);
  EXPECT_EQ(view.status, "ENABLED");
  EXPECT_EQ(view.regions[0].keys[0].status, "ENABLED");
  EXPECT_EQ(view.regions[0].keys[1].status, "DISABLED");
  EXPECT_EQ(host->only_desired().kek_generation, 3);
  EXPECT_EQ(host->only_desired().dek_generation, 2);
  EXPECT_LT(view.regions[0].keys[1].created_at, view.regions[0].keys[0].created_at);
  clock_.Advance(absl::Hours(1));
  const CmekView later = Cmek(id);
  EXPECT_EQ(later.regions[0].keys[0].created_at, view.regions[0].keys[0].created_at);
  EXPECT_EQ(later.regions[0].keys[0].updated_at, view.regions[0].keys[0].updated_at);
}

TEST_F(CmekTest, TheSameKeyAgainIsRewrappedWithoutANewEntry) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  host->obedient = false;
  host->StartPolling();
  LK_ASSERT_OK(control_->cmek().Update(caller_, id, Specs("a")));
  // Sent again while it is under way: nothing more happens.
  LK_ASSERT_OK(control_->cmek().Update(caller_, id, Specs("a")));
  host->StopPolling();
  EXPECT_EQ(Cmek(id).regions[0].status, "ROTATING");
  EXPECT_THAT(Cmek(id).regions[0].keys, SizeIs(1));
  host->obedient = true;
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(host->only_desired().kek_generation, 3);
  EXPECT_EQ(Cmek(id).status, "ENABLED");
}

TEST_F(CmekTest, ABusyClusterRefusesPostButPutSupersedes) {
  const auto host = Host();
  const std::string id = Running(*host);
  host->obedient = false;
  host->StartPolling();
  LK_ASSERT_OK(control_->cmek().Enable(caller_, id, Specs("a")));
  EXPECT_THAT(control_->cmek().Enable(caller_, id, Specs("b")), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("busy")));
  LK_ASSERT_OK(control_->cmek().Update(caller_, id, Specs("b")));
  host->StopPolling();
  EXPECT_EQ(Cmek(id).regions[0].status, "ENABLING");
  host->obedient = true;
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(Cmek(id).status, "ENABLED");
  EXPECT_EQ(host->only_desired().root.uri, Key("b").uri);
  EXPECT_EQ(host->only_desired().dek_generation, 2);
}

TEST_F(CmekTest, AChangeThatWasSupersededBeforeItsKekWasMintedLeavesNoGapInTheGenerations) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  host->obedient = false;
  host->StartPolling();
  LK_ASSERT_OK(control_->cmek().Update(caller_, id, Specs("b")));
  LK_ASSERT_OK(control_->cmek().Update(caller_, id, Specs("c")));
  host->StopPolling();
  EXPECT_EQ(host->only_desired().kek_generation, 3);
  // What was minted for the change before is under its key, and not taken.
  host->obedient = true;
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(Cmek(id).status, "ENABLED");
  EXPECT_EQ(host->only_desired().CurrentKek()->root.uri, Key("c").uri);
  EXPECT_EQ(host->only_desired().kek_generation, 3);
  EXPECT_THAT(host->only().problem, IsEmpty());
}

TEST_F(CmekTest, TheOperatorsOwnKeyIsNoOwnersKey) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  RootKey escrow{.type = "LOCAL", .uri = "local://escrow", .auth_principal = "", .external_id = ""};
  for (const char* principal : {"", "somebody"}) {
    escrow.auth_principal = principal;
    const auto answer = control_->cmek().Update(caller_, id, {{"us-east-1", escrow}});
    EXPECT_THAT(answer, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("region_specs[0].key_spec.uri")));
    EXPECT_EQ(KeyFaultOf(answer.status()), KeyFault::kPermanent);
  }
  EXPECT_EQ(Cmek(id).regions[0].keys[0].spec.uri, Key("a").uri);
}

TEST_F(CmekTest, AClusterThatIsBeingCreatedIsBusy) {
  const auto host = Host();
  const auto cluster = Create();
  LK_ASSERT_OK(cluster);
  EXPECT_EQ(cluster->state, "CREATING");
  EXPECT_THAT(control_->cmek().Enable(caller_, cluster->id, Specs("a")), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(control_->cmek().Update(caller_, cluster->id, Specs("a")), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(CmekTest, AKeyThatTheHostCannotUseFailsTheChangeUntilItCan) {
  const auto host = Host();
  const std::string id = Running(*host);
  bool denied = true;
  host->tweak = [&](ObservedNode& seen) {
    if (!denied || seen.highest_generation < 4) return;
    seen.key = {
        .ok = false, .failure = FailureClass::kDenied, .message = "not authorized", .since = "2023-11-14T22:13:20Z", .confirmed = true};
    seen.minted.reset();
  };
  host->StartPolling();
  LK_ASSERT_OK(control_->cmek().Enable(caller_, id, Specs("a")));
  host->StopPolling();
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(Cmek(id).regions[0].status, "ENABLE_FAILED");
  EXPECT_EQ(Cmek(id).regions[0].keys[0].status, "ENABLE_FAILED");
  EXPECT_THAT(Cmek(id).regions[0].keys[0].user_message, HasSubstr("DENIED since 2023-11-14T22:13:20Z: not authorized."));
  EXPECT_EQ(State(id), "CREATED");
  EXPECT_EQ(control_->clusters().Get(id)->operation_status, "CRDB_CMEK_OPERATION_FAILED");
  denied = false;
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(Cmek(id).status, "ENABLED");
}

TEST_F(CmekTest, ARevocationIsDoneWhenEveryHostThatWasToldToOpenHasSealed) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  const auto answer = control_->cmek().Revoke(caller_, id);
  LK_ASSERT_OK(answer);
  EXPECT_EQ(answer->status, "REVOKING");
  EXPECT_EQ(answer->regions[0].status, "REVOKING");
  EXPECT_EQ(answer->regions[0].keys[0].status, "REVOKING");
  clock_.Advance(absl::Seconds(12));
  EXPECT_THAT(Cmek(id).regions[0].keys[0].user_message,
              HasSubstr("waiting for host h1 (last heard 12 s ago) to report sealed; deny the key in the KMS to bound it"));
  EXPECT_THAT(Cmek(id).regions[0].waiting_for, ElementsAre("h1 (last heard 12 s ago)"));
  // A sealed volume reported for an older generation is no proof.
  ObservedNode early = host->only();
  early.volume = VolumeState::kSealed;
  host->Observe(early);
  LK_ASSERT_OK(host->Sync());
  EXPECT_EQ(Cmek(id).status, "REVOKING");
  LK_ASSERT_OK(host->Settle());
  EXPECT_TRUE(host->only_desired().revoked);
  EXPECT_EQ(Cmek(id).status, "REVOKED");
  EXPECT_EQ(Cmek(id).regions[0].keys[0].status, "REVOKED");
  EXPECT_THAT(Cmek(id).regions[0].waiting_for, IsEmpty());
  const int64_t generation = host->only_desired().generation;
  const auto again = control_->cmek().Revoke(caller_, id);
  LK_ASSERT_OK(again);
  EXPECT_EQ(again->status, "REVOKED");
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(host->only_desired().generation, generation);
  EXPECT_THAT(AuditOf("CMEK_REVOKE"), SizeIs(1));
}

TEST_F(CmekTest, RestoreOpensAgain) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  LK_ASSERT_OK(control_->cmek().Revoke(caller_, id));
  LK_ASSERT_OK(host->Settle());
  const auto answer = control_->cmek().Restore(caller_, id);
  LK_ASSERT_OK(answer);
  EXPECT_EQ(answer->status, "ENABLING");
  EXPECT_EQ(State(id), "CREATED");
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(Cmek(id).status, "ENABLED");
  EXPECT_EQ(Cmek(id).regions[0].keys[0].user_message.find("estore"), std::string::npos);
  EXPECT_EQ(host->only_desired().kek_generation, 2);
  LK_ASSERT_OK(control_->cmek().Restore(caller_, id));
  EXPECT_THAT(AuditOf("CMEK_RESTORE"), SizeIs(1));
}

TEST_F(CmekTest, RevokeSupersedesAnEnablingWhichGoesOnAfterRestore) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnablingWith(*host, id, "a");
  host->obedient = true;
  LK_ASSERT_OK(control_->cmek().Revoke(caller_, id));
  EXPECT_EQ(State(id), "CREATED");
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(Cmek(id).status, "REVOKED");
  LK_ASSERT_OK(control_->cmek().Restore(caller_, id));
  EXPECT_EQ(Cmek(id).status, "ENABLING");
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(Cmek(id).status, "ENABLED");
}

TEST_F(CmekTest, APutNeverLiftsARevocation) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  LK_ASSERT_OK(control_->cmek().Revoke(caller_, id));
  LK_ASSERT_OK(host->Settle());
  host->StartPolling();
  LK_ASSERT_OK(control_->cmek().Update(caller_, id, Specs("b")));
  host->StopPolling();
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(Cmek(id).status, "REVOKED");
  EXPECT_TRUE(host->only_desired().revoked);
  EXPECT_EQ(host->only().volume, VolumeState::kSealed);
  LK_ASSERT_OK(control_->cmek().Restore(caller_, id));
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(Cmek(id).status, "ENABLED");
  EXPECT_EQ(Cmek(id).regions[0].keys[0].spec.uri, Key("b").uri);
}

TEST_F(CmekTest, ARevocationDuringTheKeyTestStopsTheChange) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  host->on_key_test = [&](const KeyTest& test) {
    LK_EXPECT_OK(control_->cmek().Revoke(caller_, id));
    return std::optional<KeyVerdict>({.test_id = test.id, .ok = true, .failure = std::nullopt, .message = ""});
  };
  host->StartPolling();
  EXPECT_THAT(control_->cmek().Update(caller_, id, Specs("b")), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("somebody else")));
  host->StopPolling();
  EXPECT_EQ(Cmek(id).regions[0].keys[0].spec.uri, Key("a").uri);
}

TEST_F(CmekTest, ARegionThatTheKmsDarkensIsRevokedAndComesBackByItself) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  ObservedNode seen = host->only();
  seen.key = {
      .ok = false, .failure = FailureClass::kDisabled, .message = "key is disabled", .since = "2026-01-02T03:04:05.5Z", .confirmed = true};
  seen.volume = VolumeState::kSealed;
  seen.engine = EngineState::kStopped;
  seen.seal_reason = "KMS_REFUSED";
  host->Observe(seen);
  LK_ASSERT_OK(host->Sync());
  const CmekView dark = Cmek(id);
  EXPECT_EQ(dark.status, "REVOKED");
  EXPECT_EQ(dark.regions[0].keys[0].user_message,
            "DISABLED since 2026-01-02T03:04:05Z: key is disabled. Enable the key in the KMS; the cluster returns by itself.");
  EXPECT_EQ(dark.regions[0].keys[0].health.failure, FailureClass::kDisabled);
  EXPECT_THAT(dark.regions[0].keys[0].next_step, HasSubstr("Enable the key"));
  EXPECT_EQ(State(id), "CREATED");
  EXPECT_FALSE(host->only_desired().revoked);
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(Cmek(id).status, "ENABLED");
  EXPECT_EQ(Cmek(id).regions[0].keys[0].user_message.find("DISABLED"), std::string::npos);
}

TEST_F(CmekTest, WithoutAnOwnerKeyThereIsNothingToRevoke) {
  const auto host = Host();
  const std::string id = Running(*host);
  EXPECT_THAT(control_->cmek().Revoke(caller_, id), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("action")));
}

TEST_F(CmekTest, StatusSurvivesARestartOfTheServer) {
  const auto host = Host();
  const std::string id = Running(*host);
  const CmekView before = EnabledWith(*host, id, "a");
  Reopen();
  const CmekView after = Cmek(id);
  EXPECT_EQ(after.status, "ENABLED");
  EXPECT_EQ(after.regions[0].keys[0].created_at, before.regions[0].keys[0].created_at);
  EXPECT_EQ(after.regions[0].keys[0].updated_at, before.regions[0].keys[0].updated_at);
}

}  // namespace
}  // namespace latchkey
