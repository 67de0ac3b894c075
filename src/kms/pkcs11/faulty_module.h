// A PKCS #11 module that is SoftHSM, except where a test has asked for something else: an error instead of a call, a call that hangs, a
// mechanism that is not there. For tests only.
//
//   FaultyModule& faulty = FaultyModule::Instance();
//   auto kms = NewPkcs11Kms({{"hsm", token.connection(FaultyModule::kPath)}}, {});
//   faulty.Fail<&CK_FUNCTION_LIST::C_Decrypt>(CKR_DEVICE_ERROR);  // each call, until Clear()
//   faulty.Hang<&CK_FUNCTION_LIST::C_Login>();                    // each call, until Clear()
//   faulty.Slow<&CK_FUNCTION_LIST::C_Login>(200ms);               // each call, until Clear()
#pragma once

#include <p11-kit/pkcs11.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "kms/pkcs11/module.h"
#include "kms/pkcs11/softhsm_testing.h"

namespace latchkey {

// Thread-safe. One for the process; Clear() between tests.
class FaultyModule {
 public:
  static constexpr char kPath[] = "/latchkey-test/faulty-softhsm2.so";

  static FaultyModule& Instance() {
    static FaultyModule* const kInstance = new FaultyModule;
    return *kInstance;
  }

  // The next `times` calls of the function answer `rv` and do nothing.
  template <auto Function>
  void Fail(CK_RV rv, int times = 1'000'000) {
    const std::lock_guard lock(mutex_);
    faults_[&Wrapped<Function>::kTag] = {.rv = rv, .times = times};
  }
  // Calls of the function do not come back until Clear().
  template <auto Function>
  void Hang() {
    const std::lock_guard lock(mutex_);
    hanging_functions_.insert(&Wrapped<Function>::kTag);
  }
  // Calls of the function are carried out this much later, or at Clear().
  template <auto Function>
  void Slow(std::chrono::milliseconds delay) {
    const std::lock_guard lock(mutex_);
    delays_[&Wrapped<Function>::kTag] = delay;
  }
  // True once a call hangs, false when none does within five seconds.
  bool WaitUntilOneHangs() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(5), [&] { return hanging_ > 0; });
  }
  void HideMechanism(CK_MECHANISM_TYPE mechanism) {
    const std::lock_guard lock(mutex_);
    hidden_.insert(mechanism);
  }
  // Set in what C_GetTokenInfo tells.
  void AddTokenFlags(CK_FLAGS flags) {
    const std::lock_guard lock(mutex_);
    token_flags_ |= flags;
  }
  // C_Decrypt gives half of what was encrypted, and C_Encrypt half of the ciphertext.
  void GiveHalfAnswers() {
    const std::lock_guard lock(mutex_);
    half_answers_ = true;
  }
  // C_Decrypt gives other bytes than were encrypted.
  void GiveOtherBytes() {
    const std::lock_guard lock(mutex_);
    other_bytes_ = true;
  }
  // How often the function was called since Clear().
  template <auto Function>
  int calls() {
    const std::lock_guard lock(mutex_);
    return calls_[&Wrapped<Function>::kTag];
  }
  // SoftHSM as it is; calls that hang go on.
  void Clear() {
    const std::lock_guard lock(mutex_);
    faults_.clear();
    hanging_functions_.clear();
    hidden_.clear();
    calls_.clear();
    token_flags_ = 0;
    delays_.clear();
    half_answers_ = false;
    other_bytes_ = false;
    changed_.notify_all();
  }

 private:
  using Tag = const char*;
  struct Fault {
    CK_RV rv = CKR_OK;
    int times = 0;
  };

  // A function of our list: meets what is asked for, then calls SoftHSM's.
  template <auto Function>
  struct Wrapped;
  template <typename... Arguments, CK_RV (*CK_FUNCTION_LIST::*Function)(Arguments...)>
  struct Wrapped<Function> {
    static constexpr char kTag = 0;
    static CK_RV Call(Arguments... arguments) {
      if (const auto rv = Instance().Meet(&kTag)) return *rv;
      return (SoftHsm().*Function)(arguments...);
    }
  };

  FaultyModule() : functions_(SoftHsm()) {
    Wrap<&CK_FUNCTION_LIST::C_Initialize, &CK_FUNCTION_LIST::C_GetSlotList, &CK_FUNCTION_LIST::C_OpenSession, &CK_FUNCTION_LIST::C_Login,
         &CK_FUNCTION_LIST::C_GetSessionInfo, &CK_FUNCTION_LIST::C_FindObjectsInit, &CK_FUNCTION_LIST::C_FindObjects,
         &CK_FUNCTION_LIST::C_GetAttributeValue, &CK_FUNCTION_LIST::C_EncryptInit, &CK_FUNCTION_LIST::C_DecryptInit,
         &CK_FUNCTION_LIST::C_CreateObject, &CK_FUNCTION_LIST::C_DestroyObject, &CK_FUNCTION_LIST::C_WrapKey,
         &CK_FUNCTION_LIST::C_UnwrapKey>();
    functions_.C_GetMechanismInfo = GetMechanismInfo;
    functions_.C_GetTokenInfo = GetTokenInfo;
    functions_.C_Encrypt = Encrypt;
    functions_.C_Decrypt = Decrypt;
    Pkcs11Module::Adopt(kPath, &functions_, kSoftHsmModule);
  }
  template <auto... Functions>
  void Wrap() {
    ((functions_.*Functions = Wrapped<Functions>::Call), ...);
  }

  std::optional<CK_RV> Meet(Tag tag) {
    std::unique_lock lock(mutex_);
    ++calls_[tag];
    if (hanging_functions_.contains(tag)) {
      ++hanging_;
      changed_.notify_all();
      changed_.wait(lock, [&] { return !hanging_functions_.contains(tag); });
      --hanging_;
    }
    if (const auto delay = delays_.find(tag); delay != delays_.end()) {
      changed_.wait_for(lock, delay->second, [&] { return !delays_.contains(tag); });
    }
    const auto it = faults_.find(tag);
    if (it == faults_.end() || it->second.times <= 0) return std::nullopt;
    --it->second.times;
    return it->second.rv;
  }

  static CK_RV GetMechanismInfo(CK_SLOT_ID slot, CK_MECHANISM_TYPE mechanism, CK_MECHANISM_INFO* info) {
    {
      const std::lock_guard lock(Instance().mutex_);
      if (Instance().hidden_.contains(mechanism)) return CKR_MECHANISM_INVALID;
    }
    return Wrapped<&CK_FUNCTION_LIST::C_GetMechanismInfo>::Call(slot, mechanism, info);
  }
  static CK_RV GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO* info) {
    const CK_RV rv = Wrapped<&CK_FUNCTION_LIST::C_GetTokenInfo>::Call(slot, info);
    const std::lock_guard lock(Instance().mutex_);
    if (rv == CKR_OK) info->flags |= Instance().token_flags_;
    return rv;
  }
  static CK_RV Encrypt(CK_SESSION_HANDLE session, CK_BYTE* in, CK_ULONG in_size, CK_BYTE* out, CK_ULONG* out_size) {
    return Halved(Wrapped<&CK_FUNCTION_LIST::C_Encrypt>::Call(session, in, in_size, out, out_size), out_size);
  }
  static CK_RV Decrypt(CK_SESSION_HANDLE session, CK_BYTE* in, CK_ULONG in_size, CK_BYTE* out, CK_ULONG* out_size) {
    const CK_RV rv = Wrapped<&CK_FUNCTION_LIST::C_Decrypt>::Call(session, in, in_size, out, out_size);
    if (const std::lock_guard lock(Instance().mutex_); rv == CKR_OK && out != nullptr && Instance().other_bytes_) *out ^= 1;
    return Halved(rv, out_size);
  }
  static CK_RV Halved(CK_RV rv, CK_ULONG* size) {
    const std::lock_guard lock(Instance().mutex_);
    if (rv == CKR_OK && Instance().half_answers_) *size /= 2;
    return rv;
  }

  CK_FUNCTION_LIST functions_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Tag, Fault> faults_;
  std::map<Tag, int> calls_;
  std::set<Tag> hanging_functions_;
  std::set<CK_MECHANISM_TYPE> hidden_;
  CK_FLAGS token_flags_ = 0;
  std::map<Tag, std::chrono::milliseconds> delays_;
  bool half_answers_ = false, other_bytes_ = false;
  int hanging_ = 0;
};

}  // namespace latchkey
