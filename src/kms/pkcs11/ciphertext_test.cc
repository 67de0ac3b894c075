#include "kms/pkcs11/ciphertext.h"

#include <random>

#include "base/testing.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

TEST(Pkcs11CiphertextTest, ReadsBackWhatItWrites) {
  for (size_t n = 1; n <= kMaxPkcs11Plaintext; ++n) {
    const std::vector<uint8_t> iv(kPkcs11IvSize, 7), sealed(n + kPkcs11TagSize, 9), wrapped((n + 32 + 7) / 8 * 8 + 8, 5);
    const auto gcm = FormatPkcs11Ciphertext({.scheme = Pkcs11Scheme::kGcm, .iv = iv, .body = sealed});
    LK_ASSERT_OK_AND_ASSIGN(const Pkcs11Ciphertext first, ParsePkcs11Ciphertext(gcm));
    EXPECT_EQ(first.scheme, Pkcs11Scheme::kGcm);
    EXPECT_TRUE(std::ranges::equal(first.iv, iv) && std::ranges::equal(first.body, sealed));
    const auto kwp = FormatPkcs11Ciphertext({.scheme = Pkcs11Scheme::kKeyWrapPad, .iv = {}, .body = wrapped});
    LK_ASSERT_OK_AND_ASSIGN(const Pkcs11Ciphertext second, ParsePkcs11Ciphertext(kwp));
    EXPECT_EQ(second.scheme, Pkcs11Scheme::kKeyWrapPad);
    EXPECT_TRUE(second.iv.empty() && std::ranges::equal(second.body, wrapped));
  }
}

TEST(Pkcs11CiphertextTest, TakesEachLengthThatCanBeAndNoOther) {
  for (int format = 0; format < 256; ++format) {
    for (size_t size = 0; size < 400; ++size) {
      std::vector<uint8_t> bytes(size);
      if (size > 0) bytes[0] = static_cast<uint8_t>(format);
      const auto parsed = ParsePkcs11Ciphertext(bytes);
      const bool gcm = format == 1 && size >= 1 + 12 + 1 + 16 && size <= 1 + 12 + 190 + 16;
      const bool kwp = format == 2 && size % 8 == 1 && size >= 1 + 40 + 8 && size <= 1 + 224 + 8;
      ASSERT_EQ(parsed.ok(), gcm || kwp) << format << " " << size;
      if (!parsed.ok()) {
        EXPECT_EQ(FailureClassOf(parsed.status()), FailureClass::kCorrupt);
      }
    }
  }
}

TEST(Pkcs11CiphertextTest, WhateverItTakesOfRandomBytesIsWrittenBackTheSame) {
  std::mt19937 random(11);
  int taken = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::vector<uint8_t> bytes(random() % 256);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    if (!bytes.empty() && i % 2 == 0) bytes[0] = static_cast<uint8_t>(1 + random() % 2);
    const auto parsed = ParsePkcs11Ciphertext(bytes);
    if (!parsed.ok()) continue;
    ++taken;
    ASSERT_EQ(FormatPkcs11Ciphertext(*parsed), bytes);
  }
  EXPECT_GT(taken, 1000);
}

}  // namespace
}  // namespace latchkey
