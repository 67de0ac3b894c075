#include "kms/aws/sigv4.h"

#include "base/encoding.h"
#include "base/testing.h"
#include "crypto/digest.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

// The public test suite of Signature Version 4 (aws-sig-v4-test-suite).
struct Vector {
  std::string name;
  SigningInput input;
  std::string body;
  std::string signed_headers;
  std::string signature;
};

AwsCredentials SuiteCredentials() {
  return {.access_key_id = "AKIDEXAMPLE",
          .secret_access_key = SecretBytes::CopyOf(std::string_view("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))};
}

absl::Time SuiteTime() { return absl::FromCivil(absl::CivilSecond(2015, 8, 30, 12, 36, 0), absl::UTCTimeZone()); }

const HttpHeaders kHost = {{"host", "example.amazonaws.com"}};

std::vector<Vector> Vectors() {
  return {
      {"get-vanilla",
       {.method = "GET", .headers = kHost},
       "",
       "host;x-amz-date",
       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"get-vanilla-empty-query-key",
       {.method = "GET", .query = {{"Param1", "value1"}}, .headers = kHost},
       "",
       "host;x-amz-date",
       "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
      {"get-vanilla-query-order-key-case",
       {.method = "GET", .query = {{"Param2", "value2"}, {"Param1", "value1"}}, .headers = kHost},
       "",
       "host;x-amz-date",
       "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
      {"get-utf8",
       {.method = "GET", .path = "/\xE1\x88\xB4", .headers = kHost},
       "",
       "host;x-amz-date",
       "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
      {"get-relative-relative",
       {.method = "GET", .path = "/example1/example2/../..", .headers = kHost},
       "",
       "host;x-amz-date",
       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"get-slash",
       {.method = "GET", .path = "//", .headers = kHost},
       "",
       "host;x-amz-date",
       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"get-header-value-trim",
       {.method = "GET", .headers = {{"host", "example.amazonaws.com"}, {"my-header1", " value1"}, {"my-header2", " \"a   b   c\""}}},
       "",
       "host;my-header1;my-header2;x-amz-date",
       "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
      {"post-vanilla",
       {.method = "POST", .headers = kHost},
       "",
       "host;x-amz-date",
       "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
      {"post-x-www-form-urlencoded",
       {.method = "POST", .headers = {{"host", "example.amazonaws.com"}, {"content-type", "application/x-www-form-urlencoded"}}},
       "Param1=value1",
       "content-type;host;x-amz-date",
       "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
  };
}

TEST(SigV4Test, SignsThePublishedVectors) {
  for (Vector& vector : Vectors()) {
    vector.input.body_sha256 = HexEncode(Sha256(vector.body));
    SignRequest(vector.input, SuiteCredentials(), "us-east-1", "service", SuiteTime());
    EXPECT_EQ(vector.input.headers.at("authorization"),
              "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" + vector.signed_headers +
                  ", Signature=" + vector.signature)
        << vector.name;
  }
}

TEST(SigV4Test, MakesTheCanonicalRequestAndStringOfGetVanilla) {
  const SigningInput input{.method = "GET",
                           .headers = {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}},
                           .body_sha256 = HexEncode(Sha256(std::string_view()))};
  const std::string canonical = CanonicalRequest(input);
  EXPECT_EQ(canonical,
            "GET\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\n"
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(StringToSign("20150830T123600Z", {"20150830", "us-east-1", "service"}, canonical),
            "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/service/aws4_request\n"
            "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63");
}

// The examples of the documentation.
TEST(SigV4Test, DerivesThePublishedSigningKeys) {
  const AwsCredentials credentials = SuiteCredentials();
  const SecretBytes key = SigningKey(credentials.secret_access_key, {"20150830", "us-east-1", "iam"});
  EXPECT_EQ(HexEncode(key.Reveal(SecretAccess{})), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
  const SecretBytes older = SigningKey(credentials.secret_access_key, {"20120215", "us-east-1", "iam"});
  EXPECT_EQ(HexEncode(older.Reveal(SecretAccess{})), "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
}

TEST(SigV4Test, SignsTheSessionTokenOfTemporaryCredentials) {
  AwsCredentials credentials = SuiteCredentials();
  credentials.session_token = SecretBytes::CopyOf(std::string_view("token"));
  SigningInput input{.headers = kHost, .body_sha256 = HexEncode(Sha256(std::string_view()))};
  SignRequest(input, credentials, "us-east-1", "kms", SuiteTime());
  EXPECT_EQ(input.headers.at("x-amz-security-token"), "token");
  EXPECT_THAT(input.headers.at("authorization"), HasSubstr("SignedHeaders=host;x-amz-date;x-amz-security-token,"));
  const std::string first = input.headers.at("authorization");
  SignRequest(input, credentials, "us-east-1", "kms", SuiteTime());
  EXPECT_EQ(input.headers.at("authorization"), first) << "signing again must not sign the old signature";
}

}  // namespace
}  // namespace latchkey
