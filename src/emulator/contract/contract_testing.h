// The fixtures of the contract: one subject for each test, and what is expected of every error.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/testing.h"
#include "emulator/contract/contract_subject.h"

namespace latchkey {

inline std::string ProviderName(const testing::TestParamInfo<ContractProvider>& info) { return info.param.name; }
inline void PrintTo(const ContractProvider& provider, std::ostream* out) { *out << provider.name; }

inline std::optional<FailureClass> ClassOf(const absl::Status& status) { return FailureClassOf(status); }
inline void PrintTo(FailureClass c, std::ostream* out) { *out << FailureClassName(c); }
inline std::string_view NameOf(KmsOperation operation) {
  return operation == KmsOperation::kDescribe ? "Describe" : operation == KmsOperation::kWrap ? "Wrap" : "Unwrap";
}

class KmsContractTest : public testing::TestWithParam<ContractProvider> {
 protected:
  static inline const KmsContext kContext = {{"latchkey:cluster", "c-1"}, {"latchkey:generation", "1"}};
  static constexpr std::string_view kPlaintext = "planted-plaintext-0123456789abcd";

  explicit KmsContractTest(const KmsCallOptions& call = {.first_backoff = absl::Milliseconds(1)}) : subject_(GetParam().make(call)) {}
  ~KmsContractTest() override { subject_->Stop(); }

  Kms& kms() { return subject_->kms(); }
  RootKey key() const { return subject_->key(); }
  static SecretBytes Plaintext() { return SecretBytes::CopyOf(kPlaintext); }

  KmsWrapped Wrapped() {
    auto wrapped = kms().Wrap(key(), Plaintext(), kContext, {});
    EXPECT_THAT(wrapped, IsOk());
    return wrapped.value_or(KmsWrapped{.ciphertext = std::vector<uint8_t>(64)});
  }
  absl::Status Unwrap(const KmsWrapped& wrapped, const KmsCall& call = {}) {
    const auto opened = kms().Unwrap(key(), wrapped, kContext, call);
    if (opened.ok() && !opened->Equals(Plaintext())) return absl::InternalError("other bytes than were wrapped");
    return opened.status();
  }
  // What the operation says of the key: a description of a key that cannot be used counts as the failure that it names.
  absl::Status Do(KmsOperation operation, const KmsWrapped& wrapped, const KmsCall& call) {
    if (operation == KmsOperation::kWrap) return kms().Wrap(key(), Plaintext(), kContext, call).status();
    if (operation == KmsOperation::kUnwrap) return Unwrap(wrapped, call);
    const auto description = kms().Describe(key(), call);
    if (!description.ok() || description->usable) return description.status();
    EXPECT_TRUE(description->failure.has_value());
    return KmsError(description->failure.value_or(FailureClass::kUnsuitable),
                    absl::StrCat("the key ", description->state, " cannot be used: ", description->unusable_because));
  }
  absl::Status Test(std::vector<KeyTestStep>* steps = nullptr) {
    KmsSet set;
    set.Add(std::make_unique<Borrowed>(kms()));
    return TestKey(set, key(), kContext, steps);
  }

  // False where the KMS has no such thing; it is said, and not passed over.
  static bool Possible(std::string_view what, const Consequence& consequence) {
    if (consequence.no_such_thing.empty()) return true;
    std::cout << "[ NO SUCH  ] " << GetParam().name << ": " << what << ": " << consequence.no_such_thing << '\n';
    return false;
  }

