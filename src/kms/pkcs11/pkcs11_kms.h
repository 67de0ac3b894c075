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

// A module is loaded once a process and stays. Its calls cannot be interrupted: each runs on a thread of the connection, and a call that
// does not come back within KmsCallOptions::call_budget is given up as UNREACHABLE; a connection whose thread hangs refuses further calls
// so until it comes back.
std::unique_ptr<Kms> NewPkcs11Kms(std::map<std::string, Pkcs11Connection> connections, KmsCallOptions call);

}  // namespace latchkey
