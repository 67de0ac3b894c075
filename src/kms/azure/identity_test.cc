#include "kms/azure/identity.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <map>

#include "base/file.h"
#include "base/testing.h"
#include "crypto/certificate.h"
#include "crypto/jwt.h"
#include "kms/azure/fake_azure.h"

namespace latchkey {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Key;
using testing::Not;
using testing::Pair;

// A self-signed certificate of an RSA key, in PEM.
std::string CertificateOf(const RsaPrivateKey& key) {
  const std::string pem = key.ToPem();
  BIO* in = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  EVP_PKEY* pkey = PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr);
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, pkey);
  X509_sign(certificate, pkey, EVP_sha256());
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(out, certificate);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out, &text);
  std::string result(text, static_cast<size_t>(size));
  BIO_free_all(out);
  X509_free(certificate);
  EVP_PKEY_free(pkey);
  BIO_free_all(in);
  return result;
}

class AzureIdentityTest : public testing::Test {
 protected:
  AzureIdentityTest() {
    options_ = {.authority = azure_.endpoint() + "/",
                .tenant_id = kOurTenant,
                .client_id = "client-1",
                .call = {.first_backoff = absl::Milliseconds(1),
                         .environment = [this](const char* name) { return environment_[name]; },
                         .clock = &clock_}};
  }

  // With a new identity: nothing is kept from one call to the next.
  absl::StatusOr<std::string> Token(const std::string& claims = "") {
    KmsTransport transport(options_.call);
    AzureIdentity identity(options_, transport);
    const auto token = identity.Token({.tenant = kOwnersTenant,
                                       .authority = "https://login.microsoftonline.com",
                                       .resource = "https://vault.azure.net",
                                       .claims = claims,
                                       .owners_tenant = true},
                                      CallBudget(absl::Seconds(10)));
    if (!token.ok()) return token.status();
    return std::string((*token)->token.RevealText(SecretAccess{}));
  }
  std::optional<FailureClass> ClassOfToken() { return FailureClassOf(Token().status()); }
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = folder_ / name;
    LK_EXPECT_OK(WriteFileAtomically(path, text));
    return path;
  }

  TempFolder folder_;
  FakeClock clock_;
  FakeAzure azure_;
  std::map<std::string, std::string> environment_;
  AzureKmsOptions options_;
};

TEST_F(AzureIdentityTest, SendsTheClientSecretOfAFileWithoutItsLineEnd) {
  options_.client_secret_file = Write("secret", "a secret+&=\r\n");
  EXPECT_THAT(Token(), IsOk());
  EXPECT_THAT(azure_.last_form(), Contains(Pair("client_secret", "a secret+&=")));
  EXPECT_EQ(azure_.last("token").Header("content-type"), "application/x-www-form-urlencoded");
}

