// PKCS #11 with a token of SoftHSM2, behind a module that can be made faulty.
#pragma once

#include "emulator/contract/contract_subject.h"
#include "kms/pkcs11/faulty_module.h"
#include "kms/pkcs11/pkcs11_kms.h"
#include "kms/pkcs11/softhsm_testing.h"

namespace latchkey {

class Pkcs11Subject : public ContractSubject {
 public:
  explicit Pkcs11Subject(const KmsCallOptions& call) : token_(NewLabel(), kPin) {
    faulty_.Clear();
    token_.CreateKey("kek");
    token_.CreateKey("other", {.id = "\x02"});
    kms_ = NewPkcs11Kms({{"hsm", token_.connection(FaultyModule::kPath)}}, call);
  }
  ~Pkcs11Subject() override { faulty_.Clear(); }

  Kms& kms() override { return *kms_; }
  RootKey key() const override { return {.type = "PKCS11", .uri = "pkcs11://hsm/kek"}; }
  RootKey other_key() const override { return {.type = "PKCS11", .uri = "pkcs11://hsm/other"}; }

  Consequence TakeAway() override {
    token_.DisableKey("kek");
    return {.classes = {FailureClass::kDisabled}};
  }
  void GiveBack() override { token_.EnableKey("kek"); }
  Consequence Deny() override {
    token_.ChangePin(kNewPin);
    return {.classes = {FailureClass::kDenied}};
  }
  void Allow() override { token_.WritePinFile(kNewPin); }
  Consequence Delete() override {
    token_.DestroyKey("kek");
    return {.classes = {FailureClass::kDestroyed}};
  }

  Consequence Throttle(int times) override {
    if (times != kForever) return Consequence::None("a token without a free session stays so until somebody closes theirs");
    faulty_.Fail<&CK_FUNCTION_LIST::C_FindObjectsInit>(CKR_SESSION_COUNT);
    faulty_.Fail<&CK_FUNCTION_LIST::C_OpenSession>(CKR_SESSION_COUNT);
    return {.classes = {FailureClass::kThrottled}};
  }
  Consequence Outage() override {
    faulty_.Fail<&CK_FUNCTION_LIST::C_FindObjectsInit>(CKR_DEVICE_REMOVED);
    faulty_.Fail<&CK_FUNCTION_LIST::C_OpenSession>(CKR_TOKEN_NOT_PRESENT);
    return {.classes = {FailureClass::kUnreachable}};
  }
  Consequence Slow(absl::Duration answers) override {
    // Each of the three finds the key.
    faulty_.Slow<&CK_FUNCTION_LIST::C_FindObjectsInit>(absl::ToChronoMilliseconds(answers));
    return {.classes = {FailureClass::kUnreachable}};
  }
  Consequence HalfAnswer() override {
    faulty_.GiveHalfAnswers();
    return {.classes = {FailureClass::kUnreachable, FailureClass::kCorrupt},
            .unaffected = {{KmsOperation::kDescribe, "attributes come whole or not at all"}}};
  }
  Consequence AnswerForAnotherKey() override { return Consequence::None("a call names the object that it is about, and its answer none"); }
  Consequence OtherBytes() override {
    faulty_.GiveOtherBytes();
    return {.classes = {FailureClass::kCorrupt},
            .unaffected = {{KmsOperation::kDescribe, "no plaintext in it"}, {KmsOperation::kWrap, "no plaintext in its answer"}}};
  }
  Consequence Quote(const std::string&, bool) override { return Consequence::None("a module answers with numbers, not with words"); }
  Consequence RedirectTo(const std::string&) override { return Consequence::None("PKCS #11 has no network"); }
  void ClearFaults() override { faulty_.Clear(); }

  std::vector<std::string> Secrets() override { return {kPin, kNewPin}; }
  std::vector<std::string> HostileUris() const override {
    return {"pkcs11://evil/kek",
            "pkcs11:///usr/lib/evil.so/kek",
            "pkcs11://../kek",
            "pkcs11://hsm:1/kek",
            "pkcs11://user@hsm/kek",
            "pkcs11://hsm/kek/..",
            "pkcs11://hsm/kek#x",
            "pkcs11://hsm/kek?module-path=/usr/lib/evil.so",
            "pkcs11://hsm/kek%",
            "pkcs11://hsm/kek%0a",
            "pkcs11://hsm/kek%ff",
            "pkcs11://hsm/\xc3\xb6",
            "pkcs11://hsm/",
            "pkcs11:///kek",
            "pkcs11:object=kek",
            "PKCS11://hsm/kek",
            ""};
  }

 private:
  static constexpr char kPin[] = "planted-pin-4711", kNewPin[] = "planted-pin-0815";
  static std::string NewLabel() {
    static int number = 0;
    return absl::StrCat("contract ", ++number);
  }

  FaultyModule& faulty_ = FaultyModule::Instance();
  SoftHsmToken token_;
  std::unique_ptr<Kms> kms_;
};

}  // namespace latchkey
