// The PIN as the owner's switch: what is read of its file, and that no tries are burnt.
#include <sys/stat.h>

#include "base/random.h"
#include "kms/pkcs11/faulty_module.h"
#include "kms/pkcs11/pin_file.h"
#include "kms/pkcs11/softhsm_testing.h"

namespace latchkey {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

testing::Matcher<const absl::Status&> HasClass(FailureClass c) {
  return testing::ResultOf("failure class", [](const absl::Status& s) { return FailureClassOf(s); }, testing::Optional(c));
}

class PinFileTest : public testing::Test {
 protected:
  FailureClass Refused() {
    const auto file = ReadPinFile(path_);
    EXPECT_FALSE(file.ok());
    EXPECT_THAT(std::string(file.status().message()), testing::StartsWith("pin_file: "));
    return FailureClassOf(file.status()).value();
  }
  void Write(const std::string& content) { LK_EXPECT_OK(WriteFileAtomically(path_, content)); }

  TempFolder folder_;
  const std::string path_ = folder_ / "pin";
};

TEST_F(PinFileTest, ItsFirstLineIsThePin) {
  for (const char* content : {"12 34", "12 34\n", "12 34\r\n", "12 34\nand more\n"}) {
    Write(content);
    LK_ASSERT_OK_AND_ASSIGN(const PinFile file, ReadPinFile(path_));
    EXPECT_EQ(file.pin.RevealText(SecretAccess{}), "12 34");
  }
  Write(std::string(255, '1'));
  LK_EXPECT_OK(ReadPinFile(path_));
}

TEST_F(PinFileTest, TellsTakingThePinBackFromTroubleOfOurOwn) {
  EXPECT_EQ(Refused(), FailureClass::kDenied);  // not there
  for (const char* content : {"", "\n", "\r\n", "\n1234\n"}) {
    Write(content);
    EXPECT_EQ(Refused(), FailureClass::kDenied);
  }
  Write(std::string(256, '1'));
  EXPECT_EQ(Refused(), FailureClass::kIdentity);
  Write("1234\n" + std::string(5000, 'x'));
  EXPECT_EQ(Refused(), FailureClass::kIdentity);
  Write("1234");
  ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
  EXPECT_EQ(Refused(), FailureClass::kIdentity);
  ASSERT_EQ(chmod(path_.c_str(), 0400), 0);
  LK_EXPECT_OK(ReadPinFile(path_));
  if (geteuid() == 0) {
    ASSERT_EQ(chown(path_.c_str(), 12'345, 0), 0);
    EXPECT_EQ(Refused(), FailureClass::kIdentity);
  }
  ASSERT_EQ(unlink(path_.c_str()), 0);
  ASSERT_EQ(symlink("/dev/null", path_.c_str()), 0);
  EXPECT_EQ(Refused(), FailureClass::kIdentity);
  ASSERT_EQ(unlink(path_.c_str()), 0);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(Refused(), FailureClass::kIdentity);
  EXPECT_EQ(FailureClassOf(ReadPinFile(folder_ / "none/pin").status()), FailureClass::kIdentity);
}

TEST_F(PinFileTest, ItsStampChangesWhenItIsTouched) {
  Write("1234");
  LK_ASSERT_OK_AND_ASSIGN(const PinFile first, ReadPinFile(path_));
  LK_ASSERT_OK_AND_ASSIGN(const PinFile same, ReadPinFile(path_));
  EXPECT_EQ(first.stamp, same.stamp);
  Write("1234");
  LK_ASSERT_OK_AND_ASSIGN(const PinFile again, ReadPinFile(path_));
  EXPECT_NE(first.stamp, again.stamp);
}

class PinTest : public testing::Test {
 protected:
  PinTest() : token_(NewLabel()), kms_(NewPkcs11Kms({{"hsm", token_.connection(FaultyModule::kPath)}}, {})) {
    faulty_.Clear();
    token_.CreateKey("kek");
    LK_EXPECT_OK(Describe());
  }
  ~PinTest() override { faulty_.Clear(); }

  static std::string NewLabel() {
    static int number = 0;
    return absl::StrCat("pin token ", ++number);
  }
  absl::Status Describe(bool fresh = false) {
    return kms_->Describe({.type = "PKCS11", .uri = "pkcs11://hsm/kek"}, {.fresh = fresh}).status();
  }
  int logins() { return faulty_.calls<&CK_FUNCTION_LIST::C_Login>(); }

  FaultyModule& faulty_ = FaultyModule::Instance();
  SoftHsmToken token_;
  std::unique_ptr<Kms> kms_;
};

TEST_F(PinTest, TakingTheFileAwayBitesAtOnceAndGivingItBackHeals) {
  token_.RemovePinFile();
  EXPECT_THAT(Describe(), AllOf(HasClass(FailureClass::kDenied), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("pin_file: "))));
  // Nobody is logged in any more.
  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
  ASSERT_EQ(SoftHsm().C_OpenSession(token_.slot(), CKF_SERIAL_SESSION, nullptr, nullptr, &session), CKR_OK);
  CK_SESSION_INFO info{};
  EXPECT_EQ(SoftHsm().C_GetSessionInfo(session, &info), CKR_OK);
  EXPECT_EQ(info.state, CKS_RO_PUBLIC_SESSION);
  SoftHsm().C_CloseSession(session);
  token_.WritePinFile("1234");
  LK_EXPECT_OK(Describe());
}

TEST_F(PinTest, APinThatWasChangedIsNoticedByAFreshCallAndNotTriedTwice) {
  token_.ChangePin("5678");
  LK_EXPECT_OK(Describe());
  EXPECT_THAT(Describe(true), AllOf(HasClass(FailureClass::kDenied),
                                    StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("C_Login: CKR_PIN_INCORRECT"))));
  const int before = logins();
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(Describe(i % 2 == 0),
                AllOf(HasClass(FailureClass::kDenied), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("not tried again"))));
  }
  EXPECT_EQ(logins(), before);
  token_.WritePinFile("5678");
  LK_EXPECT_OK(Describe());
}

