#include "kms/pkcs11/errors.h"

#include <absl/strings/str_format.h>
#include <p11-kit/pkcs11.h>

#include <algorithm>
#include <span>

#include "base/status.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

using enum FailureClass;

// Of PKCS #11 3.0, which the header of 2.40 does not have.
constexpr CK_RV kAeadDecryptFailed = 0x42;       // CKR_AEAD_DECRYPT_FAILED
constexpr CK_RV kTokenResourceExceeded = 0x201;  // CKR_TOKEN_RESOURCE_EXCEEDED
constexpr CK_RV kOperationCancelFailed = 0x202;  // CKR_OPERATION_CANCEL_FAILED

struct Row {
  CK_RV rv;
  FailureClass c;
};

// The PIN is how the owner lets us in and shuts us out, as a key policy is elsewhere: a PIN that the token does not take is the owner's no.
constexpr Row kLoginRows[] = {
    {CKR_PIN_INCORRECT, kDenied},                     // changed since it was given to us, or never right
    {CKR_PIN_INVALID, kDenied},                       // not even of the form that the token's PINs have: surely not its PIN
    {CKR_PIN_LEN_RANGE, kDenied},                     //
    {CKR_PIN_EXPIRED, kDenied},                       // the owner has to set a new one
    {CKR_PIN_LOCKED, kDenied},                        // too many wrong tries, ours or others'; the security officer unlocks it
    {CKR_USER_PIN_NOT_INITIALIZED, kDenied},          // the security officer has taken the user's PIN away or never gave one
    {CKR_ACTION_PROHIBITED, kDenied},                 // a policy of the token
    {CKR_FUNCTION_REJECTED, kDenied},                 // somebody who has to confirm it at the device said no
    {CKR_USER_ANOTHER_ALREADY_LOGGED_IN, kIdentity},  // this process is logged in as security officer: our own trouble
    {CKR_USER_TOO_MANY_TYPES, kIdentity},             //
    {CKR_SESSION_READ_ONLY_EXISTS, kIdentity},        //
    {CKR_USER_TYPE_INVALID, kUnsuitable},             // a token without users
};

constexpr Row kOpenRows[] = {
    // What says so by the book, and CKR_GENERAL_ERROR, which SoftHSM gives for a wrong tag. Initialisation went well a moment before, so
    // the token is there, and the key may be used.
    {CKR_ENCRYPTED_DATA_INVALID, kCorrupt}, {CKR_ENCRYPTED_DATA_LEN_RANGE, kCorrupt},
    {kAeadDecryptFailed, kCorrupt},         {CKR_SIGNATURE_INVALID, kCorrupt},  // some modules call the tag so
    {CKR_DATA_INVALID, kCorrupt},           {CKR_DATA_LEN_RANGE, kCorrupt},
    {CKR_WRAPPED_KEY_INVALID, kCorrupt},    {CKR_WRAPPED_KEY_LEN_RANGE, kCorrupt},
    {CKR_GENERAL_ERROR, kCorrupt},
};

// About the key, whatever was asked of it.
constexpr Row kKeyRows[] = {
    // CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP or CKA_UNWRAP is false: that is how a key is switched off that can be switched on again.
    {CKR_KEY_FUNCTION_NOT_PERMITTED, kDisabled},
    {CKR_ACTION_PROHIBITED, kDenied},  // a policy on the object
    {CKR_FUNCTION_REJECTED, kDenied},  // somebody who has to confirm it at the device said no
    {CKR_PIN_EXPIRED, kDenied},        // allowed by the standard for most functions, after a login that went well
    // The key was found a moment ago; whether it is gone, only the next search tells.
    {CKR_KEY_HANDLE_INVALID, kUnreachable},
    {CKR_WRAPPING_KEY_HANDLE_INVALID, kUnreachable},
    {CKR_UNWRAPPING_KEY_HANDLE_INVALID, kUnreachable},
    // Not a key for what we do: of another type or length, or in a token that does not know the mechanism.
    {CKR_KEY_TYPE_INCONSISTENT, kUnsuitable},
    {CKR_KEY_SIZE_RANGE, kUnsuitable},
    {CKR_WRAPPING_KEY_TYPE_INCONSISTENT, kUnsuitable},
    {CKR_WRAPPING_KEY_SIZE_RANGE, kUnsuitable},
    {CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, kUnsuitable},
    {CKR_UNWRAPPING_KEY_SIZE_RANGE, kUnsuitable},
    {CKR_KEY_NOT_WRAPPABLE, kUnsuitable},  // the token wraps by other rules than ours
    {CKR_KEY_UNEXTRACTABLE, kUnsuitable},
    {CKR_MECHANISM_INVALID, kUnsuitable},
    {CKR_MECHANISM_PARAM_INVALID, kUnsuitable},  // for instance a module that takes no IV from outside
    {CKR_FUNCTION_NOT_SUPPORTED, kUnsuitable},
    {CKR_TEMPLATE_INCONSISTENT, kUnsuitable},  // the session object for wrapping is not to the token's taste
    {CKR_TEMPLATE_INCOMPLETE, kUnsuitable},
    {CKR_ATTRIBUTE_VALUE_INVALID, kUnsuitable},
    {CKR_ATTRIBUTE_SENSITIVE, kUnsuitable},  // the token keeps what it unwraps to itself
};

