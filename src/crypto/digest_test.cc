#include "crypto/digest.h"

#include "base/testing.h"
#include "crypto/vectors_testing.h"

namespace latchkey {
namespace {

std::vector<uint8_t> Cut(std::vector<uint8_t> bytes, int bits) {
  bytes.resize(static_cast<size_t>(bits) / 8);
  return bytes;
}

TEST(Sha256Test, HashesAsNistsVectorsSay) {
  int count = 0;
  for (const char* file : {"hashes/SHA2/SHA256ShortMsg.rsp", "hashes/SHA2/SHA256LongMsg.rsp"}) {
    for (const Vector& v : ReadVectors(file, "Len")) {
      ASSERT_EQ(HexEncode(Sha256(Cut(v.Bytes("Msg"), v.Number("Len")))), v.Text("MD")) << file << " Len " << v.Text("Len");
      ++count;
    }
  }
  EXPECT_EQ(count, 129);
}

// FIPS 180-4 validation, SHAVS section 6.4.
TEST(Sha256Test, HashesAHundredThousandTimesAsNistsMonteCarloTestSays) {
  const auto vectors = ReadVectors("hashes/SHA2/SHA256Monte.rsp", "COUNT");
  const auto seeds = ReadVectors("hashes/SHA2/SHA256Monte.rsp", "Seed");
  ASSERT_EQ(seeds.size(), 1u);
  std::vector<uint8_t> seed = seeds[0].Bytes("Seed");
  int count = 0;
  for (const Vector& v : vectors) {
    std::vector<uint8_t> a = seed, b = seed, c = seed;
    for (int i = 0; i < 1000; ++i) {
      std::vector<uint8_t> m = a;
      m.insert(m.end(), b.begin(), b.end());
      m.insert(m.end(), c.begin(), c.end());
      const Sha256Digest d = Sha256(m);
      a = b;
      b = c;
      c.assign(d.begin(), d.end());
    }
    seed = c;
    ASSERT_EQ(HexEncode(seed), v.Text("MD")) << "COUNT " << v.Text("COUNT");
    ++count;
  }
  EXPECT_EQ(count, 100);
}

TEST(HmacSha256Test, SignsAsRfc4231Says) {
  int count = 0;
  for (const Vector& v : ReadVectors("HMAC/rfc-4231-sha256.txt", "Len")) {
    const auto message = v.Bytes("Msg");
    EXPECT_EQ(HexEncode(HmacSha256(v.Secret("Key"), message)), v.Text("MD"));
    EXPECT_EQ(HexEncode(HmacSha256(v.Secret("Key"), AsText(message))), v.Text("MD"));
    EXPECT_EQ(HexEncode(HmacSha256(v.Bytes("Key"), message)), v.Text("MD"));
    ++count;
  }
  EXPECT_EQ(count, 6);
}

TEST(HmacSha256Test, TakesAnEmptyKeyAndAnEmptyMessage) {
  EXPECT_EQ(HexEncode(HmacSha256(SecretBytes(), std::string_view())), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(HkdfSha256Test, DerivesAsRfc5869Says) {
  int count = 0;
  for (const Vector& v : ReadVectors("KDF/rfc-5869-HKDF-SHA256.txt", "COUNT")) {
    const SecretBytes out = HkdfSha256(v.Secret("IKM"), v.Bytes("salt"), AsText(v.Bytes("info")), static_cast<size_t>(v.Number("L")));
    EXPECT_EQ(HexEncode(out.Reveal(SecretAccess{})), v.Text("OKM"));
    ++count;
  }
  EXPECT_EQ(count, 3);
}

TEST(HkdfSha256Test, GivesTheLongestOutputOfTheStandardAndItsPrefixes) {
  const SecretBytes key = SecretBytes::CopyOf(std::string_view("a key"));
  const SecretBytes longest = HkdfSha256(key, {}, "info", 8160);
  const SecretBytes shorter = HkdfSha256(key, {}, "info", 100);
  EXPECT_TRUE(EqualInConstantTime(longest.Reveal(SecretAccess{}).first(100), shorter.Reveal(SecretAccess{})));
}

TEST(EqualInConstantTimeTest, ComparesContentAndLength) {
  const std::vector<uint8_t> a = {1, 2, 3}, b = {1, 2, 4}, c = {1, 2};
  EXPECT_TRUE(EqualInConstantTime(a, a));
  EXPECT_FALSE(EqualInConstantTime(a, b));
  EXPECT_FALSE(EqualInConstantTime(a, c));
  EXPECT_TRUE(EqualInConstantTime({}, {}));
}

}  // namespace
}  // namespace latchkey
