// Real tokens for tests: SoftHSM2 (Debian's package "softhsm2") in this process, with a store of its own in a temporary folder, and what
// the owner of a token does to it. For tests only.
//
//   SoftHsmToken token("owner");                       // a token with a user's PIN, and a file with that PIN
//   token.CreateKey("kek");                            // an AES-256 key
//   auto kms = NewPkcs11Kms({{"hsm", token.connection()}}, {});
//   const RootKey key{.type = "PKCS11", .uri = "pkcs11://hsm/kek"};
//   token.DisableKey("kek");  token.EnableKey("kek");  // the owner's switch
//   token.ChangePin("5678");                           // the owner takes the PIN back …
//   token.WritePinFile("5678");                        // … and gives the new one
//   token.DestroyKey("kek");
//
// SoftHSM reads the place of its store once a process. So there is one store with any number of tokens; their labels must differ. Login
// belongs to process and token in PKCS #11, so what is done here to a token must not run beside a call of the Kms to the same token.
#pragma once

#include <p11-kit/pkcs11.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/testing.h"
#include "kms/pkcs11/errors.h"
#include "kms/pkcs11/module.h"
#include "kms/pkcs11/pkcs11_kms.h"

namespace latchkey {

inline constexpr char kSoftHsmModule[] = "/usr/lib/softhsm/libsofthsm2.so";

// The functions of SoftHSM, ready for use with the store of this process.
inline CK_FUNCTION_LIST& SoftHsm() {
  static CK_FUNCTION_LIST* const kFunctions = [] {
    static const TempFolder kStore;
    EXPECT_THAT(MakeFolders(kStore / "tokens"), IsOk());
    EXPECT_THAT(WriteFileAtomically(kStore / "softhsm2.conf",
                                    "directories.tokendir = " + kStore / "tokens" + "\nobjectstore.backend = file\nlog.level = ERROR\n"),
                IsOk());
    setenv("SOFTHSM2_CONF", (kStore / "softhsm2.conf").c_str(), 1);
    Pkcs11Module::Visit visit;
    auto functions = Pkcs11Module::Of(kSoftHsmModule).Enter(visit);
    EXPECT_THAT(functions, IsOk()) << "install the package softhsm2";
    return functions.value();
  }();
  return *kFunctions;
}

class SoftHsmToken {
 public:
  struct KeyOptions {
    std::string id = "\x01";
    CK_ULONG bytes = 32;
    CK_KEY_TYPE type = CKK_AES;
    bool extractable = false;
    bool is_private = true;  // SoftHSM 2.6 cannot read the end date of a private key
  };

  explicit SoftHsmToken(std::string label, std::string pin = "1234") : label_(std::move(label)), pin_(std::move(pin)) {
    CK_FUNCTION_LIST& hsm = SoftHsm();
    const CK_SLOT_ID slot = FindSlot([](const CK_TOKEN_INFO& info) { return (info.flags & CKF_TOKEN_INITIALIZED) == 0; });
    std::string padded = label_;
    padded.resize(32, ' ');
    Expect("C_InitToken", hsm.C_InitToken(slot, Bytes(kOfficer), kOfficer.size(), Bytes(padded)));
    CK_TOKEN_INFO info{};
    Expect("C_GetTokenInfo", hsm.C_GetTokenInfo(slot, &info));
    std::ranges::copy(info.serialNumber, serial_.begin());
    CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
    Expect("C_OpenSession", hsm.C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session));
    Expect("C_Login", hsm.C_Login(session, CKU_SO, Bytes(kOfficer), kOfficer.size()));
    Expect("C_InitPIN", hsm.C_InitPIN(session, Bytes(pin_), pin_.size()));
    Expect("C_Logout", hsm.C_Logout(session));
    Expect("C_CloseSession", hsm.C_CloseSession(session));
    WritePinFile(pin_);
  }

  // `module`: the path under which the Kms is to look for SoftHSM (see faulty_module.h).
  Pkcs11Connection connection(const std::string& module = kSoftHsmModule) const {
    return {.module = module, .token_label = label_, .pin_file = pin_file()};
  }
  std::string pin_file() const { return folder_ / "pin"; }
  const std::string& label() const { return label_; }
  // Another one each time that the module is initialised.
  CK_SLOT_ID slot() const {
    return FindSlot([this](const CK_TOKEN_INFO& info) { return std::ranges::equal(info.serialNumber, serial_); });
  }

  void CreateKey(const std::string& label) { CreateKey(label, KeyOptions()); }
  void CreateKey(const std::string& label, KeyOptions options) {
    CK_BBOOL yes = CK_TRUE, extractable = options.extractable ? CK_TRUE : CK_FALSE, is_private = options.is_private ? CK_TRUE : CK_FALSE;
    CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
    std::string text = label;
    std::vector<CK_ATTRIBUTE> attributes = {{CKA_CLASS, &object_class, sizeof(object_class)},
                                            {CKA_KEY_TYPE, &options.type, sizeof(options.type)},
                                            {CKA_LABEL, text.data(), text.size()},
                                            {CKA_ID, options.id.data(), options.id.size()},
                                            {CKA_VALUE_LEN, &options.bytes, sizeof(options.bytes)},
                                            {CKA_TOKEN, &yes, sizeof(yes)},
                                            {CKA_PRIVATE, &is_private, sizeof(is_private)},
                                            {CKA_SENSITIVE, &yes, sizeof(yes)},
                                            {CKA_EXTRACTABLE, &extractable, sizeof(extractable)}};
    for (const CK_ATTRIBUTE_TYPE use : {CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP}) attributes.push_back({use, &yes, sizeof(yes)});
    CK_MECHANISM mechanism{options.type == CKK_AES ? CKM_AES_KEY_GEN : CKM_GENERIC_SECRET_KEY_GEN, nullptr, 0};
    AsOwner([&](CK_SESSION_HANDLE session) {
      CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
      Expect("C_GenerateKey", SoftHsm().C_GenerateKey(session, &mechanism, attributes.data(), attributes.size(), &key));
    });
  }

