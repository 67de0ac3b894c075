#include "crypto/rsa.h"
#include "emulator/azure/azure_testing.h"
#include "emulator/azure/certificate.h"

namespace latchkey::emulator::azure {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class EntraTest : public AzureTest {
 protected:
  static constexpr const char* kTokenAddress = "https://localhost:8443/22222222-2222-4222-8222-222222222222/oauth2/v2.0/token";

  std::string CertificatePem() const { return std::string(seed_->at("credentials").at("certificate_pem").as_string()); }

  // An assertion as libraries make them, with `over` put over its claims.
  std::string Assertion(const std::string& pem, RsaSignature scheme = RsaSignature::kPssSha256, const json::object& over = {}) {
    const absl::StatusOr<RsaPrivateKey> key = RsaPrivateKey::FromPem(pem);
    const absl::StatusOr<ClientCertificate> certificate = ReadClientCertificate(pem);
    EXPECT_THAT(key, IsOk());
    EXPECT_THAT(certificate, IsOk());
    json::object header, claims{{"aud", kTokenAddress},
                                {"iss", kApplication},
                                {"sub", kApplication},
                                {"jti", "1"},
                                {"nbf", absl::ToUnixSeconds(wall_)},
                                {"exp", absl::ToUnixSeconds(wall_ + absl::Minutes(10))}};
    if (scheme == RsaSignature::kPssSha256) {
      header["x5t#S256"] = certificate->thumbprint_sha256;
    } else {
      header["x5t"] = certificate->thumbprint_sha1;
    }
    for (const auto& item : over) claims[item.key()] = item.value();
    const absl::StatusOr<SecretBytes> token = SignJwt(header, claims, *key, scheme);
    EXPECT_THAT(token, IsOk());
    return std::string(token->RevealText(SecretAccess{}));
  }
  // A token of another issuer without a signature.
  std::string ForeignToken(const std::string& issuer, const std::string& subject, const std::string& audience) {
    const json::object claims{
        {"iss", issuer}, {"sub", subject}, {"aud", audience}, {"exp", absl::ToUnixSeconds(wall_ + absl::Minutes(10))}};
    return Base64UrlEncode(AsBytes(R"({"alg":"none"})")) + "." + Base64UrlEncode(AsBytes(json::serialize(claims))) + ".";
  }
};

TEST_F(EntraTest, TheSecretOfAnApplicationBuysATokenInEveryTenantThatConsented) {
  for (const char* tenant : {kOperator, kOwner, "owner.onmicrosoft.com"}) {
    const Reply reply = WithSecret(tenant, secret_);
    ASSERT_EQ(reply.status, 200) << json::serialize(reply.body);
    EXPECT_EQ(reply.Text("token_type"), "Bearer");
    EXPECT_EQ(reply.body.at("expires_in").as_int64(), 3599);
    EXPECT_EQ(reply.record.principal, std::string(kApplication) + "@" + (std::string(tenant) == kOperator ? kOperator : kOwner));
    const absl::StatusOr<DecodedJwt> token = DecodeJwt(reply.Text("access_token"));
    ASSERT_THAT(token, IsOk());
    EXPECT_EQ(Reply::At(token->claims, "aud"), "https://vault.azure.net");
    EXPECT_EQ(Reply::At(token->claims, "appid"), kApplication);
    EXPECT_EQ(Reply::At(token->claims, "tid"), std::string(tenant) == kOperator ? kOperator : kOwner);
  }
}

TEST_F(EntraTest, AWrongSecretAndAnExpiredOneHaveCodesOfTheirOwn) {
  const Reply wrong = WithSecret(kOwner, "wrong");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.error(), "7000215");
  EXPECT_EQ(wrong.Text("error"), "invalid_client");
  EXPECT_THAT(wrong.Text("error_description"), StartsWith("AADSTS7000215: Invalid client secret provided."));
  EXPECT_EQ(WithSecret(kOwner, std::string(500'000, 'x')).error(), "7000215");
  const std::string brief(
      Admin("applications/secret", {{"application", kApplication}, {"expires_in_seconds", 60}}).at("client_secret").as_string());
  EXPECT_EQ(WithSecret(kOwner, brief).status, 200);
  now_ += absl::Minutes(1);
  const Reply expired = WithSecret(kOwner, brief);
  EXPECT_EQ(expired.status, 401);
  EXPECT_EQ(expired.error(), "7000222");
  EXPECT_EQ(WithSecret(kOwner, secret_).status, 200);
}

TEST_F(EntraTest, AnApplicationIsUnknownWhereNobodyConsentedAndAgainWhenConsentIsWithdrawn) {
  const std::string stranger(Admin("tenants", {{"domain", "stranger.example"}}).at("tenant").as_string());
  const Reply reply = WithSecret(stranger, secret_);
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.error(), "700016");
  EXPECT_EQ(reply.Text("error"), "unauthorized_client");
  EXPECT_EQ(reply.record.result, "AADSTS700016");
  const json::object consent{{"tenant", kOwner}, {"application", kApplication}};
  token_ = Token();
  Admin("consents/withdraw", consent);
  EXPECT_EQ(WithSecret(kOwner, secret_).error(), "700016");
  // A token that was given out is good until it expires.
  EXPECT_EQ(Wrap("x").status, 200);
  Admin("consents", consent);
  // With the roles that it had.
  token_ = Token();
  EXPECT_EQ(Wrap("x").status, 200);
}

TEST_F(EntraTest, AnApplicationOfOneTenantCannotBeConsentedToElsewhere) {
  const json::object made = Admin("applications", {{"tenant", kOperator}, {"name", "internal"}});
  const absl::StatusOr<json::object> refused =
      cloud_->Admin("consents", {{"tenant", kOwner}, {"application", made.at("client_id")}}, now_, Random::System());
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("multi-tenant")));
}