TEST_F(PinTest, ARefusedPinIsTriedOnceMoreWhenItsFileIsWrittenAgain) {
  token_.WritePinFile("9999");
  EXPECT_THAT(Describe(), HasClass(FailureClass::kDenied));
  const int before = logins();
  token_.WritePinFile("9999");
  EXPECT_THAT(Describe(), HasClass(FailureClass::kDenied));
  EXPECT_THAT(Describe(), HasClass(FailureClass::kDenied));
  EXPECT_EQ(logins(), before + 1);
}

TEST_F(PinTest, ARefusedPinIsTriedAgainWhenTheTokenCountsNoWrongTriesAnyMore) {
  token_.ChangePin("5678");
  EXPECT_THAT(Describe(true), HasClass(FailureClass::kDenied));
  EXPECT_THAT(Describe(), HasClass(FailureClass::kDenied));
  // The owner sets the old PIN again; SoftHSM forgets its wrong tries with that.
  token_.ChangePin("1234");
  LK_EXPECT_OK(Describe());
}

TEST_F(PinTest, TheLastTryIsLeftToTheOwner) {
  const int before = logins();
  faulty_.AddTokenFlags(CKF_USER_PIN_FINAL_TRY);
  EXPECT_THAT(Describe(true),
              AllOf(HasClass(FailureClass::kDenied), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("one more wrong PIN"))));
  faulty_.AddTokenFlags(CKF_USER_PIN_LOCKED);
  EXPECT_THAT(Describe(true), AllOf(HasClass(FailureClass::kDenied), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("locked"))));
  EXPECT_EQ(logins(), before);
  faulty_.Clear();
  LK_EXPECT_OK(Describe());
}

TEST_F(PinTest, ThePinIsInNoMessage) {
  const std::string pin = "secret-pin-" + RandomHex(Random::System(), 4);
  token_.WritePinFile(pin);
  for (int i = 0; i < 2; ++i) EXPECT_THAT(Describe().ToString(), Not(HasSubstr(pin)));
}

}  // namespace
}  // namespace latchkey
