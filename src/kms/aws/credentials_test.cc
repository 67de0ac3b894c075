#include "kms/aws/credentials.h"

#include <map>

#include "base/file.h"
#include "base/testing.h"
#include "kms/aws/fake_aws.h"
#include "kms/aws/xml.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;

class AwsIdentityTest : public testing::Test {
 protected:
  AwsIdentityTest()
      : transport_({.first_backoff = absl::Milliseconds(1), .clock = &clock_}),
        identity_({.call = {.environment = [this](const char* name) { return environment_[name]; }, .clock = &clock_}}, transport_) {
    environment_["HOME"] = home_.path();
    environment_["AWS_EC2_METADATA_DISABLED"] = "true";
  }

  absl::StatusOr<SharedAwsCredentials> Get(bool fresh = false) {
    return identity_.Get({.endpoint = aws_.endpoint(), .region = "us-east-1", .configured = true}, fresh, CallBudget(absl::Seconds(10)));
  }
  void Write(const std::string& name, const std::string& text) {
    LK_ASSERT_OK(MakeFolders(home_ / ".aws"));
    LK_ASSERT_OK(WriteFileAtomically(home_ / (".aws/" + name), text));
  }

  TempFolder home_;
  FakeClock clock_;
  FakeAws aws_;
  std::map<std::string, std::string> environment_;
  AwsTransport transport_;
  AwsIdentity identity_;
};

constexpr char kFile[] =
    "# a comment\n[default]\naws_access_key_id = AKIAD\naws_secret_access_key=s=cret\n\n[other]\r\nAWS_ACCESS_KEY_ID=AKIAO\r\n"
    "aws_secret_access_key = o\r\naws_session_token = t\r\n";

TEST_F(AwsIdentityTest, TakesTheEnvironmentFirst) {
  Write("credentials", kFile);
  environment_["AWS_ACCESS_KEY_ID"] = "AKIAE";
  EXPECT_THAT(Get(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("together")));
  environment_["AWS_SECRET_ACCESS_KEY"] = "e";
  environment_["AWS_SESSION_TOKEN"] = "et";
  environment_["AWS_WEB_IDENTITY_TOKEN_FILE"] = "/nowhere";
  LK_ASSERT_OK_AND_ASSIGN(const auto credentials, Get());
  EXPECT_EQ(credentials->access_key_id, "AKIAE");
  EXPECT_EQ(credentials->secret_access_key.RevealText(SecretAccess{}), "e");
  EXPECT_EQ(credentials->session_token.RevealText(SecretAccess{}), "et");
}

TEST_F(AwsIdentityTest, ReadsProfilesOfTheCredentialsFileAnewEveryTime) {
  Write("credentials", kFile);
  LK_ASSERT_OK_AND_ASSIGN(auto credentials, Get());
  EXPECT_EQ(credentials->access_key_id, "AKIAD");
  EXPECT_EQ(credentials->secret_access_key.RevealText(SecretAccess{}), "s=cret");
  environment_["AWS_PROFILE"] = "other";
  LK_ASSERT_OK_AND_ASSIGN(credentials, Get());
  EXPECT_EQ(credentials->access_key_id, "AKIAO");
  EXPECT_EQ(credentials->session_token.RevealText(SecretAccess{}), "t");
  environment_["AWS_PROFILE"] = "third";
  EXPECT_THAT(Get(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("profile third")));
  Write("config", "[profile third]\naws_access_key_id = AKIAT\naws_secret_access_key = t\n");
  LK_ASSERT_OK_AND_ASSIGN(credentials, Get());
  EXPECT_EQ(credentials->access_key_id, "AKIAT");
}

TEST_F(AwsIdentityTest, EveryFailureIsOneOfOurOwnIdentityAndShowsNoSecret) {
  EXPECT_EQ(FailureClassOf(Get().status()), FailureClass::kIdentity);
  for (const char* text : {"[default]\nsecretsecret\n", "aws_secret_access_key = secretsecret\n", "[default\nx = secretsecret\n",
                           "[default]\nx = 1\nx = secretsecret\n", "[default] secretsecret\n", "[default]\nrole_arn = secretsecret\n"}) {
    Write("credentials", text);
    const absl::Status status = Get().status();
    EXPECT_EQ(FailureClassOf(status), FailureClass::kIdentity) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("credentials")) << text;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secretsecret"))) << text;
  }
}

