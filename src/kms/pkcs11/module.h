// A PKCS #11 module in this process: loaded once, never unloaded, initialised anew from time to time.
#pragma once

#include <absl/status/statusor.h>
#include <p11-kit/pkcs11.h>

#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <string>

namespace latchkey {

// Thread-safe, and as long-lived as the process. Its calls take as long as the module does: they are for threads that can wait. Not to be
// used in a forked child.
class Pkcs11Module {
 public:
  // Held by whoever calls functions of the module, so that it is not initialised anew under their feet.
  using Visit = std::shared_lock<std::shared_mutex>;

  // The one at `path`. Nothing is loaded yet.
  static Pkcs11Module& Of(const std::string& path);
  // For tests: `functions` stand for the module at `path`, which need not exist, and end in those of the module at `real`.
  static void Adopt(const std::string& path, CK_FUNCTION_LIST* functions, const std::string& real);

  // The functions, after dlopen and C_Initialize (with CKF_OS_LOCKING_OK) where these are still to be done; `visit` is held afterwards.
  // They stay where they are as long as the process. kUnreachable when the module cannot be had.
  absl::StatusOr<CK_FUNCTION_LIST*> Enter(Visit& visit);

  // C_Finalize and C_Initialize: modules keep things for as long as they are initialised (SoftHSM 2.6 the PINs of its tokens and which
  // tokens there are, clients of network HSMs a connection that broke). Does nothing while others visit, or when another part of the
  // process initialised the module. To be followed by Enter(); `visit` is not held afterwards.
  void Renew(Visit& visit);

  // Rises with each initialisation, and with it all sessions, logins and handles from before are void: no call may be made with them,
  // since the module gives the same numbers again. Read while visiting.
  uint64_t generation() const;

 private:
  struct Core;
  explicit Pkcs11Module(std::string path) : path_(std::move(path)) {}
  absl::Status Initialize();  // while alone

  const std::string path_;
  std::shared_ptr<Core> core_;
  CK_FUNCTION_LIST* functions_ = nullptr;
};

}  // namespace latchkey