// Nobody judged anything.
constexpr Row kOtherRows[] = {
    {CKR_SESSION_COUNT, kThrottled},                                             // the token has no session left
    {kTokenResourceExceeded, kThrottled},  {CKR_USER_NOT_LOGGED_IN, kIdentity},  // still, after a login that went well
    {CKR_TOKEN_NOT_PRESENT, kUnreachable}, {CKR_DEVICE_REMOVED, kUnreachable},
};
// What stands in no row is kUnreachable, too: CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY, CKR_HOST_MEMORY, CKR_FUNCTION_FAILED,
// CKR_GENERAL_ERROR outside of kOpen, and everything that a vendor defined. Nothing renews, and the lease bounds it.

const Row* Find(std::span<const Row> rows, CK_RV rv) {
  const auto it = std::ranges::find(rows, rv, &Row::rv);
  return it == rows.end() ? nullptr : &*it;
}

struct Name {
  CK_RV rv;
  std::string_view name;
};
#define LK_NAME(rv) {rv, #rv}
constexpr Name kNames[] = {
    LK_NAME(CKR_OK),
    LK_NAME(CKR_CANCEL),
    LK_NAME(CKR_HOST_MEMORY),
    LK_NAME(CKR_SLOT_ID_INVALID),
    LK_NAME(CKR_GENERAL_ERROR),
    LK_NAME(CKR_FUNCTION_FAILED),
    LK_NAME(CKR_ARGUMENTS_BAD),
    LK_NAME(CKR_CANT_LOCK),
    LK_NAME(CKR_NEED_TO_CREATE_THREADS),
    LK_NAME(CKR_ATTRIBUTE_READ_ONLY),
    LK_NAME(CKR_ATTRIBUTE_SENSITIVE),
    LK_NAME(CKR_ATTRIBUTE_TYPE_INVALID),
    LK_NAME(CKR_ATTRIBUTE_VALUE_INVALID),
    LK_NAME(CKR_ACTION_PROHIBITED),
    LK_NAME(CKR_DATA_INVALID),
    LK_NAME(CKR_DATA_LEN_RANGE),
    LK_NAME(CKR_DEVICE_ERROR),
    LK_NAME(CKR_DEVICE_MEMORY),
    LK_NAME(CKR_DEVICE_REMOVED),
    LK_NAME(CKR_ENCRYPTED_DATA_INVALID),
    LK_NAME(CKR_ENCRYPTED_DATA_LEN_RANGE),
    {kAeadDecryptFailed, "CKR_AEAD_DECRYPT_FAILED"},
    LK_NAME(CKR_FUNCTION_CANCELED),
    LK_NAME(CKR_FUNCTION_NOT_SUPPORTED),
    LK_NAME(CKR_KEY_HANDLE_INVALID),
    LK_NAME(CKR_KEY_SIZE_RANGE),
    LK_NAME(CKR_KEY_TYPE_INCONSISTENT),
    LK_NAME(CKR_KEY_FUNCTION_NOT_PERMITTED),
    LK_NAME(CKR_KEY_NOT_WRAPPABLE),
    LK_NAME(CKR_KEY_UNEXTRACTABLE),
    LK_NAME(CKR_MECHANISM_INVALID),
    LK_NAME(CKR_MECHANISM_PARAM_INVALID),
    LK_NAME(CKR_OBJECT_HANDLE_INVALID),
    LK_NAME(CKR_OPERATION_ACTIVE),
    LK_NAME(CKR_OPERATION_NOT_INITIALIZED),
    LK_NAME(CKR_PIN_INCORRECT),
    LK_NAME(CKR_PIN_INVALID),
    LK_NAME(CKR_PIN_LEN_RANGE),
    LK_NAME(CKR_PIN_EXPIRED),
    LK_NAME(CKR_PIN_LOCKED),
    LK_NAME(CKR_SESSION_CLOSED),
    LK_NAME(CKR_SESSION_COUNT),
    LK_NAME(CKR_SESSION_HANDLE_INVALID),
    LK_NAME(CKR_SESSION_READ_ONLY_EXISTS),
    LK_NAME(CKR_SIGNATURE_INVALID),
    LK_NAME(CKR_TEMPLATE_INCOMPLETE),
    LK_NAME(CKR_TEMPLATE_INCONSISTENT),
    LK_NAME(CKR_TOKEN_NOT_PRESENT),
    LK_NAME(CKR_TOKEN_NOT_RECOGNIZED),
    LK_NAME(CKR_UNWRAPPING_KEY_HANDLE_INVALID),
    LK_NAME(CKR_UNWRAPPING_KEY_SIZE_RANGE),
    LK_NAME(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT),
    LK_NAME(CKR_USER_ALREADY_LOGGED_IN),
    LK_NAME(CKR_USER_NOT_LOGGED_IN),
    LK_NAME(CKR_USER_PIN_NOT_INITIALIZED),
    LK_NAME(CKR_USER_TYPE_INVALID),
    LK_NAME(CKR_USER_ANOTHER_ALREADY_LOGGED_IN),
    LK_NAME(CKR_USER_TOO_MANY_TYPES),
    LK_NAME(CKR_WRAPPED_KEY_INVALID),
    LK_NAME(CKR_WRAPPED_KEY_LEN_RANGE),
    LK_NAME(CKR_WRAPPING_KEY_HANDLE_INVALID),
    LK_NAME(CKR_WRAPPING_KEY_SIZE_RANGE),
    LK_NAME(CKR_WRAPPING_KEY_TYPE_INCONSISTENT),
    LK_NAME(CKR_BUFFER_TOO_SMALL),
    LK_NAME(CKR_CRYPTOKI_NOT_INITIALIZED),
    LK_NAME(CKR_CRYPTOKI_ALREADY_INITIALIZED),
    LK_NAME(CKR_FUNCTION_REJECTED),
    {kTokenResourceExceeded, "CKR_TOKEN_RESOURCE_EXCEEDED"},
    {kOperationCancelFailed, "CKR_OPERATION_CANCEL_FAILED"},
};
#undef LK_NAME

}  // namespace