  struct Outcome {
    absl::Status status;
    absl::Duration took;
  };
  // All three side by side: what one waits for, the others wait for meanwhile.
  std::map<KmsOperation, Outcome> DoAll(const KmsWrapped& wrapped, const KmsCall& call) {
    std::map<KmsOperation, Outcome> outcomes;
    for (const KmsOperation operation : kKmsOperations) outcomes.try_emplace(operation);
    std::vector<std::thread> threads;
    for (const KmsOperation operation : kKmsOperations) {
      threads.emplace_back([&, operation, &outcome = outcomes.at(operation)] {
        const absl::Time begin = absl::Now();
        outcome.status = Do(operation, wrapped, call);
        outcome.took = absl::Now() - begin;
      });
    }
    for (std::thread& thread : threads) thread.join();
    return outcomes;
  }
  void ExpectAll(const Consequence& expected, const KmsWrapped& wrapped, const KmsCall& call, absl::Duration most = absl::Minutes(1)) {
    for (const auto& [operation, outcome] : DoAll(wrapped, call)) {
      Expect(operation, expected, outcome.status);
      EXPECT_LE(outcome.took, most) << NameOf(operation);
    }
  }
  void ExpectAllWell(const KmsWrapped& wrapped, const KmsCall& call) {
    for (const auto& [operation, outcome] : DoAll(wrapped, call)) EXPECT_THAT(outcome.status, IsOk()) << NameOf(operation);
  }
  void Expect(KmsOperation operation, const Consequence& expected, const absl::Status& status) {
    const std::string text = absl::StrCat(std::string(NameOf(operation)), ": ", status.ToString());
    if (const auto unaffected = expected.unaffected.find(operation); unaffected != expected.unaffected.end()) {
      EXPECT_THAT(status, IsOk()) << text << " although " << unaffected->second;
      return;
    }
    ASSERT_FALSE(status.ok()) << text;
    const std::optional<FailureClass> c = ClassOf(status);
    ASSERT_TRUE(c.has_value()) << text;
    EXPECT_TRUE(expected.classes.contains(*c)) << text << " is " << FailureClassName(*c);
    ExpectTelling(status);
  }
  // Says what it is about, and gives nothing away.
  void ExpectTelling(const absl::Status& status) {
    std::string text(status.message());
    for (const std::string& secret : subject_->Secrets()) EXPECT_EQ(text.find(secret), std::string::npos) << text;
    EXPECT_EQ(text.find(kPlaintext), std::string::npos) << text;
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    static constexpr std::array<std::string_view, 8> kWords = {"crypt",      "wrap",  "describe",   "key",
                                                               "attributes", "token", "assumerole", "login"};
    EXPECT_TRUE(std::ranges::any_of(kWords, [&](std::string_view word) { return text.find(word) != std::string::npos; })) << text;
    EXPECT_LE(text.size(), 4096U);
  }

  std::unique_ptr<ContractSubject> subject_;

 private:
  // A set owns its providers; ours belongs to the subject.
  class Borrowed : public Kms {
   public:
    explicit Borrowed(Kms& kms) : kms_(kms) {}
    std::string_view type() const override { return kms_.type(); }
    absl::Status Check(const RootKey& key) const override { return kms_.Check(key); }
    absl::StatusOr<KeyDescription> Describe(const RootKey& key, const KmsCall& call) override { return kms_.Describe(key, call); }
    absl::StatusOr<KmsWrapped> Wrap(const RootKey& key, const SecretBytes& plaintext, const KmsContext& context,
                                    const KmsCall& call) override {
      return kms_.Wrap(key, plaintext, context, call);
    }
    absl::StatusOr<SecretBytes> Unwrap(const RootKey& key, const KmsWrapped& wrapped, const KmsContext& context,
                                       const KmsCall& call) override {
      return kms_.Unwrap(key, wrapped, context, call);
    }

   private:
    Kms& kms_;
  };
};

// With limits of time that a test can wait for.
class KmsContractTimeTest : public KmsContractTest {
 protected:
  static constexpr absl::Duration kBudget = absl::Milliseconds(2500);

  KmsContractTimeTest()
      : KmsContractTest({.call_budget = kBudget, .attempt_timeout = absl::Seconds(1), .first_backoff = absl::Milliseconds(1)}) {}

  // A second more for a machine that is busy with other things.
  void ExpectAllInTime(const Consequence& expected, const KmsWrapped& wrapped) {
    ExpectAll(expected, wrapped, {}, kBudget + absl::Seconds(1));
  }
  // Works again, soon.
  void ExpectRecovery(const KmsWrapped& wrapped) {
    const absl::Time until = absl::Now() + absl::Seconds(10);
    absl::Status status = Unwrap(wrapped);
    while (!status.ok() && absl::Now() < until) status = Unwrap(wrapped);
    EXPECT_THAT(status, IsOk());
  }
};

}  // namespace latchkey
