#include "kms/gcp/identity.h"

#include <map>

#include "base/file.h"
#include "base/testing.h"
#include "crypto/jwt.h"
#include "kms/gcp/fake_gcp.h"

namespace latchkey {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

constexpr char kAudience[] = "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/prov";
constexpr char kOurAccount[] = "latchkey@operator.iam.gserviceaccount.com";

const RsaPrivateKey& TestKey() {
  static const RsaPrivateKey key = RsaPrivateKey::Generate(2048).value();
  return key;
}

class GcpIdentityTest : public testing::Test {
 protected:
  GcpIdentityTest() {
    environment_["HOME"] = folder_.path();
    options_ = {.iam_credentials_endpoint = gcp_.endpoint(),
                .oauth_endpoint = gcp_.endpoint() + "/",
                .sts_endpoint = gcp_.endpoint(),
                .metadata_endpoint = gcp_.endpoint(),
                .call = {.first_backoff = absl::Milliseconds(1),
                         .environment = [this](const char* name) { return environment_[name]; },
                         .clock = &clock_}};
  }

  absl::StatusOr<std::string> Get(bool fresh = false) {
    if (identity_ == nullptr) {
      transport_ = std::make_unique<KmsTransport>(options_.call);
      identity_ = std::make_unique<GcpIdentity>(options_, *transport_);
    }
    ASSIGN_OR_RETURN(const SharedBearerToken token, identity_->Get(fresh, CallBudget(absl::Seconds(10))));
    return std::string(token->token.RevealText(SecretAccess{}));
  }
  std::string Write(const std::string& name, const std::string& text) {
    LK_EXPECT_OK(WriteFileAtomically(folder_ / name, text));
    return folder_ / name;
  }
  void Use(const json::object& credentials) {
    environment_["GOOGLE_APPLICATION_CREDENTIALS"] = Write("credentials.json", json::serialize(credentials));
  }
  json::object ServiceAccount() const {
    return {{"type", "service_account"},
            {"project_id", "operator"},
            {"private_key_id", "kid-1"},
            {"private_key", TestKey().ToPem()},
            {"client_email", kOurAccount},
            {"client_id", "1"},
            {"token_uri", "https://oauth2.googleapis.com/token"},
            {"universe_domain", "googleapis.com"}};
  }
  json::object ExternalAccount(const std::string& token_file) const {
    return {{"type", "external_account"},
            {"audience", kAudience},
            {"subject_token_type", "urn:ietf:params:oauth:token-type:jwt"},
            {"token_url", "https://sts.googleapis.com/v1/token"},
            {"credential_source", {{"file", token_file}}}};
  }
  std::vector<std::pair<std::string, std::string>> Form(const std::string& operation) const {
    return ParseForm(gcp_.last(operation).body).value_or(std::vector<std::pair<std::string, std::string>>());
  }
  void ExpectIdentityTrouble(const std::string& words) {
    const absl::Status status = Get(true).status();
    EXPECT_EQ(FailureClassOf(status), FailureClass::kIdentity) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(words));
  }

  TempFolder folder_;
  FakeClock clock_;
  FakeGcp gcp_;
  std::map<std::string, std::string> environment_;
  GcpKmsOptions options_;
  std::unique_ptr<KmsTransport> transport_;
  std::unique_ptr<GcpIdentity> identity_;
};