  // Every use of the key is forbidden, or allowed again.
  void DisableKey(const std::string& label) { AllowUses(label, {CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP}, false); }
  void EnableKey(const std::string& label) { AllowUses(label, {CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP}, true); }
  void AllowUses(const std::string& label, const std::vector<CK_ATTRIBUTE_TYPE>& uses, bool allowed) {
    CK_BBOOL value = allowed ? CK_TRUE : CK_FALSE;
    for (const CK_ATTRIBUTE_TYPE use : uses) SetAttribute(label, {use, &value, sizeof(value)});
  }
  // `date`: "20301231".
  void SetEndDate(const std::string& label, std::string date) { SetAttribute(label, {CKA_END_DATE, date.data(), date.size()}); }
  void RenameKey(const std::string& label, std::string to) { SetAttribute(label, {CKA_LABEL, to.data(), to.size()}); }
  void DestroyKey(const std::string& label) {
    AsOwner([&](CK_SESSION_HANDLE session) {
      for (const CK_OBJECT_HANDLE key : Find(session, label)) Expect("C_DestroyObject", SoftHsm().C_DestroyObject(session, key));
    });
  }

  // On the token only: the file keeps what it holds.
  void ChangePin(std::string pin) {
    WithSession([&](CK_SESSION_HANDLE session) {
      Expect("C_SetPIN", SoftHsm().C_SetPIN(session, Bytes(pin_), pin_.size(), Bytes(pin), pin.size()));
    });
    pin_ = std::move(pin);
  }
  void WritePinFile(std::string_view pin) { EXPECT_THAT(WriteFileAtomically(pin_file(), std::string(pin) + "\n"), IsOk()); }
  void RemovePinFile() { EXPECT_EQ(unlink(pin_file().c_str()), 0); }

  // As the session of whoever shares this process with the Kms would do.
  void LogOut() {
    WithSession([&](CK_SESSION_HANDLE session) { Expect("C_Logout", SoftHsm().C_Logout(session)); });
  }
  void CloseAllSessions() { Expect("C_CloseAllSessions", SoftHsm().C_CloseAllSessions(slot())); }

 private:
  inline static std::string kOfficer = "officer-1234";

  static CK_BYTE* Bytes(std::string& text) { return reinterpret_cast<CK_BYTE*>(text.data()); }
  static void Expect(std::string_view function, CK_RV rv) { EXPECT_EQ(Pkcs11ErrorName(rv), "CKR_OK") << function; }

  // SoftHSM always has a slot with a token that nobody has initialised.
  static CK_SLOT_ID FindSlot(const std::function<bool(const CK_TOKEN_INFO&)>& wanted) {
    CK_ULONG count = 0;
    Expect("C_GetSlotList", SoftHsm().C_GetSlotList(CK_TRUE, nullptr, &count));
    std::vector<CK_SLOT_ID> slots(count);
    Expect("C_GetSlotList", SoftHsm().C_GetSlotList(CK_TRUE, slots.data(), &count));
    const auto found = std::ranges::find_if(slots, [&](CK_SLOT_ID slot) {
      CK_TOKEN_INFO info{};
      return SoftHsm().C_GetTokenInfo(slot, &info) == CKR_OK && wanted(info);
    });
    EXPECT_NE(found, slots.end());
    return found == slots.end() ? 0 : *found;
  }

  void WithSession(const std::function<void(CK_SESSION_HANDLE)>& act) {
    CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
    Expect("C_OpenSession", SoftHsm().C_OpenSession(slot(), CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session));
    act(session);
    Expect("C_CloseSession", SoftHsm().C_CloseSession(session));
  }
  // Logged in; afterwards it is as it was.
  void AsOwner(const std::function<void(CK_SESSION_HANDLE)>& act) {
    WithSession([&](CK_SESSION_HANDLE session) {
      const CK_RV rv = SoftHsm().C_Login(session, CKU_USER, Bytes(pin_), pin_.size());
      if (rv != CKR_USER_ALREADY_LOGGED_IN) Expect("C_Login", rv);
      act(session);
      if (rv == CKR_OK) Expect("C_Logout", SoftHsm().C_Logout(session));
    });
  }
  static std::vector<CK_OBJECT_HANDLE> Find(CK_SESSION_HANDLE session, std::string label) {
    CK_ATTRIBUTE wanted{CKA_LABEL, label.data(), label.size()};
    Expect("C_FindObjectsInit", SoftHsm().C_FindObjectsInit(session, &wanted, 1));
    std::array<CK_OBJECT_HANDLE, 16> found{};
    CK_ULONG count = 0;
    Expect("C_FindObjects", SoftHsm().C_FindObjects(session, found.data(), found.size(), &count));
    Expect("C_FindObjectsFinal", SoftHsm().C_FindObjectsFinal(session));
    EXPECT_GT(count, 0U) << "no object with the label " << label;
    return {found.begin(), found.begin() + static_cast<ptrdiff_t>(count)};
  }
  void SetAttribute(const std::string& label, CK_ATTRIBUTE attribute) {
    AsOwner([&](CK_SESSION_HANDLE session) {
      for (const CK_OBJECT_HANDLE key : Find(session, label)) {
        Expect("C_SetAttributeValue", SoftHsm().C_SetAttributeValue(session, key, &attribute, 1));
      }
    });
  }

  const TempFolder folder_;
  const std::string label_;
  std::string pin_;
  std::array<CK_CHAR, 16> serial_{};
};

}  // namespace latchkey
