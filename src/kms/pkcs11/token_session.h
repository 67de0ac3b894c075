// A session with one token, logged in as its user with the PIN of a connection.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <p11-kit/pkcs11.h>

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "kms/pkcs11/errors.h"
#include "kms/pkcs11/module.h"
#include "kms/pkcs11/pin_file.h"
#include "kms/pkcs11/pkcs11_kms.h"

namespace latchkey {

// Login belongs to the whole process and token in PKCS #11, not to a session: so there is one of these for each token, and connections
// that name the same token take turns, each with its own PIN. Not thread-safe; every call may hang as long as the module does.
//
// A PIN that the token has refused is not tried again, since a few wrong tries lock it for everybody. It is tried again after its file
// was written or touched, or when the token no longer counts wrong tries (somebody has logged in rightly, or set the PIN anew).
class TokenSession {
 public:
  // Of the token with `label` in the module at `module`, a path.
  TokenSession(const std::string& module, std::string label) : module_(Pkcs11Module::Of(module)), label_(std::move(label)) {}
  TokenSession(const TokenSession&) = delete;
  TokenSession& operator=(const TokenSession&) = delete;

  struct Wish {
    const std::string& pin_file;
    bool fresh = false;       // log in anew whatever there is
    absl::Duration now;       // a clock that never goes back
    absl::Duration most_age;  // a login that is older is made anew
  };
  // Runs `use` while logged in; once more after another login when the session turned out to be lost. The PIN file is read each time, so
  // that taking it away bites at once. With each login the module is initialised anew where that can be done (see Pkcs11Module::Renew).
  // Errors carry their class.
  absl::Status Use(const Wish& wish, const std::function<absl::Status()>& use);
  // Logs out.
  void End();

  // For `use`:
  CK_FUNCTION_LIST& module() const { return *functions_; }
  CK_SESSION_HANDLE session() const { return session_; }
  CK_SLOT_ID slot() const { return slot_; }
  // "HSM", or the model of a token that is not hardware.
  const std::string& protection() const { return protection_; }
  // The error of that answer, which is remembered when it tells that the session is lost.
  absl::Status Fail(Pkcs11Step step, std::string_view function, CK_RV rv);
  // The session is lost, as Fail() has learnt.
  bool lost() const { return lost_; }
  // OK when the token still holds us for logged in.
  absl::Status CheckLoggedIn();

 private:
  struct Refused {
    SecretBytes pin;
    PinFile::Stamp stamp;
    bool counted = false;  // the token told of wrong tries afterwards
  };

  absl::Status LogIn(const Wish& wish, PinFile file, Pkcs11Module::Visit& visit);
  absl::Status FindToken();
  void LogOut(const Pkcs11Module::Visit& visit);
  absl::Status CheckPinMayBeTried(const std::string& pin_file, const PinFile& file) const;

  Pkcs11Module& module_;
  const std::string label_;
  CK_FUNCTION_LIST* functions_ = nullptr;
  CK_SLOT_ID slot_ = 0;
  CK_FLAGS flags_ = 0;  // of the token, when it was last looked at
  std::string protection_;
  CK_SESSION_HANDLE session_ = CK_INVALID_HANDLE;
  uint64_t generation_ = 0;  // of the module, that the session belongs to
  bool lost_ = false;
  SecretBytes pin_;  // that we are logged in with
  absl::Duration logged_in_at_;
  std::map<std::string, Refused> refused_;  // by path of the PIN file; bounded by the connections of the configuration
};

}  // namespace latchkey
