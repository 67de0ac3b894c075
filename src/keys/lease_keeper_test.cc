#include "keys/lease_keeper.h"

#include <optional>
#include <utility>

#include "base/testing.h"
#include "keys/testing.h"

namespace latchkey {
namespace {

constexpr auto kRenew = LeaseKeeper::Outcome::kRenew;
constexpr auto kSeal = LeaseKeeper::Outcome::kSeal;
constexpr auto kNothing = LeaseKeeper::Outcome::kNothing;

const RootKey kRoot = {.type = "AWS_KMS", .uri = "arn:aws:kms:us-east-1:111122223333:key/k", .auth_principal = "", .external_id = ""};
const KekContext kContext = {.organization = "o", .cluster = "c", .region = "us-east-1", .generation = 1};

// Half-way: every jitter is its middle (of ±10 %: none at all).
class MiddleRandom : public Random {
 public:
  void Fill(std::span<uint8_t> out) override {
    std::fill(out.begin(), out.end(), 0);
    if (!out.empty()) out.back() = 0x80;
  }
};

class LeaseKeeperTest : public testing::Test {
 protected:
  void SetUp() override {
    FakeRandom random;
    LK_ASSERT_OK_AND_ASSIGN(record_, MintKek(kms_, kRoot, kContext, nullptr, random, clock_));
    // Every call takes 4 s.
    fake_->OnCall([this] { clock_.Advance(absl::Seconds(4)); });
    calls_before_ = fake_->calls();
  }

  // Waits until the next question is due and asks it; `c` is how the KMS fails, if it does.
  LeaseKeeper::Outcome Ask(std::optional<FailureClass> c = std::nullopt) {
    if (keeper_->Due() > clock_.BootTime()) clock_.Advance(keeper_->Due() - clock_.BootTime());
    return AskNow(c);
  }
  LeaseKeeper::Outcome AskNow(std::optional<FailureClass> c = std::nullopt) {
    fake_->Fail(kRoot.uri, c);
    return keeper_->Check([this](const KmsCall& call) { return UnwrapKek(kms_, record_, kRoot, call); });
  }
  std::vector<LeaseKeeper::Outcome::Kind> Kinds(const std::vector<std::optional<FailureClass>>& answers) {
    std::vector<LeaseKeeper::Outcome::Kind> kinds;
    for (const auto& answer : answers) kinds.push_back(Ask(answer).kind);
    return kinds;
  }
  absl::Duration Wait() const { return keeper_->Due() - clock_.BootTime(); }
  std::string Now() const { return latchkey::FormatTime(clock_.Now()); }
  std::vector<bool> FreshCalls() const {
    std::vector<bool> all = fake_->fresh_calls();
    return {all.begin() + static_cast<std::ptrdiff_t>(calls_before_), all.end()};
  }

  static constexpr std::optional<FailureClass> kYes = std::nullopt;
  static constexpr std::optional<FailureClass> kNo = FailureClass::kDenied;
  static constexpr std::optional<FailureClass> kSilence = FailureClass::kUnreachable;
  static constexpr std::optional<FailureClass> kOther = FailureClass::kCorrupt;
  using Sequence = std::vector<LeaseKeeper::Outcome::Kind>;

