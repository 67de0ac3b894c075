#include "agent/syncer.h"

#include <condition_variable>
#include <mutex>

#include "agent/server_testing.h"
#include "base/testing.h"
#include "keys/testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

class SyncerTest : public testing::Test {
 protected:
  SyncerTest() {
    config_.server = server_.Url();
    config_.region = "us-east-1";
    config_.state_dir = folder_.path();
    config_.join_token = server_.Token().ToString();
  }
  ~SyncerTest() override {
    if (syncer_) syncer_->Stop();
  }
  void Start(std::optional<Identity> identity = std::nullopt) {
    SyncerOptions options;
    options.config = config_;
    options.identity = std::move(identity);
    options.hostname = "db1";
    options.retry_base = retry_base_;
    options.retry_most = retry_most_;
    if (random_ != nullptr) options.random = random_;
    options.observe = [this](SyncRequest& request) {
      const std::lock_guard lock(mutex_);
      request.nodes = nodes_;
    };
    options.apply = [this](const SyncRequest&, const SyncResponse& answer) {
      {
        const std::lock_guard lock(mutex_);
        applied_.push_back(answer.version);
      }
      event_.notify_all();
    };
    syncer_ = Syncer::Start(std::move(options));
  }
  bool Applies(int64_t version) {
    std::unique_lock lock(mutex_);
    return event_.wait_for(lock, std::chrono::seconds(20), [&] { return !applied_.empty() && applied_.back() == version; });
  }

  FakeServer server_;
  const TempFolder folder_;
  AgentConfig config_;
  absl::Duration retry_base_ = absl::Milliseconds(20), retry_most_ = absl::Milliseconds(100);
  Random* random_ = nullptr;
  std::mutex mutex_;
  std::condition_variable event_;
  std::vector<ObservedNode> nodes_;
  std::vector<int64_t> applied_;
  std::unique_ptr<Syncer> syncer_;
};

TEST_F(SyncerTest, JoinsOnceAndRemembersWhoItIs) {
  LK_ASSERT_OK_AND_ASSIGN(const Identity joined, Join(config_, "db1"));
  EXPECT_EQ(joined.agent_id, kAgentId);
  LK_ASSERT_OK_AND_ASSIGN(const Identity loaded, LoadIdentity(config_));
  EXPECT_EQ(loaded.private_key_pem, joined.private_key_pem);
  EXPECT_FALSE(RenewalIsDue(loaded, absl::Now()));
  EXPECT_TRUE(RenewalIsDue(loaded, absl::Now() + absl::Hours(17)));
  LK_ASSERT_OK_AND_ASSIGN(const Identity renewed, Renew(config_, loaded));
  EXPECT_NE(renewed.private_key_pem, joined.private_key_pem);
  EXPECT_EQ(LoadIdentity(config_)->certificate_pem, renewed.certificate_pem);
}

