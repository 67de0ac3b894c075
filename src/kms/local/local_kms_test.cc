#include "kms/local/local_kms.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

const KmsContext kContext = {{"a", "1"}, {"b", "2"}};
const RootKey kKey{.type = "LOCAL", .uri = "local://escrow"};

class LocalKmsTest : public testing::Test {
 protected:
  LocalKmsTest() : path_(folder_ / "key"), kms_(NewLocalKms({{"escrow", path_}})) { LK_EXPECT_OK(CreateLocalKeyFile(path_)); }

  std::vector<uint8_t> Wrapped() { return kms_->Wrap(kKey, SecretBytes::CopyOf(std::string_view("secret")), kContext, {})->ciphertext; }
  FailureClass ClassOfUnwrap(const std::vector<uint8_t>& ciphertext, const KmsContext& context = kContext) {
    const auto opened = kms_->Unwrap(kKey, {ciphertext}, context, {});
    EXPECT_FALSE(opened.ok());
    return FailureClassOf(opened.status()).value();
  }

  TempFolder folder_;
  std::string path_;
  std::unique_ptr<Kms> kms_;
};

TEST_F(LocalKmsTest, UnwrapsWhatItWrapped) {
  LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, kms_->Unwrap(kKey, {Wrapped()}, kContext, {}));
  EXPECT_EQ(opened.RevealText(SecretAccess{}), "secret");
  EXPECT_NE(Wrapped(), Wrapped());
}

TEST_F(LocalKmsTest, IsCorruptWithOtherBytesContextOrKey) {
  const auto ciphertext = Wrapped();
  for (size_t i = 0; i < ciphertext.size(); ++i) {
    auto changed = ciphertext;
    changed[i] ^= 1;
    EXPECT_EQ(ClassOfUnwrap(changed), FailureClass::kCorrupt) << i;
  }
  for (const KmsContext& other : {KmsContext{}, KmsContext{{"a", "1"}}, KmsContext{{"a", "1"}, {"b", "3"}}, KmsContext{{"a", "11:b1:2"}}}) {
    EXPECT_EQ(ClassOfUnwrap(ciphertext, other), FailureClass::kCorrupt);
  }
  EXPECT_EQ(ClassOfUnwrap({}), FailureClass::kCorrupt);
  EXPECT_EQ(ClassOfUnwrap(std::vector<uint8_t>(28)), FailureClass::kCorrupt);
  unlink(path_.c_str());
  LK_ASSERT_OK(CreateLocalKeyFile(path_));
  EXPECT_EQ(ClassOfUnwrap(ciphertext), FailureClass::kCorrupt);
}

TEST_F(LocalKmsTest, NoticesAtOnceWhatHappensToItsFile) {
  const auto ciphertext = Wrapped();
  LK_ASSERT_OK_AND_ASSIGN(const std::string good, ReadFile(path_));
  ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
  EXPECT_EQ(ClassOfUnwrap(ciphertext), FailureClass::kDenied);
  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  LK_EXPECT_OK(kms_->Unwrap(kKey, {ciphertext}, kContext, {}));
  for (const std::string& bad :
       {std::string(), good + "x", good.substr(0, good.size() - 1), "x" + good.substr(1), good.substr(0, 30) + "G" + good.substr(31)}) {
    LK_ASSERT_OK(WriteFileAtomically(path_, bad));
    EXPECT_EQ(ClassOfUnwrap(ciphertext), FailureClass::kCorrupt) << bad.size();
  }
  ASSERT_EQ(unlink(path_.c_str()), 0);
  EXPECT_EQ(ClassOfUnwrap(ciphertext), FailureClass::kDestroyed);
  ASSERT_EQ(symlink("/dev/null", path_.c_str()), 0);
  EXPECT_EQ(ClassOfUnwrap(ciphertext), FailureClass::kCorrupt);
}

TEST_F(LocalKmsTest, NeverOverwritesAKeyFileAndMakesItForItsOwnerOnly) {
  LK_ASSERT_OK_AND_ASSIGN(const std::string before, ReadFile(path_));
  EXPECT_THAT(CreateLocalKeyFile(path_), StatusIs(absl::StatusCode::kAlreadyExists));
  LK_ASSERT_OK_AND_ASSIGN(const std::string after, ReadFile(path_));
  EXPECT_EQ(before, after);
  EXPECT_EQ(before.size(), 86U);
  struct stat facts{};
  ASSERT_EQ(stat(path_.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0600U);
  EXPECT_FALSE(CreateLocalKeyFile(folder_ / "none/key").ok());
}

TEST_F(LocalKmsTest, DescribesItsKeyByAVersionThatTellsKeysApart) {
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription first, kms_->Describe(kKey, {}));
  EXPECT_TRUE(first.usable);
  unlink(path_.c_str());
  LK_ASSERT_OK(CreateLocalKeyFile(path_));
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription second, kms_->Describe(kKey, {}));
  EXPECT_NE(first.key_version, second.key_version);
}

TEST_F(LocalKmsTest, RefusesNamesThatAreNotItsOwn) {
  for (const char* uri : {"", "escrow", "local://", "local:///etc/shadow", "local://../x", "local://other", "file:///x"}) {
    const absl::Status status = kms_->Check({.type = "LOCAL", .uri = uri});
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("uri: "))) << uri;
    EXPECT_EQ(FailureClassOf(status), FailureClass::kUnsuitable);
  }
  EXPECT_THAT(kms_->Check({.type = "LOCAL", .uri = "local://escrow", .auth_principal = "x"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("auth_principal: ")));
}

TEST_F(LocalKmsTest, PassesAKeyTest) {
  KmsSet set;
  set.Add(NewLocalKms({{"escrow", path_}}));
  LK_EXPECT_OK(TestKey(set, kKey, kContext, nullptr));
  unlink(path_.c_str());
  EXPECT_EQ(FailureClassOf(TestKey(set, kKey, kContext, nullptr)), FailureClass::kDestroyed);
}

}  // namespace
}  // namespace latchkey
