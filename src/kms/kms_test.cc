#include "kms/kms.h"

#include "base/status.h"
#include "base/testing.h"
#include "kms/config.h"
#include "kms/local/local_kms.h"
#include "kms/single_flight.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

const RootKey kKey{.type = "FAKE", .uri = "fake://1"};

// Wraps by writing plaintext and context side by side, and may have one vice.
class ViciousKms : public Kms {
 public:
  enum class Vice { kNone, kForgetsContext, kGivesOtherBytes, kFailsOnOtherContext };
  explicit ViciousKms(Vice vice) : vice_(vice) {}
  std::string_view type() const override { return "FAKE"; }
  absl::Status Check(const RootKey&) const override { return absl::OkStatus(); }
  absl::StatusOr<KeyDescription> Describe(const RootKey&, const KmsCall&) override { return KeyDescription{.usable = true}; }
  absl::StatusOr<KmsWrapped> Wrap(const RootKey&, const SecretBytes& plaintext, const KmsContext& context, const KmsCall&) override {
    context_ = context;
    const auto bytes = plaintext.Reveal(SecretAccess{});
    return KmsWrapped{.ciphertext = {bytes.begin(), bytes.end()}, .key_version = ""};
  }
  absl::StatusOr<SecretBytes> Unwrap(const RootKey&, const KmsWrapped& wrapped, const KmsContext& context, const KmsCall&) override {
    const std::vector<uint8_t>& ciphertext = wrapped.ciphertext;
    if (context != context_ && vice_ == Vice::kFailsOnOtherContext) return KmsError(FailureClass::kThrottled, "later");
    if (context != context_ && vice_ != Vice::kForgetsContext) return KmsError(FailureClass::kCorrupt, "context");
    SecretBytes bytes = SecretBytes::CopyOf(std::span<const uint8_t>(ciphertext));
    if (vice_ == Vice::kGivesOtherBytes) bytes.RevealMutable(SecretAccess{})[0] ^= 1;
    return bytes;
  }

 private:
  Vice vice_;
  KmsContext context_;
};

absl::Status TestWith(ViciousKms::Vice vice) {
  KmsSet set;
  set.Add(std::make_unique<ViciousKms>(vice));
  return TestKey(set, kKey, {{"a", "b"}}, nullptr);
}

TEST(KmsErrorTest, CarriesItsClassThroughPrefixesAndHasTheCodeOfItsKind) {
  const absl::Status status = Prefixed(KmsError(FailureClass::kDisabled, "is disabled"), "cluster 7");
  EXPECT_EQ(FailureClassOf(status), FailureClass::kDisabled);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("cluster 7: is disabled")));
  EXPECT_THAT(KmsError(FailureClass::kThrottled, ""), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(KmsError(FailureClass::kCorrupt, ""), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(KmsError(FailureClass::kUnsuitable, ""), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(FailureClassOf(absl::InternalError("x")), std::nullopt);
  EXPECT_EQ(FailureClassOf(absl::OkStatus()), std::nullopt);
}

TEST(KmsSetTest, NamesTheTypeThatIsMissing) {
  const KmsSet set;
  EXPECT_THAT(set.For(kKey), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("type: ")));
  EXPECT_EQ(FailureClassOf(set.For(kKey).status()), FailureClass::kUnsuitable);
}

TEST(KeyTestTest, AcceptsAnHonestKmsAndSeesThroughOthers) {
  LK_EXPECT_OK(TestWith(ViciousKms::Vice::kNone));
  EXPECT_EQ(FailureClassOf(TestWith(ViciousKms::Vice::kForgetsContext)), FailureClass::kUnsuitable);
  EXPECT_EQ(FailureClassOf(TestWith(ViciousKms::Vice::kGivesOtherBytes)), FailureClass::kCorrupt);
  EXPECT_EQ(FailureClassOf(TestWith(ViciousKms::Vice::kFailsOnOtherContext)), FailureClass::kThrottled);
}

// Moves a clock with every step, as a KMS far away would.
class SlowKms : public ViciousKms {
 public:
  struct Steps {
    absl::Duration credentials = {}, identity = {}, describe = {}, wrap = {}, unwrap = {};
  };
  SlowKms(FakeClock& clock, Steps steps, int& calls) : ViciousKms(Vice::kNone), clock_(clock), steps_(steps), calls_(calls) {}
  absl::Status TestIdentity(const RootKey&, const KeyTestStepDone& done) override {
    Take(steps_.credentials);
    done("credentials", "me");
    clock_.Advance(steps_.identity);
    done("identity", "them");
    return absl::OkStatus();
  }
  absl::StatusOr<KeyDescription> Describe(const RootKey& key, const KmsCall& call) override {
    Take(steps_.describe);
    return ViciousKms::Describe(key, call);
  }
  absl::StatusOr<KmsWrapped> Wrap(const RootKey& key, const SecretBytes& plaintext, const KmsContext& context,
                                  const KmsCall& call) override {
    Take(steps_.wrap);
    return ViciousKms::Wrap(key, plaintext, context, call);
  }
  absl::StatusOr<SecretBytes> Unwrap(const RootKey& key, const KmsWrapped& wrapped, const KmsContext& context,
                                     const KmsCall& call) override {
    Take(steps_.unwrap);
    return ViciousKms::Unwrap(key, wrapped, context, call);
  }

 private:
  void Take(absl::Duration time) {
    clock_.Advance(time);
    ++calls_;
  }

  FakeClock& clock_;
  const Steps steps_;
  int& calls_;
};

struct SlowTest {
  absl::Status status;
  std::vector<KeyTestStep> steps;
  int calls = 0;
  absl::Duration took;
};
SlowTest TestSlowly(const SlowKms::Steps& times) {
  FakeClock clock;
  const absl::Duration start = clock.BootTime();
  SlowTest test;
  KmsSet set;
  set.Add(std::make_unique<SlowKms>(clock, times, test.calls));
  test.status = TestKey(set, kKey, {{"a", "b"}}, &test.steps, {.clock = &clock});
  test.took = clock.BootTime() - start;
  return test;
}

TEST(KeyTestTest, BeginsNoFurtherStepAfterNineSecondsAndNamesTheSlowest) {
  const SlowTest test = TestSlowly({.credentials = absl::Milliseconds(200), .wrap = absl::Milliseconds(500), .unwrap = absl::Seconds(8.3)});
  EXPECT_EQ(FailureClassOf(test.status), FailureClass::kUnreachable);
  EXPECT_EQ(test.status.message(), "the key test took longer than 9 s, of which unwrap 8.3 s: the KMS is slow or far away");
  EXPECT_EQ(test.calls, 4);
  ASSERT_EQ(test.steps.size(), 7U);
  EXPECT_EQ(test.steps[5].name, "unwrap");
  EXPECT_TRUE(test.steps[5].ok);
  EXPECT_EQ(test.steps[5].took, absl::Seconds(8.3));
  EXPECT_EQ(test.steps[6].name, "context");
  EXPECT_FALSE(test.steps[6].ok);
}

TEST(KeyTestTest, StopsAtWhicheverStepWouldHaveComeNext) {
  const absl::Duration most = absl::Seconds(10);
  EXPECT_EQ(TestSlowly({.identity = most}).steps.back().name, "describe");
  EXPECT_THAT(TestSlowly({.identity = most}).status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("of which identity 10.0 s")));
  EXPECT_EQ(TestSlowly({.describe = most}).steps.back().name, "wrap");
  EXPECT_EQ(TestSlowly({.wrap = most}).steps.back().name, "unwrap");
  EXPECT_EQ(TestSlowly({.describe = absl::Seconds(9)}).calls, 2);
}

