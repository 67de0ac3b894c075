#include "kms/aws/metadata.h"

#include <atomic>
#include <map>
#include <thread>

#include "base/file.h"
#include "base/testing.h"
#include "kms/aws/credentials.h"
#include "kms/aws/fake_aws.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;

// The instance metadata service and a container's endpoint on one port. Operations: "session", "role", "instance", "container".
class FakeMetadata : public FakeService {
 public:
  FakeMetadata() { Start(); }
  ~FakeMetadata() override { Stop(); }

  static HttpResponse Credentials(const std::string& id, const std::string& expiration, const std::string& code = "") {
    json::object body = {
        {"AccessKeyId", id}, {"SecretAccessKey", "planted-secret"}, {"Token", "planted-token"}, {"Expiration", expiration}};
    if (!code.empty()) body["Code"] = code;
    return HttpResponse::Json(200, json::serialize(body));
  }

 private:
  std::string OperationOf(const HttpRequest& request) const override {
    if (request.path == "/latest/api/token") return "session";
    if (request.path == "/latest/meta-data/iam/security-credentials/") return "role";
    return request.path == "/latest/meta-data/iam/security-credentials/host-role" ? "instance" : "container";
  }
  HttpResponse Right(const std::string& operation, const HttpRequest& request) override {
    if (operation == "session") {
      const bool good = request.method == "PUT" && request.Header("x-aws-ec2-metadata-token-ttl-seconds") == "21600";
      return HttpResponse::Text(good ? 200 : 400, "planted-session");
    }
    const std::lock_guard lock(mutex_);
    if (operation == "container") return Credentials("ASIAC" + std::to_string(++issued_), "2023-11-15T10:00:00Z");
    if (request.Header("x-aws-ec2-metadata-token") != "planted-session") return HttpResponse::Text(401, "");
    if (operation == "role") return HttpResponse::Text(200, "host-role\n");
    return Credentials("ASIAI" + std::to_string(++issued_), "2023-11-15T10:00:00Z", "Success");
  }

  int issued_ = 0;
};

class AwsMachineTest : public testing::Test {
 protected:
  AwsMachineTest()
      : transport_({.first_backoff = absl::Milliseconds(1), .clock = &clock_}),
        identity_({.call = {.first_backoff = absl::Milliseconds(1),
                            .environment = [this](const char* name) { return environment_.contains(name) ? environment_.at(name) : ""; },
                            .clock = &clock_}},
                  transport_) {
    environment_["HOME"] = home_.path();
    environment_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = metadata_.endpoint();
  }

  void UseContainer() { environment_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = metadata_.endpoint() + "/v2/credentials/x?a=b"; }
  absl::StatusOr<SharedAwsCredentials> Get(bool fresh = false) {
    return identity_.Get({.endpoint = aws_.endpoint(), .region = "us-east-1", .configured = true}, fresh, CallBudget(absl::Seconds(10)));
  }
  std::string IdGot() {
    const auto credentials = Get();
    EXPECT_THAT(credentials, IsOk());
    return credentials.ok() ? (*credentials)->access_key_id : "";
  }
  // Sees that it is, and without a secret; the words.
  std::string Refused() {
    const absl::Status status = Get().status();
    EXPECT_EQ(FailureClassOf(status), FailureClass::kIdentity) << status;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("planted")));
    return std::string(status.message());
  }

  TempFolder home_;
  FakeClock clock_;  // 2023-11-14T22:13:20Z
  FakeAws aws_;
  FakeMetadata metadata_;
  std::map<std::string, std::string> environment_;
  AwsTransport transport_;
  AwsIdentity identity_;
};

TEST_F(AwsMachineTest, ComesAfterEnvironmentWebIdentityAndProfileAndTheContainerBeforeTheInstance) {
  EXPECT_EQ(IdGot(), "ASIAI1");
  UseContainer();
  LK_ASSERT_OK_AND_ASSIGN(auto credentials, Get(true));
  EXPECT_EQ(credentials->access_key_id, "ASIAC2");
  LK_ASSERT_OK(MakeFolders(home_ / ".aws"));
  LK_ASSERT_OK(WriteFileAtomically(home_ / ".aws/credentials", "[default]\naws_access_key_id = AKIAP\naws_secret_access_key = p\n"));
  EXPECT_EQ(IdGot(), "AKIAP");
  LK_ASSERT_OK(WriteFileAtomically(home_ / "web", "a.b.c"));
  environment_["AWS_WEB_IDENTITY_TOKEN_FILE"] = home_ / "web";
  environment_["AWS_ROLE_ARN"] = kTestRoleArn;
  EXPECT_EQ(IdGot(), "ASIA1");
  environment_["AWS_ACCESS_KEY_ID"] = "AKIAE";
  environment_["AWS_SECRET_ACCESS_KEY"] = "e";
  EXPECT_EQ(IdGot(), "AKIAE");
}

