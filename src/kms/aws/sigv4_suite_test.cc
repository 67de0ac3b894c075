#include "kms/aws/sigv4_suite.h"

#include "base/encoding.h"
#include "base/testing.h"
#include "crypto/digest.h"
#include "kms/aws/sigv4.h"

namespace latchkey {
namespace {

// What the signer is not made for, and why.
const std::map<std::string_view, std::string_view> kLeftOut = {
    {"get-header-key-duplicate", "a request of ours has one value a header"},
    {"get-header-value-order", "a request of ours has one value a header"},
};

class SigV4SuiteTest : public testing::TestWithParam<SigV4Vector> {};
// Without the suite there is nothing to instantiate.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SigV4SuiteTest);
INSTANTIATE_TEST_SUITE_P(Published, SigV4SuiteTest, testing::ValuesIn(SigV4SuiteWithout(kLeftOut)),
                         [](const auto& of) { return SigV4TestName(of.param.name); });

TEST_P(SigV4SuiteTest, IsSigned) {
  const SigV4Vector& vector = GetParam();
  ASSERT_EQ(vector.fault, "");
  const HttpRequest& request = vector.unsigned_request;
  SigningInput input{
      .method = request.method, .path = request.path, .query = request.query, .body_sha256 = HexEncode(Sha256(request.body))};
  // The suite does not sign every header; the signer signs what it is given.
  const std::string names = ";" + vector.SignedNames() + ";";
  for (const auto& [name, value] : request.headers) {
    if (names.find(";" + name + ";") != std::string::npos) input.headers[name] = value;
  }
  const AwsCredentials credentials{.access_key_id = vector.access_key_id,
                                   .secret_access_key = SecretBytes::CopyOf(std::string_view(vector.secret_access_key)),
                                   .session_token = SecretBytes::CopyOf(std::string_view(vector.session_token))};
  const absl::Time time = absl::FromCivil(absl::CivilSecond(2015, 8, 30, 12, 36, 0), absl::UTCTimeZone());
  SignRequest(input, credentials, vector.region, vector.service, time);
  EXPECT_EQ(input.headers.at("authorization"), vector.authorization);

  input.headers.erase("authorization");
  if (!vector.canonical_request.empty()) {
    EXPECT_EQ(CanonicalRequest(input), vector.canonical_request);
  }
  EXPECT_EQ(StringToSign(AmzDate(time), {"20150830", vector.region, vector.service}, CanonicalRequest(input)), vector.string_to_sign);
}

}  // namespace
}  // namespace latchkey
