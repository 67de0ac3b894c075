// OAuth, IAM Credentials, STS, the metadata server, and what counts as a bearer token.
#include "emulator/gcp/gcp_testing.h"

namespace latchkey::emulator {
namespace {

using testing::HasSubstr;

std::string Der(char tag, const std::string& content) {
  std::string length;
  if (content.size() < 128) {
    length.push_back(static_cast<char>(content.size()));
  } else {
    length = {static_cast<char>(0x82), static_cast<char>(content.size() >> 8), static_cast<char>(content.size() & 0xff)};
  }
  return tag + length + content;
}

// SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) in PEM.
std::string PublicPem(const RsaPublicNumbers& numbers) {
  const auto integer = [](std::span<const uint8_t> bytes) {
    const std::string sign((bytes.front() & 0x80) != 0 ? 1 : 0, '\0');
    return Der(0x02, sign + std::string(AsText(bytes)));
  };
  const std::string rsa_encryption("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00", 13);
  const std::string key = Der(0x30, integer(numbers.modulus) + integer(numbers.exponent));
  const std::string info = Der(0x30, Der(0x30, rsa_encryption) + Der(0x03, std::string(1, '\0') + key));
  std::string lines = Base64Encode(AsBytes(info));
  for (size_t at = 64; at < lines.size(); at += 65) lines.insert(at, "\n");
  return "-----BEGIN PUBLIC KEY-----\n" + lines + "\n-----END PUBLIC KEY-----\n";
}

class GcpIdentityTest : public GcpCloudTest {
 protected:
  static constexpr const char* kIssuer = "https://tokens.example.com";

  // A pool of the operator's project; fills audience_ and prefix_.
  void MakePool(json::object more = {}) {
    json::object body{{"project", "latchkey-operator"}, {"pool", "clusters"}, {"provider", "main"}, {"issuer", kIssuer}};
    for (const auto& member : more) body[member.key()] = member.value();
    const json::object made = Admin("workload-pools", body);
    audience_ = made.at("audience").as_string();
    prefix_ = made.at("principal_prefix").as_string();
  }
  // An unsigned JWT for it.
  std::string Subject(const json::object& changes = {}) {
    const int64_t now = absl::ToUnixSeconds(wall_.Now());
    json::object claims{{"iss", kIssuer}, {"sub", "agent-1"}, {"aud", "https:" + audience_}, {"iat", now}, {"exp", now + 600}};
    for (const auto& change : changes) claims[change.key()] = change.value();
    return Base64UrlEncode(AsBytes(R"({"alg":"none"})")) + "." + Base64UrlEncode(AsBytes(json::serialize(claims))) + ".";
  }
  GcpReply Federate(const std::string& subject_token, const json::object& changes = {}) {
    json::object fields{{"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"},
                        {"requested_token_type", "urn:ietf:params:oauth:token-type:access_token"},
                        {"subject_token_type", "urn:ietf:params:oauth:token-type:jwt"},
                        {"subject_token", subject_token},
                        {"audience", audience_},
                        {"scope", kScope}};
    std::vector<std::pair<std::string, std::string>> form;
    for (const auto& change : changes) fields[change.key()] = change.value();
    for (const auto& field : fields) form.emplace_back(field.key(), field.value().as_string());
    return SendForm("/v1/token", form);
  }
  GcpReply Ask(const std::string& path, HttpHeaders headers = {{"metadata-flavor", "Google"}}) {
    return Send("GET", "/computeMetadata/v1/" + path, "", std::move(headers));
  }

