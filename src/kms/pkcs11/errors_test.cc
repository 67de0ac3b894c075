#include "kms/pkcs11/errors.h"

#include <p11-kit/pkcs11.h>

#include "base/testing.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

using enum FailureClass;

struct Case {
  Pkcs11Step step;
  CK_RV rv;
  FailureClass c;
};

TEST(Pkcs11ErrorsTest, ClassifiesEachAnswerByWhatWasAsked) {
  using enum Pkcs11Step;
  for (const auto& [step, rv, c] : {
           // the owner's no, by the PIN
           Case{kLogin, CKR_PIN_INCORRECT, kDenied},
           Case{kLogin, CKR_PIN_INVALID, kDenied},
           Case{kLogin, CKR_PIN_LEN_RANGE, kDenied},
           Case{kLogin, CKR_PIN_EXPIRED, kDenied},
           Case{kLogin, CKR_PIN_LOCKED, kDenied},
           Case{kLogin, CKR_USER_PIN_NOT_INITIALIZED, kDenied},
           Case{kLogin, CKR_FUNCTION_REJECTED, kDenied},
           Case{kUse, CKR_FUNCTION_REJECTED, kDenied},
           Case{kOpen, CKR_ACTION_PROHIBITED, kDenied},
           // the owner's no, by the key
           Case{kUse, CKR_KEY_FUNCTION_NOT_PERMITTED, kDisabled},
           Case{kOpen, CKR_KEY_FUNCTION_NOT_PERMITTED, kDisabled},
           // our own trouble
           Case{kLogin, CKR_USER_ANOTHER_ALREADY_LOGGED_IN, kIdentity},
           Case{kUse, CKR_USER_NOT_LOGGED_IN, kIdentity},
           // nobody's answer
           Case{kLogin, CKR_TOKEN_NOT_PRESENT, kUnreachable},
           Case{kLogin, CKR_GENERAL_ERROR, kUnreachable},
           Case{kToken, CKR_TOKEN_NOT_PRESENT, kUnreachable},
           Case{kToken, CKR_GENERAL_ERROR, kUnreachable},
           Case{kToken, CKR_HOST_MEMORY, kUnreachable},
           Case{kUse, CKR_DEVICE_REMOVED, kUnreachable},
           Case{kUse, CKR_GENERAL_ERROR, kUnreachable},
           Case{kUse, CKR_KEY_HANDLE_INVALID, kUnreachable},
           Case{kOpen, CKR_DEVICE_ERROR, kUnreachable},
           Case{kOpen, CKR_DEVICE_REMOVED, kUnreachable},
           Case{kOpen, CKR_FUNCTION_FAILED, kUnreachable},
           Case{kOpen, CKR_VENDOR_DEFINED | 7, kUnreachable},
           Case{kToken, CKR_SESSION_COUNT, kThrottled},
           Case{kLogin, 0x201, kThrottled},
           // other bytes
           Case{kOpen, CKR_GENERAL_ERROR, kCorrupt},
           Case{kOpen, CKR_ENCRYPTED_DATA_INVALID, kCorrupt},
           Case{kOpen, CKR_ENCRYPTED_DATA_LEN_RANGE, kCorrupt},
           Case{kOpen, CKR_WRAPPED_KEY_INVALID, kCorrupt},
           Case{kOpen, 0x42, kCorrupt},
           // another kind of key or token
           Case{kUse, CKR_MECHANISM_INVALID, kUnsuitable},
           Case{kUse, CKR_KEY_TYPE_INCONSISTENT, kUnsuitable},
           Case{kOpen, CKR_MECHANISM_INVALID, kUnsuitable},
           Case{kUse, CKR_KEY_UNEXTRACTABLE, kUnsuitable},
       }) {
    EXPECT_EQ(ClassifyPkcs11(step, rv), c) << Pkcs11ErrorName(rv) << " at step " << static_cast<int>(step);
  }
}

TEST(Pkcs11ErrorsTest, AnAnswerThatNobodyKnowsIsNeverANo) {
  for (const Pkcs11Step step : {Pkcs11Step::kToken, Pkcs11Step::kLogin, Pkcs11Step::kUse, Pkcs11Step::kOpen}) {
    EXPECT_EQ(ClassifyPkcs11(step, 0x7fffffff), kUnreachable);
    EXPECT_EQ(ClassifyPkcs11(step, CKR_VENDOR_DEFINED), kUnreachable);
  }
  // Before the login nothing is the owner's answer.
  for (CK_RV rv = 1; rv < 0x210; ++rv) EXPECT_FALSE(IsRefusal(ClassifyPkcs11(Pkcs11Step::kToken, rv))) << Pkcs11ErrorName(rv);
}

TEST(Pkcs11ErrorsTest, NamesWhatTheStandardNames) {
  EXPECT_EQ(Pkcs11ErrorName(CKR_PIN_INCORRECT), "CKR_PIN_INCORRECT");
  EXPECT_EQ(Pkcs11ErrorName(0x80000001), "CKR 0x80000001");
  const absl::Status status = Pkcs11Error(Pkcs11Step::kLogin, "C_Login", CKR_PIN_LOCKED);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied, "C_Login: CKR_PIN_LOCKED"));
  EXPECT_EQ(FailureClassOf(status), kDenied);
}

TEST(Pkcs11ErrorsTest, ALostSessionIsNotARefusal) {
  EXPECT_TRUE(IsSessionLost(CKR_SESSION_HANDLE_INVALID));
  EXPECT_TRUE(IsSessionLost(CKR_DEVICE_REMOVED));
  EXPECT_TRUE(IsSessionLost(CKR_TOKEN_NOT_PRESENT));
  EXPECT_TRUE(IsSessionLost(CKR_USER_NOT_LOGGED_IN));
  for (const CK_RV rv : {CKR_OK, CKR_PIN_INCORRECT, CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_GENERAL_ERROR, CKR_ENCRYPTED_DATA_INVALID}) {
    EXPECT_FALSE(IsSessionLost(rv)) << Pkcs11ErrorName(rv);
  }
}

}  // namespace
}  // namespace latchkey