  FakeClock clock_;
  FakeKms* fake_ = nullptr;
  KmsSet kms_ = SetOf(std::make_unique<FakeKms>(), &fake_);
  WrappedKek record_;
  size_t calls_before_ = 0;
  MiddleRandom middle_;
  std::optional<LeaseKeeper> keeper_{std::in_place, LeasePolicy{}, clock_, middle_};
};

TEST_F(LeaseKeeperTest, AsksAtOnceAndKnowsNothingBefore) {
  EXPECT_LE(keeper_->Due(), clock_.BootTime());
  EXPECT_EQ(keeper_->health(), KeyHealth{});
}

TEST_F(LeaseKeeperTest, RenewsWithTheMomentBeforeTheCall) {
  const absl::Duration before = clock_.BootTime();
  LeaseKeeper::Outcome outcome = Ask(kYes);
  EXPECT_EQ(outcome.kind, kRenew);
  EXPECT_EQ(outcome.asked_at, before);
  EXPECT_EQ(clock_.BootTime(), before + absl::Seconds(4)) << "the call takes time, or the test shows nothing";
  ASSERT_TRUE(outcome.kek.has_value());
  EXPECT_EQ(outcome.kek->id(), record_.id);
  EXPECT_THAT(outcome.status, IsOk());
}

TEST_F(LeaseKeeperTest, AsksAgainAfterTheCheckIntervalWithATenthOfJitter) {
  Ask(kYes);
  EXPECT_EQ(Wait(), absl::Seconds(60));
  ConstantRandom low(0x00);
  keeper_.emplace(LeasePolicy{}, clock_, low);
  AskNow(kYes);
  EXPECT_EQ(Wait(), absl::Seconds(54));
  ConstantRandom high(0xff);
  keeper_.emplace(LeasePolicy{}, clock_, high);
  AskNow(kYes);
  EXPECT_GT(Wait(), absl::Seconds(65.999));
  EXPECT_LE(Wait(), absl::Seconds(66));
}

TEST_F(LeaseKeeperTest, ThreeRefusalsSealAfterFifteenAndThirtySeconds) {
  Ask(kYes);
  LeaseKeeper::Outcome first = Ask(kNo);
  EXPECT_EQ(first.kind, kNothing);
  EXPECT_FALSE(first.kek.has_value());
  EXPECT_EQ(FailureClassOf(first.status), FailureClass::kDenied);
  EXPECT_EQ(Wait(), absl::Seconds(15));
  EXPECT_EQ(Ask(kNo).kind, kNothing);
  EXPECT_EQ(Wait(), absl::Seconds(30));
  EXPECT_FALSE(keeper_->health().confirmed);
  const LeaseKeeper::Outcome third = Ask(kNo);
  EXPECT_EQ(third.kind, kSeal);
  EXPECT_EQ(FailureClassOf(third.status), FailureClass::kDenied) << "the reason goes with the seal";
  EXPECT_TRUE(keeper_->health().confirmed);
}

TEST_F(LeaseKeeperTest, EveryKindOfRefusalCountsAndTheyAddUp) {
  EXPECT_EQ(Kinds({FailureClass::kDisabled, FailureClass::kPendingDeletion, FailureClass::kDestroyed}),
            (Sequence{kNothing, kNothing, kSeal}));
  EXPECT_EQ(Kinds({kYes, FailureClass::kAmbiguous, FailureClass::kAmbiguous, FailureClass::kAmbiguous}),
            (Sequence{kRenew, kNothing, kNothing, kSeal}));
}

TEST_F(LeaseKeeperTest, ASuccessForgetsTheRefusalsBeforeIt) {
  EXPECT_EQ(Kinds({kNo, kYes, kNo, kNo, kYes, kNo, kNo}), (Sequence{kNothing, kRenew, kNothing, kNothing, kRenew, kNothing, kNothing}));
  EXPECT_EQ(Ask(kNo).kind, kSeal);
}

TEST_F(LeaseKeeperTest, SilenceBetweenRefusalsCountsForNothing) {
  EXPECT_EQ(Kinds({kNo, kSilence, kNo, kSilence, kNo}), (Sequence{kNothing, kNothing, kNothing, kNothing, kSeal}));
}

TEST_F(LeaseKeeperTest, SilenceDoesNotShortenTheConfirmation) {
  Ask(kNo);
  const absl::Duration second_counts_from = keeper_->Due();
  Ask(kNo);
  EXPECT_GE(clock_.BootTime(), second_counts_from);
  const absl::Duration third_counts_from = keeper_->Due();
  Ask(kSilence);  // asked when the third was due; the next comes soon after
  EXPECT_EQ(Ask(kNo).kind, kSeal);
  EXPECT_GE(clock_.BootTime(), third_counts_from);
}

TEST_F(LeaseKeeperTest, SilenceAloneNeverSealsAndNeverRenews) {
  Ask(kYes);
  for (int i = 0; i < 500; ++i) {
    for (const auto c : {FailureClass::kUnreachable, FailureClass::kThrottled, FailureClass::kIdentity}) {
      const LeaseKeeper::Outcome outcome = Ask(c);
      ASSERT_EQ(outcome.kind, kNothing);
      ASSERT_FALSE(outcome.kek.has_value());
    }
  }
}

TEST_F(LeaseKeeperTest, CorruptNeverSealsAndNeverRenews) {
  Ask(kYes);
  for (int i = 0; i < 500; ++i) {
    const LeaseKeeper::Outcome outcome = Ask(kOther);
    ASSERT_EQ(outcome.kind, kNothing);
    ASSERT_FALSE(outcome.kek.has_value());
    ASSERT_EQ(Wait(), absl::Seconds(60)) << "no retry loop";
  }
  EXPECT_EQ(keeper_->health().failure, FailureClass::kCorrupt);
}

TEST_F(LeaseKeeperTest, OtherBytesFromTheKmsAreCorruptAndNoRenewal) {
  const KmsSet corrupt = SetOf(std::make_unique<CorruptKms>());
  for (int i = 0; i < 5; ++i) {
    const auto outcome = keeper_->Check([&](const KmsCall& call) { return UnwrapKek(corrupt, record_, kRoot, call); });
    EXPECT_EQ(outcome.kind, kNothing);
    EXPECT_FALSE(outcome.kek.has_value());
    EXPECT_EQ(keeper_->health().failure, FailureClass::kCorrupt);
    clock_.Advance(absl::Minutes(1));
  }
}

TEST_F(LeaseKeeperTest, CorruptBetweenRefusalsIsNeitherASuccessNorARefusal) {
  EXPECT_EQ(Kinds({kNo, kOther, kNo, kOther, kNo}), (Sequence{kNothing, kNothing, kNothing, kNothing, kSeal}));
}

TEST_F(LeaseKeeperTest, AnUnsuitableKeyAndARecordOfAnotherRootNeverSeal) {
  RootKey other = kRoot;
  other.uri += "2";
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Ask(FailureClass::kUnsuitable).kind, kNothing);
    EXPECT_EQ(Wait(), absl::Seconds(60));
    clock_.Advance(absl::Minutes(1));
    const auto outcome = keeper_->Check([&](const KmsCall& call) { return UnwrapKek(kms_, record_, other, call); });
    EXPECT_EQ(outcome.kind, kNothing);
    EXPECT_EQ(Wait(), absl::Seconds(60));
    EXPECT_EQ(keeper_->health().failure, std::nullopt);
    EXPECT_FALSE(keeper_->health().ok);
    EXPECT_NE(keeper_->health().since, "");
  }
}