TEST_F(AwsIdentityTest, TradesAWebIdentityTokenAndKeepsWhatItGotUntilShortlyBeforeItsEnd) {
  Write("token", "a.b.c\n");
  environment_["AWS_WEB_IDENTITY_TOKEN_FILE"] = home_ / ".aws/token";
  EXPECT_THAT(Get(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("AWS_ROLE_ARN")));
  environment_["AWS_ROLE_ARN"] = kTestRoleArn;
  LK_ASSERT_OK_AND_ASSIGN(const auto credentials, Get());
  EXPECT_EQ(credentials->access_key_id, "ASIA1");
  const HttpRequest request = aws_.last("AssumeRoleWithWebIdentity");
  EXPECT_THAT(*ParseForm(request.body), testing::Contains(testing::Pair("WebIdentityToken", "a.b.c")));
  EXPECT_EQ(request.Header("authorization"), "");
  LK_ASSERT_OK(Get());
  EXPECT_EQ(aws_.calls("AssumeRoleWithWebIdentity"), 1);
  LK_ASSERT_OK(Get(true));
  EXPECT_EQ(aws_.calls("AssumeRoleWithWebIdentity"), 2);
  clock_.Advance(credentials->expires - clock_.Now() - absl::Minutes(5));
  LK_ASSERT_OK(Get());
  EXPECT_EQ(aws_.calls("AssumeRoleWithWebIdentity"), 3);
}

TEST_F(AwsIdentityTest, ARefusedWebIdentityIsTroubleOfOurOwn) {
  Write("token", "t");
  Write("config", "[default]\nweb_identity_token_file = " + home_ / ".aws/token" + "\nrole_arn = " + kTestRoleArn + "\n");
  aws_.Next("AssumeRoleWithWebIdentity", StsError(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"));
  EXPECT_EQ(FailureClassOf(Get().status()), FailureClass::kIdentity);
  aws_.Next("AssumeRoleWithWebIdentity", StsError(400, "ExpiredTokenException", "Token expired"));
  EXPECT_EQ(FailureClassOf(Get().status()), FailureClass::kIdentity);
  aws_.Next("AssumeRoleWithWebIdentity", {.status = 200, .body = "<AssumeRoleWithWebIdentityResponse/>"});
  EXPECT_EQ(FailureClassOf(Get().status()), FailureClass::kUnreachable);
  LK_EXPECT_OK(Get());
}

TEST(XmlTextTest, ReadsOneElementByItsPathOrNothing) {
  const std::vector<std::string_view> path = {"a", "b", "c"};
  EXPECT_EQ(XmlText("<?xml version=\"1.0\"?>\n<a x=\"1\"><b><c>1 &lt; 2 &amp; &#x41;</c><d/></b></a>\n", path), "1 < 2 & A");
  EXPECT_EQ(XmlText("<a><b><c/></b></a>", path), "");
  for (const char* none :
       {"", "<a>", "<a><b><c>1</c></b>", "<a><b><c>1</c></b></a><a/>", "<a><b><c>1</c><c>2</c></b></a>", "<a><b><c><d/>1</c></b></a>",
        "<a><c>1</c></a>", "<!DOCTYPE a><a><b><c>1</c></b></a>", "<a><b><c>&e;</c></b></a>", "<a><b><c>&#0;</c></b></a>",
        "<a><b><c>1</b></c></a>", "x<a><b><c>1</c></b></a>", "<a><b><c><![CDATA[1]]></c></b></a>", "<a><b><c>&#99999999999;</c></b></a>",
        "<a x=<!--\"\"><b><c>1</c></b></a>", "<a><b x=\">\"><c>1</c></b></a>", "<a><b x='>'><c>1</c></b></a>"}) {
    EXPECT_EQ(XmlText(none, path), std::nullopt) << none;
  }
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "<a>";
  EXPECT_EQ(XmlText(deep, path), std::nullopt);
}

}  // namespace
}  // namespace latchkey
