// Keys in an HSM or a software token through a PKCS #11 module (OASIS PKCS #11 2.40): AES keys, CKM_AES_GCM with the context as AAD, or
// CKM_AES_KEY_WRAP_PAD over plaintext ‖ SHA-256(context) where the module has no GCM.
//
//   uri             pkcs11://<connection>/<label of the AES key>
//   auth_principal  must be empty: who we are is the connection's PIN
#pragma once

#include <map>
#include <memory>
#include <string>

#include "kms/call.h"
#include "kms/kms.h"

namespace latchkey {

struct Pkcs11Connection {
  std::string module;       // absolute path of the shared object
  std::string token_label;  // slots move: tokens are found by label
  std::string pin_file;     // read at each login, 0600; its first line is the PIN
};

absl::Status CheckPkcs11Connection(const Pkcs11Connection& connection);

// What the owner does and what it becomes: docs/kms-pkcs11.md. The PIN is the owner's switch: a file that is gone or empty, and a PIN that
// the token does not take, are kDenied; such a PIN is not tried twice, since wrong tries lock it.
//
// A module is loaded once a process and stays. Its calls cannot be interrupted: each runs on a thread of the token (login belongs to
// process and token, so connections to the same token share it), and a call that does not come back within KmsCallOptions::call_budget is
// given up as kUnreachable; a token whose thread hangs refuses further calls so until it comes back. `fresh` initialises the module anew
// and logs in anew; so does a login older than owner_credentials_age. The session may not outlive a fork.
std::unique_ptr<Kms> NewPkcs11Kms(std::map<std::string, Pkcs11Connection> connections, KmsCallOptions call);

}  // namespace latchkey