TEST_F(EntraTest, WhatIsMalformedIsToldByItsCode) {
  EXPECT_EQ(WithSecret("99999999-9999-4999-8999-999999999999", secret_).error(), "90002");
  EXPECT_EQ(WithSecret("nobody.example", secret_).error(), "90002");
  EXPECT_EQ(WithSecret("nonsense", secret_).error(), "900023");
  EXPECT_EQ(TokenRequest(kOwner, "").error(), "7000218");
  EXPECT_EQ(TokenRequest(kOwner, "client_secret=" + secret_, "https://vault.azure.net").error(), "1002012");
  EXPECT_EQ(TokenRequest(kOwner, "client_secret=" + secret_, "https://example.net/.default").error(), "500011");
  EXPECT_EQ(TokenRequest(kOwner, "scope=x&client_secret=" + secret_).error(), "9000411");
  EXPECT_EQ(TokenRequest(kOwner, "client_secret=x", "https://vault.azure.net/.default", "not-an-application").error(), "700016");
  const std::string path = std::string("/") + kOwner + "/oauth2/v2.0/token";
  const HttpHeaders form{{"content-type", "application/x-www-form-urlencoded"}};
  EXPECT_EQ(Send("POST", path, form, "").error(), "900144");
  EXPECT_EQ(Send("POST", path, form, "a=%zz").error(), "900144");
  EXPECT_EQ(Send("POST", path, {}, "grant_type=client_credentials&client_id=x&scope=y").error(), "900144");
  EXPECT_EQ(Send("POST", path, form, "grant_type=password&client_id=x&scope=y").error(), "70003");
}

TEST_F(EntraTest, ACertificateProvesTheApplicationWithEitherSignature) {
  for (const RsaSignature scheme : {RsaSignature::kPssSha256, RsaSignature::kPkcs1Sha256}) {
    const Reply reply = WithAssertion(kOwner, Assertion(CertificatePem(), scheme));
    EXPECT_EQ(reply.status, 200) << json::serialize(reply.body);
  }
  // As a client addresses it that was not told of our own address.
  const std::string official = std::string("https://login.microsoftonline.com/") + kOwner + "/oauth2/v2.0/token";
  EXPECT_EQ(WithAssertion(kOwner, Assertion(CertificatePem(), RsaSignature::kPssSha256, {{"aud", official}})).status, 200);
}