TEST_F(AwsMachineTest, ASourceThatIsThereAndFailsIsNotPassedOver) {
  UseContainer();
  environment_["AWS_PROFILE"] = "named";
  EXPECT_THAT(Refused(), HasSubstr("profile named"));
  environment_.erase("AWS_PROFILE");
  metadata_.AlwaysAnswer("container", HttpResponse::Text(403, "planted"));
  EXPECT_THAT(Refused(), HasSubstr("container credentials: answered with HTTP status 403"));
  EXPECT_EQ(metadata_.calls("session"), 0);
}

TEST_F(AwsMachineTest, TakesTheInstancesRoleWithASessionOnly) {
  LK_ASSERT_OK_AND_ASSIGN(const auto credentials, Get());
  EXPECT_EQ(credentials->secret_access_key.RevealText(SecretAccess{}), "planted-secret");
  EXPECT_EQ(credentials->session_token.RevealText(SecretAccess{}), "planted-token");
  EXPECT_EQ(latchkey::FormatTime(credentials->expires), "2023-11-15T10:00:00.000000Z");
  EXPECT_EQ(metadata_.last("session").method, "PUT");
  metadata_.AlwaysAnswer("session", HttpResponse::Text(403, ""));
  EXPECT_THAT(std::string(Get(true).status().message()), HasSubstr("instance metadata: answered with HTTP status 403"));
  EXPECT_EQ(metadata_.calls("instance"), 1) << "never without a session";
}

TEST_F(AwsMachineTest, KeepsWhatItGotUntilFiveMinutesBeforeItsEnd) {
  LK_ASSERT_OK_AND_ASSIGN(const auto credentials, Get());
  clock_.Advance(credentials->expires - clock_.Now() - absl::Minutes(5) - absl::Seconds(1));
  EXPECT_EQ(IdGot(), "ASIAI1");
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(IdGot(), "ASIAI2");
  EXPECT_EQ(IdGot(), "ASIAI3") << "what is about to end is asked for again each time";
}

TEST_F(AwsMachineTest, ManyCallersAskOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { good += Get().ok() ? 1 : 0; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 8);
  EXPECT_EQ(metadata_.calls("instance"), 1);
}

TEST_F(AwsMachineTest, DoesNotAskAnInstanceThatIsSwitchedOff) {
  environment_["AWS_EC2_METADATA_DISABLED"] = "True";
  EXPECT_THAT(Refused(), HasSubstr("AWS_EC2_METADATA_DISABLED"));
  EXPECT_EQ(metadata_.calls("session"), 0);
  environment_["AWS_EC2_METADATA_DISABLED"] = "false";
  LK_EXPECT_OK(Get());
}

TEST_F(AwsMachineTest, EveryFailureOfTheInstanceIsOneOfOurOwnIdentity) {
  metadata_.Next("role", HttpResponse::Text(404, ""));
  Refused();
  for (const char* role : {"", "\n", "../../planted", "a b", "<html>"}) {
    metadata_.Next("role", HttpResponse::Text(200, role));
    EXPECT_THAT(Refused(), HasSubstr("role")) << role;
  }
  metadata_.Next("instance", HttpResponse::Json(200, R"({"Code":"AssumeRoleUnauthorizedAccess","Message":"not allowed"})"));
  EXPECT_THAT(Refused(), HasSubstr("AssumeRoleUnauthorizedAccess not allowed"));
  for (const char* body : {"", "{", "[]", "{}", R"({"AccessKeyId":"a","SecretAccessKey":"planted","Token":"planted"})",
                           R"({"AccessKeyId":"a","SecretAccessKey":"planted","Token":"pl\nanted","Expiration":"2100-01-01T00:00:00Z"})",
                           R"({"AccessKeyId":"a","SecretAccessKey":"","Token":"planted","Expiration":"2100-01-01T00:00:00Z"})"}) {
    metadata_.Next("instance", HttpResponse::Json(200, body));
    Refused();
  }
  environment_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://127.0.0.1:1";
  Refused();
  for (const char* bad : {"file:///etc", "http://", "http://planted@host", "http://host/path", "http://host:x", "http://a b"}) {
    environment_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = bad;
    EXPECT_THAT(Refused(), HasSubstr("AWS_EC2_METADATA_SERVICE_ENDPOINT")) << bad;
  }
}

