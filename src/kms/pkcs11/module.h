// A PKCS #11 module in this process: loaded once, initialised, and never unloaded.
#pragma once

#include <absl/status/statusor.h>
#include <p11-kit/pkcs11.h>

#include <string>

namespace latchkey {

// The functions of the module at `path`, ready for use; they live as long as the process. The first call loads it (dlopen) and every call
// makes sure that it is initialised (C_Initialize with CKF_OS_LOCKING_OK; somebody else may have done it already). May hang as long as the
// module does: call it on a thread that can wait. Thread-safe. Not to be used in a forked child. kUnreachable when it cannot be had.
absl::StatusOr<CK_FUNCTION_LIST*> LoadPkcs11Module(const std::string& path);

// For tests: takes `functions` for the module at `path`, which need not exist.
void AdoptPkcs11Module(const std::string& path, CK_FUNCTION_LIST* functions);

}  // namespace latchkey
