#include "kms/gcp/gcp_kms.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "base/testing.h"
#include "kms/bound_payload.h"
#include "kms/gcp/fake_gcp.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;

const KmsContext kContext = {{"latchkey:cluster", "c-1"}, {"latchkey:generation", "1"}};
const RootKey kKey{.type = "GCP_CLOUD_KMS", .uri = kTestGcpKey, .auth_principal = kTestGcpAccount, .external_id = "org/7"};
const RootKey kOwnKey{.type = "GCP_CLOUD_KMS", .uri = kTestGcpKey, .auth_principal = {}, .external_id = {}};

testing::Matcher<const absl::Status&> HasClass(FailureClass c) {
  return testing::ResultOf("failure class", [](const absl::Status& s) { return FailureClassOf(s); }, testing::Optional(c));
}
std::string Checksum(std::string_view bytes) { return std::to_string(Crc32c(AsBytes(bytes))); }
std::string VersionName(const std::string& version) { return std::string(kTestGcpKey) + "/cryptoKeyVersions/" + version; }

class GcpKmsTest : public testing::Test {
 protected:
  GcpKmsTest() : kms_(NewGcpKms(Options())) {}

  GcpKmsOptions Options() {
    return {.kms_endpoint = gcp_.endpoint() + "/",
            .iam_credentials_endpoint = gcp_.endpoint(),
            .oauth_endpoint = gcp_.endpoint(),
            .sts_endpoint = gcp_.endpoint(),
            .metadata_endpoint = gcp_.endpoint(),
            .call = {.first_backoff = absl::Milliseconds(1), .environment = [](const char*) { return ""; }, .clock = &clock_}};
  }
  KmsWrapped Wrapped(const RootKey& key = kKey) {
    auto wrapped = kms_->Wrap(key, SecretBytes::CopyOf(std::string_view("the key")), kContext, {});
    EXPECT_THAT(wrapped, IsOk());
    return wrapped.ok() ? *wrapped : KmsWrapped{};
  }
  absl::Status Unwrap(const KmsCall& call = {}, const RootKey& key = kKey) {
    return kms_->Unwrap(key, {.ciphertext = {1, 2, 3}}, kContext, call).status();
  }
  absl::Status UnwrapAnswered(HttpResponse response) {
    gcp_.AlwaysAnswer("decrypt", std::move(response));
    return Unwrap();
  }
  absl::Status WrapAnswered(const json::object& answer) {
    gcp_.AlwaysAnswer("encrypt", HttpResponse::Json(200, json::serialize(answer)));
    return kms_->Wrap(kKey, SecretBytes::CopyOf(std::string_view("the key")), kContext, {}).status();
  }
  absl::StatusOr<KeyDescription> DescribeAnswered(const json::object& answer) {
    gcp_.AlwaysAnswer("getCryptoKey", HttpResponse::Json(200, json::serialize(answer)));
    return kms_->Describe(kKey, {});
  }

  FakeClock clock_;
  FakeGcp gcp_;
  std::unique_ptr<Kms> kms_;
};

TEST_F(GcpKmsTest, UnwrapsWhatItWrappedUnderTheSameContextOnly) {
  gcp_.SetPrimary(3);
  const KmsWrapped wrapped = Wrapped();
  EXPECT_EQ(wrapped.key_version, "3");
  LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(opened.RevealText(SecretAccess{}), "the key");
  EXPECT_THAT(kms_->Unwrap(kKey, wrapped, {{"latchkey:cluster", "c-2"}}, {}).status(), HasClass(FailureClass::kCorrupt));
  gcp_.SetPrimary(4);
  LK_EXPECT_OK(kms_->Unwrap(kKey, wrapped, kContext, {})) << "the KMS finds the version that encrypted";
}

