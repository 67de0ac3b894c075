#include <gtest/gtest.h>
#include <sqlite3.h>

#include <future>

#include "base/json.h"
#include "control/control_testing.h"
#include "control/reports.h"

namespace latchkey {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class AgentTest : public ControlTest {
 protected:
  // An online copy, as an operator would take one.
  void CopyStore() {
    sqlite3 *from = nullptr, *to = nullptr;
    ASSERT_EQ(sqlite3_open((folder_ / "server.db").c_str(), &from), SQLITE_OK);
    ASSERT_EQ(sqlite3_open((folder_ / "copy.db").c_str(), &to), SQLITE_OK);
    sqlite3_backup* backup = sqlite3_backup_init(to, "main", from, "main");
    ASSERT_EQ(sqlite3_backup_step(backup, -1), SQLITE_DONE);
    sqlite3_backup_finish(backup);
    sqlite3_close(from);
    sqlite3_close(to);
  }
  void BringBackCopy() {
    control_.reset();
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(folder_ / "server.db" + suffix);
    std::filesystem::rename(folder_ / "copy.db", folder_ / "server.db");
    Open();
  }
  std::future<absl::StatusOr<SyncResponse>> SyncAsync(FakeAgent& host, int64_t wait_ms) {
    auto promise = std::make_shared<std::promise<absl::StatusOr<SyncResponse>>>();
    control_->agents().Sync(host.agent_id(), host.serial(), host.MakeRequest(wait_ms),
                            [promise](absl::StatusOr<SyncResponse> response) { promise->set_value(std::move(response)); });
    return promise->get_future();
  }
};

TEST_F(AgentTest, AReportThatIsCutInsideACharacterIsReadBack) {
  const auto host = Host();
  const std::string id = Running(*host);
  ObservedNode seen = host->only();
  seen.problem = std::string(2047, 'x') + "\xc3\xbc";
  host->Observe(seen);
  LK_ASSERT_OK(host->Sync());
  EXPECT_EQ((*control_->clusters().Nodes(id, ""))[0].problem, std::string(2047, 'x'));
}

TEST_F(AgentTest, OfManySyncsOfOneHostTwoAreTaken) {
  const auto host = Host();
  Running(*host);
  // Somebody else writes, so that the first sync with news takes its time.
  sqlite3* writer = nullptr;
  ASSERT_EQ(sqlite3_open((folder_ / "server.db").c_str(), &writer), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(writer, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  ObservedNode seen = host->only();
  seen.problem = "news";
  host->Observe(seen);
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<absl::Status> answers;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, request = host->MakeRequest(0)]() mutable {
      control_->agents().Sync(host->agent_id(), host->serial(), std::move(request), [&](const absl::StatusOr<SyncResponse>& response) {
        std::lock_guard lock(mutex);
        answers.push_back(response.status());
        changed.notify_all();
      });
    });
  }
  {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return !answers.empty(); }));
    EXPECT_THAT(answers, ElementsAre(StatusIs(absl::StatusCode::kUnavailable, HasSubstr("another sync"))));
  }
  ASSERT_EQ(sqlite3_exec(writer, "COMMIT", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(writer);
  for (std::thread& thread : threads) thread.join();
  ASSERT_THAT(answers, SizeIs(3));
  LK_EXPECT_OK(answers[1]);
  LK_EXPECT_OK(answers[2]);
}

TEST_F(AgentTest, AReportHasItsBounds) {
  const auto host = Host();
  const std::string id = Running(*host);
  ObservedNode seen = host->only();
  const ObservedDek good = seen.deks[0];
  for (int i = 0; i < 1000; ++i) seen.deks.push_back(good);
  seen.deks[0].id = std::string(100'000, 'a');
  seen.deks[1].kek_id = "not hex";
  seen.lease_end = seen.key.since = seen.key.last_success = std::string(100'000, '9');
  const absl::StatusOr<ObservedNode> stored = ObservedNode::FromJson(*ParseJsonObject(StoredForm(seen)), "report");
  LK_ASSERT_OK(stored);
  EXPECT_THAT(stored->deks, SizeIs(64));
  EXPECT_EQ(stored->deks[0], good);
  EXPECT_EQ(stored->lease_end.size(), 64u);
  EXPECT_EQ(stored->key.since.size(), 64u);
  EXPECT_EQ(stored->key.last_success.size(), 64u);
}

TEST_F(AgentTest, ABadRequestDoesNotUseTheTokenUp) {
  const JoinToken token = Token();
  JoinRequest bad = Request(token);
  bad.request_pem = "-----BEGIN NOTHING-----";
  EXPECT_THAT(control_->agents().Join(bad, "r"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("request_pem")));
  bad = Request(token);
  bad.region = "Mars 1";
  EXPECT_THAT(control_->agents().Join(bad, "r"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("region")));
  LK_EXPECT_OK(control_->agents().Join(Request(token), "r"));
}

TEST_F(AgentTest, OnlyTheCertificateInUseIsAdmitted) {
  const auto host = Host();
  const std::string serial = host->serial();
  host->set_serial("0123");
  EXPECT_THAT(host->Sync(), StatusIs(absl::StatusCode::kUnauthenticated));
  host->set_serial("");
  EXPECT_THAT(host->Sync(), StatusIs(absl::StatusCode::kUnauthenticated));
  host->set_serial(serial);
  LK_EXPECT_OK(host->Sync());
}

TEST_F(AgentTest, RenewalKeepsTheOldCertificateUntilTheNewOneIsUsed) {
  const auto host = Host();
  const std::string first = host->serial();
  const auto renew = [&](const std::string& serial) {
    const auto pem = control_->agents().Renew(host->agent_id(), serial, Request(Token()).request_pem);
    LK_EXPECT_OK(pem);
    EXPECT_EQ(ReadCertificate(*pem)->common_name, host->agent_id());
    return ReadCertificate(*pem)->serial_hex;
  };
  const std::string lost = renew(first);  // the answer is lost
  LK_EXPECT_OK(host->Sync());
  const std::string second = renew(first);
  LK_EXPECT_OK(host->Sync());
  host->set_serial(lost);
  EXPECT_THAT(host->Sync(), StatusIs(absl::StatusCode::kUnauthenticated));
  host->set_serial(second);
  LK_EXPECT_OK(host->Sync());
  host->set_serial(first);
  EXPECT_THAT(host->Sync(), StatusIs(absl::StatusCode::kUnauthenticated));
  Reopen();
  EXPECT_THAT(control_->agents().Renew(host->agent_id(), first, ""), StatusIs(absl::StatusCode::kUnauthenticated))
      << "and so after a restart";
  const std::string third = renew(second);
  EXPECT_THAT(control_->agents().Renew(host->agent_id(), third, "x"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(control_->agents().Renew(host->agent_id(), second, ""), StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST_F(AgentTest, ARemovedHostIsRefusedEvenWhileItWaits) {
  const auto host = Host();
  auto waiting = SyncAsync(*host, 25'000);
  LK_ASSERT_OK(control_->agents().Remove(caller_, host->agent_id()));
  EXPECT_THAT(waiting.get(), StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(host->Sync(), StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(*control_->agents().List(), IsEmpty());
  EXPECT_THAT(control_->agents().Remove(caller_, host->agent_id()), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(*control_->clusters().AvailableRegions(""), IsEmpty());
}

TEST_F(AgentTest, AHostWithNodesIsNotRemoved) {
  const auto host = Host();
  const std::string id = Running(*host);
  EXPECT_THAT(control_->agents().Remove(caller_, host->agent_id()), StatusIs(absl::StatusCode::kFailedPrecondition));
  LK_ASSERT_OK(control_->clusters().Delete(caller_, id));
  EXPECT_EQ((*control_->clusters().Nodes(id, ""))[0].problem, "");
  LK_EXPECT_OK(control_->agents().Remove(caller_, host->agent_id()));
  // Nobody will say any more that the data is gone.
  Reopen();
  const auto left = control_->clusters().Nodes(id, "");
  LK_ASSERT_OK(left);
  ASSERT_THAT(*left, SizeIs(1));
  EXPECT_THAT((*left)[0].problem, HasSubstr("HOST_REMOVED"));
}

TEST_F(AgentTest, APollIsHeldUntilThereIsSomethingToDo) {
  const auto host = Host();
  auto waiting = SyncAsync(*host, 25'000);
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(30)), std::future_status::timeout);
  LK_ASSERT_OK(Create());
  const auto response = waiting.get();
  LK_ASSERT_OK(response);
  EXPECT_THAT(response->nodes, SizeIs(1));
  EXPECT_GT(response->version, host->seen_version());
  // Nothing new within the wait: the same is answered.
  LK_ASSERT_OK(host->Sync());
  const auto again = host->Sync(20);
  LK_ASSERT_OK(again);
  EXPECT_EQ(again->version, response->version);
  EXPECT_THAT(again->nodes, SizeIs(1));
}

TEST_F(AgentTest, StoppingAnswersEverybody) {
  const auto host = Host();
  auto waiting = SyncAsync(*host, 25'000);
  control_->Stop();
  LK_EXPECT_OK(waiting.get());
}

TEST_F(AgentTest, ReportsThatWereOvertakenAreIgnored) {
  const auto host = Host();
  const std::string id = Running(*host);
  SyncRequest old = host->MakeRequest(0);
  LK_ASSERT_OK(host->Sync());
  old.nodes[0].engine = EngineState::kFailed;
  const auto send = [&](const SyncRequest& request) {
    bool answered = false;
    control_->agents().Sync(host->agent_id(), host->serial(), request, [&](const absl::StatusOr<SyncResponse>& response) {
      LK_EXPECT_OK(response);
      answered = true;
    });
    EXPECT_TRUE(answered);
  };
  send(old);
  EXPECT_EQ((*control_->clusters().Nodes(id, ""))[0].engine_state, "RUNNING");
  // Nor does a report from before the agent's last start count, whatever its number.
  host->Restart();
  LK_ASSERT_OK(host->Sync());
  old.sequence = 1000;
  send(old);
  EXPECT_EQ((*control_->clusters().Nodes(id, ""))[0].engine_state, "RUNNING");
  Reopen();
}

TEST_F(AgentTest, AHostSpeaksOnlyOfItsOwnNodes) {
  const auto host = Host("h1");
  const std::string id = Running(*host);
  const auto other = Host("h2");
  ObservedNode lie = host->only();
  lie.engine = EngineState::kFailed;
  other->Observe(lie);
  LK_ASSERT_OK(other->Sync());
  EXPECT_THAT(other->desired(), IsEmpty());
  EXPECT_EQ((*control_->clusters().Nodes(id, ""))[0].engine_state, "RUNNING");
}

TEST_F(AgentTest, TheVolumeOfANodeNeverChanges) {
  const auto host = Host();
  const std::string id = Running(*host);
  const std::string volume = host->only().volume_id;
  EXPECT_EQ(host->only_desired().volume_id, volume);
  ObservedNode other = host->only();
  other.volume_id = "11111111-2222-4333-8444-555555555555";
  host->Observe(other);
  LK_ASSERT_OK(host->Sync());
  EXPECT_EQ(host->only_desired().volume_id, volume);
  EXPECT_THAT((*control_->clusters().Nodes(id, ""))[0].problem, HasSubstr("VOLUME_MISMATCH"));
}

TEST_F(AgentTest, OnlyTheFirstFittingKekIsStored) {
  const auto host = Host();
  LK_ASSERT_OK(Create());
  LK_ASSERT_OK(host->Sync());
  const DesiredNode desired = host->only_desired();
  ObservedNode seen;
  seen.node_id = desired.node_id;
  seen.highest_generation = desired.generation;
  const auto offer = [&](const std::function<void(WrappedKek&)>& change) {
    WrappedKek kek = FakeAgent::Mint(desired);
    change(kek);
    seen.minted = kek;
    host->Observe(seen);
    LK_EXPECT_OK(host->Sync());
    return host->only_desired().wrapped_keks.size();
  };
  EXPECT_EQ(offer([](WrappedKek& kek) { kek.context.generation = 2; }), 0u);
  EXPECT_EQ(offer([](WrappedKek& kek) { kek.root.uri = "local://other"; }), 0u);
  EXPECT_EQ(offer([](WrappedKek& kek) { kek.context.region = "mars-1"; }), 0u);
  EXPECT_EQ(offer([](WrappedKek& kek) { kek.context.organization = "other"; }), 0u);
  EXPECT_EQ(offer([](WrappedKek&) {}), 1u);
  const std::string stored = host->only_desired().CurrentKek()->id;
  EXPECT_EQ(offer([](WrappedKek&) {}), 1u);
  EXPECT_EQ(host->only_desired().CurrentKek()->id, stored);
}

TEST_F(AgentTest, AKekThatDoesNotLinkToTheOneBeforeIsIgnored) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnablingWith(*host, id, "a");
  LK_ASSERT_OK(host->Sync());
  ObservedNode seen = host->only();
  seen.minted = FakeAgent::Mint(host->only_desired());
  seen.minted->previous->id = "00000000000000000000000000000000";
  host->Observe(seen);
  LK_ASSERT_OK(host->Sync());
  EXPECT_EQ(host->only_desired().CurrentKek(), nullptr);
}

TEST_F(AgentTest, AKekLinksToTheOneOfTheGenerationBefore) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  host->obedient = false;
  host->StartPolling();
  LK_ASSERT_OK(control_->cmek().Update(caller_, id, Specs("b")));
  host->StopPolling();
  LK_ASSERT_OK(host->Sync());
  ObservedNode seen = host->only();
  ASSERT_THAT(host->only_desired().wrapped_keks, SizeIs(2));
  seen.minted = FakeAgent::Mint(host->only_desired());
  seen.minted->previous->id = host->only_desired().wrapped_keks.front().id;
  host->Observe(seen);
  LK_ASSERT_OK(host->Sync());
  EXPECT_EQ(host->only_desired().CurrentKek(), nullptr);
}

TEST_F(AgentTest, AServerFromAnOldCopyKeepsTheRevocationThatHostsRemember) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  CopyStore();
  LK_ASSERT_OK(control_->cmek().Revoke(caller_, id));
  LK_ASSERT_OK(host->Settle());
  const int64_t held = host->only().highest_generation;
  const ObservedNode last = host->only();
  const int64_t seen_version = host->seen_version();
  const std::string agent_id = host->agent_id(), serial = host->serial();
  BringBackCopy();
  EXPECT_NE(Cmek(id).status, "REVOKED") << "the copy knows nothing of it";

  SyncRequest request;
  request.boot_id = "another-boot";
  request.sequence = 1;
  request.seen_version = seen_version;
  request.nodes = {last};
  absl::StatusOr<SyncResponse> response = absl::UnknownError("");
  control_->agents().Sync(agent_id, serial, request, [&](absl::StatusOr<SyncResponse> r) { response = std::move(r); });
  LK_ASSERT_OK(response);
  EXPECT_GT(response->version, seen_version);
  ASSERT_THAT(response->nodes, SizeIs(1));
  EXPECT_TRUE(response->nodes[0].revoked);
  EXPECT_GT(response->nodes[0].generation, held);
  EXPECT_EQ(Cmek(id).status, "REVOKING");
  EXPECT_THAT(Cmek(id).regions[0].keys[0].user_message, HasSubstr("restored from an old copy"));
  EXPECT_THAT(AuditOf("CMEK_REVOCATION_KEPT"), SizeIs(1));
  // Lifting it is an act of its own.
  LK_ASSERT_OK(control_->cmek().Restore(caller_, id));
  EXPECT_EQ(Cmek(id).status, "ENABLING");
}

TEST_F(AgentTest, ARevocationIsShownEvenByACopyFromBeforeTheOwnersKey) {
  const auto host = Host();
  const std::string id = Running(*host);
  CopyStore();
  EnabledWith(*host, id, "a");
  LK_ASSERT_OK(control_->cmek().Revoke(caller_, id));
  LK_ASSERT_OK(host->Settle());
  BringBackCopy();
  EXPECT_EQ(Cmek(id).status, "DISABLED") << "the copy knows nothing of it";
  SyncRequest request;
  request.boot_id = "another-boot";
  request.sequence = 1;
  request.nodes = {host->only()};
  absl::StatusOr<SyncResponse> response = absl::UnknownError("");
  control_->agents().Sync(host->agent_id(), host->serial(), request, [&](absl::StatusOr<SyncResponse> r) { response = std::move(r); });
  LK_ASSERT_OK(response);
  EXPECT_TRUE(response->nodes[0].revoked);
  const CmekView view = Cmek(id);
  EXPECT_EQ(view.status, "REVOKING");
  ASSERT_THAT(view.regions, SizeIs(1));
  ASSERT_THAT(view.regions[0].keys, SizeIs(1));
  EXPECT_THAT(view.regions[0].keys[0].user_message, HasSubstr("restored from an old copy"));
}

TEST_F(AgentTest, AtRestNothingIsWritten) {
  const auto host = Host();
  Running(*host);
  const auto audit_before = control_->Audit(0, 1000)->size();
  const auto size = [&] { return std::filesystem::file_size(folder_ / "server.db-wal"); };
  LK_ASSERT_OK(host->Sync());
  const auto before = size();
  for (int i = 0; i < 50; ++i) LK_ASSERT_OK(host->Sync());
  EXPECT_EQ(size(), before);
  EXPECT_EQ(control_->Audit(0, 1000)->size(), audit_before);
  clock_.Advance(absl::Minutes(1));
  LK_ASSERT_OK(host->Sync());
  EXPECT_GT(size(), before) << "when it was heard of is written now and then";
}

TEST_F(AgentTest, AnOddRequestIsRefused) {
  const auto host = Host();
  SyncRequest request = host->MakeRequest(0);
  request.seen_version = -1;
  absl::StatusOr<SyncResponse> response = absl::UnknownError("");
  control_->agents().Sync(host->agent_id(), host->serial(), request, [&](absl::StatusOr<SyncResponse> r) { response = std::move(r); });
  EXPECT_THAT(response, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("seen_version")));
}

TEST_F(AgentTest, ListShowsWhoIsThere) {
  const auto host = Host();
  Running(*host);
  const auto agents = control_->agents().List();
  LK_ASSERT_OK(agents);
  ASSERT_THAT(*agents, SizeIs(1));
  EXPECT_EQ((*agents)[0].hostname, "h1");
  EXPECT_EQ((*agents)[0].region, "us-east-1");
  EXPECT_EQ((*agents)[0].node_count, 1);
  EXPECT_EQ((*agents)[0].last_heard, clock_.Now());
  EXPECT_EQ((*agents)[0].version, "0.1.0");
  const auto counts = control_->Counts();
  LK_ASSERT_OK(counts);
  EXPECT_EQ(counts->agents, 1);
  EXPECT_EQ(counts->agents_silent, 0);
  EXPECT_EQ(counts->clusters_by_state.at("CREATED"), 1);
  clock_.Advance(absl::Minutes(2));
  EXPECT_EQ(control_->Counts()->agents_silent, 1);
}

}  // namespace
}  // namespace latchkey