TEST_F(AzureIdentityTest, ProvesItselfWithACertificate) {
  const RsaPrivateKey key = RsaPrivateKey::Generate(2048).value();
  const std::string certificate = CertificateOf(key);
  options_.client_certificate_file = Write("client.pem", key.ToPem() + certificate);
  LK_ASSERT_OK(Token());
  const auto form = azure_.last_form();
  EXPECT_THAT(form, AllOf(Contains(Pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")),
                          Contains(Pair("grant_type", "client_credentials")), Not(Contains(Key("client_secret")))));
  LK_ASSERT_OK_AND_ASSIGN(const DecodedJwt assertion, DecodeJwt(form.at("client_assertion")));
  LK_ASSERT_OK_AND_ASSIGN(const RsaPublicKey certified, RsaPublicKey::FromPem(certificate));
  EXPECT_TRUE(VerifyJwt(assertion, certified));
  EXPECT_EQ(assertion.header.at("alg").as_string(), "PS256");
  LK_ASSERT_OK_AND_ASSIGN(const CertificateFacts facts, ReadCertificate(certificate));
  EXPECT_EQ(std::string(assertion.header.at("x5t#S256").as_string()), Base64UrlEncode(HexDecode(facts.sha256_hex).value()));
  const json::object& claims = assertion.claims;
  EXPECT_EQ(std::string(claims.at("aud").as_string()), azure_.endpoint() + "/" + kOwnersTenant + "/oauth2/v2.0/token");
  EXPECT_EQ(claims.at("iss").as_string(), "client-1");
  EXPECT_EQ(claims.at("sub").as_string(), "client-1");
  EXPECT_EQ(claims.at("nbf").as_int64(), absl::ToUnixSeconds(clock_.Now()));
  EXPECT_EQ(claims.at("exp").as_int64(), absl::ToUnixSeconds(clock_.Now()) + 600);
  const std::string first = claims.at("jti").as_string().c_str();
  LK_ASSERT_OK(Token());
  EXPECT_NE(DecodeJwt(azure_.last_form().at("client_assertion")).value().claims.at("jti").as_string(), first);
}

TEST_F(AzureIdentityTest, ACertificateFileThatCannotServeIsOurOwnTrouble) {
  const RsaPrivateKey key = RsaPrivateKey::Generate(2048).value(), other = RsaPrivateKey::Generate(2048).value();
  for (const std::string& text :
       {std::string(), key.ToPem(), CertificateOf(key), other.ToPem() + CertificateOf(key),
        NewKeyPair().value().private_key_pem + CertificateOf(key), std::string("-----BEGIN PRIVATE KEY-----\nAAAA")}) {
    options_.client_certificate_file = Write("client.pem", text);
    EXPECT_EQ(ClassOfToken(), FailureClass::kIdentity);
    EXPECT_THAT(Token().status().ToString(), Not(HasSubstr("BEGIN")));
  }
  EXPECT_EQ(azure_.calls("token"), 0);
}

TEST_F(AzureIdentityTest, HandsOnAFederatedTokenAndReadsItsFileEveryTime) {
  environment_["AZURE_FEDERATED_TOKEN_FILE"] = Write("token", "eyJ.one.x\n");
  LK_ASSERT_OK(Token());
  EXPECT_THAT(azure_.last_form(), AllOf(Contains(Pair("client_assertion", "eyJ.one.x")), Not(Contains(Key("client_secret")))));
  Write("token", "eyJ.two.x\n");
  LK_ASSERT_OK(Token());
  EXPECT_THAT(azure_.last_form(), Contains(Pair("client_assertion", "eyJ.two.x")));
  Write("token", "\n");
  EXPECT_EQ(ClassOfToken(), FailureClass::kIdentity);
}

TEST_F(AzureIdentityTest, TakesCertificateThenFederatedTokenThenSecret) {
  const RsaPrivateKey key = RsaPrivateKey::Generate(2048).value();
  environment_["AZURE_CLIENT_SECRET"] = "from the environment";
  LK_ASSERT_OK(Token());
  EXPECT_THAT(azure_.last_form(), Contains(Pair("client_secret", "from the environment")));
  environment_["AZURE_FEDERATED_TOKEN_FILE"] = Write("token", "eyJ.one.x");
  LK_ASSERT_OK(Token());
  EXPECT_THAT(azure_.last_form(), Contains(Pair("client_assertion", "eyJ.one.x")));
  environment_["AZURE_CLIENT_CERTIFICATE_PATH"] = Write("client.pem", key.ToPem() + CertificateOf(key));
  LK_ASSERT_OK(Token());
  EXPECT_NE(azure_.last_form().at("client_assertion"), "eyJ.one.x");
  // A file of the configuration goes before all of the environment.
  options_.client_secret_file = Write("secret", "from the file");
  LK_ASSERT_OK(Token());
  EXPECT_THAT(azure_.last_form(), Contains(Pair("client_secret", "from the file")));
}

TEST_F(AzureIdentityTest, WithoutAClientIdThereIsNoApplication) {
  options_.client_id.clear();
  environment_["AZURE_CLIENT_SECRET"] = "secret";
  EXPECT_EQ(ClassOfToken(), FailureClass::kIdentity);
  environment_["AZURE_CLIENT_ID"] = "client-2";
  LK_ASSERT_OK(Token());
  EXPECT_THAT(azure_.last_form(), Contains(Pair("client_id", "client-2")));
}

TEST_F(AzureIdentityTest, FindsTheAuthorityInTheEnvironment) {
  options_.authority.clear();
  environment_["AZURE_CLIENT_SECRET"] = "secret";
  environment_["AZURE_AUTHORITY_HOST"] = azure_.endpoint();
  EXPECT_THAT(Token(), IsOk());
}

TEST_F(AzureIdentityTest, AsksTheMachinesMetadataServerWhereThereIsNoApplication) {
  options_.client_id.clear();
  options_.metadata_endpoint = azure_.endpoint();
  EXPECT_THAT(Token(), IsOk());
  const HttpRequest request = azure_.last("imds");
  EXPECT_EQ(request.path, "/metadata/identity/oauth2/token");
  EXPECT_EQ(request.Header("metadata"), "true");
  EXPECT_EQ(request.Query("resource"), "https://vault.azure.net");
  EXPECT_EQ(request.Query("api-version"), "2018-02-01");
  EXPECT_EQ(request.Query("client_id", "none"), "none");
  options_.client_id = "client-1";
  EXPECT_THAT(Token(), IsOk());
  EXPECT_EQ(azure_.last("imds").Query("client_id"), "client-1");
  EXPECT_EQ(azure_.calls("token"), 0);
}

TEST_F(AzureIdentityTest, AsksTheIdentityEndpointOfAHostingPlatform) {
  environment_["IDENTITY_ENDPOINT"] = azure_.endpoint() + "/msi/token";
  environment_["IDENTITY_HEADER"] = "platform-secret";
  EXPECT_THAT(Token(), IsOk());
  const HttpRequest request = azure_.last("identity-endpoint");
  EXPECT_EQ(request.Header("x-identity-header"), "platform-secret");
  EXPECT_EQ(request.Query("api-version"), "2019-08-01");
  EXPECT_EQ(request.Query("resource"), "https://vault.azure.net");
  azure_.AlwaysAnswer("identity-endpoint",
                      HttpResponse::Json(400, R"({"error":"invalid_request","error_description":"bad platform-secret"})"));
  EXPECT_THAT(Token().status().ToString(), AllOf(HasSubstr("bad [secret]"), Not(HasSubstr("platform-secret"))));
  environment_["IDENTITY_ENDPOINT"] = "file:///etc/passwd";
  EXPECT_EQ(ClassOfToken(), FailureClass::kIdentity);
}

TEST_F(AzureIdentityTest, AMachineWithoutIdentityIsOurOwnTrouble) {
  options_.metadata_endpoint = azure_.endpoint();
  for (HttpResponse response : {HttpResponse::Json(400, R"({"error":"invalid_request","error_description":"Identity not found"})"),
                                HttpResponse::Text(404, "no"), HttpResponse::Text(500, "no"), HttpResponse{.status = 0}}) {
    azure_.AlwaysAnswer("imds", std::move(response));
    EXPECT_EQ(ClassOfToken(), FailureClass::kIdentity);
  }
  azure_.Always("imds", nullptr);
  EXPECT_EQ(FailureClassOf(Token(R"({"access_token":{}})").status()), FailureClass::kIdentity);
  azure_.Next("imds", HttpResponse::Text(410, "being updated"));
  EXPECT_THAT(Token(), IsOk());
}

TEST_F(AzureIdentityTest, HalfAnAnswerHoldsNoToken) {
  environment_["AZURE_CLIENT_SECRET"] = "secret";
  for (const char* body : {"", "{}", "[]", R"({"access_token":"eyJ"})", R"({"expires_in":3599})", R"({"access_token":7,"expires_in":3599})",
                           R"({"access_token":"","expires_in":3599})", R"({"access_token":"a\r\nb: c","expires_in":3599})",
                           R"({"access_token":"a b","expires_in":3599})", R"({"access_token":"eyJ","expires_in":-1})",
                           R"({"access_token":"eyJ","expires_in":99999999999})", R"({"access_token":"eyJ","expires_in":"soon"})"}) {
    azure_.AlwaysAnswer("token", HttpResponse::Json(200, body));
    EXPECT_EQ(ClassOfToken(), FailureClass::kUnreachable) << body;
    EXPECT_THAT(Token().status().ToString(), Not(HasSubstr("eyJ"))) << body;
  }
}

TEST_F(AzureIdentityTest, KnowsItsOwnTenant) {
  KmsTransport transport(options_.call);
  environment_["AZURE_CLIENT_SECRET"] = "secret";
  options_.tenant_id.clear();
  environment_["AZURE_TENANT_ID"] = "0A1B2C3D-0000-4000-8000-00000000000B";
  AzureIdentity identity(options_, transport);
  LK_ASSERT_OK_AND_ASSIGN(std::string own, identity.OwnTenant());
  EXPECT_EQ(own, kOurTenant);
  environment_["AZURE_TENANT_ID"] = "contoso.onmicrosoft.com";
  EXPECT_EQ(FailureClassOf(identity.OwnTenant().status()), FailureClass::kIdentity);
  environment_.erase("AZURE_CLIENT_SECRET");
  EXPECT_TRUE(identity.IsManaged());
  LK_ASSERT_OK_AND_ASSIGN(own, identity.OwnTenant());
  EXPECT_EQ(own, "");
}

}  // namespace
}  // namespace latchkey