TEST_F(LeaseKeeperTest, ConfirmationsAreAskedOnFreshConnections) {
  Kinds({kYes, kNo, kNo, kSilence, kNo, kNo, kYes, kYes, kSilence, kYes});
  EXPECT_EQ(FreshCalls(), (std::vector<bool>{false, false, true, true, true, true, true, false, false, false}));
}

TEST_F(LeaseKeeperTest, GoesOnAskingAfterASealAndNoticesThatTheKeyIsBack) {
  Kinds({kYes, kNo, kNo, kNo});
  EXPECT_EQ(Wait(), absl::Seconds(60));
  EXPECT_EQ(Ask(kNo).kind, kSeal) << "an order that got lost is repeated";
  EXPECT_EQ(Wait(), absl::Seconds(60));
  EXPECT_EQ(Ask(kSilence).kind, kNothing);
  EXPECT_TRUE(keeper_->health().confirmed) << "silence heals nothing";
  EXPECT_EQ(Ask(kNo).kind, kSeal);
  EXPECT_EQ(Ask(kOther).kind, kNothing);
  EXPECT_TRUE(keeper_->health().confirmed);
  EXPECT_EQ(Ask(kYes).kind, kRenew);
  EXPECT_FALSE(keeper_->health().confirmed);
  EXPECT_EQ(Ask(kNo).kind, kNothing) << "a new refusal is confirmed anew";
}

TEST_F(LeaseKeeperTest, BacksOffFromTenSecondsToTheCheckInterval) {
  Ask(kYes);
  MiddleRandom same;
  Backoff expected(absl::Seconds(10), absl::Seconds(60), same);
  for (const double most : {10, 20, 40, 60, 60, 60}) {
    Ask(kSilence);
    EXPECT_EQ(Wait(), expected.Next());
    EXPECT_GE(Wait(), absl::Seconds(most / 2));
    EXPECT_LE(Wait(), absl::Seconds(most));
  }
  Ask(kYes);
  Ask(kSilence);
  EXPECT_LE(Wait(), absl::Seconds(10)) << "a success starts the back-off anew";
  Ask(kSilence);
  Ask(kSilence);
  Ask(kNo);
  Ask(kSilence);
  EXPECT_LE(Wait(), absl::Seconds(10)) << "so does any answer";
}

