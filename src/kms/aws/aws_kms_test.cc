#include "kms/aws/aws_kms.h"

#include <future>
#include <thread>

#include "base/testing.h"
#include "crypto/digest.h"
#include "kms/aws/fake_aws.h"
#include "kms/aws/sigv4.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;

const KmsContext kContext = {{"latchkey:cluster", "c-1"}, {"latchkey:generation", "1"}};
const RootKey kKey{.type = "AWS_KMS", .uri = kTestKeyArn, .auth_principal = kTestRoleArn, .external_id = "org/7"};

class AwsKmsTest : public testing::Test {
 protected:
  AwsKmsTest() : kms_(Make(absl::Seconds(4), absl::Seconds(10))) {}

  std::unique_ptr<Kms> Make(absl::Duration attempt_timeout, absl::Duration call_budget) {
    return NewAwsKms({.kms_endpoint = aws_.endpoint(),
                      .sts_endpoint = aws_.endpoint() + "/",
                      .call = {.call_budget = call_budget,
                               .attempt_timeout = attempt_timeout,
                               .first_backoff = absl::Milliseconds(1),
                               .environment = [](const char* name) -> std::string {
                                 if (std::string_view(name) == "AWS_ACCESS_KEY_ID") return "AKIAOWN";
                                 if (std::string_view(name) == "AWS_SECRET_ACCESS_KEY") return "own/secret";
                                 return "";
                               },
                               .clock = &clock_}});
  }

  std::vector<uint8_t> Wrapped() {
    auto wrapped = kms_->Wrap(kKey, SecretBytes::CopyOf(std::string_view("the key")), kContext, {});
    EXPECT_THAT(wrapped, IsOk());
    return wrapped.ok() ? wrapped->ciphertext : std::vector<uint8_t>();
  }
  absl::Status Unwrap(Kms& kms, const KmsCall& call = {}) { return kms.Unwrap(kKey, {AsVector("blob")}, kContext, call).status(); }
  // What one answer to Decrypt is taken for.
  absl::Status UnwrapAnswered(HttpResponse response) {
    aws_.AlwaysAnswer("Decrypt", std::move(response));
    return Unwrap(*kms_);
  }
  static std::vector<uint8_t> AsVector(std::string_view s) { return {s.begin(), s.end()}; }

  FakeClock clock_;
  FakeAws aws_;
  std::unique_ptr<Kms> kms_;
};

testing::Matcher<const absl::Status&> HasClass(FailureClass c) {
  return testing::ResultOf("failure class", [](const absl::Status& s) { return FailureClassOf(s); }, testing::Optional(c));
}

TEST_F(AwsKmsTest, UnwrapsWhatItWrappedUnderTheSameContextOnly) {
  const auto ciphertext = Wrapped();
  LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, kms_->Unwrap(kKey, {ciphertext}, kContext, {}));
  EXPECT_EQ(opened.RevealText(SecretAccess{}), "the key");
  EXPECT_THAT(kms_->Unwrap(kKey, {ciphertext}, {{"latchkey:cluster", "c-2"}}, {}).status(), HasClass(FailureClass::kCorrupt));
}

TEST_F(AwsKmsTest, AlwaysNamesTheKeyAndTheContext) {
  kms_->Unwrap(kKey, {Wrapped()}, kContext, {}).IgnoreError();
  for (const char* operation : {"Encrypt", "Decrypt"}) {
    LK_ASSERT_OK_AND_ASSIGN(const json::object body, ParseJsonObject(aws_.last(operation).body));
    EXPECT_EQ(body.at("KeyId").as_string(), kTestKeyArn);
    EXPECT_EQ(json::serialize(body.at("EncryptionContext")), R"({"latchkey:cluster":"c-1","latchkey:generation":"1"})");
  }
}

