#include "kms/aws/sigv4_suite.h"

#include "base/testing.h"
#include "emulator/sigv4_verifier.h"

namespace latchkey::emulator {
namespace {

constexpr std::string_view kPaths = "KMS and STS have one path, /, and the verifier takes a path as it is";

// What the verifier does not take, and why.
const std::map<std::string_view, std::string_view> kLeftOut = {
    {"get-header-key-duplicate", "a header that is there twice is joined with a blank, and fits no signature"},
    {"get-header-value-order", "a header that is there twice is joined with a blank, and fits no signature"},
    {"get-relative", kPaths},
    {"get-relative-relative", kPaths},
    {"get-slash", kPaths},
    {"get-slash-dot-slash", kPaths},
    {"get-slash-pointless-dot", kPaths},
    {"get-slashes", kPaths},
    {"post-sts-header-after", "KMS and STS take no session token that is not signed"},
};

class SigV4SuiteVerifierTest : public testing::TestWithParam<SigV4Vector> {
 protected:
  const SignedService service_{GetParam().service, true, absl::Minutes(5)};
  const absl::Time now_ = absl::FromCivil(absl::CivilSecond(2015, 8, 30, 12, 36, 0), absl::UTCTimeZone());

  bool Holds(const HttpRequest& request, const std::string& secret) const {
    Outcome<SignatureClaim> claim = ReadClaim(request, service_, now_);
    return claim.ok() && VerifySignature(request, *claim, SecretBytes::CopyOf(std::string_view(secret)), service_).ok();
  }
};
// Without the suite there is nothing to instantiate.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SigV4SuiteVerifierTest);
INSTANTIATE_TEST_SUITE_P(Published, SigV4SuiteVerifierTest, testing::ValuesIn(SigV4SuiteWithout(kLeftOut)),
                         [](const auto& of) { return SigV4TestName(of.param.name); });

TEST_P(SigV4SuiteVerifierTest, IsAcceptedAndNothingThatDiffersIs) {
  const SigV4Vector& vector = GetParam();
  ASSERT_EQ(vector.fault, "");
  const HttpRequest& request = vector.signed_request;
  Outcome<SignatureClaim> claim = ReadClaim(request, service_, now_);
  ASSERT_TRUE(claim.ok()) << claim.error().message;
  EXPECT_EQ(claim->access_key_id, vector.access_key_id);
  if (!vector.canonical_request.empty()) {
    EXPECT_EQ(CanonicalRequest(request, claim->signed_headers), vector.canonical_request);
  }
  EXPECT_TRUE(Holds(request, vector.secret_access_key));

  EXPECT_FALSE(Holds(request, vector.secret_access_key + "x"));
  HttpRequest changed = request;
  changed.body += "x";
  EXPECT_FALSE(Holds(changed, vector.secret_access_key));
  changed = request;
  changed.headers["host"] = "other.amazonaws.com";
  EXPECT_FALSE(Holds(changed, vector.secret_access_key));
  changed = request;
  changed.query.emplace_back("more", "");
  EXPECT_FALSE(Holds(changed, vector.secret_access_key));
  changed = request;
  std::string& authorization = changed.headers["authorization"];
  authorization.back() = authorization.back() == '0' ? '1' : '0';
  EXPECT_FALSE(Holds(changed, vector.secret_access_key));
}

}  // namespace
}  // namespace latchkey::emulator
