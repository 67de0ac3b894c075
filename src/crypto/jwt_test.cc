#include "crypto/jwt.h"

#include "base/encoding.h"
#include "base/json.h"
#include "base/testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

const RsaPrivateKey& TestKey() {
  static const RsaPrivateKey key = RsaPrivateKey::Generate(2048).value();
  return key;
}
RsaPublicKey PublicKey() { return RsaPublicKey::FromNumbers(TestKey().public_numbers()).value(); }
std::string Text(const SecretBytes& token) { return std::string(token.RevealText(SecretAccess{})); }
std::string Part(std::string_view text) { return Base64UrlEncode(AsBytes(text)); }

// RFC 7515, A.2: an RS256 token with its key.
constexpr char kRfcToken[] =
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4"
    "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv"
    "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
constexpr char kRfcModulus[] =
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOW"
    "vG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9k"
    "G4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

TEST(JwtTest, VerifiesTheTokenOfTheStandard) {
  LK_ASSERT_OK_AND_ASSIGN(DecodedJwt token, DecodeJwt(kRfcToken));
  EXPECT_EQ(token.claims.at("iss").as_string(), "joe");
  EXPECT_EQ(token.claims.at("exp").as_int64(), 1300819380);
  LK_ASSERT_OK_AND_ASSIGN(const RsaPublicKey key,
                          RsaPublicKey::FromNumbers({.modulus = Base64UrlDecode(kRfcModulus).value(), .exponent = {1, 0, 1}}));
  EXPECT_TRUE(VerifyJwt(token, key));
  token.signature.back() ^= 1;
  EXPECT_FALSE(VerifyJwt(token, key));
}

TEST(JwtTest, SignsTokensThatVerifyUnderTheKeyAndNoOther) {
  const RsaPrivateKey other = RsaPrivateKey::Generate(2048).value();
  for (const auto& [scheme, name] : {std::pair(RsaSignature::kPkcs1Sha256, "RS256"), std::pair(RsaSignature::kPssSha256, "PS256")}) {
    LK_ASSERT_OK_AND_ASSIGN(const SecretBytes signed_token, SignJwt({{"kid", "k-1"}}, {{"sub", "me"}, {"exp", 17}}, TestKey(), scheme));
    LK_ASSERT_OK_AND_ASSIGN(const DecodedJwt token, DecodeJwt(Text(signed_token)));
    EXPECT_EQ(token.header.at("alg").as_string(), name);
    EXPECT_EQ(token.header.at("typ").as_string(), "JWT");
    EXPECT_EQ(token.header.at("kid").as_string(), "k-1");
    EXPECT_EQ(token.claims.at("sub").as_string(), "me");
    EXPECT_EQ(token.claims.at("exp").as_int64(), 17);
    EXPECT_TRUE(VerifyJwt(token, PublicKey()));
    EXPECT_FALSE(VerifyJwt(token, RsaPublicKey::FromNumbers(other.public_numbers()).value()));
  }
}

TEST(JwtTest, ChangedClaimsOrHeaderDoNotVerify) {
  LK_ASSERT_OK_AND_ASSIGN(const SecretBytes signed_token, SignJwt({}, {{"sub", "me"}}, TestKey(), RsaSignature::kPkcs1Sha256));
  const std::string token = Text(signed_token);
  const size_t first = token.find('.'), second = token.rfind('.');
  const std::string header = token.substr(0, first), signature = token.substr(second + 1);
  for (const std::string& forged : {header + "." + Part(R"({"sub":"you"})") + "." + signature,
                                    Part(R"({"alg":"RS256","typ":"JWT","kid":"x"})") + token.substr(first), token.substr(0, second + 1)}) {
    LK_ASSERT_OK_AND_ASSIGN(const DecodedJwt decoded, DecodeJwt(forged));
    EXPECT_FALSE(VerifyJwt(decoded, PublicKey()));
  }
}

TEST(JwtTest, NoOtherAlgorithmVerifies) {
  LK_ASSERT_OK_AND_ASSIGN(const std::vector<uint8_t> signature, TestKey().Sign(RsaSignature::kPkcs1Sha256, "x"));
  for (const char* header : {R"({"alg":"none"})", R"({"alg":"HS256"})", R"({"alg":"RS512"})", R"({"alg":"rs256"})", R"({"alg":7})", R"({})",
                             R"({"alg":null})"}) {
    const std::string signed_part = Part(header) + "." + Part("{}");
    const std::string text = signed_part + "." + Base64UrlEncode(TestKey().Sign(RsaSignature::kPkcs1Sha256, signed_part).value());
    LK_ASSERT_OK_AND_ASSIGN(const DecodedJwt token, DecodeJwt(text));
    EXPECT_FALSE(VerifyJwt(token, PublicKey())) << header;
  }
  // The name of one scheme over a signature of the other.
  const std::string signed_part = Part(R"({"alg":"PS256"})") + "." + Part("{}");
  LK_ASSERT_OK_AND_ASSIGN(const DecodedJwt token,
                          DecodeJwt(signed_part + "." + Base64UrlEncode(TestKey().Sign(RsaSignature::kPkcs1Sha256, signed_part).value())));
  EXPECT_FALSE(VerifyJwt(token, PublicKey()));
}

TEST(JwtTest, RefusesWhatIsMalformedWithoutQuotingIt) {
  const std::string good = Part("{}");
  for (const std::string& token :
       {std::string(), std::string("."), std::string(".."), std::string("..."), good, good + "." + good,
        good + "." + good + "." + good + "." + good, good + "=." + good + ".", good + "." + Part("[]") + ".",
        good + "." + Part("secret-secret") + ".", Part("\"x\"") + "." + good + ".", good + "." + good + ".*secret-secret",
        good + "." + good + ".A", good + " ." + good + ".", Part(R"({"a":1,"a":2})") + "." + good + ".",
        good + "." + Part(R"({"a":"\u0000"})") + ".", good + "." + good + "." + std::string(16 << 10, 'A')}) {
    const auto decoded = DecodeJwt(token);
    EXPECT_THAT(decoded, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("token: "))) << token;
    EXPECT_THAT(decoded, StatusIs(absl::StatusCode::kInvalidArgument, testing::Not(HasSubstr("secret")))) << token;
  }
  LK_EXPECT_OK(DecodeJwt(good + "." + good + "."));
}

}  // namespace
}  // namespace latchkey