TEST_F(EntraTest, AnAssertionThatIsNotQuiteRightIsRefused) {
  const auto with = [&](const json::object& over) {
    return WithAssertion(kOwner, Assertion(CertificatePem(), RsaSignature::kPssSha256, over)).error();
  };
  EXPECT_EQ(with({{"sub", "somebody else"}}), "700027");
  EXPECT_EQ(with({{"aud", "https://localhost:8443/11111111-1111-4111-8111-111111111111/oauth2/v2.0/token"}}), "700023");
  EXPECT_EQ(with({{"exp", absl::ToUnixSeconds(wall_ - absl::Minutes(10))}}), "700024");
  EXPECT_EQ(with({{"exp", nullptr}}), "700024");
  EXPECT_EQ(with({{"nbf", absl::ToUnixSeconds(wall_ + absl::Minutes(10))}}), "700024");
  // With another issuer it is a token of somebody else, whom nobody trusts.
  EXPECT_EQ(with({{"iss", "https://somebody.example"}}), "700211");
  // A good assertion with another's signature on it.
  std::string mixed = Assertion(CertificatePem());
  const std::string other = Assertion(CertificatePem(), RsaSignature::kPssSha256, {{"jti", "2"}});
  mixed = mixed.substr(0, mixed.rfind('.')) + other.substr(other.rfind('.'));
  EXPECT_EQ(WithAssertion(kOwner, mixed).error(), "700027");
  EXPECT_EQ(WithAssertion(kOwner, "nonsense").error(), "50027");
  EXPECT_EQ(TokenRequest(kOwner, "client_assertion=a.b.c").error(), "900144");
}

TEST_F(EntraTest, ACertificateThatIsNotRegisteredOrNoLongerValidProvesNothing) {
  LK_ASSERT_OK_AND_ASSIGN(const ClientCertificate unknown, NewClientCertificate("stranger", wall_, absl::Hours(1)));
  const std::string pem = std::string(unknown.private_key_pem.RevealText(SecretAccess{})) + unknown.pem;
  const Reply reply = WithAssertion(kOwner, Assertion(pem));
  EXPECT_EQ(reply.error(), "700027");
  EXPECT_EQ(reply.status, 401);
  EXPECT_THAT(reply.Text("error_description"), HasSubstr("The key was not found"));
  Admin("applications/certificate", {{"application", kApplication}, {"certificate_pem", unknown.pem}});
  EXPECT_EQ(WithAssertion(kOwner, Assertion(pem)).status, 200);
  wall_ += absl::Hours(2);
  EXPECT_THAT(WithAssertion(kOwner, Assertion(pem)).Text("error_description"), HasSubstr("expired"));
}

TEST_F(EntraTest, AFederatedCredentialTrustsATokenByIssuerSubjectAndAudience) {
  Admin("applications/federated",
        {{"application", kApplication}, {"issuer", "https://cluster.example"}, {"subject", "system:serviceaccount:latchkey:agent"}});
  const std::string audience = "api://AzureADTokenExchange";
  const auto with = [&](const std::string& issuer, const std::string& subject, const std::string& aud) {
    return WithAssertion(kOwner, ForeignToken(issuer, subject, aud));
  };
  EXPECT_EQ(with("https://cluster.example", "system:serviceaccount:latchkey:agent", audience).status, 200);
  EXPECT_EQ(with("https://other.example", "system:serviceaccount:latchkey:agent", audience).error(), "700211");
  EXPECT_EQ(with("https://cluster.example", "system:serviceaccount:other:agent", audience).error(), "700213");
  EXPECT_EQ(with("https://cluster.example", "system:serviceaccount:latchkey:agent", "other").error(), "700212");
  wall_ += absl::Hours(1);
  const std::string old = ForeignToken("https://cluster.example", "system:serviceaccount:latchkey:agent", audience);
  wall_ += absl::Hours(1);
  EXPECT_EQ(WithAssertion(kOwner, old).error(), "700024");
}

TEST_F(EntraTest, AFederatedCredentialWithAKeyTakesSignedTokensOnly) {
  const std::string pem = CertificatePem();
  Admin("applications/federated", {{"application", kApplication},
                                   {"issuer", "https://cluster.example"},
                                   {"subject", "agent"},
                                   {"key_pem", pem.substr(pem.find("-----BEGIN CERTIFICATE"))}});
  const json::object over{{"iss", "https://cluster.example"}, {"sub", "agent"}, {"aud", "api://AzureADTokenExchange"}};
  EXPECT_EQ(WithAssertion(kOwner, Assertion(pem, RsaSignature::kPkcs1Sha256, over)).status, 200);
  EXPECT_EQ(WithAssertion(kOwner, ForeignToken("https://cluster.example", "agent", "api://AzureADTokenExchange")).error(), "700027");
}

TEST_F(EntraTest, ARegisteredTokenIsKnownByItsText) {
  Admin("applications/federated",
        {{"application", kApplication}, {"issuer", "https://i.example"}, {"subject", "s"}, {"token", "an opaque token"}});
  EXPECT_EQ(WithAssertion(kOwner, "an opaque token").status, 200);
  EXPECT_EQ(WithAssertion(kOwner, "another opaque token").error(), "50027");
  // It trusts that text, not whoever claims to be that subject.
  EXPECT_EQ(WithAssertion(kOwner, ForeignToken("https://i.example", "s", "api://AzureADTokenExchange")).error(), "700211");
}