TEST_F(GcpIdentityTest, SignsAnAssertionWithAServiceAccountsKey) {
  Use(ServiceAccount());
  LK_ASSERT_OK_AND_ASSIGN(const std::string token, Get());
  EXPECT_EQ(token, "oauth-token-1");
  const auto form = Form("oauth");
  EXPECT_THAT(form, Contains(Pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")));
  ASSERT_EQ(form.size(), 2);
  LK_ASSERT_OK_AND_ASSIGN(const DecodedJwt assertion, DecodeJwt(form[1].second));
  LK_ASSERT_OK_AND_ASSIGN(const RsaPublicKey key, RsaPublicKey::FromNumbers(TestKey().public_numbers()));
  EXPECT_TRUE(VerifyJwt(assertion, key));
  EXPECT_EQ(assertion.header.at("alg").as_string(), "RS256");
  EXPECT_EQ(assertion.header.at("kid").as_string(), "kid-1");
  const int64_t now = absl::ToUnixSeconds(clock_.Now());
  EXPECT_EQ(assertion.claims, (json::object{{"iss", kOurAccount},
                                            {"scope", "https://www.googleapis.com/auth/cloud-platform"},
                                            {"aud", "https://oauth2.googleapis.com/token"},
                                            {"iat", now},
                                            {"exp", now + 3600}}));
}

TEST_F(GcpIdentityTest, KeepsATokenUntilShortlyBeforeItsEndUnlessANewOneIsAskedFor) {
  Use(ServiceAccount());
  EXPECT_THAT(Get().value(), "oauth-token-1");
  clock_.Advance(absl::Seconds(3600 - 226));
  EXPECT_THAT(Get().value(), "oauth-token-1");
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Get().value(), "oauth-token-2");
  EXPECT_THAT(Get(true).value(), "oauth-token-3");
}

TEST_F(GcpIdentityTest, ExchangesAFederatedTokenFromATextFile) {
  Use(ExternalAccount(Write("token", "subject-token\n")));
  LK_ASSERT_OK_AND_ASSIGN(const std::string token, Get());
  EXPECT_EQ(token, "sts-token-1");
  const auto form = Form("sts");
  EXPECT_THAT(form, Contains(Pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")));
  EXPECT_THAT(form, Contains(Pair("audience", kAudience)));
  EXPECT_THAT(form, Contains(Pair("scope", "https://www.googleapis.com/auth/cloud-platform")));
  EXPECT_THAT(form, Contains(Pair("requested_token_type", "urn:ietf:params:oauth:token-type:access_token")));
  EXPECT_THAT(form, Contains(Pair("subject_token", "subject-token")));
  EXPECT_THAT(form, Contains(Pair("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")));
}

TEST_F(GcpIdentityTest, ExchangesAFederatedTokenFromAJsonFileReadAnewEveryTime) {
  json::object account = ExternalAccount(Write("token", R"({"id":{"x":1},"value":"first"})"));
  account["credential_source"].as_object()["format"] = {{"type", "json"}, {"subject_token_field_name", "value"}};
  Use(account);
  LK_ASSERT_OK(Get());
  EXPECT_THAT(Form("sts"), Contains(Pair("subject_token", "first")));
  Write("token", R"({"value":"second"})");
  LK_ASSERT_OK(Get(true));
  EXPECT_THAT(Form("sts"), Contains(Pair("subject_token", "second")));
  Write("token", R"({"value":7})");
  ExpectIdentityTrouble("holds no JSON object with the field");
}

TEST_F(GcpIdentityTest, StepsFromAFederatedTokenIntoItsOwnServiceAccount) {
  json::object account = ExternalAccount(Write("token", "subject-token"));
  account["service_account_impersonation_url"] =
      std::string("https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/") + kOurAccount + ":generateAccessToken";
  account["service_account_impersonation"] = {{"token_lifetime_seconds", 1800}};
  Use(account);
  LK_ASSERT_OK_AND_ASSIGN(const std::string token, Get());
  EXPECT_EQ(token, "owner-token-2");
  const HttpRequest request = gcp_.last("generateAccessToken");
  EXPECT_EQ(request.path, std::string("/v1/projects/-/serviceAccounts/") + kOurAccount + ":generateAccessToken");
  EXPECT_EQ(request.Header("authorization"), "Bearer sts-token-1");
  EXPECT_EQ(request.body, R"({"scope":["https://www.googleapis.com/auth/cloud-platform"],"lifetime":"1800s"})");

  // It is our account: that we are not let in is our trouble, not the owner's no.
  gcp_.AlwaysAnswer("generateAccessToken", GcpErrorAnswer(403, "PERMISSION_DENIED", "The caller does not have permission"));
  ExpectIdentityTrouble("The caller does not have permission");
}

TEST_F(GcpIdentityTest, AsksTheMetadataServerWhereThereIsNoFile) {
  EXPECT_THAT(Get().value(), "metadata-token-1");
  EXPECT_EQ(gcp_.last("metadata").Header("metadata-flavor"), "Google");
}

TEST_F(GcpIdentityTest, FindsTheMetadataServerThatTheEnvironmentNames) {
  options_.metadata_endpoint.clear();
  environment_["GCE_METADATA_HOST"] = gcp_.endpoint().substr(7);
  EXPECT_THAT(Get().value(), "metadata-token-1");
  for (const char* bad : {"user@127.0.0.1", "127.0.0.1/x?", "a b"}) {
    environment_["GCE_METADATA_HOST"] = bad;
    ExpectIdentityTrouble("GCE_METADATA_HOST");
  }
}

TEST_F(GcpIdentityTest, DoesNotBelieveAMetadataServerThatDoesNotSayThatItIsOne) {
  gcp_.AlwaysAnswer("metadata", HttpResponse::Json(200, R"({"access_token":"x","expires_in":3600,"token_type":"Bearer"})"));
  ExpectIdentityTrouble("Metadata-Flavor");
  HttpResponse other = HttpResponse::Json(200, R"({"access_token":"x","expires_in":3600,"token_type":"Bearer"})");
  other.headers["metadata-flavor"] = "Amazon";
  gcp_.AlwaysAnswer("metadata", other);
  ExpectIdentityTrouble("Metadata-Flavor");
}

TEST_F(GcpIdentityTest, TakesTheConfiguredFileBeforeTheEnvironmentAndThatBeforeTheWellKnownOne) {
  LK_ASSERT_OK(MakeFolders(folder_ / ".config/gcloud"));
  Write(".config/gcloud/application_default_credentials.json", json::serialize(ExternalAccount(Write("well-known", "well-known"))));
  LK_ASSERT_OK(Get(true));
  EXPECT_THAT(Form("sts"), Contains(Pair("subject_token", "well-known")));
  environment_["GOOGLE_APPLICATION_CREDENTIALS"] = Write("env.json", json::serialize(ExternalAccount(Write("env", "environment"))));
  LK_ASSERT_OK(Get(true));
  EXPECT_THAT(Form("sts"), Contains(Pair("subject_token", "environment")));
  options_.credentials_file = Write("option.json", json::serialize(ExternalAccount(Write("option", "option"))));
  LK_ASSERT_OK(Get(true));
  EXPECT_THAT(Form("sts"), Contains(Pair("subject_token", "option")));
  EXPECT_EQ(gcp_.calls("metadata"), 0);
}

TEST_F(GcpIdentityTest, TakesEveryTroubleWithItselfForIdentity) {
  environment_["GOOGLE_APPLICATION_CREDENTIALS"] = folder_ / "nowhere.json";
  ExpectIdentityTrouble("nowhere.json");
  Use(ServiceAccount());
  gcp_.AlwaysAnswer("oauth", OAuthError(400, "invalid_grant", "Invalid JWT Signature."));
  ExpectIdentityTrouble("Invalid JWT Signature. (invalid_grant)");
  const int before = gcp_.calls("oauth");
  gcp_.AlwaysAnswer("oauth", HttpResponse::Text(503, "busy"));
  ExpectIdentityTrouble("503");
  EXPECT_EQ(gcp_.calls("oauth") - before, 3) << "what may go better is asked again";
  for (const char* half : {"", "{", "[]", "{}", R"({"access_token":"x"})", R"({"access_token":"","expires_in":3600})",
                           R"({"access_token":"a b","expires_in":3600})", R"({"access_token":"x\r\ny","expires_in":3600})",
                           R"({"access_token":"x","expires_in":"soon"})", R"({"access_token":"x","expires_in":-1})",
                           R"({"access_token":"x","expires_in":3600,"token_type":"mac"})", R"({"access_token":7,"expires_in":3600})"}) {
    gcp_.AlwaysAnswer("oauth", HttpResponse::Json(200, half));
    ExpectIdentityTrouble("no complete access token");
  }
  HttpResponse cut = HttpResponse::Json(200, R"({"access_token":"x","expires_in":3600,"token_type":"Bearer"})");
  for (const int64_t after : {0, 60, 150}) {
    cut.cut_after = after;
    gcp_.AlwaysAnswer("oauth", cut);
    ExpectIdentityTrouble("Google OAuth token");
  }
}

TEST_F(GcpIdentityTest, NamesTheFieldOfACredentialsFileThatItCannotUse) {
  const auto with = [](json::object object, const char* name, json::value value) {
    object[name] = std::move(value);
    return object;
  };
  const json::object sa = ServiceAccount(), ea = ExternalAccount(folder_ / "token");
  const std::vector<std::pair<json::object, std::string>> files = {
      {{{"type", "authorized_user"}}, "type: must be"},
      {{{"kind", "x"}}, "type"},
      {with(sa, "universe_domain", "example.org"), "universe_domain"},
      {with(sa, "private_key", "-----BEGIN PRIVATE KEY-----\nsecret-pem\n-----END PRIVATE KEY-----"), "private_key"},
      {with(sa, "client_email", "a b"), "client_email"},
      {with(sa, "client_email", nullptr), "client_email"},
      {with(ea, "audience", ""), "audience"},
      {with(ea, "client_secret", "secret-client"), "client_secret"},
      {with(ea, "credential_source", {{"url", "http://127.0.0.1/"}}), "credential_source.url"},
      {with(ea, "credential_source", {{"executable", json::object()}}), "credential_source.executable"},
      {with(ea, "credential_source", json::object()), "credential_source.file"},
      {with(ea, "credential_source", {{"file", "x"}, {"format", {{"type", "xml"}}}}), "credential_source.format.type"},
      {with(ea, "credential_source", {{"file", "x"}, {"format", {{"type", "json"}}}}), "subject_token_field_name"},
      {with(ea, "service_account_impersonation_url", "https://iamcredentials.googleapis.com/x"), "service_account_impersonation_url"},
      {with(ea, "service_account_impersonation_url",
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/me@example.com:generateAccessToken"),
       "service_account_impersonation_url"},
      {with(ea, "service_account_impersonation", {{"token_lifetime_seconds", 1}}), "token_lifetime_seconds"},
      {ea, "token file"},
  };
  for (const auto& [file, field] : files) {
    Use(file);
    ExpectIdentityTrouble(field);
    EXPECT_THAT(std::string(Get(true).status().message()), Not(HasSubstr("secret-"))) << field;
  }
  environment_["GOOGLE_APPLICATION_CREDENTIALS"] = Write("credentials.json", "{\"type\": \"service_account\", \"private_key\": \"secret-");
  ExpectIdentityTrouble("credentials.json");
}

TEST_F(GcpIdentityTest, SendsNothingToHostsThatAreNotGooglesUnlessTheConfigurationSaysSo) {
  options_.oauth_endpoint.clear();
  options_.sts_endpoint.clear();
  options_.iam_credentials_endpoint.clear();
  json::object sa = ServiceAccount();
  for (const std::string& bad : {gcp_.endpoint() + "/token", std::string("http://oauth2.googleapis.com/token"),
                                 std::string("https://evil.org/.googleapis.com"), std::string("https://evil.org#.googleapis.com"),
                                 std::string("https://x@127.0.0.1"), std::string("https://evilgoogleapis.com/token")}) {
    sa["token_uri"] = bad;
    Use(sa);
    ExpectIdentityTrouble("token_uri: must be https://");
  }
  json::object ea = ExternalAccount(Write("token", "subject"));
  ea["token_url"] = gcp_.endpoint() + "/v1/token";
  Use(ea);
  ExpectIdentityTrouble("token_url: must be https://");
  ea["token_url"] = "https://sts.googleapis.com/v1/token";
  ea["service_account_impersonation_url"] = gcp_.endpoint() + "/v1/projects/-/serviceAccounts/" + kOurAccount + ":generateAccessToken";
  Use(ea);
  ExpectIdentityTrouble("service_account_impersonation_url: must be https://");
  EXPECT_EQ(gcp_.calls("oauth") + gcp_.calls("sts") + gcp_.calls("generateAccessToken"), 0);
  LK_EXPECT_OK(CheckGoogleUrl("https://sts.us-east1.rep.googleapis.com/v1/token"));
}

TEST_F(GcpIdentityTest, ShowsNoCredentialInAnError) {
  Use(ServiceAccount());
  gcp_.Always("oauth", [](const HttpRequest& request, const HttpResponder& respond) {
    respond(OAuthError(400, "invalid_grant", "got " + ParseForm(request.body)->at(1).second));
  });
  ExpectIdentityTrouble("got [secret] (invalid_grant)");
  Use(ExternalAccount(Write("token", "an-opaque-subject")));
  gcp_.Always("sts", [](const HttpRequest& request, const HttpResponder& respond) {
    respond(OAuthError(400, "invalid_grant", "got " + ParseForm(request.body)->at(5).second));
  });
  ExpectIdentityTrouble("got [secret] (invalid_grant)");
}

TEST_F(GcpIdentityTest, IsInIdentityTroubleWhenNobodyListens) {
  options_.metadata_endpoint = "http://127.0.0.1:1";
  ExpectIdentityTrouble("no answer");
  EXPECT_EQ(gcp_.calls("metadata"), 0);
}

}  // namespace
}  // namespace latchkey
