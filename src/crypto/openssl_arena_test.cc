// SecretArena::HoldOpenSsl has to run before OpenSSL's first allocation, so each test here is a process of its own: the test program starts
// itself again with the one test as its filter.
#include <cstdlib>

#include "base/process.h"
#include "base/secret_bytes.h"
#include "base/testing.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/openssl_handles.h"
#include "crypto/siv.h"
#include "crypto/xts.h"

namespace latchkey {
namespace {

constexpr char kFresh[] = "LATCHKEY_TEST_FRESH_PROCESS";

bool InFreshProcess() { return std::getenv(kFresh) != nullptr; }

void RunThisTestInAFreshProcess() {
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  const SpawnOptions options{.argv = {"/proc/self/exe", std::string("--gtest_filter=") + test->test_suite_name() + "." + test->name()},
                             .env = {{kFresh, "1"}},
                             .detached = false};
  LK_ASSERT_OK_AND_ASSIGN(const RunResult result, Run(options, absl::Seconds(60)));
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, testing::HasSubstr("[  PASSED  ] 1 test"));
}

TEST(OpenSslInTheArenaTest, KeepsEveryAllocationOfOpenSslInLockedMemory) {
  if (!InFreshProcess()) return RunThisTestInAFreshProcess();
  LK_ASSERT_OK(SecretArena::Reserve(4 << 20));
  LK_ASSERT_OK(SecretArena::HoldOpenSsl());
  ASSERT_TRUE(SecretArena::IsLocked());

  const size_t before = SecretArena::BytesInUse();
  const CipherContext ctx(EVP_CIPHER_CTX_new());
  EXPECT_TRUE(SecretArena::Owns(ctx.get()));
  EXPECT_GT(SecretArena::BytesInUse(), before);

  // The key schedules of a file's cipher: they come and go with it.
  const SecretBytes key = Random::System().Secret(64);
  LK_ASSERT_OK(XtsCipher::Create(key));  // fetches what stays
  const size_t warm = SecretArena::BytesInUse();
  {
    LK_ASSERT_OK_AND_ASSIGN(const auto cipher, XtsCipher::Create(key));
    EXPECT_GT(SecretArena::BytesInUse(), warm + 2 * 480);  // two contexts of two AES-256 schedules
    uint8_t block[16] = {};
    LK_ASSERT_OK(cipher->Encrypt(1, 32, block, block));
  }
  EXPECT_EQ(SecretArena::BytesInUse(), warm);

  // Everything else works from there too.
  const auto nonce = Random::System().Bytes(12);
  const SecretBytes gcm_key = HkdfSha256(key, {}, "a purpose", 32);
  LK_ASSERT_OK_AND_ASSIGN(const auto sealed, GcmSeal(gcm_key, nonce, "aad", std::vector<uint8_t>(32)));
  LK_ASSERT_OK(GcmOpen(gcm_key, nonce, "aad", sealed));
  LK_ASSERT_OK_AND_ASSIGN(const auto siv, SivCipher::Create(key.Clone()));
  LK_ASSERT_OK(siv->Seal("name", std::vector<uint8_t>(8)));
}

TEST(OpenSslInTheArenaTest, CannotBeArrangedAfterTheFirstUse) {
  if (!InFreshProcess()) return RunThisTestInAFreshProcess();
  Sha256(std::string_view("first use"));
  EXPECT_THAT(SecretArena::HoldOpenSsl(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(OpenSslInTheArenaTest, NeedsAFewKibibytesForTheCipherOfAnOpenFile) {
  if (!InFreshProcess()) return RunThisTestInAFreshProcess();
  LK_ASSERT_OK(SecretArena::Reserve(4 << 20));
  LK_ASSERT_OK(SecretArena::HoldOpenSsl());
  const SecretBytes key = Random::System().Secret(64);
  LK_ASSERT_OK(XtsCipher::Create(key));
  const size_t before = SecretArena::BytesInUse();
  std::vector<std::unique_ptr<XtsCipher>> ciphers;
  for (int i = 0; i < 100; ++i) {
    LK_ASSERT_OK_AND_ASSIGN(auto cipher, XtsCipher::Create(key));
    ciphers.push_back(std::move(cipher));
  }
  const size_t each = (SecretArena::BytesInUse() - before) / 100;
  EXPECT_GT(each, 1000u);
  EXPECT_LE(each, 4096u) << "the volume daemon reserves its arena by this number";
}

}  // namespace
}  // namespace latchkey
