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
