// Who may do what: key policies, denials, roles, sessions, signatures.
#include "emulator/emulator_testing.h"
#include "emulator/policy.h"
#include "emulator/sigv4_verifier.h"

namespace latchkey {
namespace {

using AccessTest = EmulatorTest;

constexpr const char* kSession = "arn:aws:sts::222222222222:assumed-role/latchkey-cmek/latchkey-agent";

json::object Statement(const char* effect, json::value principal, json::value action) {
  json::object out{{"Effect", effect}, {"Resource", "*"}};
  out["Principal"] = json::object{{"AWS", std::move(principal)}};
  out["Action"] = std::move(action);
  return out;
}

json::object Policy(std::initializer_list<json::object> statements) {
  json::object out{{"Version", "2012-10-17"}};
  out["Statement"] = json::array(statements.begin(), statements.end());
  return out;
}

TEST_F(AccessTest, ARoleOpensTheOwnersKeyAndTheUserAloneDoesNot) {
  EXPECT_EQ(Kms(AsRole(), "DescribeKey", {{"KeyId", owner_key_}}).status, 200);
  const KmsReply refused = Kms(operator_, "Encrypt", {{"KeyId", owner_key_}, {"Plaintext", "AAAA"}});
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.type(), "AccessDeniedException");
  EXPECT_EQ(refused.message(), std::string("User: ") + kUser +
                                   " is not authorized to perform: kms:Encrypt on this resource because the resource does not exist in "
                                   "this Region, no resource-based "
                                   "policies allow access, or a resource-based policy explicitly denies access");
  EXPECT_TRUE(refused.body.contains("Message"));
}

TEST_F(AccessTest, AcrossAccountsAnAbsentKeyLooksLikeADeniedOne) {
  const std::string absent = "arn:aws:kms:us-east-1:222222222222:key/00000000-0000-4000-8000-000000000000";
  EXPECT_EQ(Kms(operator_, "DescribeKey", {{"KeyId", absent}}).message(), Kms(operator_, "DescribeKey", {{"KeyId", owner_key_}}).message());
}

TEST_F(AccessTest, APolicyThatNamesNobodyRefusesInTheServicesWords) {
  const TestIdentity role = AsRole();
  const std::string blob = Encrypted(role, owner_key_);
  json::object body{{"key", owner_key_}};
  body["policy"] = Policy({Statement("Allow", "arn:aws:iam::222222222222:user/somebody", "kms:*")});
  Admin("/_admin/keys/policy", body);
  const KmsReply refused = Kms(role, "Decrypt", {{"CiphertextBlob", blob}});
  EXPECT_EQ(refused.message(), std::string("User: ") + kSession + " is not authorized to perform: kms:Decrypt on resource: " + owner_key_ +
                                   " because no resource-based policy allows the kms:Decrypt action");
}

TEST_F(AccessTest, APolicyMayNameARoleActionsAndAContext) {
  const TestIdentity role = AsRole();
  json::object allow =
      Statement("Allow", json::array{kRole, "arn:aws:iam::333333333333:root"}, json::array{"kms:Encrypt", "kms:GenerateDataKey*"});
  allow["Condition"] = json::object{{"StringEquals", {{"kms:EncryptionContext:cluster", {"a", "b"}}}}};
  json::object body{{"key", owner_key_}};
  body["policy"] = Policy({allow});
  Admin("/_admin/keys/policy", body);
  const auto type = [&](const char* operation, json::object request, const json::object& context) {
    request["KeyId"] = owner_key_;
    request["EncryptionContext"] = context;
    return Kms(role, operation, request).type();
  };
  EXPECT_EQ(type("Encrypt", {{"Plaintext", "AAAA"}}, {{"cluster", "b"}}), "ok");
  EXPECT_EQ(type("Encrypt", {{"Plaintext", "AAAA"}}, {{"cluster", "c"}}), "AccessDeniedException");
  EXPECT_EQ(type("Encrypt", {{"Plaintext", "AAAA"}}, {}), "AccessDeniedException");
  EXPECT_EQ(type("GenerateDataKeyWithoutPlaintext", {{"KeySpec", "AES_256"}}, {{"cluster", "a"}}), "ok");
  EXPECT_EQ(type("DescribeKey", {}, {{"cluster", "a"}}), "AccessDeniedException");
}

TEST_F(AccessTest, ADenyWinsOverAnAllow) {
  const TestIdentity role = AsRole();
  json::object body{{"key", owner_key_}};
  body["policy"] = Policy({Statement("Allow", "222222222222", "kms:*"), Statement("Deny", kSession, "KMS:decrypt")});
  Admin("/_admin/keys/policy", body);
  const std::string blob = Encrypted(role, owner_key_);
  EXPECT_EQ(Kms(role, "Decrypt", {{"CiphertextBlob", blob}}).message(),
            std::string("User: ") + kSession + " is not authorized to perform: kms:Decrypt on resource: " + owner_key_ +
                " with an explicit deny in a resource-based policy");
}

TEST_F(AccessTest, ADeniedPrincipalIsRefusedUntilTheDenialIsUndone) {
  const TestIdentity role = AsRole();
  Admin("/_admin/denials", {{"principal", kRole}, {"key", owner_key_}});
  EXPECT_EQ(Kms(role, "DescribeKey", {{"KeyId", owner_key_}}).type(), "AccessDeniedException");
  EXPECT_EQ(Kms(role, "DescribeKey", {{"KeyId", second_key_}}).type(), "ok");
  Admin("/_admin/denials/remove", {{"principal", kRole}, {"key", owner_key_}});
  EXPECT_EQ(Kms(role, "DescribeKey", {{"KeyId", owner_key_}}).type(), "ok");
  Admin("/_admin/denials", {{"principal", "222222222222"}});
  EXPECT_EQ(Kms(role, "DescribeKey", {{"KeyId", second_key_}}).type(), "AccessDeniedException");
}

TEST_F(AccessTest, PutKeyPolicyKeepsTheCallerFromLockingItselfOut) {
  const std::string harsh = json::serialize(Policy({Statement("Allow", "arn:aws:iam::111111111111:user/other", "kms:*")}));
  EXPECT_EQ(Kms(operator_, "PutKeyPolicy", {{"KeyId", escrow_key_}, {"Policy", harsh}}).type(), "MalformedPolicyDocumentException");
  EXPECT_EQ(Kms(operator_, "PutKeyPolicy", {{"KeyId", escrow_key_}, {"Policy", "{}"}}).type(), "MalformedPolicyDocumentException");
  EXPECT_EQ(Kms(operator_, "GetKeyPolicy", {{"KeyId", escrow_key_}}).Text("Policy"), emulator::KeyPolicy::DefaultText("111111111111"));
  EXPECT_EQ(Kms(operator_, "PutKeyPolicy", {{"KeyId", escrow_key_}, {"Policy", harsh}, {"BypassPolicyLockoutSafetyCheck", true}}).status,
            200);
  EXPECT_EQ(Kms(operator_, "GetKeyPolicy", {{"KeyId", escrow_key_}}).type(), "AccessDeniedException");
}

TEST(KeyPolicyTest, RefusesWhatItWouldNotObey) {
  for (
      const char* text :
      {R"({"Statement":[{"Effect":"Allow","NotPrincipal":{"AWS":"*"},"Action":"kms:*","Resource":"*"}]})",
       R"({"Statement":[{"Effect":"Allow","Principal":{"Service":"x"},"Action":"kms:*","Resource":"*"}]})",
       R"({"Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}]})",
       R"({"Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"aws:username":"x"}}}]})",
       R"({"Statement":[{"Effect":"Maybe","Principal":"*","Action":"kms:*","Resource":"*"}]})",
       R"({"Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*"}]})",
       R"({"Statement":[{"Effect":"Allow","Principal":"me","Action":"kms:*","Resource":"*"}]})", R"({"Version":"2012-10-17"})", R"([])", "",
       "not json"}) {
    EXPECT_THAT(emulator::KeyPolicy::Parse(text), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  }
}

