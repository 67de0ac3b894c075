#include "crypto/rsa.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <fstream>

#include "base/encoding.h"
#include "base/testing.h"
#include "crypto/certificate.h"
#include "crypto/openssl_handles.h"
#include "crypto/vectors_testing.h"

namespace latchkey {
namespace {

constexpr char kVectors[] = "/usr/lib/python3/dist-packages/cryptography_vectors/asymmetric/";
constexpr size_t kLeastModulus = 256;

std::vector<uint8_t> Hex(std::string text) {
  if (text.size() % 2 != 0) text.insert(text.begin(), '0');
  const auto bytes = HexDecode(text);
  EXPECT_THAT(bytes, IsOk());
  return bytes.ok() ? *bytes : std::vector<uint8_t>();
}

// Lines of a vector file, without "\r".
std::vector<std::string> Lines(const std::string& file) {
  std::ifstream in(kVectors + file);
  EXPECT_TRUE(in.is_open()) << file << " is missing: install python3-cryptography-vectors";
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    out.push_back(line);
  }
  return out;
}

std::string ReadText(const std::string& file) {
  std::string out;
  for (const std::string& line : Lines(file)) out += line + "\n";
  return out;
}

// "NAME = value" lines of NIST's files, each vector with what stood before it; a vector ends with the line `last`.
std::vector<std::map<std::string, std::string>> NistVectors(const std::string& file, const std::string& last) {
  std::vector<std::map<std::string, std::string>> out;
  std::map<std::string, std::string> current;
  for (const std::string& line : Lines(file)) {
    const size_t equals = line.find(" = ");
    if (equals == std::string::npos || line.front() == '[' || line.front() == '#') continue;
    const std::string name = line.substr(0, equals);
    current[name] = line.substr(equals + 3);
    if (name == last) out.push_back(current);
  }
  return out;
}

// A private key from n, e, d, p, q, dp, dq, qinv.
absl::StatusOr<RsaPrivateKey> KeyOfNumbers(const std::vector<std::string>& numbers) {
  static constexpr const char* kNames[] = {OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,           OSSL_PKEY_PARAM_RSA_D,
                                           OSSL_PKEY_PARAM_RSA_FACTOR1,   OSSL_PKEY_PARAM_RSA_FACTOR2,     OSSL_PKEY_PARAM_RSA_EXPONENT1,
                                           OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1};
  const OpenSslPtr<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> build(OSSL_PARAM_BLD_new());
  std::vector<OpenSslPtr<BIGNUM, BN_free>> kept;
  for (size_t i = 0; i < std::size(kNames); ++i) {
    const auto bytes = Hex(numbers.at(i));
    kept.emplace_back(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
    OSSL_PARAM_BLD_push_BN(build.get(), kNames[i], kept.back().get());
  }
  const OpenSslPtr<OSSL_PARAM, OSSL_PARAM_free> params(OSSL_PARAM_BLD_to_param(build.get()));
  const PkeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* raw = nullptr;
  EVP_PKEY_fromdata_init(context.get());
  EVP_PKEY_fromdata(context.get(), &raw, EVP_PKEY_KEYPAIR, params.get());
  const Pkey key(raw);
  const Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return RsaPrivateKey::FromPem({text, static_cast<size_t>(size)});
}

const RsaPrivateKey& TestKey() {
  static const RsaPrivateKey key = RsaPrivateKey::Generate(2048).value();
  return key;
}
RsaPublicKey PublicOf(const RsaPrivateKey& key) { return RsaPublicKey::FromNumbers(key.public_numbers()).value(); }

TEST(RsaTest, DecryptsTheOaepVectors) {
  std::optional<absl::StatusOr<RsaPrivateKey>> key;
  std::vector<std::string> numbers;
  std::string message;
  size_t checked = 0, bits = 0;
  const auto lines = Lines("RSA/oaep-custom/oaep-sha256-sha256.txt");
  for (size_t i = 0; i + 1 < lines.size(); ++i) {
    const std::string& line = lines[i];
    const std::string& value = lines[i + 1];
    if (line == "# Example") numbers.clear();
    if (line == "# Modulus:") numbers.assign(1, value);
    for (const char* name :
         {"# Public exponent:", "# Exponent:", "# Prime 1:", "# Prime 2:", "# Prime exponent 1:", "# Prime exponent 2:"}) {
      if (line == name) numbers.push_back(value);
    }
    if (line == "# Coefficient:") {
      numbers.push_back(value);
      bits = numbers.front().size() * 4;
      key = KeyOfNumbers(numbers);
    }
    if (line == "# Message:") message = value;
    if (line != "# Encryption:" || bits < kLeastModulus * 8) continue;
    LK_ASSERT_OK(*key);
    LK_ASSERT_OK_AND_ASSIGN(const SecretBytes plain, (**key).DecryptOaepSha256(Hex(value)));
    EXPECT_EQ(HexEncode(plain.Reveal(SecretAccess{})), message);
    ++checked;
  }
  EXPECT_GE(checked, 6u);
}

// Whether NIST's vector verifies under its own numbers.
bool Verifies(const std::map<std::string, std::string>& v, RsaSignature scheme) {
  const auto key = RsaPublicKey::FromNumbers({.modulus = Hex(v.at("n")), .exponent = Hex(v.at("e"))});
  return key.ok() && key->Verify(scheme, AsText(Hex(v.at("Msg"))), Hex(v.at("S")));
}

TEST(RsaTest, VerifiesPkcs1SignaturesAsTheVectorsSay) {
  int good = 0, bad = 0;
  for (const auto& v : NistVectors("RSA/FIPS_186-2/SigVer15_186-3.rsp", "Result")) {
    if (v.at("SHAAlg") != "SHA256" || v.at("n").size() < kLeastModulus * 2) continue;
    const bool expected = v.at("Result").starts_with("P");
    EXPECT_EQ(Verifies(v, RsaSignature::kPkcs1Sha256), expected) << v.at("Result");
    ++(expected ? good : bad);
  }
  EXPECT_GE(good, 3);
  EXPECT_GE(bad, 10);
}

TEST(RsaTest, RefusesPssSaltsOfAnotherLengthThanPs256Has) {
  int refused = 0;
  // Salts of 10 bytes and of none: good signatures, of another scheme.
  for (const auto& [file, last] :
       {std::pair("RSA/FIPS_186-2/SigVerPSS_186-3.rsp", "Result"), std::pair("RSA/FIPS_186-2/SigGenPSS_186-3.rsp", "S")}) {
    for (const auto& v : NistVectors(file, last)) {
      if (v.at("SHAAlg") != "SHA256" || v.at("n").size() < kLeastModulus * 2) continue;
      EXPECT_FALSE(Verifies(v, RsaSignature::kPssSha256));
      ++refused;
    }
  }
  EXPECT_GE(refused, 20);
}

TEST(RsaTest, SignsWhatVerifiesUnderThatSchemeKeyAndMessageOnly) {
  const RsaPublicKey mine = PublicOf(TestKey());
  const RsaPrivateKey other = RsaPrivateKey::Generate(2048).value();
  for (const RsaSignature scheme : {RsaSignature::kPkcs1Sha256, RsaSignature::kPssSha256}) {
    LK_ASSERT_OK_AND_ASSIGN(std::vector<uint8_t> signature, TestKey().Sign(scheme, "a message"));
    EXPECT_EQ(signature.size(), 256u);
    EXPECT_TRUE(mine.Verify(scheme, "a message", signature));
    EXPECT_FALSE(mine.Verify(scheme, "another message", signature));
    EXPECT_FALSE(
        mine.Verify(scheme == RsaSignature::kPssSha256 ? RsaSignature::kPkcs1Sha256 : RsaSignature::kPssSha256, "a message", signature));
    EXPECT_FALSE(PublicOf(other).Verify(scheme, "a message", signature));
    EXPECT_FALSE(mine.Verify(scheme, "a message", {}));
    EXPECT_FALSE(mine.Verify(scheme, "a message", std::span<const uint8_t>(signature).first(255)));
    signature[17] ^= 1;
    EXPECT_FALSE(mine.Verify(scheme, "a message", signature));
  }
  // PKCS #1 is deterministic, PSS is not.
  EXPECT_EQ(TestKey().Sign(RsaSignature::kPkcs1Sha256, "m").value(), TestKey().Sign(RsaSignature::kPkcs1Sha256, "m").value());
  EXPECT_NE(TestKey().Sign(RsaSignature::kPssSha256, "m").value(), TestKey().Sign(RsaSignature::kPssSha256, "m").value());
}

TEST(RsaTest, OaepCarries190BytesUnder2048BitsAndNoMore) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{32}, size_t{190}}) {
    const SecretBytes plain = SecretBytes::CopyOf(std::string(size, 'x'));
    for (const auto& encrypted : {TestKey().EncryptOaepSha256(plain), PublicOf(TestKey()).EncryptOaepSha256(plain)}) {
      LK_ASSERT_OK(encrypted);
      EXPECT_EQ(encrypted->size(), 256u);
      LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, TestKey().DecryptOaepSha256(*encrypted));
      EXPECT_TRUE(opened.Equals(plain)) << size;
    }
  }
  EXPECT_THAT(TestKey().EncryptOaepSha256(SecretBytes(191)), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(RsaTest, WhatIsNotEncryptedToTheKeyDoesNotDecrypt) {
  LK_ASSERT_OK_AND_ASSIGN(std::vector<uint8_t> good, TestKey().EncryptOaepSha256(SecretBytes::CopyOf(std::string_view("x"))));
  std::vector<uint8_t> bad = good;
  bad[100] ^= 1;
  for (const std::vector<uint8_t>& text : {bad, std::vector<uint8_t>(), std::vector<uint8_t>(256), std::vector<uint8_t>(256, 0xff),
                                           std::vector<uint8_t>(good.begin(), good.end() - 1), std::vector<uint8_t>(512, 1)}) {
    EXPECT_THAT(TestKey().DecryptOaepSha256(text), StatusIs(absl::StatusCode::kDataLoss));
  }
  const RsaPrivateKey other = RsaPrivateKey::Generate(2048).value();
  EXPECT_THAT(other.DecryptOaepSha256(good), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(RsaTest, ReadsBothFormsOfPemAndWritesWhatItReads) {
  LK_ASSERT_OK_AND_ASSIGN(const RsaPrivateKey again, RsaPrivateKey::FromPem(TestKey().ToPem()));
  EXPECT_EQ(again.bits(), 2048);
  EXPECT_EQ(again.public_numbers().modulus, TestKey().public_numbers().modulus);
  EXPECT_EQ(again.public_numbers().exponent, (std::vector<uint8_t>{1, 0, 1}));
  const std::string pem = TestKey().ToPem();
  const Bio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))), out(BIO_new(BIO_s_mem()));
  const Pkey key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  ASSERT_EQ(PEM_write_bio_PrivateKey_traditional(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr), 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  const std::string_view pkcs1(text, static_cast<size_t>(size));
  EXPECT_TRUE(pkcs1.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
  LK_EXPECT_OK(RsaPrivateKey::FromPem(pkcs1));
  // No pass phrase is asked for.
  EXPECT_THAT(RsaPrivateKey::FromPem(ReadText("PKCS8/enc-rsa-pkcs8.pem")), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(RsaTest, RefusesKeysOfOtherKindsAndSizes) {
  const std::string unencrypted = ReadText("PKCS8/unenc-rsa-pkcs8.pem");
  EXPECT_THAT(RsaPrivateKey::FromPem(unencrypted), StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("bits")));
  EXPECT_THAT(RsaPublicKey::FromPem(ReadText("PKCS8/unenc-rsa-pkcs8.pub.pem")), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(RsaPrivateKey::FromPem(NewKeyPair().value().private_key_pem),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("not an RSA key")));
  // A key that may only make PSS signatures is of a kind of its own.
  EXPECT_THAT(RsaPrivateKey::FromPem(ReadText("PKCS8/rsa_pss_2048.pem")), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(RsaPrivateKey::FromPem(ReadText("PKCS8/unenc-dsa-pkcs8.pem")), StatusIs(absl::StatusCode::kInvalidArgument));
  for (const int bits : {0, -1, 512, 1024, 2047, 8192})
    EXPECT_THAT(RsaPrivateKey::Generate(bits), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(RsaTest, RefusesWhatIsNoKey) {
  const std::string pem = TestKey().ToPem();
  for (const std::string& text :
       {std::string(), std::string("x"), pem.substr(0, pem.size() / 2),
        std::string("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), std::string(1 << 16, 'A')}) {
    EXPECT_THAT(RsaPrivateKey::FromPem(text), StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(RsaPublicKey::FromPem(text), StatusIs(absl::StatusCode::kInvalidArgument));
  }
  // A private key is no public one: nobody hands it out by mistake.
  EXPECT_FALSE(RsaPublicKey::FromPem(pem).ok());
}

TEST(RsaTest, RefusesNumbersThatAreNoKey) {
  const RsaPublicNumbers good = TestKey().public_numbers();
  EXPECT_FALSE(RsaPublicKey::FromNumbers({}).ok());
  EXPECT_FALSE(RsaPublicKey::FromNumbers({.modulus = good.modulus}).ok());
  for (const uint8_t exponent : {0, 1, 2, 4}) {
    EXPECT_FALSE(RsaPublicKey::FromNumbers({.modulus = good.modulus, .exponent = {exponent}}).ok()) << int{exponent};
  }
  EXPECT_FALSE(RsaPublicKey::FromNumbers({.modulus = {}, .exponent = good.exponent}).ok());
  EXPECT_FALSE(RsaPublicKey::FromNumbers(
                   {.modulus = std::vector<uint8_t>(good.modulus.begin(), good.modulus.begin() + 128), .exponent = good.exponent})
                   .ok());
  EXPECT_FALSE(RsaPublicKey::FromNumbers({.modulus = std::vector<uint8_t>(4096, 0xff), .exponent = good.exponent}).ok());
  std::vector<uint8_t> padded = good.modulus;
  padded.insert(padded.begin(), 3, 0);
  LK_EXPECT_OK(RsaPublicKey::FromNumbers({.modulus = padded, .exponent = good.exponent}));
}

TEST(RsaTest, MovesAndIsAssigned) {
  RsaPrivateKey a = RsaPrivateKey::Generate(2048).value();
  const auto modulus = a.public_numbers().modulus;
  RsaPrivateKey b = std::move(a);
  EXPECT_EQ(b.public_numbers().modulus, modulus);
  RsaPrivateKey c = RsaPrivateKey::FromPem(TestKey().ToPem()).value();
  c = std::move(b);
  EXPECT_EQ(c.public_numbers().modulus, modulus);
}

}  // namespace
}  // namespace latchkey