TEST(KeyTestTest, EndsWithinTwentySecondsHoweverSlowTheStepsAre) {
  const absl::Duration most = absl::Seconds(10), nearly = absl::Seconds(8.999);
  for (const SlowKms::Steps& times : {SlowKms::Steps{most, {}, most, most, most}, SlowKms::Steps{nearly, {}, most, most, most},
                                      SlowKms::Steps{{}, {}, nearly, most, most}, SlowKms::Steps{{}, {}, {}, nearly, most}}) {
    const SlowTest test = TestSlowly(times);
    EXPECT_EQ(FailureClassOf(test.status), FailureClass::kUnreachable);
    EXPECT_LT(test.took, absl::Seconds(20));
  }
}

TEST(KeyTestTest, LetsALastStepThatWasBegunInTimeFinish) {
  LK_EXPECT_OK(TestSlowly({.describe = absl::Seconds(4), .unwrap = absl::Seconds(4)}).status);
}

TEST(KmsConfigTest, HasAwsAlwaysAndLocalWhereConnectionsAreNamed) {
  const KmsSet without = BuildKmsSet({});
  LK_EXPECT_OK(without.For({.type = "AWS_KMS"}));
  EXPECT_FALSE(without.For({.type = "LOCAL"}).ok());
  LK_EXPECT_OK(BuildKmsSet({.aws = {}, .local_connections = {{"x", "/nowhere"}}}).For({.type = "LOCAL"}));
}

struct Kept {
  int number;
};

TEST(SingleFlightTest, AnOutageKeepsWhatIsStillGoodAndARefusalDropsIt) {
  SingleFlight<std::shared_ptr<const Kept>> flight;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  const auto get = [&](bool fresh, absl::StatusOr<std::shared_ptr<const Kept>> result) {
    return flight.Get(fresh, [](const auto&) { return true; }, [&] { return result; }, until, KmsError(FailureClass::kUnreachable, "late"));
  };
  LK_ASSERT_OK(get(false, std::make_shared<const Kept>(Kept{1})).status());
  EXPECT_FALSE(get(true, KmsError(FailureClass::kIdentity, "the token service is down")).ok());
  const auto kept = get(false, KmsError(FailureClass::kIdentity, "is not asked"));
  LK_ASSERT_OK(kept.status());
  EXPECT_EQ((*kept)->number, 1);
  EXPECT_FALSE(get(true, KmsError(FailureClass::kDenied, "no")).ok());
  const auto next = get(false, std::make_shared<const Kept>(Kept{2}));
  LK_ASSERT_OK(next.status());
  EXPECT_EQ((*next)->number, 2);
}

}  // namespace
}  // namespace latchkey