TEST(KeyPolicyTest, WildcardsMatchAnyTail) {
  EXPECT_TRUE(emulator::WildcardMatches("kms:GenerateDataKey*", "kms:GenerateDataKeyWithoutPlaintext", true));
  EXPECT_TRUE(emulator::WildcardMatches("*", "kms:Decrypt", true));
  EXPECT_TRUE(emulator::WildcardMatches("kms:*crypt", "kms:Decrypt", true));
  EXPECT_FALSE(emulator::WildcardMatches("kms:Decrypt", "kms:DecryptX", true));
  EXPECT_FALSE(emulator::WildcardMatches("kms:Decrypt*", "kms:Decryp", true));
  EXPECT_FALSE(emulator::WildcardMatches("", "kms:Decrypt", true));
}

TEST_F(AccessTest, AWrongOrMissingExternalIdDoesNotOpenTheRole) {
  const std::string words = std::string("User: ") + kUser + " is not authorized to perform: sts:AssumeRole on resource: " + kRole;
  for (const char* external_id : {"", "another-organization", "6f1c7d0e-0000-4000-8000-00000000000"}) {
    const HttpResponse response = Sts(operator_, AssumeForm(kRole, external_id));
    EXPECT_EQ(response.status, 403);
    EXPECT_EQ(response.headers.at("content-type"), "text/xml");
    EXPECT_EQ(Element(response.body, "Code"), "AccessDenied");
    EXPECT_EQ(Element(response.body, "Type"), "Sender");
    EXPECT_EQ(Element(response.body, "Message"), words);
    EXPECT_EQ(Element(response.body, "RequestId").size(), 36U);
  }
}