TEST_F(SyncerTest, TellsItsTokenToNoServerWithAnotherCa) {
  JoinToken token = server_.Token();
  token.ca_sha256 = std::string(64, '0');
  config_.join_token = token.ToString();
  EXPECT_THAT(Join(config_, "db1"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("not the one")));
  EXPECT_EQ(server_.joins, 0);
  EXPECT_THAT(LoadIdentity(config_), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(SyncerTest, SaysWhyATokenWasRefused) {
  server_.join_status = 403;
  EXPECT_THAT(Join(config_, "db1"), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("the token was used")));
  config_.join_token = "nonsense";
  EXPECT_THAT(Join(config_, "db1"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("join_token")));
}

TEST_F(SyncerTest, ALongPollBringsNewsAtOnce) {
  Start();
  ASSERT_TRUE(Applies(1));
  ASSERT_TRUE(server_.Await([](const auto& requests) { return requests.back().seen_version == 1 && requests.back().wait_ms > 0; }));
  server_.Publish({.version = 2});
  EXPECT_TRUE(Applies(2));
  EXPECT_TRUE(syncer_->last_answer());
}

TEST_F(SyncerTest, AChangeIsReportedWhileThePollIsParked) {
  Start();
  ASSERT_TRUE(Applies(1));
  ASSERT_TRUE(server_.Await([](const auto& requests) { return requests.back().seen_version == 1 && requests.back().wait_ms > 0; }));
  {
    const std::lock_guard lock(mutex_);
    nodes_.resize(1);
    nodes_[0].node_id = "n";
  }
  syncer_->Notify();
  ASSERT_TRUE(server_.Await([](const auto& requests) { return requests.back().wait_ms == 0 && requests.back().nodes.size() == 1; }));
  EXPECT_TRUE(server_.Await([](const auto& requests) {
    for (size_t i = 1; i < requests.size(); ++i) {
      if (requests[i].boot_id != requests[0].boot_id || requests[i].sequence <= requests[i - 1].sequence) return false;
    }
    return true;
  })) << "sequence numbers rise";
}

TEST_F(SyncerTest, OutlivesARestartOfTheServer) {
  Start();
  ASSERT_TRUE(Applies(1));
  const uint16_t port = server_.port();
  server_.Close();
  syncer_->Notify();  // has to be told as soon as somebody listens
  server_.Listen(port);
  server_.Publish({.version = 5});
  EXPECT_TRUE(Applies(5));
  EXPECT_TRUE(server_.Await([](const auto& requests) { return requests.back().seen_version == 5; }));
}

TEST_F(SyncerTest, TakesAnOlderVersionForWhatItIsARestoredServer) {
  Start();
  server_.Publish({.version = 9});
  ASSERT_TRUE(Applies(9));
  ASSERT_TRUE(server_.Await([](const auto& requests) { return requests.back().seen_version == 9 && requests.back().wait_ms > 0; }));
  server_.Publish({.version = 3});
  EXPECT_TRUE(Applies(3)) << "each node judges for itself by its generation";
}

TEST_F(SyncerTest, WaitsForAServerThatIsNotThereYet) {
  const uint16_t port = server_.port();
  server_.Close();
  Start();
  server_.Listen(port);
  EXPECT_TRUE(Applies(1));
  EXPECT_EQ(server_.joins, 1);
}

// The waits of a real client, told from when its questions arrive. Each can only be longer than what was drawn, so every bound holds on a
// slow machine, too.
class SyncerBackoffTest : public SyncerTest {
 protected:
  SyncerBackoffTest() : highest_(0xff) {
    random_ = &highest_;
    // Joined before, so that every call is a sync, and nothing is reported beside the poll.
    auto joined = Join(config_, "db1");
    EXPECT_THAT(joined, IsOk());
    identity_ = *std::move(joined);
  }
  ConstantRandom highest_;
  Identity identity_;
};

TEST_F(SyncerBackoffTest, WaitsTwiceAsLongAfterEachFailure) {
  retry_most_ = absl::Hours(1);
  server_.sync_status = 503;
  Start(identity_);
  ASSERT_TRUE(server_.AwaitArrivals(6));
  const std::vector<absl::Time> at = server_.Arrivals();
  for (size_t i = 1; i < 6; ++i) {
    EXPECT_GE(at[i] - at[i - 1], absl::Milliseconds(19) * (1 << (i - 1))) << i;
  }
  EXPECT_GE(syncer_->failures(), 5u);
  EXPECT_FALSE(syncer_->last_answer());
}

TEST_F(SyncerBackoffTest, WaitsNoLongerThanItsBound) {
  retry_most_ = absl::Milliseconds(40);
  server_.sync_status = 500;
  Start(identity_);
  EXPECT_TRUE(server_.AwaitArrivals(14)) << "without a bound this would take minutes";
}

TEST_F(SyncerBackoffTest, BeginsAgainAfterAnAnswer) {
  retry_most_ = absl::Hours(1);
  server_.sync_status = 503;
  Start(identity_);
  ASSERT_TRUE(server_.AwaitArrivals(7));
  server_.sync_status = 200;
  ASSERT_TRUE(Applies(1));
  ASSERT_TRUE(server_.Await([](const auto& requests) { return !requests.empty() && requests.back().seen_version == 1; }));
  const size_t before = server_.Arrivals().size();
  server_.sync_status = 503;
  server_.Publish({.version = 2});
  EXPECT_TRUE(server_.AwaitArrivals(before + 7)) << "without a new beginning this would take minutes";
}

TEST_F(SyncerBackoffTest, DoesNotKeepAnAgentFromEnding) {
  retry_base_ = retry_most_ = absl::Hours(1);
  server_.sync_status = 503;
  Start(identity_);
  ASSERT_TRUE(server_.AwaitArrivals(1));
  const absl::Time begun = absl::Now();
  syncer_->Stop();
  EXPECT_LT(absl::Now() - begun, absl::Minutes(1));
}

}  // namespace
}  // namespace latchkey