TEST_F(GcpKmsTest, SendsTheContextAndAChecksumOfEverything) {
  const KmsWrapped wrapped = Wrapped();
  LK_ASSERT_OK_AND_ASSIGN(json::object body, ParseJsonObject(gcp_.last("encrypt").body));
  const std::string aad = CanonicalContext(kContext);
  EXPECT_EQ(body.at("additionalAuthenticatedData").as_string(), Base64Encode(AsBytes(aad)));
  EXPECT_EQ(body.at("additionalAuthenticatedDataCrc32c").as_string(), Checksum(aad));
  EXPECT_EQ(body.at("plaintextCrc32c").as_string(), Checksum("the key"));
  LK_ASSERT_OK(kms_->Unwrap(kKey, wrapped, kContext, {}));
  LK_ASSERT_OK_AND_ASSIGN(body, ParseJsonObject(gcp_.last("decrypt").body));
  EXPECT_EQ(body.at("ciphertextCrc32c").as_string(), Checksum(AsText(wrapped.ciphertext)));
  EXPECT_EQ(body.at("additionalAuthenticatedDataCrc32c").as_string(), Checksum(aad));
}

TEST_F(GcpKmsTest, StepsIntoTheOwnersAccountForCloudKmsOnly) {
  Wrapped();
  const HttpRequest request = gcp_.last("generateAccessToken");
  EXPECT_EQ(request.path, std::string("/v1/projects/-/serviceAccounts/") + kTestGcpAccount + ":generateAccessToken");
  EXPECT_EQ(request.Header("authorization"), "Bearer metadata-token-1");
  EXPECT_EQ(request.body, R"({"scope":["https://www.googleapis.com/auth/cloudkms"],"lifetime":"900s"})");
  EXPECT_EQ(gcp_.last("encrypt").Header("authorization"), "Bearer owner-token-2");
}

TEST_F(GcpKmsTest, ActsAsItselfWhereNoAccountIsNamed) {
  Wrapped(kOwnKey);
  EXPECT_EQ(gcp_.calls("generateAccessToken"), 0);
  EXPECT_EQ(gcp_.last("encrypt").Header("authorization"), "Bearer metadata-token-1");
}

TEST_F(GcpKmsTest, CarriesTheProvidersWordsAndTheClassToTheCaller) {
  const absl::Status status =
      UnwrapAnswered(GcpErrorAnswer(400, "FAILED_PRECONDITION", VersionName("1") + " is not enabled, current state is: DISABLED."));
  EXPECT_THAT(status, HasClass(FailureClass::kDisabled));
  EXPECT_THAT(std::string(status.message()), HasSubstr("Google Cloud KMS decrypt: " + VersionName("1") + " is not enabled"));
}

TEST_F(GcpKmsTest, LooksAtTheKeyWhenARefusalDoesNotTellDeletionFromDenial) {
  const HttpResponse refused = GcpErrorAnswer(
      403, "PERMISSION_DENIED", "Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied on resource 'x' (or it may not exist).");
  gcp_.AlwaysAnswer("decrypt", refused);
  for (const auto& [state, expected] :
       std::vector<std::pair<std::string, FailureClass>>{{"ENABLED", FailureClass::kDenied},
                                                         {"DISABLED", FailureClass::kDisabled},
                                                         {"DESTROY_SCHEDULED", FailureClass::kPendingDeletion},
                                                         {"DESTROYED", FailureClass::kDestroyed}}) {
    gcp_.SetState(state);
    const absl::Status status = Unwrap();
    EXPECT_THAT(status, HasClass(expected)) << state;
    EXPECT_THAT(std::string(status.message()), testing::AllOf(HasSubstr(state), HasSubstr("useToDecrypt")));
  }
  gcp_.Next("getCryptoKey", GcpErrorAnswer(404, "NOT_FOUND", "CryptoKey x not found."));
  EXPECT_THAT(Unwrap(), HasClass(FailureClass::kDestroyed));
  gcp_.Next("getCryptoKey",
            GcpErrorAnswer(403, "PERMISSION_DENIED", "Permission 'cloudkms.cryptoKeys.get' denied on resource 'x' (or it may not exist)."));
  EXPECT_THAT(Unwrap(), HasClass(FailureClass::kAmbiguous));
  const int looked = gcp_.calls("getCryptoKey");
  gcp_.Next("getCryptoKey", GcpErrorAnswer(403, "PERMISSION_DENIED", "denied on resource 'x' (or it may not exist)."));
  EXPECT_THAT(kms_->Describe(kKey, {}).status(), HasClass(FailureClass::kAmbiguous));
  EXPECT_EQ(gcp_.calls("getCryptoKey"), looked + 1) << "looking is not followed by looking";
  for (int i = 0; i < 3; ++i) gcp_.Next("getCryptoKey", {.status = 500, .body = ""});
  EXPECT_THAT(Unwrap(), HasClass(FailureClass::kAmbiguous)) << "no answer about the key takes nothing back of the no";

  // A precondition that is not known is a no, and not one of permissions.
  gcp_.SetState("ENABLED");
  EXPECT_THAT(UnwrapAnswered(GcpErrorAnswer(400, "FAILED_PRECONDITION", "something new")), HasClass(FailureClass::kAmbiguous));
}

TEST_F(GcpKmsTest, TellsTheOwnersNoFromTroubleWithItsOwnIdentity) {
  gcp_.Next("generateAccessToken",
            GcpErrorAnswer(403, "PERMISSION_DENIED",
                           "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."));
  absl::Status status = Unwrap();
  EXPECT_THAT(status, HasClass(FailureClass::kDenied));
  EXPECT_THAT(std::string(status.message()), HasSubstr(std::string("generateAccessToken for ") + kTestGcpAccount));
  gcp_.Next("generateAccessToken", GcpErrorAnswer(404, "NOT_FOUND", "Unknown service account"));
  EXPECT_THAT(Unwrap(), HasClass(FailureClass::kDenied));

  gcp_.AlwaysAnswer("metadata", HttpResponse::Text(404, "no account on this machine"));
  const auto lost = NewGcpKms(Options());
  EXPECT_THAT(lost->Unwrap(kKey, {.ciphertext = {1}}, kContext, {}).status(), HasClass(FailureClass::kIdentity));
  EXPECT_EQ(gcp_.calls("decrypt"), 0);
}

TEST_F(GcpKmsTest, AnApiThatIsOffIsTheOwnersNoInTheOwnersProjectAndOurTroubleInOurs) {
  gcp_.AlwaysAnswer("decrypt",
                    GcpErrorAnswer(403, "PERMISSION_DENIED", "Cloud KMS API has not been used in project 1 before or it is disabled.",
                                   R"([{"reason":"SERVICE_DISABLED"}])"));
  EXPECT_THAT(Unwrap(), HasClass(FailureClass::kDenied));
  EXPECT_THAT(Unwrap({}, kOwnKey), HasClass(FailureClass::kIdentity));
}

TEST_F(GcpKmsTest, FetchesATokenAnewWhenAKeptOneIsNotAcceptedAnyMore) {
  const HttpResponse unknown = GcpErrorAnswer(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.");
  const KmsWrapped wrapped = Wrapped();
  gcp_.Next("decrypt", unknown);
  LK_EXPECT_OK(kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(gcp_.calls("generateAccessToken"), 2);
  // Our own, when we act as ourselves and when it is what the owner's side does not accept.
  gcp_.Next("decrypt", unknown);
  LK_EXPECT_OK(kms_->Unwrap(kOwnKey, wrapped, kContext, {.fresh = true}));
  EXPECT_EQ(gcp_.calls("metadata"), 2);
  gcp_.Next("generateAccessToken", unknown);
  LK_EXPECT_OK(kms_->Unwrap(kKey, wrapped, kContext, {.fresh = true}));
  EXPECT_EQ(gcp_.calls("metadata"), 3);
  // Once, not for ever.
  const int before = gcp_.calls("decrypt");
  EXPECT_THAT(UnwrapAnswered(unknown), HasClass(FailureClass::kIdentity));
  EXPECT_EQ(gcp_.calls("decrypt") - before, 2);
}

TEST_F(GcpKmsTest, AnAccountThatWasDisabledIsTheOwnersNoAndNotTroubleOfOurOwn) {
  const KmsWrapped wrapped = Wrapped();
  gcp_.AlwaysAnswer("decrypt",
                    GcpErrorAnswer(401, "UNAUTHENTICATED", "Account has been disabled.", R"([{"reason":"ACCOUNT_STATE_INVALID"}])"));
  gcp_.AlwaysAnswer("generateAccessToken", GcpErrorAnswer(404, "NOT_FOUND", "Unknown service account"));
  EXPECT_THAT(kms_->Unwrap(kKey, wrapped, kContext, {}).status(), HasClass(FailureClass::kDenied));
}

TEST_F(GcpKmsTest, KeepsTheOwnersTokenForFiveMinutesAndFetchesItAnewWhenAskedTo) {
  const KmsWrapped wrapped = Wrapped();
  LK_ASSERT_OK(kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(gcp_.calls("generateAccessToken"), 1);
  LK_ASSERT_OK(kms_->Unwrap(kKey, wrapped, kContext, {.fresh = true}));
  EXPECT_EQ(gcp_.calls("generateAccessToken"), 2);
  clock_.Advance(absl::Minutes(5) - absl::Seconds(1));
  LK_ASSERT_OK(kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(gcp_.calls("generateAccessToken"), 2);
  clock_.Advance(absl::Seconds(1));
  LK_ASSERT_OK(kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(gcp_.calls("generateAccessToken"), 3);
  EXPECT_EQ(gcp_.calls("metadata"), 1) << "our own is kept for as long as it is good";
}

TEST_F(GcpKmsTest, ManyCallersStepIntoAnAccountOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { good += kms_->Wrap(kKey, SecretBytes::CopyOf(std::string_view("x")), kContext, {}).ok() ? 1 : 0; });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 8);
  EXPECT_EQ(gcp_.calls("generateAccessToken"), 1);
}

TEST_F(GcpKmsTest, RepeatsWhatMayGoBetterAndGivesUpAfterThreeAttempts) {
  const KmsWrapped wrapped = Wrapped();
  gcp_.Next("decrypt", GcpErrorAnswer(429, "RESOURCE_EXHAUSTED", "Quota exceeded"));
  gcp_.Next("decrypt", {.status = 502, .body = "<html>busy</html>"});
  LK_EXPECT_OK(kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(gcp_.calls("decrypt"), 3);
  EXPECT_THAT(UnwrapAnswered(GcpErrorAnswer(429, "RESOURCE_EXHAUSTED", "Quota exceeded")), HasClass(FailureClass::kThrottled));
  EXPECT_EQ(gcp_.calls("decrypt"), 6);
  EXPECT_THAT(UnwrapAnswered(GcpErrorAnswer(400, "INVALID_ARGUMENT", "Decryption failed")), HasClass(FailureClass::kCorrupt));
  EXPECT_EQ(gcp_.calls("decrypt"), 7);
}

TEST_F(GcpKmsTest, AsksAgainForBytesThatWereChangedOnTheirWayAndThenCallsThemCorrupt) {
  const KmsWrapped wrapped = Wrapped();
  const HttpResponse changed = HttpResponse::Json(200, R"({"plaintext":"QUJD","plaintextCrc32c":"1"})");
  gcp_.Next("decrypt", changed);
  LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(opened.RevealText(SecretAccess{}), "the key");
  EXPECT_EQ(gcp_.calls("decrypt"), 2);
  EXPECT_THAT(UnwrapAnswered(changed), HasClass(FailureClass::kCorrupt));
  EXPECT_EQ(gcp_.calls("decrypt"), 5);

  json::object right = {{"name", VersionName("1")},
                        {"ciphertext", "QUJD"},
                        {"ciphertextCrc32c", Checksum("ABC")},
                        {"verifiedPlaintextCrc32c", true},
                        {"verifiedAdditionalAuthenticatedDataCrc32c", true}};
  LK_EXPECT_OK(WrapAnswered(right));
  for (const auto& [field, value] :
       std::vector<std::pair<const char*, json::value>>{{"ciphertextCrc32c", "7"},
                                                        {"verifiedPlaintextCrc32c", false},
                                                        {"verifiedPlaintextCrc32c", nullptr},
                                                        {"verifiedAdditionalAuthenticatedDataCrc32c", false}}) {
    json::object wrong = right;
    wrong[field] = value;
    EXPECT_THAT(WrapAnswered(wrong), HasClass(FailureClass::kCorrupt)) << field;
  }
}

TEST_F(GcpKmsTest, ReadsNumbersAsStringsAndAsNumbers) {
  gcp_.AlwaysAnswer("decrypt", HttpResponse::Json(200, R"({"plaintext":"QUJD","plaintextCrc32c":)" + Checksum("ABC") + "}"));
  LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, kms_->Unwrap(kKey, {.ciphertext = {1}}, kContext, {}));
  EXPECT_EQ(opened.RevealText(SecretAccess{}), "ABC");
}

TEST_F(GcpKmsTest, TakesABrokenAnswerForNoAnswer) {
  HttpResponse half = HttpResponse::Json(200, R"({"plaintext":"QUJD","plaintextCrc32c":")" + Checksum("ABC") + R"("})");
  LK_ASSERT_OK(UnwrapAnswered(half));
  for (const int64_t cut : {0, 100}) {
    half.cut_after = cut;
    EXPECT_THAT(UnwrapAnswered(half), HasClass(FailureClass::kUnreachable));
  }
  for (const char* body : {"", "{", "[]", "null", "<html/>", "{}", R"({"plaintext":"QUJD"})", R"({"plaintextCrc32c":"1"})",
                           R"({"plaintext":"","plaintextCrc32c":"0"})", R"({"plaintext":"not base64","plaintextCrc32c":"1"})",
                           R"({"plaintext":7,"plaintextCrc32c":"1"})", R"({"plaintext":"QUJD","plaintextCrc32c":"-1"})",
                           R"({"plaintext":"QUJD","plaintextCrc32c":"4294967296"})", R"({"plaintext":"QUJD","plaintextCrc32c":"1 "})",
                           R"({"plaintext":"QUJD","plaintextCrc32c":1.5})"}) {
    EXPECT_THAT(UnwrapAnswered(HttpResponse::Json(200, body)), HasClass(FailureClass::kUnreachable)) << body;
  }
  EXPECT_THAT(UnwrapAnswered({.status = 403, .body = "<html>a portal</html>"}), HasClass(FailureClass::kUnreachable));
  EXPECT_THAT(UnwrapAnswered({.status = 302, .headers = {{"location", "http://127.0.0.1/"}}, .body = ""}),
              HasClass(FailureClass::kUnreachable));
  EXPECT_THAT(WrapAnswered({{"name", VersionName("1")}}), HasClass(FailureClass::kUnreachable));
  EXPECT_THAT(WrapAnswered({{"ciphertext", "QUJD"}}), HasClass(FailureClass::kUnreachable));
  EXPECT_THAT(DescribeAnswered({{"name", kTestGcpKey}}).status(), HasClass(FailureClass::kUnreachable));
  EXPECT_THAT(DescribeAnswered({{"name", kTestGcpKey}, {"purpose", "ENCRYPT_DECRYPT"}, {"primary", 7}}).status(),
              HasClass(FailureClass::kUnreachable));
}

TEST_F(GcpKmsTest, TakesAnAnswerOfAnotherKeyForCorrupt) {
  const std::string other = std::string(kTestGcpOtherKey) + "/cryptoKeyVersions/1";
  EXPECT_THAT(WrapAnswered({{"name", other},
                            {"ciphertext", "QUJD"},
                            {"ciphertextCrc32c", Checksum("ABC")},
                            {"verifiedPlaintextCrc32c", true},
                            {"verifiedAdditionalAuthenticatedDataCrc32c", true}}),
              HasClass(FailureClass::kCorrupt));
  EXPECT_THAT(DescribeAnswered({{"name", kTestGcpOtherKey}, {"purpose", "ENCRYPT_DECRYPT"}}).status(), HasClass(FailureClass::kCorrupt));
  EXPECT_THAT(
      DescribeAnswered({{"name", kTestGcpKey}, {"purpose", "ENCRYPT_DECRYPT"}, {"primary", {{"name", other}, {"state", "ENABLED"}}}})
          .status(),
      HasClass(FailureClass::kCorrupt));
}

TEST_F(GcpKmsTest, EndsWithinItsTimeWhenNothingIsAnswered) {
  std::mutex mutex;
  std::vector<HttpResponder> parked;
  gcp_.Always("decrypt", [&](const HttpRequest&, const HttpResponder& respond) {
    const std::lock_guard lock(mutex);
    parked.push_back(respond);
  });
  GcpKmsOptions options = Options();
  options.call.attempt_timeout = absl::Milliseconds(100);
  options.call.call_budget = absl::Milliseconds(250);
  const auto impatient = NewGcpKms(options);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(impatient->Unwrap(kKey, {.ciphertext = {1}}, kContext, {}).status(), HasClass(FailureClass::kUnreachable));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
  const std::lock_guard lock(mutex);
  parked.clear();
}

TEST_F(GcpKmsTest, IsUnreachableWhenNobodyListensOrSomethingElseDoes) {
  GcpKmsOptions options = Options();
  options.kms_endpoint = "http://127.0.0.1:1";
  EXPECT_THAT(NewGcpKms(options)->Unwrap(kKey, {.ciphertext = {1}}, kContext, {}).status(), HasClass(FailureClass::kUnreachable));
  options.kms_endpoint = "ftp://127.0.0.1";
  EXPECT_THAT(NewGcpKms(options)->Unwrap(kKey, {.ciphertext = {1}}, kContext, {}).status(), HasClass(FailureClass::kUnreachable));
  options = Options();
  options.iam_credentials_endpoint = "http://127.0.0.1:1";
  EXPECT_THAT(NewGcpKms(options)->Unwrap(kKey, {.ciphertext = {1}}, kContext, {}).status(), HasClass(FailureClass::kUnreachable))
      << "the owner's side did not say no";
}

TEST_F(GcpKmsTest, DescribesAKeyInEveryState) {
  LK_ASSERT_OK_AND_ASSIGN(KeyDescription description, kms_->Describe(kKey, {}));
  EXPECT_TRUE(description.usable);
  EXPECT_EQ(description.resolved_uri, kTestGcpKey);
  EXPECT_EQ(description.state, "ENABLED");
  EXPECT_EQ(description.key_version, "1");
  EXPECT_EQ(description.protection_level, "HSM");
  EXPECT_EQ(description.rotation_enabled, true);
  EXPECT_EQ(description.purge_protected, true);
  EXPECT_EQ(description.next_rotation, absl::FromUnixSeconds(1'775'001'600));
  EXPECT_EQ(description.deletion_date, std::nullopt);

  gcp_.SetState("DESTROY_SCHEDULED");
  LK_ASSERT_OK_AND_ASSIGN(description, kms_->Describe(kKey, {}));
  EXPECT_FALSE(description.usable);
  EXPECT_EQ(description.failure, FailureClass::kPendingDeletion);
  EXPECT_EQ(description.deletion_date, absl::FromUnixMillis(1'772'323'200'500));
  EXPECT_THAT(description.unusable_because, HasSubstr("version 1 is DESTROY_SCHEDULED"));
  gcp_.SetState("DISABLED");
  LK_ASSERT_OK_AND_ASSIGN(description, kms_->Describe(kKey, {}));
  EXPECT_EQ(description.failure, FailureClass::kDisabled);
}

TEST_F(GcpKmsTest, DescribesAKeyWhoseEnumsAreNumbers) {
  LK_ASSERT_OK_AND_ASSIGN(
      const KeyDescription description,
      DescribeAnswered({{"name", kTestGcpKey},
                        {"purpose", 1},
                        {"primary", {{"name", VersionName("2")}, {"state", 4}, {"protectionLevel", 1}, {"algorithm", 1}}}}));
  EXPECT_EQ(description.state, "DESTROY_SCHEDULED");
  EXPECT_EQ(description.protection_level, "SOFTWARE");
  EXPECT_EQ(description.rotation_enabled, false);
  EXPECT_EQ(description.failure, FailureClass::kPendingDeletion);
  EXPECT_EQ(description.purge_protected, std::nullopt);
}

TEST_F(GcpKmsTest, SaysWhyAKeyOfAnotherPurposeOrWithoutPrimaryVersionCannotBeUsed) {
  LK_ASSERT_OK_AND_ASSIGN(KeyDescription description, DescribeAnswered({{"name", kTestGcpKey}, {"purpose", "ASYMMETRIC_SIGN"}}));
  EXPECT_EQ(description.failure, FailureClass::kUnsuitable);
  EXPECT_THAT(description.unusable_because, HasSubstr("its purpose is ASYMMETRIC_SIGN"));
  LK_ASSERT_OK_AND_ASSIGN(description, DescribeAnswered({{"name", kTestGcpKey}, {"purpose", "ENCRYPT_DECRYPT"}}));
  EXPECT_EQ(description.failure, FailureClass::kDisabled);
  EXPECT_THAT(description.unusable_because, HasSubstr("no primary version"));
}

TEST_F(GcpKmsTest, TestsAKeyStepByStep) {
  KmsSet set;
  set.Add(NewGcpKms(Options()));
  std::vector<KeyTestStep> steps;
  LK_ASSERT_OK(TestKey(set, kKey, kContext, &steps));
  std::vector<std::string> names;
  for (const auto& step : steps) names.push_back(step.name);
  EXPECT_THAT(names, testing::ElementsAre("form", "credentials", "identity", "describe", "wrap", "unwrap", "context"));
  gcp_.SetState("DISABLED");
  EXPECT_THAT(TestKey(set, kKey, kContext, nullptr), HasClass(FailureClass::kDisabled));
}

TEST_F(GcpKmsTest, ShowsNoTokenAndNoKeyThatAnErrorQuotes) {
  const auto echo = [](const HttpRequest& request, const HttpResponder& respond) {
    respond(GcpErrorAnswer(400, "INVALID_ARGUMENT", "no: " + request.Header("authorization") + " " + request.body));
  };
  gcp_.Always("encrypt", echo);
  gcp_.Always("generateAccessToken", echo);
  const SecretBytes planted = SecretBytes::CopyOf(std::string_view("planted secret bytes"));
  for (const RootKey& key : {kKey, kOwnKey}) {
    const std::string message(kms_->Wrap(key, planted, kContext, {}).status().message());
    EXPECT_THAT(message, HasSubstr("no: Bearer [secret]"));
    EXPECT_THAT(message, Not(HasSubstr("metadata-token")));
    EXPECT_THAT(message, Not(HasSubstr(Base64Encode(AsBytes("planted secret bytes")))));
  }
}

TEST_F(GcpKmsTest, RefusesWhatIsNoKeyOrAccountWithoutAskingAnybody) {
  LK_EXPECT_OK(kms_->Check(kKey));
  LK_EXPECT_OK(kms_->Check(kOwnKey));
  RootKey bad = kKey;
  bad.uri = VersionName("1");
  EXPECT_THAT(kms_->Check(bad), HasClass(FailureClass::kUnsuitable));
  EXPECT_THAT(kms_->Check(bad), StatusIs(absl::StatusCode::kInvalidArgument, testing::StartsWith("uri: ")));
  EXPECT_THAT(kms_->Unwrap(bad, {.ciphertext = {1}}, kContext, {}).status(), HasClass(FailureClass::kUnsuitable));
  bad = kKey;
  bad.auth_principal = "somebody@example.com";
  EXPECT_THAT(kms_->Check(bad), StatusIs(absl::StatusCode::kInvalidArgument, testing::StartsWith("auth_principal: ")));
  EXPECT_THAT(kms_->Wrap(kKey, SecretBytes(191), kContext, {}).status(), HasClass(FailureClass::kUnsuitable));
  EXPECT_THAT(kms_->Wrap(kKey, SecretBytes(), kContext, {}).status(), HasClass(FailureClass::kUnsuitable));
  EXPECT_THAT(kms_->Unwrap(kKey, {}, kContext, {}).status(), HasClass(FailureClass::kCorrupt));
  EXPECT_EQ(gcp_.calls("metadata"), 0);
}

}  // namespace
}  // namespace latchkey