TEST_F(AccessTest, OnlyTrustedPrincipalsAssumeARole) {
  const HttpResponse made = AdminPost("/_admin/users", {{"account", "111111111111"}, {"name", "stranger"}});
  const json::object stranger = ParseJsonObject(made.body).value();
  const TestIdentity who{std::string(stranger.at("access_key_id").as_string()), std::string(stranger.at("secret_access_key").as_string()),
                         ""};
  EXPECT_EQ(Sts(who, AssumeForm(kRole, kExternalId)).status, 403);
  EXPECT_EQ(Sts(operator_, AssumeForm("arn:aws:iam::222222222222:role/none", kExternalId)).status, 403);
}

TEST_F(AccessTest, ARoleWithoutTrustIsShutAndItsTrustCanBeGivenBack) {
  const TestIdentity before = AsRole();
  Admin("/_admin/roles/untrust", {{"role", kRole}});
  EXPECT_EQ(Sts(operator_, AssumeForm(kRole, kExternalId)).status, 403);
  EXPECT_EQ(Kms(before, "DescribeKey", {{"KeyId", owner_key_}}).status, 200) << "sessions that were given out go on, as in AWS";
  Admin("/_admin/roles/trust", {{"role", kRole}});
  EXPECT_EQ(Sts(operator_, AssumeForm(kRole, kExternalId)).status, 200);
}

TEST_F(AccessTest, AssumeRoleChecksItsParameters) {
  const auto message = [&](const std::string& form) {
    const HttpResponse response = Sts(operator_, form);
    EXPECT_EQ(response.status, 400) << form;
    EXPECT_EQ(Element(response.body, "Code"), "ValidationError") << form;
    return Element(response.body, "Message");
  };
  EXPECT_EQ(message(AssumeForm("nothing-valid-in-here", kExternalId)), "nothing-valid-in-here is invalid");
  EXPECT_EQ(message(AssumeForm(kRole, kExternalId, "Session1%3A2")),
            "1 validation error detected: Value &#39;Session1:2&#39; at &#39;roleSessionName&#39; failed to satisfy constraint: Member "
            "must satisfy "
            "regular expression pattern: [\\w+=,.@-]*");
  EXPECT_THAT(message(AssumeForm(kRole, kExternalId, std::string(65, 's'))),
              testing::HasSubstr("Member must have length less than or equal to 64"));
  EXPECT_THAT(message(AssumeForm(kRole, kExternalId) + "&DurationSeconds=899"), testing::HasSubstr("durationSeconds"));
  EXPECT_THAT(message(AssumeForm(kRole, kExternalId) + "&DurationSeconds=7200"), testing::HasSubstr("MaxSessionDuration"));
  EXPECT_THAT(message(AssumeForm(kRole, kExternalId) + "&Policy=%7B%7D"), testing::HasSubstr("does not support Policy"));
  const HttpResponse unknown = Sts(operator_, "Action=GetSessionToken");
  EXPECT_EQ(Element(unknown.body, "Code"), "InvalidAction");
}

