#include "agent/key_desk.h"

#include <condition_variable>
#include <future>

#include "base/testing.h"
#include "keys/testing.h"

namespace latchkey {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr absl::Duration kDeadline = absl::Seconds(20);

template <typename T>
bool Arrives(std::future<T>& future) {
  return future.wait_for(absl::ToChronoSeconds(kDeadline)) == std::future_status::ready;
}

class KeyDeskTest : public testing::Test {
 protected:
  KeyDeskTest() {
    kms_set_ = SetOf(std::make_unique<FakeKms>("LOCAL"), &kms_);
    kek_ = Mint("local://a");
  }
  ~KeyDeskTest() override {
    if (desk_) desk_->Stop();
  }

  static RootKey Root(const std::string& uri) { return {.type = "LOCAL", .uri = uri, .auth_principal = "", .external_id = ""}; }
  WrappedKek Mint(const std::string& uri) {
    auto minted = MintKek(kms_set_, Root(uri), {.organization = "o", .cluster = "c", .region = "r", .generation = 1}, nullptr,
                          Random::System(), Clock::Real());
    EXPECT_THAT(minted, IsOk());
    return *minted;
  }
  void Start(std::vector<absl::Duration> confirm_after = {absl::Milliseconds(10), absl::Milliseconds(20)},
             absl::Duration keep_fresh = absl::ZeroDuration(), Clock& clock = Clock::Real()) {
    KeyDesk::Options options;
    options.kms = &kms_set_;
    options.clock = &clock;
    options.keep_fresh = keep_fresh;
    options.policy = {
        .check_interval = absl::Milliseconds(30), .confirm_after = std::move(confirm_after), .retry_base = absl::Milliseconds(10)};
    options.allowed = [](const RootKey& root) {
      return root.uri == "local://foreign" ? FailedPrecondition("ROOT_REFUSED: x") : absl::OkStatus();
    };
    desk_ = KeyDesk::Start(options);
  }
  LeaseWatch WatchOn(const WrappedKek& kek) {
    return {.kek = kek,
            .root = kek.root,
            .grace = absl::Minutes(1),
            .renew =
                [this](const Kek& kek_now, absl::Duration asked_at, absl::Duration grace) {
                  const std::lock_guard lock(mutex_);
                  EXPECT_EQ(grace, absl::Minutes(1));
                  EXPECT_LE(asked_at, Clock::Real().BootTime());
                  renewed_.push_back(kek_now.id());
                  return absl::OkStatus();
                },
            .changed = [this] { event_.notify_all(); }};
  }
  bool Await(const std::function<bool()>& reached) {
    std::unique_lock lock(mutex_);
    return event_.wait_for(lock, absl::ToChronoSeconds(kDeadline), reached);
  }

  // The first answer about a key that is watched is followed by a question what the key is: only then are calls to be counted.
  bool FactsAreRead() {
    return Await([this] { return !desk_->Report(kek_.id).facts.read_at.empty(); });
  }