TEST_F(AwsMachineTest, GivesUpSoonWhereNobodyAnswers) {
  std::mutex mutex;
  std::vector<HttpResponder> parked;
  metadata_.Always("session", [&](const HttpRequest&, const HttpResponder& respond) {
    const std::lock_guard lock(mutex);
    parked.push_back(respond);
  });
  const auto begin = std::chrono::steady_clock::now();
  Refused();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));
  const std::lock_guard lock(mutex);
  parked.clear();
}

TEST_F(AwsMachineTest, RepeatsWhatMayGoBetter) {
  metadata_.Next("session", HttpResponse::Text(503, ""));
  metadata_.Next("instance", HttpResponse::Text(429, ""));
  LK_EXPECT_OK(Get());
}

TEST_F(AwsMachineTest, ShowsTheContainersEndpointItsTokenReadAnewFromItsFile) {
  UseContainer();
  LK_ASSERT_OK(Get(true));
  EXPECT_EQ(metadata_.last("container").Header("authorization"), "");
  EXPECT_EQ(metadata_.last("container").target, "/v2/credentials/x?a=b");
  environment_["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "Basic planted";
  LK_ASSERT_OK(Get(true));
  EXPECT_EQ(metadata_.last("container").Header("authorization"), "Basic planted");
  environment_["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = home_ / "token";
  EXPECT_THAT(std::string(Get(true).status().message()), HasSubstr("token"));
  for (const std::string token : {"first", "second"}) {
    LK_ASSERT_OK(WriteFileAtomically(home_ / "token", token + "\n"));
    LK_ASSERT_OK(Get(true));
    EXPECT_EQ(metadata_.last("container").Header("authorization"), token);
  }
  const int before = metadata_.calls("container");
  for (const std::string bad : {"", "planted\r\nx-evil: 1"}) {
    LK_ASSERT_OK(WriteFileAtomically(home_ / "token", bad));
    const absl::Status status = Get(true).status();
    EXPECT_EQ(FailureClassOf(status), FailureClass::kIdentity);
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("planted")));
  }
  EXPECT_EQ(metadata_.calls("container"), before);
}

TEST(AwsContainerUrlTest, TakesOnlyLoopbackAndTheContainerServicesHosts) {
  EXPECT_THAT(*AwsContainerUrl("/v2/x", "http://evil.example/"), "http://169.254.170.2/v2/x");
  for (const char* good :
       {"http://127.0.0.1/x", "http://127.9.9.9:80/x", "http://localhost:8080/", "http://[::1]:80/x?y=z", "https://127.0.0.1/",
        "http://169.254.170.2/x", "http://169.254.170.23/v1/credentials", "http://[fd00:ec2::23]/v1/credentials"}) {
    EXPECT_THAT(AwsContainerUrl("", good), IsOk()) << good;
  }
  for (const char* bad : {"",
                          "/x",
                          "ftp://127.0.0.1/",
                          "http://169.254.169.254/latest",
                          "http://169.254.170.2.evil.example/",
                          "http://169.254.170.20/",
                          "http://127.0.0.1.evil.example/",
                          "http://127.0.0.1@evil.example/",
                          "http://evil.example#@127.0.0.1/",
                          "http://evil.example\\@127.0.0.1/",
                          "http://localhost.evil.example/",
                          "http://0.0.0.0/",
                          "http://[::]/",
                          "http://[::1/",
                          "http://[::1]evil/",
                          "http://127.0.0.1:/",
                          "http://127.0.0.1:80a/",
                          "http://10.0.0.1/",
                          "http://127.1/",
                          "http://127.0.0.1/\r\nx: y",
                          "https://evil.example/"}) {
    EXPECT_THAT(AwsContainerUrl("", bad), StatusIs(absl::StatusCode::kInvalidArgument)) << bad;
  }
  for (const char* bad : {"x", "@evil.example/", ":80@evil.example/", ".evil.example/", "/x#y", "/x y"}) {
    EXPECT_THAT(AwsContainerUrl(bad, ""), StatusIs(absl::StatusCode::kInvalidArgument)) << bad;
  }
}

}  // namespace
}  // namespace latchkey