TEST_F(EntraTest, LibrariesFindTheTokenEndpointThroughDiscovery) {
  const Reply configuration = Send("GET", std::string("/") + kOwner + "/v2.0/.well-known/openid-configuration", {});
  EXPECT_EQ(configuration.status, 200);
  EXPECT_EQ(configuration.Text("token_endpoint"), kTokenAddress);
  EXPECT_EQ(configuration.Text("issuer"), std::string(kHere) + "/" + kOwner + "/v2.0");
  EXPECT_EQ(Send("GET", configuration.Text("jwks_uri").substr(std::string(kHere).size()), {}).status, 200);
  EXPECT_EQ(Send("GET", "/nobody.example/v2.0/.well-known/openid-configuration", {}).error(), "90002");
  const std::string authorize = PercentEncode(std::string(kHere) + "/" + kOwner + "/oauth2/v2.0/authorize");
  const Reply discovery = Send("GET", "/common/discovery/instance?api-version=1.1&authorization_endpoint=" + authorize, {});
  EXPECT_EQ(discovery.Text("tenant_discovery_endpoint"), std::string(kHere) + "/" + kOwner + "/v2.0/.well-known/openid-configuration");
  for (const char* bad : {"", "x", "%2Foauth2%2Fv2.0%2Fauthorize", "https%3A%2F%2Fx%2Fnobody%2Foauth2%2Fv2.0%2Fauthorize"}) {
    EXPECT_EQ(Send("GET", std::string("/common/discovery/instance?authorization_endpoint=") + bad, {}).error(), "50049") << bad;
  }
}

TEST_F(EntraTest, AManagedIdentityGetsItsTokenFromTheMachineAndFromAppService) {
  const std::string machine = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net";
  EXPECT_EQ(Send("GET", machine, {{"metadata", "true"}}).status, 400);  // there is none yet
  const json::object made = Admin("managed-identity", {{"tenant", kOwner}, {"name", "node"}, {"system_assigned", true}});
  const std::string id(made.at("client_id").as_string());
  EXPECT_EQ(Send("GET", machine, {}).status, 400);
  EXPECT_EQ(Send("GET", machine, {{"metadata", "true"}, {"x-forwarded-for", "10.0.0.1"}}).status, 400);
  EXPECT_EQ(Send("GET", machine + "&client_id=" + kApplication, {{"metadata", "true"}}).Text("error_description"), "Identity not found");
  const Reply reply = Send("GET", machine, {{"metadata", "true"}});
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.Text("client_id"), id);
  EXPECT_EQ(reply.Text("expires_on"), std::to_string(absl::ToUnixSeconds(wall_) + 86'399));
  const size_t query = machine.find('?');
  EXPECT_EQ(Send("GET", machine.substr(0, query) + "/" + machine.substr(query), {{"metadata", "true"}}).status, 200);
  token_ = reply.Text("access_token");
  EXPECT_EQ(Wrap("x").error(), "Forbidden/ForbiddenByRbac");
  Admin("roles", {{"vault", "owner-vault"}, {"role", "Key Vault Crypto User"}, {"principal", id}});
  EXPECT_EQ(Wrap("x").status, 200);

  const std::string service = "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net&client_id=" + id;
  EXPECT_EQ(Send("GET", service, {}).status, 401);
  const std::string header(made.at("identity_header").as_string());
  EXPECT_EQ(Send("GET", service, {{"x-identity-header", header}}).Text("token_type"), "Bearer");
}

TEST_F(EntraTest, NoAnswerAndNoStateTellsASecret) {
  const json::object made = Admin("applications", {{"tenant", kOperator}, {"name", "other"}, {"certificate", true}});
  const std::string shown = json::serialize(cloud_->State());
  EXPECT_THAT(shown, Not(HasSubstr(secret_)));
  EXPECT_THAT(shown, Not(HasSubstr(std::string(made.at("client_secret").as_string()))));
  EXPECT_THAT(shown, Not(HasSubstr("PRIVATE KEY")));
  EXPECT_THAT(json::serialize(WithSecret(kOwner, "hunter2").body), Not(HasSubstr("hunter2")));
}

}  // namespace
}  // namespace latchkey::emulator::azure