  FakeClock clock_;  // outlives the desk's threads
  FakeKms* kms_ = nullptr;
  KmsSet kms_set_;
  WrappedKek kek_;
  std::mutex mutex_;
  std::condition_variable event_;
  std::vector<std::string> renewed_;
  std::unique_ptr<KeyDesk> desk_;
};

TEST_F(KeyDeskTest, RenewsAgainAndAgain) {
  Start();
  desk_->Watch("n1", WatchOn(kek_));
  EXPECT_TRUE(Await([this] { return renewed_.size() >= 3; }));
  EXPECT_TRUE(desk_->Report(kek_.id).health.ok);
  EXPECT_GE(desk_->counters().successes, 3u);
}

TEST_F(KeyDeskTest, OneAnswerServesAllVolumesUnderAKek) {
  Start();
  desk_->Watch("n1", WatchOn(kek_));
  ASSERT_TRUE(Await([this] { return !renewed_.empty(); }));
  const size_t calls = kms_->calls();
  desk_->Watch("n2", WatchOn(kek_));
  ASSERT_TRUE(Await([this] { return renewed_.size() >= 8; }));
  EXPECT_LT(kms_->calls() - calls, 8u);
}

TEST_F(KeyDeskTest, AWatchWithoutGraceIsAskedAboutButNotRenewed) {
  Start();
  LeaseWatch watch = WatchOn(kek_);
  watch.grace.reset();
  desk_->Watch("n1", std::move(watch));
  EXPECT_TRUE(Await([this] { return desk_->counters().successes >= 2; }));
  EXPECT_TRUE(renewed_.empty());
}

TEST_F(KeyDeskTest, ReadsWhatTheKmsTellsOfTheKeyAndKeepsItThroughRefusals) {
  Start();
  desk_->Watch("n1", WatchOn(kek_));
  ASSERT_TRUE(FactsAreRead());
  RootKeyFacts facts = desk_->Report(kek_.id).facts;
  EXPECT_EQ(facts.state, "Enabled");
  EXPECT_EQ(facts.version, "1");
  EXPECT_EQ(facts.wrapped_version, kek_.key_version);
  EXPECT_FALSE(facts.newer_version());
  kms_->Fail("local://a", FailureClass::kDenied);
  ASSERT_TRUE(Await([this] { return desk_->Report(kek_.id).refused; }));
  EXPECT_EQ(desk_->Report(kek_.id).facts, facts);
}

TEST_F(KeyDeskTest, ThreeRefusalsAreOne) {
  Start();
  kms_->Fail("local://a", FailureClass::kDenied);
  desk_->Watch("n1", WatchOn(kek_));
  EXPECT_TRUE(Await([this] { return desk_->Report(kek_.id).refused; }));
  EXPECT_GE(desk_->counters().refusals, 3u);
  EXPECT_TRUE(renewed_.empty());
  kms_->Fail("local://a", std::nullopt);
  EXPECT_TRUE(Await([this] { return !desk_->Report(kek_.id).refused && !renewed_.empty(); }));
}

TEST_F(KeyDeskTest, FetchingDoesNotHastenASeal) {
  Start({absl::Hours(1), absl::Hours(1)});
  kms_->Fail("local://a", FailureClass::kDenied);
  desk_->Watch("n1", WatchOn(kek_));
  ASSERT_TRUE(Await([this] { return desk_->counters().refusals == 1; }));
  for (int i = 0; i < 5; ++i) {
    desk_->Fetch(kek_, kek_.root, [](absl::StatusOr<FreshKek>) {});
  }
  // Another KEK's answer shows that the desk went on working meanwhile.
  std::promise<absl::Status> other;
  auto arrived = other.get_future();
  const WrappedKek b = Mint("local://b");
  desk_->Fetch(b, b.root, [&](absl::StatusOr<FreshKek> fresh) { other.set_value(fresh.status()); });
  ASSERT_TRUE(Arrives(arrived));
  EXPECT_FALSE(desk_->Report(kek_.id).refused);
  EXPECT_EQ(desk_->counters().refusals, 1u);
}

TEST_F(KeyDeskTest, FetchGivesAFreshKekOrTheFailure) {
  Start();
  std::promise<absl::StatusOr<FreshKek>> got;
  auto arrived = got.get_future();
  const absl::Duration before = Clock::Real().BootTime();
  desk_->Fetch(kek_, kek_.root, [&](absl::StatusOr<FreshKek> fresh) { got.set_value(std::move(fresh)); });
  ASSERT_TRUE(Arrives(arrived));
  const auto fresh = arrived.get();
  ASSERT_THAT(fresh, IsOk());
  EXPECT_EQ(fresh->kek.id(), kek_.id);
  EXPECT_GE(fresh->asked_at, before);

  kms_->Fail("local://a", FailureClass::kDisabled);
  std::promise<std::optional<FailureClass>> failed;
  auto failure = failed.get_future();
  desk_->Fetch(kek_, kek_.root, [&](absl::StatusOr<FreshKek> f) { failed.set_value(FailureClassOf(f.status())); });
  ASSERT_TRUE(Arrives(failure));
  EXPECT_EQ(failure.get(), FailureClass::kDisabled);
}

TEST_F(KeyDeskTest, VolumesOpenedOneAfterAnotherAreOneCall) {
  Start({absl::Hours(1)}, absl::Seconds(5), clock_);
  const auto fetch = [&] {
    std::promise<absl::StatusOr<FreshKek>> got;
    auto arrived = got.get_future();
    desk_->Fetch(kek_, kek_.root, [&](absl::StatusOr<FreshKek> fresh) { got.set_value(std::move(fresh)); });
    EXPECT_TRUE(Arrives(arrived));
    return arrived.get();
  };
  const size_t before = kms_->calls();
  const absl::Duration asked = clock_.BootTime();
  for (int i = 0; i < 20; ++i) {
    const auto fresh = fetch();
    ASSERT_THAT(fresh, IsOk());
    EXPECT_EQ(fresh->kek.id(), kek_.id);
    // Its lease counts from the call, not from the moment when it was given out.
    EXPECT_EQ(fresh->asked_at, asked);
    clock_.Advance(absl::Milliseconds(200));
  }
  EXPECT_EQ(kms_->calls() - before, 1u);

  clock_.Advance(absl::Seconds(2));
  ASSERT_THAT(fetch(), IsOk());
  EXPECT_EQ(kms_->calls() - before, 2u);
}

TEST_F(KeyDeskTest, WhoeverLeavesLastLeavesNoKek) {
  Start({absl::Hours(1)}, absl::Hours(1), clock_);
  const auto fetch = [&] {
    std::promise<absl::Status> got;
    auto arrived = got.get_future();
    desk_->Fetch(kek_, kek_.root, [&](const absl::StatusOr<FreshKek>& fresh) { got.set_value(fresh.status()); });
    EXPECT_TRUE(Arrives(arrived));
    return arrived.get();
  };
  const size_t before = kms_->calls();
  desk_->Watch("n1", WatchOn(kek_));
  ASSERT_THAT(fetch(), IsOk());
  ASSERT_TRUE(Await([this] { return !renewed_.empty(); }));
  ASSERT_TRUE(FactsAreRead());
  const size_t opened = kms_->calls();
  ASSERT_THAT(fetch(), IsOk());
  EXPECT_EQ(kms_->calls(), opened) << before;
  desk_->Unwatch("n1");
  kms_->Fail("local://a", FailureClass::kDisabled);
  EXPECT_EQ(FailureClassOf(fetch()), FailureClass::kDisabled);
}

TEST_F(KeyDeskTest, AnAnswerThatNobodyFetchedIsNotKept) {
  Start({absl::Hours(1)}, absl::Hours(1), clock_);
  desk_->Watch("n1", WatchOn(kek_));
  ASSERT_TRUE(Await([this] { return !renewed_.empty(); }));
  ASSERT_TRUE(FactsAreRead());
  const size_t checked = kms_->calls();
  std::promise<void> got;
  auto arrived = got.get_future();
  desk_->Fetch(kek_, kek_.root, [&](const absl::StatusOr<FreshKek>&) { got.set_value(); });
  ASSERT_TRUE(Arrives(arrived));
  EXPECT_EQ(kms_->calls(), checked + 1);
}

TEST_F(KeyDeskTest, ARefusalEndsWhatIsGivenOut) {
  Start({absl::Hours(1)}, absl::Hours(1));
  desk_->Watch("n1", WatchOn(kek_));
  std::promise<void> opened;
  auto has_opened = opened.get_future();
  desk_->Fetch(kek_, kek_.root, [&](const absl::StatusOr<FreshKek>&) { opened.set_value(); });
  ASSERT_TRUE(Arrives(has_opened));
  kms_->Fail("local://a", FailureClass::kDisabled);
  ASSERT_TRUE(Await([this] { return desk_->counters().refusals == 1; }));
  std::promise<void> got;
  auto arrived = got.get_future();
  desk_->Fetch(kek_, kek_.root, [&](const absl::StatusOr<FreshKek>& fresh) {
    EXPECT_EQ(FailureClassOf(fresh.status()), FailureClass::kDisabled);
    got.set_value();
  });
  // It waits for the keeper's next question, an hour from now.
  EXPECT_EQ(arrived.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  desk_->Unwatch("n1");
  desk_->Stop();
}

TEST_F(KeyDeskTest, ASlowKmsDelaysNobodyElse) {
  std::promise<void> release;
  auto released = release.get_future().share();
  std::vector<WrappedKek> slow;
  for (int i = 0; i < 20; ++i) slow.push_back(Mint("local://slow"));
  const WrappedKek quick = Mint("local://quick");
  std::atomic<int> hanging = 0;
  // Hangs for as many calls as the pool may give to one root key.
  kms_->OnCall([&] {
    const bool hangs = [&] {
      const std::lock_guard lock(mutex_);
      return hanging.fetch_add(1) < 2;
    }();
    event_.notify_all();
    if (hangs) released.wait();
  });
  Start();
  for (size_t i = 0; i < slow.size(); ++i) desk_->Watch(absl::StrCat("slow", i), WatchOn(slow[i]));
  ASSERT_TRUE(Await([&] { return hanging >= 2; }));
  std::promise<absl::Status> got;
  auto arrived = got.get_future();
  desk_->Fetch(quick, quick.root, [&](absl::StatusOr<FreshKek> fresh) { got.set_value(fresh.status()); });
  EXPECT_TRUE(Arrives(arrived));
  release.set_value();
  desk_->Stop();  // its threads use what this test holds
}

TEST_F(KeyDeskTest, TestsOfAKeyThatHangsDoNotHoldUpLeases) {
  std::promise<void> release;
  auto released = release.get_future().share();
  std::atomic<bool> testing = true;
  std::atomic<int> hanging = 0;
  kms_->OnCall([&] {
    if (!testing) return;
    {
      const std::lock_guard lock(mutex_);
      ++hanging;
    }
    event_.notify_all();
    released.wait();
  });
  Start();
  for (int i = 0; i < 20; ++i) {
    desk_->Test({.id = absl::StrCat(i), .cluster_id = "c", .region = "r", .root = Root("local://hangs")}, [](const KeyVerdict&) {});
  }
  ASSERT_TRUE(Await([&] { return hanging >= 2; }));
  testing = false;
  desk_->Watch("n1", WatchOn(kek_));
  EXPECT_TRUE(Await([this] { return renewed_.size() >= 2; }));
  EXPECT_EQ(hanging, 2) << "a third of the pool";
  release.set_value();
  desk_->Stop();  // its threads use what this test holds
}

TEST_F(KeyDeskTest, TestsKeysAndSaysWhatIsWrong) {
  Start();
  const auto test = [this](const std::string& uri) {
    std::promise<KeyVerdict> got;
    auto arrived = got.get_future();
    desk_->Test({.id = "t", .cluster_id = "c", .region = "r", .root = Root(uri)},
                [&](KeyVerdict verdict) { got.set_value(std::move(verdict)); });
    EXPECT_TRUE(Arrives(arrived));
    return arrived.get();
  };
  const auto names = [](const KeyVerdict& verdict) {
    std::vector<std::string> all;
    for (const KeyVerdictStep& step : verdict.steps) all.push_back(step.ok ? step.name : step.name + " failed");
    return all;
  };
  const KeyVerdict good = test("local://a");
  EXPECT_TRUE(good.ok);
  EXPECT_THAT(names(good), ElementsAre("form", "describe", "wrap", "unwrap", "context"));
  kms_->Fail("local://off", FailureClass::kDisabled);
  const KeyVerdict off = test("local://off");
  EXPECT_EQ(off.failure, FailureClass::kDisabled);
  EXPECT_THAT(names(off), ElementsAre("form", "describe failed"));
  const KeyVerdict foreign = test("local://foreign");
  EXPECT_EQ(foreign.failure, FailureClass::kUnsuitable);
  EXPECT_THAT(foreign.message, HasSubstr("ROOT_REFUSED"));
  EXPECT_THAT(names(foreign), ElementsAre("pins failed"));
}

TEST_F(KeyDeskTest, AKeysTestEndsBeforeTheServerStopsWaiting) {
  Start({absl::Hours(1)}, absl::ZeroDuration(), clock_);
  kms_->OnCall([&] { clock_.Advance(absl::Seconds(10)); });
  const auto test = [this](absl::Duration answer_within) {
    std::promise<KeyVerdict> got;
    auto arrived = got.get_future();
    desk_->Test({.id = "t", .cluster_id = "c", .region = "r", .root = Root("local://a"), .answer_within = answer_within},
                [&](KeyVerdict verdict) { got.set_value(std::move(verdict)); });
    EXPECT_TRUE(Arrives(arrived));
    return arrived.get();
  };
  const KeyVerdict late = test(absl::Seconds(20));
  EXPECT_EQ(late.failure, FailureClass::kUnreachable);
  EXPECT_THAT(late.message, HasSubstr("the KMS is slow"));
  EXPECT_TRUE(test(absl::Minutes(2)).ok);
  kms_->OnCall(nullptr);
  desk_->Stop();  // its threads use what this test holds
}

TEST_F(KeyDeskTest, AsksNoMoreWhenNobodyWatches) {
  Start();
  desk_->Watch("n1", WatchOn(kek_));
  ASSERT_TRUE(Await([this] { return !renewed_.empty(); }));
  const WrappedKek b = Mint("local://b");
  desk_->Watch("n2", WatchOn(b));
  desk_->Unwatch("n1");
  EXPECT_TRUE(Await([this] { return !desk_->Report(kek_.id).asked; }));
  // The other one is still asked about.
  const uint64_t before = desk_->counters().successes;
  EXPECT_TRUE(Await([&] { return desk_->counters().successes >= before + 2; }));
  EXPECT_FALSE(desk_->Report(kek_.id).asked);
}

}  // namespace
}  // namespace latchkey