TEST_F(AwsKmsTest, StepsIntoTheOwnersRoleWithTheExternalIdAndSignsAsThatRole) {
  Wrapped();
  const auto form = ParseForm(aws_.last("AssumeRole").body);
  ASSERT_TRUE(form.has_value());
  EXPECT_THAT(*form, testing::Contains(testing::Pair("RoleArn", kTestRoleArn)));
  EXPECT_THAT(*form, testing::Contains(testing::Pair("ExternalId", "org/7")));
  EXPECT_THAT(aws_.last("AssumeRole").Header("authorization"), HasSubstr("Credential=AKIAOWN/20231114/us-east-1/sts/aws4_request"));

  const HttpRequest request = aws_.last("Encrypt");
  EXPECT_EQ(request.Header("x-amz-security-token"), "role/token==");
  AwsCredentials role{.access_key_id = "ASIA1",
                      .secret_access_key = SecretBytes::CopyOf(std::string_view("role/secret+")),
                      .session_token = SecretBytes::CopyOf(std::string_view("role/token=="))};
  SigningInput expected{.headers = {{"content-type", request.Header("content-type")},
                                    {"host", request.Header("host")},
                                    {"x-amz-target", "TrentService.Encrypt"}},
                        .body_sha256 = HexEncode(Sha256(request.body))};
  SignRequest(expected, role, "us-east-1", "kms", clock_.Now());
  EXPECT_EQ(request.Header("authorization"), expected.headers.at("authorization"));
}

TEST_F(AwsKmsTest, ActsAsItselfWhereNoRoleIsNamed) {
  RootKey own = kKey;
  own.auth_principal.clear();
  LK_ASSERT_OK(kms_->Wrap(own, SecretBytes::CopyOf(std::string_view("x")), kContext, {}));
  EXPECT_EQ(aws_.calls("AssumeRole"), 0);
  EXPECT_THAT(aws_.last("Encrypt").Header("authorization"), HasSubstr("Credential=AKIAOWN/"));
}

TEST_F(AwsKmsTest, ClassifiesWhatTheRealServiceWasSeenToAnswer) {
  const std::string arn = kTestKeyArn;
  const std::vector<std::tuple<std::string, std::string, FailureClass>> rows = {
      {"DisabledException", arn + " is disabled.", FailureClass::kDisabled},
      {"DisabledException", arn + " is pending deletion.", FailureClass::kPendingDeletion},
      {"KMSInvalidStateException", arn + " is pending deletion.", FailureClass::kPendingDeletion},
      {"KMSInvalidStateException", arn + " is pending import.", FailureClass::kDestroyed},
      {"KMSInvalidStateException", arn + " is unavailable.", FailureClass::kUnreachable},
      {"NotFoundException", "Key '" + arn + "' does not exist", FailureClass::kDestroyed},
      {"NotFoundException", "Invalid arn us-west-2", FailureClass::kUnsuitable},
      {"AccessDeniedException",
       "User: arn:aws:sts::1:assumed-role/x/latchkey is not authorized to perform: kms:Decrypt on resource: " + arn +
           " because no resource-based policy allows the kms:Decrypt action",
       FailureClass::kDenied},
      {"InvalidCiphertextException", "", FailureClass::kCorrupt},
      {"IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.",
       FailureClass::kCorrupt},
      {"InvalidKeyUsageException", arn + " key usage is SIGN_VERIFY which is not valid for Decrypt.", FailureClass::kUnsuitable},
      {"ThrottlingException", "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
       FailureClass::kThrottled},
      {"KMSInternalException", "", FailureClass::kUnreachable},
      {"InvalidSignatureException", "The request signature we calculated does not match.", FailureClass::kIdentity},
      {"UnrecognizedClientException", "The security token included in the request is invalid.", FailureClass::kIdentity},
      {"ExpiredTokenException", "The security token included in the request is expired", FailureClass::kIdentity},
      {"com.amazonaws.kms#DisabledException", "x", FailureClass::kDisabled},
      {"SomethingNobodyHasSeen", "x", FailureClass::kUnreachable},
  };
  for (const auto& [type, message, expected] : rows) {
    const absl::Status status = UnwrapAnswered(AwsJsonError(type, message));
    EXPECT_THAT(status, HasClass(expected)) << type << " " << message << " " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("AWS KMS Decrypt"));
  }
}

TEST_F(AwsKmsTest, ReadsTheTypeFromTheHeaderAndTheMessageWithACapital) {
  HttpResponse response = AwsJson(400, R"({"Message":"no"})");
  response.headers["x-amzn-errortype"] = "AccessDeniedException:http://internal.amazon.com/";
  const absl::Status status = UnwrapAnswered(response);
  EXPECT_THAT(status, HasClass(FailureClass::kDenied));
  EXPECT_THAT(std::string(status.message()), HasSubstr("no (AccessDeniedException)"));
}

