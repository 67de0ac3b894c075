#include "kms/pkcs11/token_session.h"

#include <utility>
#include <vector>

#include "base/encoding.h"
#include "base/status.h"
#include "kms/kms.h"
#include "kms/pkcs11/module.h"

namespace latchkey {
namespace {

constexpr CK_ULONG kMostSlots = 1024;

// A field of fixed size, padded with blanks (by the book) or zeros (by some).
std::string_view Trimmed(std::span<const unsigned char> field) {
  std::string_view text = AsText(field);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) text.remove_suffix(1);
  return text;
}

bool IsPinRefused(CK_RV rv) { return rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE; }

}  // namespace

absl::Status TokenSession::Fail(Pkcs11Step step, std::string_view function, CK_RV rv) {
  lost_ |= IsSessionLost(rv);
  return Pkcs11Error(step, function, rv);
}

absl::Status TokenSession::CheckLoggedIn() {
  CK_SESSION_INFO info{};
  if (const CK_RV rv = functions_->C_GetSessionInfo(session_, &info); rv != CKR_OK) return Fail(Pkcs11Step::kToken, "C_GetSessionInfo", rv);
  if (info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS) return absl::OkStatus();
  return Fail(Pkcs11Step::kToken, "C_GetSessionInfo", CKR_USER_NOT_LOGGED_IN);
}

absl::Status TokenSession::Use(const Wish& wish, const std::function<absl::Status()>& use) {
  auto file = ReadPinFile(wish.pin_file);
  if (!file.ok()) {
    // Taken back: what was opened with it ends, too.
    if (FailureClassOf(file.status()) == FailureClass::kDenied) End();
    return file.status();
  }
  Pkcs11Module::Visit visit;
  ASSIGN_OR_RETURN(functions_, module_.Enter(visit));
  const bool stale = wish.now < logged_in_at_ || wish.now - logged_in_at_ >= wish.most_age;
  const bool there = session_ != CK_INVALID_HANDLE && generation_ == module_.generation() && !lost_;
  if (wish.fresh || stale || !there || !pin_.Equals(file->pin)) {
    RETURN_IF_ERROR(LogIn(wish, *std::move(file), visit));
  }
  absl::Status status = use();
  if (!status.ok() && lost_) {
    ASSIGN_OR_RETURN(PinFile again, ReadPinFile(wish.pin_file));
    RETURN_IF_ERROR(LogIn(wish, std::move(again), visit));
    status = use();
  }
  // Whatever troubled this session, the next call does not inherit it.
  if (const auto c = FailureClassOf(status); c && IsOutage(*c)) lost_ = true;
  return status;
}

void TokenSession::End() {
  if (session_ == CK_INVALID_HANDLE) return;
  Pkcs11Module::Visit visit;
  if (module_.Enter(visit).ok()) LogOut(visit);
}

void TokenSession::LogOut(const Pkcs11Module::Visit& visit) {
  // A handle from before the last initialisation may be somebody else's now.
  if (session_ != CK_INVALID_HANDLE && visit.owns_lock() && generation_ == module_.generation()) {
    functions_->C_Logout(session_);
    functions_->C_CloseSession(session_);
  }
  session_ = CK_INVALID_HANDLE;
  pin_ = SecretBytes();
}