TEST_F(AccessTest, GetCallerIdentityNamesUserAndSession) {
  const HttpResponse user = Sts(operator_, "Action=GetCallerIdentity");
  EXPECT_EQ(user.status, 200);
  EXPECT_EQ(user.headers.at("content-type"), "text/xml");
  EXPECT_THAT(user.body, testing::StartsWith(
                             "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>"));
  EXPECT_EQ(Element(user.body, "Arn"), kUser);
  EXPECT_EQ(Element(user.body, "Account"), "111111111111");
  const HttpResponse session = Sts(AsRole(), "Action=GetCallerIdentity");
  EXPECT_EQ(Element(session.body, "Arn"), kSession);
  EXPECT_THAT(Element(session.body, "UserId"), testing::MatchesRegex("AROA.*:latchkey-agent"));
}

TEST_F(AccessTest, ASessionExpires) {
  const TestIdentity role = AsRole();
  clock_.Advance(absl::Seconds(3599));
  EXPECT_EQ(Kms(role, "DescribeKey", {{"KeyId", owner_key_}}).status, 200);
  clock_.Advance(absl::Seconds(1));
  const KmsReply expired = Kms(role, "DescribeKey", {{"KeyId", owner_key_}});
  EXPECT_EQ(expired.status, 400);
  EXPECT_EQ(expired.type(), "ExpiredTokenException");
  EXPECT_EQ(expired.message(), "The security token included in the request is expired");
  const HttpResponse sts = Sts(role, "Action=GetCallerIdentity");
  EXPECT_EQ(sts.status, 403);
  EXPECT_EQ(Element(sts.body, "Code"), "ExpiredToken");
}

TEST_F(AccessTest, ASessionNeedsItsOwnTokenAndKey) {
  TestIdentity forged = AsRole();
  TestIdentity other = AsRole();
  std::swap(forged.token, other.token);
  EXPECT_EQ(Kms(forged, "DescribeKey", {{"KeyId", owner_key_}}).type(), "UnrecognizedClientException");
  TestIdentity naked = AsRole();
  naked.token.clear();
  EXPECT_EQ(Kms(naked, "DescribeKey", {{"KeyId", owner_key_}}).type(), "UnrecognizedClientException");
  TestIdentity wrong = AsRole();
  wrong.secret = operator_.secret;
  EXPECT_EQ(Kms(wrong, "DescribeKey", {{"KeyId", owner_key_}}).type(), "InvalidSignatureException");
}