FailureClass ClassifyPkcs11(Pkcs11Step step, unsigned long rv) {
  if (step == Pkcs11Step::kLogin) {
    if (const Row* row = Find(kLoginRows, rv)) return row->c;
  }
  if (step == Pkcs11Step::kOpen) {
    if (const Row* row = Find(kOpenRows, rv)) return row->c;
  }
  if (step == Pkcs11Step::kUse || step == Pkcs11Step::kOpen) {
    if (const Row* row = Find(kKeyRows, rv)) return row->c;
  }
  const Row* row = Find(kOtherRows, rv);
  return row == nullptr ? kUnreachable : row->c;
}

std::string Pkcs11ErrorName(unsigned long rv) {
  const auto* const it = std::ranges::find(kNames, rv, &Name::rv);
  return it == std::end(kNames) ? absl::StrFormat("CKR 0x%08x", rv) : std::string(it->name);
}

absl::Status Pkcs11Error(Pkcs11Step step, std::string_view function, unsigned long rv) {
  return KmsError(ClassifyPkcs11(step, rv), absl::StrCat(ToAbsl(function), ": ", Pkcs11ErrorName(rv)));
}

bool IsSessionLost(unsigned long rv) {
  switch (rv) {
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_USER_NOT_LOGGED_IN:
    // A token that was pulled and put back, or a cluster that moved us to another device.
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
    // Handles die with a logout that somebody else in this process made.
    case CKR_KEY_HANDLE_INVALID:
    case CKR_OBJECT_HANDLE_INVALID:
    case CKR_WRAPPING_KEY_HANDLE_INVALID:
    case CKR_UNWRAPPING_KEY_HANDLE_INVALID:
    // Left over from an operation that went wrong half-way; a new session has none.
    case CKR_OPERATION_ACTIVE:
    case CKR_OPERATION_NOT_INITIALIZED:
    case CKR_CRYPTOKI_NOT_INITIALIZED:
      return true;
    default:
      return false;
  }
}

}  // namespace latchkey