absl::Status TokenSession::LogIn(const Wish& wish, PinFile file, Pkcs11Module::Visit& visit) {
  const uint64_t before = generation_;
  LogOut(visit);
  // Before anything else, so that waiting for the owner costs next to nothing. A token that is not found may be one that the module has not
  // noticed yet.
  absl::Status found = FindToken();
  if (found.ok()) {
    RETURN_IF_ERROR(CheckPinMayBeTried(wish.pin_file, file));
  }
  // Not for the first login after an initialisation, which another token may have asked for.
  if (before == module_.generation() || wish.fresh || !found.ok()) {
    module_.Renew(visit);
    ASSIGN_OR_RETURN(functions_, module_.Enter(visit));
    RETURN_IF_ERROR(FindToken());
    RETURN_IF_ERROR(CheckPinMayBeTried(wish.pin_file, file));
  }
  lost_ = false;
  generation_ = module_.generation();

  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
  if (const CK_RV rv = functions_->C_OpenSession(slot_, CKF_SERIAL_SESSION, nullptr, nullptr, &session); rv != CKR_OK) {
    return Pkcs11Error(Pkcs11Step::kToken, "C_OpenSession", rv);
  }
  const std::span<uint8_t> pin = file.pin.RevealMutable(SecretAccess{});
  CK_RV rv = functions_->C_Login(session, CKU_USER, pin.data(), pin.size());
  if (rv == CKR_USER_ALREADY_LOGGED_IN) {
    // Somebody else in this process. That says nothing of our PIN.
    functions_->C_Logout(session);
    rv = functions_->C_Login(session, CKU_USER, pin.data(), pin.size());
  }
  if (rv != CKR_OK) {
    functions_->C_CloseSession(session);
    if (IsPinRefused(rv)) {
      CK_TOKEN_INFO info{};
      const bool counted = functions_->C_GetTokenInfo(slot_, &info) == CKR_OK && (info.flags & CKF_USER_PIN_COUNT_LOW) != 0;
      refused_[wish.pin_file] = {.pin = std::move(file.pin), .stamp = file.stamp, .counted = counted};
    }
    return Pkcs11Error(Pkcs11Step::kLogin, "C_Login", rv);
  }
  refused_.erase(wish.pin_file);
  session_ = session;
  pin_ = std::move(file.pin);
  logged_in_at_ = wish.now;
  return absl::OkStatus();
}

absl::Status TokenSession::CheckPinMayBeTried(const std::string& pin_file, const PinFile& file) const {
  if ((flags_ & CKF_USER_PIN_LOCKED) != 0) {
    return KmsError(FailureClass::kDenied, "the token's PIN is locked; its security officer unlocks it");
  }
  const auto it = refused_.find(pin_file);
  if (it != refused_.end() && it->second.stamp == file.stamp && it->second.pin.Equals(file.pin)) {
    const bool reset = it->second.counted && (flags_ & CKF_USER_PIN_COUNT_LOW) == 0;
    if (!reset) {
      return KmsError(FailureClass::kDenied,
                      "the token has refused the PIN in pin_file, which is not tried again until that file is written or touched");
    }
  }
  if ((flags_ & CKF_USER_PIN_FINAL_TRY) != 0) {
    return KmsError(FailureClass::kDenied,
                    "one more wrong PIN would lock the token, so none is tried; its owner logs in with it once by another tool");
  }
  return absl::OkStatus();
}

absl::Status TokenSession::FindToken() {
  // Asking for the number makes the module look at its slots anew.
  CK_ULONG count = 0;
  CK_RV rv = functions_->C_GetSlotList(CK_TRUE, nullptr, &count);
  std::vector<CK_SLOT_ID> slots;
  if (rv == CKR_OK && count <= kMostSlots) {
    slots.resize(count);
    rv = functions_->C_GetSlotList(CK_TRUE, slots.data(), &count);
    if (rv == CKR_OK) slots.resize(std::min<size_t>(count, slots.size()));
  }
  if (rv != CKR_OK) return Pkcs11Error(Pkcs11Step::kToken, "C_GetSlotList", rv);

  int found = 0;
  CK_RV trouble = CKR_OK;
  CK_TOKEN_INFO info{};
  for (const CK_SLOT_ID slot : slots) {
    if (rv = functions_->C_GetTokenInfo(slot, &info); rv != CKR_OK) {
      trouble = rv;
      continue;
    }
    if ((info.flags & CKF_TOKEN_INITIALIZED) == 0 || Trimmed(info.label) != label_) continue;
    ++found;
    slot_ = slot;
    flags_ = info.flags;
    protection_ = CleanWords(Trimmed(info.model));
  }
  if (found > 1)
    return KmsError(FailureClass::kUnsuitable, absl::StrCat("the module has ", found, " tokens with the label \"", label_, "\""));
  if (found == 0) {
    return KmsError(FailureClass::kUnreachable,
                    absl::StrCat("the module has no token with the label \"", label_, "\"",
                                 trouble == CKR_OK ? "" : absl::StrCat("; C_GetTokenInfo: ", Pkcs11ErrorName(trouble))));
  }
  CK_SLOT_INFO slot_info{};
  if (functions_->C_GetSlotInfo(slot_, &slot_info) == CKR_OK && (slot_info.flags & CKF_HW_SLOT) != 0) protection_ = "HSM";
  return absl::OkStatus();
}

}  // namespace latchkey