TEST_F(AwsKmsTest, AsksDescribeKeyWhenARefusalDoesNotTellDeletionFromDenial) {
  const std::string texts[] = {
      "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to "
      "access.",
      "User: x is not authorized to perform: kms:Decrypt on the resource associated with this ciphertext because the resource does not "
      "exist "
      "in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access",
  };
  for (const std::string& text : texts) {
    aws_.AlwaysAnswer("Decrypt", AwsJsonError("AccessDeniedException", text));
    for (const auto& [state, expected] :
         std::vector<std::pair<std::string, FailureClass>>{{"Disabled", FailureClass::kDisabled},
                                                           {"PendingDeletion", FailureClass::kPendingDeletion},
                                                           {"Enabled", FailureClass::kDenied}}) {
      aws_.SetKeyState(state);
      EXPECT_THAT(Unwrap(*kms_), HasClass(expected)) << state;
    }
    aws_.Next("DescribeKey", AwsJsonError("NotFoundException", "Key does not exist"));
    EXPECT_THAT(Unwrap(*kms_), HasClass(FailureClass::kDestroyed));
    aws_.Next("DescribeKey", AwsJsonError("AccessDeniedException", "not authorized to perform: kms:DescribeKey"));
    EXPECT_THAT(Unwrap(*kms_), HasClass(FailureClass::kAmbiguous));
  }
}

TEST_F(AwsKmsTest, TellsTheOwnersNoToTheRoleFromTroubleWithItsOwnIdentity) {
  const std::vector<std::tuple<int, std::string, FailureClass>> rows = {
      {403, "AccessDenied", FailureClass::kDenied},
      {403, "InvalidClientTokenId", FailureClass::kIdentity},
      {403, "SignatureDoesNotMatch", FailureClass::kIdentity},
      {400, "ExpiredToken", FailureClass::kIdentity},
      {403, "RegionDisabledException", FailureClass::kDenied},
      {400, "ValidationError", FailureClass::kUnsuitable},
      {400, "Throttling", FailureClass::kThrottled},
      {500, "InternalFailure", FailureClass::kUnreachable},
  };
  for (const auto& [status, code, expected] : rows) {
    aws_.AlwaysAnswer("AssumeRole", StsError(status, code, "User: arn:aws:iam::1:user/x is not authorized &amp; so on"));
    const absl::Status refused = Unwrap(*kms_);
    EXPECT_THAT(refused, HasClass(expected)) << code;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("AssumeRole: User: arn:aws:iam::1:user/x is not authorized & so on"));
  }
  EXPECT_EQ(aws_.calls("Decrypt"), 0);
}

TEST_F(AwsKmsTest, RepeatsWhatMayGoBetterAndGivesUpAfterThreeAttempts) {
  const auto ciphertext = Wrapped();
  aws_.Next("Decrypt", AwsJsonError("ThrottlingException", "slow down"));
  aws_.Next("Decrypt", {.status = 503, .body = "<html>busy</html>"});
  LK_EXPECT_OK(kms_->Unwrap(kKey, {ciphertext}, kContext, {}));
  EXPECT_EQ(aws_.calls("Decrypt"), 3);

  EXPECT_THAT(UnwrapAnswered(AwsJsonError("ThrottlingException", "slow down")), HasClass(FailureClass::kThrottled));
  EXPECT_EQ(aws_.calls("Decrypt"), 6);
  EXPECT_THAT(UnwrapAnswered(AwsJsonError("DisabledException", "is disabled")), HasClass(FailureClass::kDisabled));
  EXPECT_EQ(aws_.calls("Decrypt"), 7) << "a no is not repeated here";
}

TEST_F(AwsKmsTest, TakesABrokenAnswerForNoAnswer) {
  HttpResponse half = AwsJson(200, R"({"KeyId":")" + std::string(kTestKeyArn) + R"(","Plaintext":"QUJD"})");
  half.cut_after = 200;
  EXPECT_THAT(UnwrapAnswered(half), HasClass(FailureClass::kUnreachable));
  half.cut_after = 0;
  EXPECT_THAT(UnwrapAnswered(half), HasClass(FailureClass::kUnreachable));
  for (const std::string body : {"", "{", "[]", "null", "<html/>", R"({"KeyId":7})", R"({"Plaintext":"QUJD"})"}) {
    EXPECT_THAT(UnwrapAnswered(AwsJson(200, body)), HasClass(FailureClass::kUnreachable)) << body;
  }
  const std::string key_id = R"({"KeyId":")" + std::string(kTestKeyArn) + R"(",)";
  for (const std::string rest : {R"("Plaintext":""})", R"("Plaintext":"not base64"})", R"("Plaintext":7})", R"("x":1})"}) {
    EXPECT_THAT(UnwrapAnswered(AwsJson(200, key_id + rest)), HasClass(FailureClass::kUnreachable)) << rest;
  }
  EXPECT_THAT(UnwrapAnswered({.status = 403, .body = "<html>a portal</html>"}), HasClass(FailureClass::kUnreachable));
}