TEST_F(LeaseKeeperTest, HurryAsksAtOnce) {
  Ask(kYes);
  keeper_->Hurry();
  EXPECT_LE(keeper_->Due(), clock_.BootTime());
  EXPECT_EQ(AskNow(kYes).kind, kRenew);
  EXPECT_EQ(Wait(), absl::Seconds(60));
}

TEST_F(LeaseKeeperTest, HurryNeverHastensASeal) {
  Ask(kNo);
  const absl::Duration counts_from = keeper_->Due();
  fake_->OnCall([] {});
  for (int i = 0; i < 10; ++i) {
    keeper_->Hurry();
    EXPECT_EQ(AskNow(kNo).kind, kNothing);
    EXPECT_EQ(keeper_->Due(), counts_from);
  }
  EXPECT_EQ(Ask(kNo).kind, kNothing) << "the second that counts";
  EXPECT_EQ(Ask(kNo).kind, kSeal);
}

TEST_F(LeaseKeeperTest, HurryDuringAConfirmationStillSeesASuccess) {
  Kinds({kNo, kNo});
  keeper_->Hurry();
  EXPECT_EQ(AskNow(kYes).kind, kRenew);
  EXPECT_EQ(Kinds({kNo, kNo}), (Sequence{kNothing, kNothing}));
}

TEST_F(LeaseKeeperTest, TellsSinceWhenAClassWasSeenInARow) {
  Ask(kYes);
  const std::string success = Now();
  EXPECT_EQ(keeper_->health(), (KeyHealth{.ok = true, .last_success = success}));

  Ask(kNo);
  const std::string first_no = Now();
  Ask(kNo);
  EXPECT_EQ(keeper_->health(), (KeyHealth{.ok = false,
                                          .failure = FailureClass::kDenied,
                                          .message = "fake KMS: DENIED",
                                          .since = first_no,
                                          .last_success = success,
                                          .confirmed = false}));
  Ask(kSilence);
  const std::string first_silence = Now();
  Ask(kSilence);
  EXPECT_EQ(keeper_->health().failure, FailureClass::kUnreachable);
  EXPECT_EQ(keeper_->health().since, first_silence);
  Ask(kNo);
  EXPECT_EQ(keeper_->health().since, Now()) << "not in a row with the earlier ones";
  EXPECT_EQ(keeper_->health().last_success, success);
  EXPECT_TRUE(keeper_->health().confirmed);

  Ask(kYes);
  EXPECT_EQ(keeper_->health(), (KeyHealth{.ok = true, .last_success = Now()}));
}

TEST_F(LeaseKeeperTest, TellsAFailureWithoutAnySuccessBefore) {
  Ask(kSilence);
  EXPECT_FALSE(keeper_->health().ok);
  EXPECT_EQ(keeper_->health().since, Now());
  EXPECT_EQ(keeper_->health().last_success, "");
}

TEST_F(LeaseKeeperTest, ReportsTheKmsWordsAsShortPrintableText) {
  const std::string words = std::string("a\n\xff\0b", 5) + std::string(5000, 'x');
  keeper_->Check([&](const KmsCall&) -> absl::StatusOr<Kek> { return KmsError(FailureClass::kDenied, words); });
  EXPECT_EQ(keeper_->health().message, "a???b" + std::string(995, 'x'));
}

TEST_F(LeaseKeeperTest, FollowsAPolicyWithOtherWaits) {
  keeper_.emplace(LeasePolicy{.check_interval = absl::Seconds(2), .confirm_after = {absl::Seconds(1)}}, clock_, middle_);
  EXPECT_EQ(Ask(kNo).kind, kNothing);
  EXPECT_EQ(Wait(), absl::Seconds(1));
  EXPECT_EQ(Ask(kNo).kind, kSeal);
  EXPECT_EQ(Wait(), absl::Seconds(2));
  Ask(kSilence);
  EXPECT_LE(Wait(), absl::Seconds(2)) << "the back-off never waits longer than the check interval";
}

TEST_F(LeaseKeeperTest, WithoutConfirmationTheFirstRefusalSeals) {
  keeper_.emplace(LeasePolicy{.confirm_after = {}}, clock_, middle_);
  EXPECT_EQ(Ask(kNo).kind, kSeal);
}

}  // namespace
}  // namespace latchkey
