// What an answer of a PKCS #11 module (CK_RV, PKCS #11 2.40 section 11.1) means for the key: one table, with the reason of each row.
#pragma once

#include <absl/status/status.h>

#include <string>
#include <string_view>

#include "protocol/failure_class.h"

namespace latchkey {

// The same value means different things by what was asked.
enum class Pkcs11Step {
  kToken,  // everything before the key: module, slots, sessions, searches, attributes
  kLogin,  // C_Login
  kUse,    // using the key, up to the point where its ciphertext is judged: C_EncryptInit, C_Encrypt, C_WrapKey, C_DecryptInit
  kOpen,   // judging a ciphertext: C_Decrypt, C_UnwrapKey
};

// `rv` is an unsigned long, as CK_RV is.
FailureClass ClassifyPkcs11(Pkcs11Step step, unsigned long rv);
// "CKR_PIN_INCORRECT"; "CKR 0x80000001" for what the standard does not name.
std::string Pkcs11ErrorName(unsigned long rv);
// "<function>: CKR_…", of its class.
absl::Status Pkcs11Error(Pkcs11Step step, std::string_view function, unsigned long rv);

// The session or the login is gone, while token and key may be well: worth logging in anew once.
bool IsSessionLost(unsigned long rv);

}  // namespace latchkey