TEST_F(AwsKmsTest, TakesAnAnswerOfAnotherKeyForCorrupt) {
  EXPECT_THAT(UnwrapAnswered(AwsJson(200, R"({"KeyId":"arn:aws:kms:us-east-1:111122223333:key/other","Plaintext":"QUJD"})")),
              HasClass(FailureClass::kCorrupt));
  aws_.AlwaysAnswer("Encrypt", AwsJson(200, R"({"KeyId":"arn:aws:kms:us-east-1:111122223333:key/other","CiphertextBlob":"QUJD"})"));
  EXPECT_THAT(kms_->Wrap(kKey, SecretBytes::CopyOf(std::string_view("x")), kContext, {}).status(), HasClass(FailureClass::kCorrupt));
}

TEST_F(AwsKmsTest, EndsWithinItsTimeWhenNothingIsAnswered) {
  std::mutex mutex;
  std::vector<HttpResponder> parked;
  aws_.Always("Decrypt", [&](const HttpRequest&, const HttpResponder& respond) {
    const std::lock_guard lock(mutex);
    parked.push_back(respond);
  });
  const auto impatient = Make(absl::Milliseconds(100), absl::Milliseconds(250));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(Unwrap(*impatient), HasClass(FailureClass::kUnreachable));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
  const std::lock_guard lock(mutex);
  parked.clear();
}

TEST_F(AwsKmsTest, IsUnreachableWhenNobodyListens) {
  const auto lonely = NewAwsKms(
      {.kms_endpoint = "http://127.0.0.1:1",
       .sts_endpoint = aws_.endpoint(),
       .call = {.first_backoff = absl::Milliseconds(1),
                .environment = [](const char* name) { return std::string(std::string_view(name).starts_with("AWS_") ? "x" : ""); },
                .clock = &clock_}});
  EXPECT_THAT(Unwrap(*lonely), HasClass(FailureClass::kUnreachable));
}

TEST_F(AwsKmsTest, KeepsTheRolesCredentialsForFiveMinutesAndFetchesThemAnewWhenAskedTo) {
  const auto ciphertext = Wrapped();
  LK_ASSERT_OK(kms_->Unwrap(kKey, {ciphertext}, kContext, {}));
  EXPECT_EQ(aws_.calls("AssumeRole"), 1);
  LK_ASSERT_OK(kms_->Unwrap(kKey, {ciphertext}, kContext, {.fresh = true}));
  EXPECT_EQ(aws_.calls("AssumeRole"), 2);
  clock_.Advance(absl::Minutes(5) - absl::Seconds(1));
  LK_ASSERT_OK(kms_->Unwrap(kKey, {ciphertext}, kContext, {}));
  EXPECT_EQ(aws_.calls("AssumeRole"), 2);
  clock_.Advance(absl::Seconds(1));
  LK_ASSERT_OK(kms_->Unwrap(kKey, {ciphertext}, kContext, {}));
  EXPECT_EQ(aws_.calls("AssumeRole"), 3);
}

TEST_F(AwsKmsTest, DoesNotShareCredentialsBetweenExternalIds) {
  Wrapped();
  RootKey other = kKey;
  other.external_id = "org/8";
  LK_ASSERT_OK(kms_->Wrap(other, SecretBytes::CopyOf(std::string_view("x")), kContext, {}));
  EXPECT_EQ(aws_.calls("AssumeRole"), 2);
}

TEST_F(AwsKmsTest, ARoleThatWasDeletedIsTheOwnersNoAndNotTroubleOfOurOwn) {
  const auto ciphertext = Wrapped();
  // Kept credentials of a role that is gone are unknown to KMS; stepping in anew shows why.
  aws_.AlwaysAnswer("Decrypt", AwsJsonError("UnrecognizedClientException", "The security token included in the request is invalid."));
  aws_.AlwaysAnswer("AssumeRole", StsError(403, "AccessDenied", "no"));
  EXPECT_THAT(kms_->Unwrap(kKey, {ciphertext}, kContext, {}).status(), HasClass(FailureClass::kDenied));
}