  std::string audience_, prefix_;
};

TEST_F(GcpIdentityTest, AnAssertionOfTheAccountsKeyGetsAToken) {
  const GcpReply reply = Exchange(Assertion(file_));
  ASSERT_EQ(reply.status, 200) << reply.text;
  EXPECT_EQ(reply.Text("token_type"), "Bearer");
  EXPECT_EQ(reply.body.at("expires_in").as_int64(), 3599);
  EXPECT_EQ(reply.record.principal, kOperator);
  EXPECT_EQ(last_name_.operation, "token");
  EXPECT_EQ(Encrypt(reply.Text("access_token"), escrow_, "a key").status, 200);
  EXPECT_EQ(Exchange(Assertion(file_, {{"aud", std::string(kBase) + "/token"}})).status, 200) << "where a credentials file says we are";
}

TEST_F(GcpIdentityTest, AssertionsThatDoNotStandAreRefusedAsTheServiceRefusesThem) {
  const absl::StatusOr<RsaPrivateKey> other = RsaPrivateKey::Generate(2048);
  ASSERT_THAT(other, IsOk());
  const int64_t now = absl::ToUnixSeconds(wall_.Now());
  const GcpReply forged = Exchange(Assertion(file_, {}, &*other));
  EXPECT_EQ(forged.status, 400);
  EXPECT_EQ(forged.text, R"({"error":"invalid_grant","error_description":"Invalid JWT Signature."})");
  EXPECT_EQ(forged.record.result, "invalid_grant");
  EXPECT_THAT(Exchange(Assertion(file_, {{"iss", "nobody@latchkey-operator.iam.gserviceaccount.com"}})).text,
              HasSubstr("account not found"));
  EXPECT_THAT(Exchange(Assertion(file_, {{"iat", now - 7200}, {"exp", now - 3600}})).text, HasSubstr("short-lived token"));
  EXPECT_THAT(Exchange(Assertion(file_, {{"exp", now + 86'400}})).text, HasSubstr("short-lived token"));
  EXPECT_THAT(Exchange(Assertion(file_, {{"iat", nullptr}})).text, HasSubstr("short-lived token"));
  EXPECT_THAT(Exchange(Assertion(file_, {{"aud", "https://elsewhere.example/token"}})).text, HasSubstr("Failed audience check"));
  EXPECT_EQ(Exchange(Assertion(file_, {{"scope", nullptr}})).OauthCode(), "invalid_scope");
  EXPECT_EQ(Exchange(Assertion(file_, {{"sub", "somebody@example.com"}})).OauthCode(), "unauthorized_client");
  EXPECT_EQ(Exchange("x.y.z").OauthCode(), "invalid_grant");
  EXPECT_EQ(SendForm("/token", {{"grant_type", "password"}}).OauthCode(), "unsupported_grant_type");
}

TEST_F(GcpIdentityTest, ATokenEndsByTheEmulatorsClock) {
  const std::string token = AsOperator();
  clock_.Advance(absl::Minutes(59));
  EXPECT_EQ(Encrypt(token, escrow_, "a key").status, 200);
  clock_.Advance(absl::Minutes(1));
  const GcpReply reply = Encrypt(token, escrow_, "a key");
  EXPECT_EQ(reply.status, 401);
  EXPECT_EQ(reply.Code(), "UNAUTHENTICATED");
  EXPECT_THAT(reply.Message(), HasSubstr("Request had invalid authentication credentials."));
  EXPECT_THAT(reply.headers.at("www-authenticate"), HasSubstr("Bearer"));
}

TEST_F(GcpIdentityTest, NoTokenAndAForgedTokenAreToldApart) {
  const GcpReply none = Send("GET", "/v1/" + escrow_, "", {});
  EXPECT_EQ(none.status, 401);
  EXPECT_THAT(none.Message(), HasSubstr("missing required authentication credential"));
  std::string token = AsOperator();
  token[token.size() / 2] = token[token.size() / 2] == 'A' ? 'B' : 'A';
  for (const std::string& bad : {token, std::string("ya29.x"), std::string("x"), std::string()}) {
    EXPECT_EQ(Kms(bad, "GET", escrow_).status, 401) << bad.size();
  }
}

TEST_F(GcpIdentityTest, ATokenIsGoodForItsScopesOnly) {
  const std::string narrow =
      Exchange(Assertion(file_, {{"scope", "https://www.googleapis.com/auth/devstorage.read_only"}})).Text("access_token");
  const GcpReply reply = Encrypt(narrow, escrow_, "a key");
  EXPECT_EQ(reply.status, 403);
  EXPECT_EQ(reply.Message(), "Request had insufficient authentication scopes.");
  EXPECT_THAT(reply.text, HasSubstr("ACCESS_TOKEN_SCOPE_INSUFFICIENT"));
  const std::string kms = Exchange(Assertion(file_, {{"scope", "openid https://www.googleapis.com/auth/cloudkms"}})).Text("access_token");
  EXPECT_EQ(Encrypt(kms, escrow_, "a key").status, 200);
  EXPECT_EQ(Generate(kms, kOwner).Message(), "Request had insufficient authentication scopes.");
}

TEST_F(GcpIdentityTest, ASelfSignedJwtIsABearerTokenForItsScopesOrItsService) {
  const json::object own{{"sub", kOperator}, {"aud", nullptr}};
  EXPECT_EQ(Encrypt(Assertion(file_, own), escrow_, "a key").status, 200) << "by scope";
  for (const std::string& audience : {std::string("https://cloudkms.googleapis.com/"), std::string(kBase) + "/v1/x", std::string(kBase)}) {
    const GcpReply reply = Encrypt(Assertion(file_, {{"sub", kOperator}, {"scope", nullptr}, {"aud", audience}}), escrow_, "a key");
    EXPECT_EQ(reply.status, 200) << audience;
    EXPECT_EQ(reply.record.principal, kOperator);
  }
  const json::object elsewhere{{"sub", kOperator}, {"scope", nullptr}, {"aud", "https://storage.googleapis.com/"}};
  EXPECT_EQ(Encrypt(Assertion(file_, elsewhere), escrow_, "a key").status, 401);
  EXPECT_EQ(Encrypt(Assertion(file_, {{"sub", kOperator}, {"scope", "openid"}}), escrow_, "a key").status, 403);
  EXPECT_EQ(Encrypt(Assertion(file_, {{"scope", kScope}}), escrow_, "a key").status, 401) << "without a subject";
  const absl::StatusOr<RsaPrivateKey> other = RsaPrivateKey::Generate(2048);
  ASSERT_THAT(other, IsOk());
  EXPECT_EQ(Encrypt(Assertion(file_, own, &*other), escrow_, "a key").status, 401);
  wall_.Advance(absl::Hours(2));
  const int64_t old = absl::ToUnixSeconds(wall_.Now() - absl::Hours(2));
  EXPECT_EQ(Encrypt(Assertion(file_, {{"sub", kOperator}, {"iat", old}, {"exp", old + 3600}}), escrow_, "a key").status, 401);
}

TEST_F(GcpIdentityTest, TheOperatorActsAsTheOwnersAccountAndNobodyElseDoes) {
  const GcpReply reply = Generate(AsOperator(), kOwner, {{"scope", json::array{kScope}}, {"lifetime", "600s"}});
  ASSERT_EQ(reply.status, 200) << reply.text;
  EXPECT_EQ(reply.Text("expireTime"), "2023-11-14T22:23:20Z");
  EXPECT_EQ(reply.record.principal, kOperator);
  EXPECT_EQ(reply.record.key, kOwner);
  EXPECT_EQ(last_name_.service, "iamcredentials");
  EXPECT_EQ(Encrypt(reply.Text("accessToken"), owner_key_, "a key").record.principal, kOwner);
  clock_.Advance(absl::Minutes(10));
  EXPECT_EQ(Encrypt(reply.Text("accessToken"), owner_key_, "a key").status, 401);

  const GcpReply denied = Generate(AsAdministrator(), kOwner);
  EXPECT_EQ(denied.status, 403);
  EXPECT_EQ(denied.Message(), "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).");
  EXPECT_THAT(denied.text, HasSubstr(R"("reason":"IAM_PERMISSION_DENIED","domain":"iam.googleapis.com")"));
}

TEST_F(GcpIdentityTest, TheOwnerTakesTheGrantAwayAndGivesItBack) {
  const std::string before = AsOwner();
  Admin("service-accounts/token-creators/remove", {{"service_account", kOwner}, {"member", kOperator}});
  EXPECT_EQ(Generate(AsOperator(), kOwner).Code(), "PERMISSION_DENIED");
  EXPECT_EQ(Encrypt(before, owner_key_, "a key").status, 200) << "what was given out goes on until it expires";
  cloud_->Seed({}, clock_.Now(), Random::System()).IgnoreError();
  EXPECT_EQ(Generate(AsOperator(), kOwner).Code(), "PERMISSION_DENIED") << "a second seed does not give it back";
  Admin("service-accounts/token-creators", {{"service_account", kOwner}, {"member", kOperator}});
  EXPECT_EQ(Generate(AsOperator(), kOwner).status, 200);
}

TEST_F(GcpIdentityTest, RequestsForTokensAreChecked) {
  const std::string token = AsOperator();
  const json::object scope{{"scope", json::array{kScope}}};
  EXPECT_EQ(Generate(token, kOwner, {}).Code(), "INVALID_ARGUMENT") << "no scope";
  for (const char* lifetime : {"3601s", "0s", "1h"}) {
    EXPECT_EQ(Generate(token, kOwner, {{"scope", json::array{kScope}}, {"lifetime", lifetime}}).Code(), "INVALID_ARGUMENT") << lifetime;
  }
  const std::string nobody = "nobody@latchkey-owner.iam.gserviceaccount.com";
  const GcpReply absent = Generate(token, nobody);
  EXPECT_EQ(absent.status, 404);
  EXPECT_EQ(absent.Message(), "Not found; Gaia id not found for email " + nobody);
  EXPECT_EQ(Kms(token, "POST", "projects/latchkey-owner/serviceAccounts/" + std::string(kOwner) + ":generateAccessToken", scope).Code(),
            "INVALID_ARGUMENT")
      << "the project must be the wildcard";
  EXPECT_EQ(Kms("", "POST", "projects/-/serviceAccounts/" + std::string(kOwner) + ":generateAccessToken", scope).status, 401);
}

TEST_F(GcpIdentityTest, DelegatesFormAChainInWhichEveryLinkIsAsked) {
  Admin("service-accounts/token-creators", {{"service_account", kAdministrator}, {"member", kOwner}});
  const std::string token = AsOperator();
  json::object through{{"scope", json::array{kScope}}, {"delegates", json::array{"projects/-/serviceAccounts/" + std::string(kOwner)}}};
  EXPECT_EQ(Generate(token, kAdministrator, through).status, 200);
  EXPECT_EQ(Generate(token, kAdministrator).Code(), "PERMISSION_DENIED") << "not directly";
  through["delegates"] = json::array{std::string(kOwner)};
  EXPECT_EQ(Generate(token, kAdministrator, through).Code(), "INVALID_ARGUMENT");
}

TEST_F(GcpIdentityTest, ADeletedAccountIsGoneEverywhere) {
  const std::string token = AsOwner();
  Admin("service-accounts/delete", {{"service_account", kOwner}});
  EXPECT_EQ(Encrypt(token, owner_key_, "a key").status, 401);
  EXPECT_EQ(Generate(AsOperator(), kOwner).status, 404);
}

TEST_F(GcpIdentityTest, ATrustedTokenOfAnotherIssuerBecomesAPrincipalOfThePool) {
  MakePool();
  const GcpReply reply = Federate(Subject());
  ASSERT_EQ(reply.status, 200) << reply.text;
  EXPECT_EQ(reply.Text("issued_token_type"), "urn:ietf:params:oauth:token-type:access_token");
  EXPECT_EQ(reply.Text("token_type"), "Bearer");
  EXPECT_EQ(reply.record.principal, prefix_ + "agent-1");
  EXPECT_EQ(last_name_.operation, "exchangeToken");
  const std::string token = reply.Text("access_token");
  EXPECT_EQ(Encrypt(token, escrow_, "a key").Code(), "PERMISSION_DENIED") << "an identity is no permission";
  Admin("keys/bindings", {{"key", escrow_}, {"role", "roles/cloudkms.cryptoKeyEncrypter"}, {"member", prefix_ + "agent-1"}});
  EXPECT_EQ(Encrypt(token, escrow_, "a key").status, 200);
  EXPECT_EQ(Generate(token, kOperator).Code(), "PERMISSION_DENIED");
  std::string everybody = prefix_.substr(0, prefix_.size() - std::string("subject/").size()) + "*";
  everybody.replace(0, std::string("principal://").size(), "principalSet://");
  Admin("service-accounts/token-creators", {{"service_account", kOperator}, {"member", everybody}});
  const GcpReply stepped = Generate(token, kOperator);
  EXPECT_EQ(stepped.status, 200);
  EXPECT_EQ(Encrypt(stepped.Text("accessToken"), escrow_, "a key").record.principal, kOperator);
}

TEST_F(GcpIdentityTest, SubjectTokensThatTheProviderDoesNotTrustAreRefused) {
  MakePool({{"subjects", json::array{"agent-1"}}});
  const int64_t now = absl::ToUnixSeconds(wall_.Now());
  EXPECT_EQ(Federate(Subject()).status, 200);
  EXPECT_EQ(Federate(Subject({{"iss", "https://other.example.com"}})).OauthCode(), "invalid_grant");
  EXPECT_THAT(Federate(Subject({{"aud", "other"}})).text, HasSubstr("does not match the expected audience"));
  EXPECT_EQ(Federate(Subject({{"exp", now - 1}})).OauthCode(), "invalid_grant");
  EXPECT_EQ(Federate(Subject({{"iat", now + 3600}})).OauthCode(), "invalid_grant");
  EXPECT_EQ(Federate("nonsense").OauthCode(), "invalid_grant");
  const GcpReply other = Federate(Subject({{"sub", "agent-2"}}));
  EXPECT_EQ(other.status, 401);
  EXPECT_EQ(other.OauthCode(), "unauthorized_client");
  EXPECT_EQ(Federate(Subject() + "c2lnbmVk").OauthCode(), "invalid_grant") << "unsigned is unsigned";
}

TEST_F(GcpIdentityTest, ExchangesAreChecked) {
  MakePool();
  const std::string subject = Subject();
  EXPECT_EQ(Federate(subject, {{"audience", audience_ + "x"}}).OauthCode(), "invalid_target");
  EXPECT_EQ(Federate(subject, {{"audience", "x"}}).OauthCode(), "invalid_request");
  EXPECT_EQ(Federate(subject, {{"grant_type", "x"}}).OauthCode(), "unsupported_grant_type");
  EXPECT_EQ(Federate(subject, {{"requested_token_type", "x"}}).OauthCode(), "invalid_request");
  EXPECT_EQ(Federate(subject, {{"subject_token_type", "urn:ietf:params:aws:token-type:aws4_request"}}).OauthCode(), "invalid_request");
  EXPECT_THAT(Federate(subject, {{"scope", ""}}).text, HasSubstr("Scope(s) must be provided."));
  Admin("workload-pools/delete", {{"audience", audience_}});
  EXPECT_EQ(Federate(subject).OauthCode(), "invalid_target");
}

TEST_F(GcpIdentityTest, AProviderWithAKeyWantsItsSignature) {
  // The administrator's key plays the issuer's.
  const absl::StatusOr<RsaPrivateKey> key = RsaPrivateKey::FromPem(std::string(administrator_.at("private_key").as_string()));
  ASSERT_THAT(key, IsOk());
  EXPECT_THAT(
      AdminRefusal(
          "workload-pools",
          {{"project", "latchkey-operator"}, {"pool", "clusters"}, {"provider", "main"}, {"issuer", kIssuer}, {"public_key", "no key"}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("public_key")));
  MakePool({{"public_key", PublicPem(key->public_numbers())}});
  const json::object claims{{"iss", kIssuer}, {"sub", "agent-1"}, {"aud", audience_}};
  EXPECT_EQ(Federate(Assertion(administrator_, claims)).record.principal, prefix_ + "agent-1");
  EXPECT_EQ(Federate(Assertion(file_, claims)).OauthCode(), "invalid_grant") << "somebody else's signature";
  EXPECT_EQ(Federate(Subject()).OauthCode(), "invalid_grant") << "no signature";
  Restart();
  EXPECT_EQ(Federate(Assertion(administrator_, claims)).status, 200);
  EXPECT_EQ(Federate(Subject()).OauthCode(), "invalid_grant");
}

TEST_F(GcpIdentityTest, ARegisteredStringStandsForWhatWasSaidOfIt) {
  MakePool({{"audiences", json::array{"latchkey"}}});
  Admin("subject-tokens", {{"token", "a string from somewhere"}, {"issuer", kIssuer}, {"subject", "agent-7"}, {"audience", "latchkey"}});
  EXPECT_EQ(Federate("a string from somewhere").record.principal, prefix_ + "agent-7");
  EXPECT_EQ(Federate("a string from elsewhere").OauthCode(), "invalid_grant");
  Admin("subject-tokens", {{"token", "for somebody else"}, {"issuer", kIssuer}, {"subject", "agent-7"}, {"audience", "other"}});
  EXPECT_EQ(Federate("for somebody else").OauthCode(), "invalid_grant");
}

TEST_F(GcpIdentityTest, TheMetadataServerGivesTheMachinesTokenToWhoNamesItsFlavor) {
  const GcpReply token = Ask("instance/service-accounts/default/token");
  ASSERT_EQ(token.status, 200) << token.text;
  EXPECT_EQ(token.headers.at("metadata-flavor"), "Google");
  EXPECT_EQ(token.record.principal, kOperator);
  EXPECT_EQ(last_name_.operation, "metadataToken");
  EXPECT_EQ(Encrypt(token.Text("access_token"), escrow_, "a key").status, 200);
  EXPECT_EQ(Ask("instance/service-accounts/" + std::string(kOperator) + "/email").text, kOperator);
  EXPECT_EQ(Ask("instance/service-accounts/default/scopes").text, std::string(kScope) + "\n");
  EXPECT_EQ(Ask("project/project-id").text, "latchkey-operator");
  EXPECT_EQ(Ask("instance/service-accounts/default/?recursive=true").Text("email"), kOperator);
  EXPECT_EQ(Ask("instance").status, 200) << "how clients find out whether there is one";

  for (const HttpHeaders& headers : {HttpHeaders{}, HttpHeaders{{"metadata-flavor", "google"}},
                                     HttpHeaders{{"metadata-flavor", "Google"}, {"x-forwarded-for", "10.0.0.1"}}}) {
    EXPECT_EQ(Ask("instance/service-accounts/default/token", headers).status, 403);
  }
  EXPECT_EQ(Ask("instance/service-accounts/" + std::string(kOwner) + "/token").status, 404);
  EXPECT_EQ(Ask("instance/disks").status, 404);
}

TEST_F(GcpIdentityTest, AMachineHasTheAccountAndTheScopesThatItWasGiven) {
  Admin("metadata", {{"service_account", kOwner}, {"scopes", json::array{"https://www.googleapis.com/auth/devstorage.read_only"}}});
  EXPECT_EQ(Ask("project/project-id").text, "latchkey-owner");
  const std::string narrow = Ask("instance/service-accounts/default/token").Text("access_token");
  EXPECT_EQ(Encrypt(narrow, owner_key_, "a key").Message(), "Request had insufficient authentication scopes.");
  const std::string asked = Ask("instance/service-accounts/default/token?scopes=" + std::string(kScope)).Text("access_token");
  EXPECT_EQ(Encrypt(asked, owner_key_, "a key").status, 200);
  Admin("metadata", {});
  EXPECT_EQ(Ask("instance/service-accounts/default/token").status, 404);
}

TEST_F(GcpIdentityTest, NoTokenAndNoPrivateKeyIsInTheStateForPeople) {
  const std::string shown = json::serialize(cloud_->State());
  EXPECT_THAT(shown, HasSubstr(owner_key_));
  EXPECT_EQ(shown.find("PRIVATE"), std::string::npos);
  EXPECT_EQ(shown.find("material"), std::string::npos);
  EXPECT_EQ(shown.find("token_key"), std::string::npos);
}

}  // namespace
}  // namespace latchkey::emulator
