#include "crypto/certificate.h"

#include <openssl/pem.h>

#include "base/testing.h"
#include "crypto/openssl_handles.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

LeafOptions AgentOptions() { return {.common_name = "host-1", .for_client = true, .now = kNow, .valid = absl::Hours(24 * 365)}; }

Certificate Parsed(const std::string& pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return Certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

// Everything that `openssl x509 -text` shows.
std::string Described(const std::string& pem) {
  const Bio out(BIO_new(BIO_s_mem()));
  X509_print(out.get(), Parsed(pem).get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

// What a TLS peer decides about `leaf` when it trusts `ca` only.
std::string Verified(const std::string& ca, const std::string& leaf, int purpose, absl::Time at = kNow) {
  const OpenSslPtr<X509_STORE, X509_STORE_free> store(X509_STORE_new());
  const Certificate trusted = Parsed(ca), subject = Parsed(leaf);
  X509_STORE_add_cert(store.get(), trusted.get());
  const OpenSslPtr<X509_STORE_CTX, X509_STORE_CTX_free> ctx(X509_STORE_CTX_new());
  X509_STORE_CTX_init(ctx.get(), store.get(), subject.get(), nullptr);
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(ctx.get());
  X509_VERIFY_PARAM_set_purpose(param, purpose);
  X509_VERIFY_PARAM_set_time(param, absl::ToTimeT(at));
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
  X509_verify_cert(ctx.get());
  return X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx.get()));
}

class CertificateTest : public testing::Test {
 protected:
  void SetUp() override {
    LK_ASSERT_OK_AND_ASSIGN(ca_, NewCa("Latchkey CA", kNow, absl::Hours(24 * 3650)));
    LK_ASSERT_OK_AND_ASSIGN(pair_, NewKeyPair());
    LK_ASSERT_OK_AND_ASSIGN(request_, NewRequest(pair_.private_key_pem, "whatever the host likes"));
  }
  CertifiedKey ca_;
  KeyPair pair_;
  std::string request_;
};

TEST_F(CertificateTest, IssuesAClientCertificateThatStrictVerificationAccepts) {
  LK_ASSERT_OK_AND_ASSIGN(const std::string leaf, IssueFromRequest(ca_, request_, AgentOptions()));
  EXPECT_EQ(Verified(ca_.certificate_pem, leaf, X509_PURPOSE_SSL_CLIENT), "ok");
  EXPECT_NE(Verified(ca_.certificate_pem, leaf, X509_PURPOSE_SSL_SERVER), "ok");
  const std::string text = Described(leaf);
  EXPECT_THAT(text, testing::ContainsRegex("Subject: CN ?= ?host-1"));
  EXPECT_THAT(text, HasSubstr("CA:FALSE"));
  EXPECT_THAT(text, HasSubstr("TLS Web Client Authentication"));
  EXPECT_THAT(text, Not(HasSubstr("whatever")));
  EXPECT_THAT(text, HasSubstr("Authority Key Identifier"));
}

TEST_F(CertificateTest, IssuesAServerCertificateForItsNamesAndAddresses) {
  const LeafOptions options{.common_name = "server",
                            .dns_names = {"localhost", "db.example.com"},
                            .ip_addresses = {"127.0.0.1", "::1"},
                            .for_server = true,
                            .now = kNow,
                            .valid = absl::Hours(1)};
  LK_ASSERT_OK_AND_ASSIGN(const CertifiedKey server, IssueNew(ca_, options));
  EXPECT_EQ(Verified(ca_.certificate_pem, server.certificate_pem, X509_PURPOSE_SSL_SERVER), "ok");
  const Certificate parsed = Parsed(server.certificate_pem);
  EXPECT_EQ(X509_check_host(parsed.get(), "db.example.com", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_host(parsed.get(), "evil.example.com", 0, 0, nullptr), 0);
  EXPECT_EQ(X509_check_ip_asc(parsed.get(), "127.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(parsed.get(), "::1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(parsed.get(), "127.0.0.2", 0), 0);
}

TEST_F(CertificateTest, IsValidFromFiveMinutesBeforeUntilItsEnd) {
  LK_ASSERT_OK_AND_ASSIGN(const std::string leaf, IssueFromRequest(ca_, request_, AgentOptions()));
  LK_ASSERT_OK_AND_ASSIGN(const CertificateFacts facts, ReadCertificate(leaf));
  EXPECT_EQ(facts.common_name, "host-1");
  EXPECT_EQ(facts.not_before, kNow - absl::Minutes(5));
  EXPECT_EQ(facts.not_after, kNow + absl::Hours(24 * 365));
  EXPECT_EQ(Verified(ca_.certificate_pem, leaf, X509_PURPOSE_SSL_CLIENT, kNow + absl::Hours(24 * 366)), "certificate has expired");
}

TEST_F(CertificateTest, GivesEveryCertificateASerialOfItsOwn) {
  std::set<std::string> serials;
  for (int i = 0; i < 20; ++i) {
    LK_ASSERT_OK_AND_ASSIGN(const std::string leaf, IssueFromRequest(ca_, request_, AgentOptions()));
    LK_ASSERT_OK_AND_ASSIGN(const CertificateFacts facts, ReadCertificate(leaf));
    EXPECT_EQ(facts.serial_hex.size(), 32u);
    EXPECT_EQ(facts.sha256_hex.size(), 64u);
    serials.insert(facts.serial_hex);
  }
  EXPECT_EQ(serials.size(), 20u);
}

TEST_F(CertificateTest, IsNotAcceptedUnderAnotherAuthority) {
  LK_ASSERT_OK_AND_ASSIGN(const CertifiedKey other, NewCa("Latchkey CA", kNow, absl::Hours(1)));
  LK_ASSERT_OK_AND_ASSIGN(const std::string leaf, IssueFromRequest(other, request_, AgentOptions()));
  EXPECT_NE(Verified(ca_.certificate_pem, leaf, X509_PURPOSE_SSL_CLIENT), "ok");
}

TEST_F(CertificateTest, LetsNoLeafSignAnother) {
  LK_ASSERT_OK_AND_ASSIGN(const CertifiedKey leaf, IssueNew(ca_, AgentOptions()));
  EXPECT_THAT(IssueFromRequest(leaf, request_, AgentOptions()), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("authority")));
}

TEST_F(CertificateTest, RefusesAnAuthorityWithTheKeyOfAnother) {
  LK_ASSERT_OK_AND_ASSIGN(const CertifiedKey other, NewCa("Latchkey CA", kNow, absl::Hours(1)));
  const CertifiedKey mixed{other.private_key_pem, ca_.certificate_pem};
  EXPECT_THAT(IssueFromRequest(mixed, request_, AgentOptions()), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("belong")));
}

TEST_F(CertificateTest, RefusesARequestThatWasChangedAfterItWasSigned) {
  const Bio in(BIO_new_mem_buf(request_.data(), static_cast<int>(request_.size())));
  const CertificateRequest request(PEM_read_bio_X509_REQ(in.get(), nullptr, nullptr, nullptr));
  uint8_t* der = nullptr;
  const int der_size = i2d_X509_REQ(request.get(), &der);
  std::string changed(reinterpret_cast<char*>(der), static_cast<size_t>(der_size));
  OPENSSL_free(der);
  changed.replace(changed.find("whatever"), 8, "somebody");
  const auto* at = reinterpret_cast<const uint8_t*>(changed.data());
  const CertificateRequest forged(d2i_X509_REQ(nullptr, &at, der_size));
  const Bio out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(out.get(), forged.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  EXPECT_THAT(IssueFromRequest(ca_, {data, static_cast<size_t>(size)}, AgentOptions()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("signature")));
}

TEST_F(CertificateTest, RefusesARequestWithAnotherKindOfKey) {
  for (const char* curve : {"P-384", "secp256k1"}) {
    const Pkey key(EVP_EC_gen(curve));
    const Bio pem(BIO_new(BIO_s_mem()));
    PEM_write_bio_PKCS8PrivateKey(pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    char* data = nullptr;
    const long size = BIO_get_mem_data(pem.get(), &data);
    LK_ASSERT_OK_AND_ASSIGN(const std::string request, NewRequest({data, static_cast<size_t>(size)}, "host"));
    EXPECT_THAT(IssueFromRequest(ca_, request, AgentOptions()), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("P-256")));
  }
}

TEST_F(CertificateTest, RefusesMalformedInput) {
  const auto invalid = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(IssueFromRequest(ca_, "", AgentOptions()), invalid);
  EXPECT_THAT(IssueFromRequest(ca_, ca_.certificate_pem, AgentOptions()), invalid);
  EXPECT_THAT(ReadCertificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), invalid);
  EXPECT_THAT(NewRequest("no key", "host"), invalid);
  LeafOptions options = AgentOptions();
  options.common_name = std::string(65, 'x');
  EXPECT_THAT(IssueFromRequest(ca_, request_, options), invalid);
  options.common_name = "a\nb";
  EXPECT_THAT(IssueFromRequest(ca_, request_, options), invalid);
  options = AgentOptions();
  options.ip_addresses = {"300.1.1.1"};
  EXPECT_THAT(IssueFromRequest(ca_, request_, options), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("300.1.1.1")));
  options = AgentOptions();
  options.dns_names = {"a, DNS:b"};
  EXPECT_THAT(IssueFromRequest(ca_, request_, options), invalid);
}

TEST(SelfSignedTest, MakesAServerCertificateThatIsItsOwnAuthorityAndNobodyElses) {
  const LeafOptions options{
      .common_name = "postgresql", .dns_names = {"localhost"}, .for_server = true, .now = kNow, .valid = absl::Hours(1)};
  LK_ASSERT_OK_AND_ASSIGN(const CertifiedKey own, SelfSigned(options));
  EXPECT_EQ(Verified(own.certificate_pem, own.certificate_pem, X509_PURPOSE_SSL_SERVER), "ok");
  EXPECT_THAT(own.private_key_pem, HasSubstr("BEGIN PRIVATE KEY"));
}

}  // namespace
}  // namespace latchkey