TEST_F(AwsKmsTest, ReplacesKeptCredentialsThatAreNotAcceptedAnyMore) {
  const auto ciphertext = Wrapped();
  aws_.Next("Decrypt", AwsJsonError("ExpiredTokenException", "expired"));
  LK_EXPECT_OK(kms_->Unwrap(kKey, {ciphertext}, kContext, {}));
  EXPECT_EQ(aws_.calls("AssumeRole"), 2);
}

TEST_F(AwsKmsTest, ManyCallersStepIntoARoleOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { good += kms_->Wrap(kKey, SecretBytes::CopyOf(std::string_view("x")), kContext, {}).ok() ? 1 : 0; });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 8);
  EXPECT_EQ(aws_.calls("AssumeRole"), 1);
}

TEST_F(AwsKmsTest, LearnsTheServersClockFromARefusedSignature) {
  const absl::Time server = clock_.Now() + absl::Hours(2);
  const auto skewed = [server](const HttpRequest& request, const HttpResponder& respond) {
    absl::Time signed_at;
    std::string error;
    absl::ParseTime("%E4Y%m%dT%H%M%SZ", request.Header("x-amz-date"), &signed_at, &error);
    HttpResponse response = AwsJsonError("InvalidSignatureException", "Signature expired: x is now earlier than y");
    if (absl::AbsDuration(server - signed_at) < absl::Minutes(5)) response = AwsJsonError("DisabledException", "is disabled");
    response.headers["date"] = absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", server, absl::UTCTimeZone());
    respond(response);
  };
  aws_.Always("Decrypt", skewed);
  EXPECT_THAT(Unwrap(*kms_), HasClass(FailureClass::kDisabled));
  EXPECT_EQ(aws_.calls("Decrypt"), 2);
  EXPECT_THAT(Unwrap(*kms_), HasClass(FailureClass::kDisabled));
  EXPECT_EQ(aws_.calls("Decrypt"), 3) << "the offset is kept";
}

TEST_F(AwsKmsTest, ShowsNoTokenThatAnErrorQuotes) {
  const absl::Status status = UnwrapAnswered(
      AwsJsonError("InvalidSignatureException",
                   "Does not match.\n\nThe Canonical String for this request should have been\n'POST x-amz-security-token:role/token=='"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("Does not match."));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("role/token")));
}

TEST_F(AwsKmsTest, DescribesAKeyInEveryState) {
  LK_ASSERT_OK_AND_ASSIGN(KeyDescription description, kms_->Describe(kKey, {}));
  EXPECT_TRUE(description.usable);
  EXPECT_EQ(description.resolved_uri, kTestKeyArn);
  EXPECT_EQ(description.key_version, "m-1");
  EXPECT_EQ(description.protection_level, "AWS_KMS");
  EXPECT_EQ(description.purge_protected, true);
  EXPECT_EQ(description.rotation_enabled, true);
  EXPECT_EQ(description.next_rotation, absl::FromUnixSeconds(1'731'500'000));
  aws_.SetKeyState("PendingDeletion");
  LK_ASSERT_OK_AND_ASSIGN(description, kms_->Describe(kKey, {}));
  EXPECT_FALSE(description.usable);
  EXPECT_EQ(description.failure, FailureClass::kPendingDeletion);
  EXPECT_EQ(description.deletion_date, absl::FromUnixMillis(1'700'000'000'500));
}

TEST_F(AwsKmsTest, DescribesAKeyWhoseRotationItMayNotSee) {
  for (const char* refusal : {"AccessDeniedException", "UnsupportedOperationException", "ThrottlingException", "KMSInternalException"}) {
    aws_.AlwaysAnswer("GetKeyRotationStatus", AwsJsonError(refusal, "no"));
    LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(kKey, {}));
    EXPECT_TRUE(description.usable) << refusal;
    EXPECT_EQ(description.rotation_enabled, std::nullopt) << refusal;
  }
  for (const char* body : {"{}", "[]", R"({"KeyRotationEnabled":"yes"})", R"({"KeyId":"another","KeyRotationEnabled":true})"}) {
    aws_.AlwaysAnswer("GetKeyRotationStatus", AwsJson(200, body));
    LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(kKey, {}));
    EXPECT_EQ(description.rotation_enabled, std::nullopt) << body;
  }
  aws_.AlwaysAnswer("GetKeyRotationStatus", AwsJson(200, R"({"KeyRotationEnabled":false})"));
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(kKey, {}));
  EXPECT_EQ(description.rotation_enabled, false);
}