TEST_F(AccessTest, AWebIdentityTokenOpensTheRoleThatTrustsIt) {
  const std::string role = "arn:aws:iam::222222222222:role/web";
  json::object body{{"account", "222222222222"}, {"name", "web"}};
  body["web_identities"] = json::array{json::object{{"subject", "agent-1"}, {"audience", "sts.amazonaws.com"}}};
  Admin("/_admin/roles", body);
  const auto assume = [&](const std::string& token) {
    return emulator_->Handle(StsRequest("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=agent&RoleArn=" +
                                        PercentEncode(role) + "&WebIdentityToken=" + PercentEncode(token)));
  };
  const auto jwt = [](const json::object& claims) {
    return Base64UrlEncode(AsBytes(R"({"alg":"none"})")) + "." + Base64UrlEncode(AsBytes(json::serialize(claims))) + ".";
  };
  const HttpResponse good = assume(jwt({{"sub", "agent-1"}, {"aud", "sts.amazonaws.com"}, {"exp", 1'700'000'600}}));
  ASSERT_EQ(good.status, 200) << good.body;
  EXPECT_EQ(Element(good.body, "SubjectFromWebIdentityToken"), "agent-1");
  EXPECT_EQ(Kms(CredentialsOf(good), "DescribeKey", {{"KeyId", owner_key_}}).status, 200);

  EXPECT_EQ(assume(jwt({{"sub", "agent-2"}, {"aud", "sts.amazonaws.com"}})).status, 403);
  EXPECT_EQ(Element(assume(jwt({{"sub", "agent-1"}, {"aud", "sts.amazonaws.com"}, {"exp", 1'699'999'999}})).body, "Code"),
            "ExpiredTokenException");
  EXPECT_EQ(Element(assume("opaque-token").body, "Code"), "InvalidIdentityToken");
  Admin("/_admin/web-identity-tokens", {{"token", "opaque-token"}, {"subject", "agent-1"}, {"audience", "sts.amazonaws.com"}});
  EXPECT_EQ(assume("opaque-token").status, 200);
}

TEST_F(AccessTest, ASignatureBindsBodyTargetAndSecret) {
  const json::object body{{"KeyId", escrow_key_}};
  HttpRequest replay = KmsRequest(operator_, "DescribeKey", body);
  EXPECT_EQ(emulator_->Handle(replay).status, 200);
  replay.body = json::serialize(json::object{{"KeyId", owner_key_}});
  const KmsReply altered = Parse(emulator_->Handle(replay));
  EXPECT_EQ(altered.status, 400);
  EXPECT_EQ(altered.type(), "InvalidSignatureException");
  EXPECT_THAT(altered.message(), testing::StartsWith("The request signature we calculated does not match"));
  HttpRequest target = KmsRequest(operator_, "DescribeKey", body);
  target.headers["x-amz-target"] = "TrentService.ScheduleKeyDeletion";
  EXPECT_EQ(Parse(emulator_->Handle(target)).type(), "InvalidSignatureException");
  EXPECT_EQ(Kms({operator_.access_key_id, "another secret", ""}, "DescribeKey", body).type(), "InvalidSignatureException");
  const HttpResponse sts = Sts({operator_.access_key_id, "another secret", ""}, "Action=GetCallerIdentity");
  EXPECT_EQ(sts.status, 403);
  EXPECT_EQ(Element(sts.body, "Code"), "SignatureDoesNotMatch");
}

TEST_F(AccessTest, UnknownKeysAndMissingSignaturesHaveTheirOwnErrors) {
  EXPECT_EQ(Kms({"AKIANOBODY0000000000", "s", ""}, "ListKeys", {}).type(), "UnrecognizedClientException");
  const HttpResponse sts = Sts({"AKIANOBODY0000000000", "s", ""}, "Action=GetCallerIdentity");
  EXPECT_EQ(sts.status, 403);
  EXPECT_EQ(Element(sts.body, "Code"), "InvalidClientTokenId");
  HttpRequest naked = KmsRequest(operator_, "ListKeys", {});
  naked.headers.erase("authorization");
  EXPECT_EQ(Parse(emulator_->Handle(naked)).type(), "MissingAuthenticationTokenException");
  HttpRequest half = KmsRequest(operator_, "ListKeys", {});
  half.headers["authorization"] = "AWS4-HMAC-SHA256 Credential=AKIA/20231114/us-east-1/kms/aws4_request";
  EXPECT_EQ(Parse(emulator_->Handle(half)).type(), "IncompleteSignatureException");
}

TEST_F(AccessTest, OldAndFutureSignaturesAreRefused) {
  const auto at = [&](absl::Duration offset, const char* service) {
    HttpRequest request = std::string_view(service) == "kms" ? KmsRequest(operator_, "ListKeys", {})
                                                             : StsRequest("Action=GetCallerIdentity&Version=2011-06-15");
    request.headers.erase("authorization");
    SignForTest(request, operator_, service, kRegion, clock_.Now() + offset);
    return emulator_->Handle(request);
  };
  EXPECT_EQ(at(-absl::Minutes(5), "kms").status, 200);
  const KmsReply late = Parse(at(-absl::Minutes(5) - absl::Seconds(1), "kms"));
  EXPECT_EQ(late.type(), "InvalidSignatureException");
  EXPECT_EQ(late.message(), "Signature expired: 20231114T220819Z is now earlier than 20231114T220820Z (20231114T221320Z - 5 min.)");
  EXPECT_THAT(Parse(at(absl::Minutes(6), "kms")).message(), testing::StartsWith("Signature not yet current: "));
  EXPECT_EQ(at(-absl::Minutes(14), "sts").status, 200);
  EXPECT_EQ(Element(at(-absl::Minutes(16), "sts").body, "Code"), "SignatureDoesNotMatch");
}

TEST_F(AccessTest, TheCredentialScopeMustFitServiceAndHost) {
  HttpRequest request = KmsRequest(operator_, "ListKeys", {});
  request.headers.erase("authorization");
  SignForTest(request, operator_, "sts", kRegion, clock_.Now());
  EXPECT_EQ(Parse(emulator_->Handle(request)).message(), "Credential should be scoped to correct service: 'kms'. ");
  request.headers.erase("authorization");
  request.headers["host"] = "kms.eu-west-1.amazonaws.com";
  SignForTest(request, operator_, "kms", kRegion, clock_.Now());
  EXPECT_EQ(Parse(emulator_->Handle(request)).message(), "Credential should be scoped to a valid region. ");
  request.headers.erase("authorization");
  SignForTest(request, operator_, "kms", "eu-west-1", clock_.Now());
  EXPECT_EQ(emulator_->Handle(request).status, 200);
}

TEST_F(AccessTest, WhatDecidesARequestMustBeSigned) {
  HttpRequest request = KmsRequest(operator_, "ListKeys", {});
  request.headers.erase("authorization");
  const std::string target = request.headers.extract("x-amz-target").mapped();
  SignForTest(request, operator_, "kms", kRegion, clock_.Now());
  request.headers["x-amz-target"] = target;
  EXPECT_EQ(Parse(emulator_->Handle(request)).message(), "'x-amz-target' must be a 'SignedHeader' in the AWS Authorization.");
}

// The signing test suite that AWS published with Signature Version 4 (cases get-vanilla, post-vanilla, post-x-www-form-urlencoded).
TEST(SigV4VerifierTest, AgreesWithThePublishedVectors) {
  const SecretBytes secret = SecretBytes::CopyOf(std::string_view("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
  absl::Time at;
  std::string error;
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, "2015-08-30T12:36:00Z", &at, &error));
  struct Vector {
    const char *method, *content_type, *body, *signed_headers, *signature;
  };
  for (const Vector& v : {Vector{"GET", "", "", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
                          Vector{"POST", "", "", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
                          Vector{"POST", "application/x-www-form-urlencoded", "Param1=value1", "content-type;host;x-amz-date",
                                 "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"}}) {
    HttpRequest request{.method = v.method, .target = "/", .path = "/", .body = v.body};
    request.headers = {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}};
    if (*v.content_type != '\0') request.headers["content-type"] = v.content_type;
    request.headers["authorization"] =
        std::string("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=") + v.signed_headers +
        ", Signature=" + v.signature;
    const emulator::SignedService service{"service", true, absl::Minutes(5)};
    const auto claim = emulator::ReadClaim(request, service, at);
    ASSERT_TRUE(claim.ok()) << claim.error().message;
    EXPECT_TRUE(emulator::VerifySignature(request, *claim, secret, service).ok()) << v.method << v.body;
  }
}

}  // namespace
}  // namespace latchkey
