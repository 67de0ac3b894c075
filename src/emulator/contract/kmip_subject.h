// KMIP at a real PyKMIP server, with a relay before it for the vices that PyKMIP does not have.
#pragma once

#include <thread>

#include "emulator/contract/contract_subject.h"
#include "kms/kmip/kmip_kms.h"
#include "kms/kmip/relay_testing.h"

namespace latchkey {

class KmipSubject : public ContractSubject {
 public:
  explicit KmipSubject(const KmsCallOptions& call) : relay_(Server()), key_(Server().NewKey("kmip")), other_key_(Server().NewKey("kmip")) {
    kms_ = NewKmipKms({{"kmip", relay_.connection()}}, call);
  }
  ~KmipSubject() override {
    if (denied_) Server().Allow();
  }

  Kms& kms() override { return *kms_; }
  RootKey key() const override { return key_; }
  RootKey other_key() const override { return other_key_; }

  // Revoke has no way back, so the policy that the key stands under is what an owner changes.
  Consequence TakeAway() override {
    Server().Deny();
    denied_ = true;
    return {.classes = {FailureClass::kDenied}, .unaffected = {{KmsOperation::kDescribe, "the policy lets everybody read attributes"}}};
  }
  void GiveBack() override {
    Server().Allow();
    denied_ = false;
  }
  Consequence Deny() override { return Consequence::None("PyKMIP knows no rights but the policy of the key, which takes the key away"); }
  void Allow() override {}
  Consequence Delete() override {
    Server().Destroy(key_);
    return {.classes = {FailureClass::kDestroyed}};
  }

  Consequence Throttle(int times) override {
    if (times == kForever) {
      relay_.Always(KmipFault::kThrottle);
    } else {
      for (int i = 0; i < times; ++i) relay_.Next(KmipFault::kThrottle);
    }
    return {.classes = {FailureClass::kThrottled}};
  }
  Consequence Outage() override {
    relay_.Always(KmipFault::kDrop);
    return {.classes = {FailureClass::kUnreachable}};
  }
  Consequence Slow(absl::Duration answers) override {
    if (answers > absl::Seconds(2)) {
      relay_.Always(KmipFault::kSilence);
    } else {
      RewriteAll([answers](std::span<const uint8_t> answer) {
        std::this_thread::sleep_for(absl::ToChronoMilliseconds(answers));
        return std::vector<uint8_t>(answer.begin(), answer.end());
      });
    }
    return {.classes = {FailureClass::kUnreachable}};
  }
  Consequence HalfAnswer() override {
    relay_.Always(KmipFault::kHalf);
    return {.classes = {FailureClass::kUnreachable, FailureClass::kCorrupt}};
  }
  Consequence AnswerForAnotherKey() override {
    relay_.Always(KmipFault::kOtherKey);
    return {.classes = {FailureClass::kCorrupt}};
  }
  Consequence OtherBytes() override {
    relay_.Rewrite(kmip::Operation::kDecrypt, [](std::span<const uint8_t> answer) {
      const std::vector<uint8_t> other(32, 'x');
      return KmipReplaced(answer, kmip::kData, [&](TtlvWriter& w) { w.Bytes(kmip::kData, other); });
    });
    return {.classes = {FailureClass::kCorrupt},
            .unaffected = {{KmsOperation::kDescribe, "no plaintext in it"}, {KmsOperation::kWrap, "no plaintext in its answer"}}};
  }
  Consequence Quote(const std::string& plaintext, bool) override {
    // The request that has anything to hide.
    relay_.Rewrite(kmip::Operation::kEncrypt, [plaintext](std::span<const uint8_t>) {
      return KmipFailureAnswer(kmip::Operation::kEncrypt, kmip::Reason::kNotAuthorised, "the request with " + plaintext + " is refused");
    });
    const std::string why = "nothing secret is sent with it";
    return {.classes = {FailureClass::kDenied}, .unaffected = {{KmsOperation::kDescribe, why}, {KmsOperation::kUnwrap, why}}};
  }
  Consequence RedirectTo(const std::string&) override { return Consequence::None("KMIP has no redirects"); }
  void ClearFaults() override {
    relay_.Always(KmipFault::kNone);
    RewriteAll(nullptr);
  }

  std::vector<std::string> Secrets() override {
    // A line of the PEM is as good as all of it.
    const std::string pem = ReadFile(Server().connection().client_key_file).value_or("");
    const size_t line = pem.find('\n') + 1;
    return {pem.substr(line, 64)};
  }
  std::vector<std::string> HostileUris() const override {
    const std::string id = key_.uri.substr(key_.uri.rfind('/') + 1);
    return {"kmip://evil.example/" + id,
            "kmip://127.0.0.1:5696/" + id,
            "kmip://kmip:5696/" + id,
            "kmip://user@kmip/" + id,
            "kmip://kmip@evil.example/" + id,
            "kmip://kmip/" + id + "/",
            "kmip://kmip/" + id + "/..",
            "kmip://kmip/../" + id,
            "kmip://kmip/" + id + "#x",
            "kmip://kmip/" + id + "?x",
            "kmip://kmip/" + id + "%31",
            "kmip://kmip/" + id + "\r\n",
            "kmip://kmip/\xc3\xb6",
            "kmip://kmip/",
            "kmip:///" + id,
            "https://kmip/" + id,
            "KMIP://kmip/" + id,
            ""};
  }

 private:
  static constexpr kmip::Operation kOperations[] = {kmip::Operation::kGetAttributes, kmip::Operation::kEncrypt, kmip::Operation::kDecrypt};
  // One for all tests: each has keys of its own.
  static PyKmip& Server() {
    static PyKmip server;
    return server;
  }
  void RewriteAll(const KmipRelay::Rewriter& rewriter) {
    for (const kmip::Operation operation : kOperations) relay_.Rewrite(operation, rewriter);
  }

  bool denied_ = false;
  KmipRelay relay_;
  const RootKey key_, other_key_;
  std::unique_ptr<Kms> kms_;
};

}  // namespace latchkey