TEST_F(AwsKmsTest, TestsAKeyStepByStep) {
  KmsSet set;
  set.Add(Make(absl::Seconds(4), absl::Seconds(10)));
  std::vector<KeyTestStep> steps;
  LK_ASSERT_OK(TestKey(set, kKey, kContext, &steps));
  std::vector<std::string> names;
  for (const auto& step : steps) names.push_back(step.name);
  EXPECT_THAT(names, testing::ElementsAre("form", "credentials", "identity", "describe", "wrap", "unwrap", "context"));

  aws_.SetKeyState("Disabled");
  EXPECT_THAT(TestKey(set, kKey, kContext, nullptr), HasClass(FailureClass::kDisabled));
  aws_.AlwaysAnswer("DescribeKey", AwsJson(200, R"({"KeyMetadata":{"Arn":")" + std::string(kTestKeyArn) +
                                                    R"(","KeyState":"Enabled","KeyUsage":"SIGN_VERIFY","KeySpec":"RSA_2048"}})"));
  EXPECT_THAT(TestKey(set, kKey, kContext, nullptr), HasClass(FailureClass::kUnsuitable));
}

TEST_F(AwsKmsTest, RefusesWhatIsNoKeyOrRoleWithoutAskingAnybody) {
  const std::string id = "1234abcd-12ab-34cd-56ef-1234567890ab";
  LK_EXPECT_OK(kms_->Check(kKey));
  for (const std::string& good :
       {"arn:aws-cn:kms:cn-north-1:111122223333:key/" + id, "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/" + id,
        "arn:aws:kms:eu-west-1:111122223333:key/mrk-" + std::string(32, 'a')}) {
    LK_EXPECT_OK(kms_->Check({.type = "AWS_KMS", .uri = good}));
  }
  for (const std::string& bad : std::vector<std::string>{
           std::string(), id, "alias/x", "arn:aws:kms:us-east-1:111122223333:alias/x", "arn:aws:kms::111122223333:key/" + id,
           "arn:aws:kms:us-east-1:11112222333:key/" + id, "arn:aws:s3:us-east-1:111122223333:key/" + id,
           "arn:evil:kms:us-east-1:111122223333:key/" + id, "arn:aws:kms:us-east-1:111122223333:key/" + id + "/x",
           "arn:aws:kms:s3-us-west-2:111122223333:key/" + id, "arn:aws:kms:us-east:111122223333:key/" + id,
           "arn:aws:kms:us-east-1.evil.org:111122223333:key/" + id, "arn:aws:kms:us-east-1@evil:111122223333:key/" + id,
           "arn:aws:kms:us-east-1:111122223333:key/mrk-1", "arn:aws:kms:us-east-1:111122223333:key/" + id + "\n"}) {
    const absl::Status status = kms_->Check({.type = "AWS_KMS", .uri = bad});
    EXPECT_THAT(status, HasClass(FailureClass::kUnsuitable)) << bad;
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, testing::StartsWith("uri: "))) << bad;
  }
  EXPECT_THAT(kms_->Check({.type = "AWS_KMS", .uri = "arn:aws:kms:us-east-1:111122223333:alias/x"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("alias")));
  for (const char* bad : {"role", "arn:aws:iam::111122223333:user/x", "arn:aws:iam::1:role/x", "arn:aws-cn:iam::111122223333:role/x",
                          "arn:aws:iam::111122223333:role/", "arn:aws:iam::111122223333:role/x y"}) {
    EXPECT_THAT(kms_->Check({.type = "AWS_KMS", .uri = kTestKeyArn, .auth_principal = bad}),
                StatusIs(absl::StatusCode::kInvalidArgument, testing::StartsWith("auth_principal: ")))
        << bad;
  }
  EXPECT_THAT(kms_->Wrap(kKey, SecretBytes(191), kContext, {}).status(), HasClass(FailureClass::kUnsuitable));
  EXPECT_THAT(kms_->Wrap(kKey, SecretBytes(), kContext, {}).status(), HasClass(FailureClass::kUnsuitable));
  EXPECT_THAT(kms_->Unwrap(kKey, {}, kContext, {}).status(), HasClass(FailureClass::kCorrupt));
  EXPECT_EQ(aws_.calls("AssumeRole"), 0);
}

}  // namespace
}  // namespace latchkey
