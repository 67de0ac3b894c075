// No credential, token or plaintext reaches a log, a message or the service's own log: each is planted, everything that can go wrong is
// made to go wrong, and all that was said is searched.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/file.h"
#include "base/log.h"
#include "base/testing.h"
#include "emulator/contract/contract_testing.h"

namespace latchkey {
namespace {

// The forms in which a secret could slip through.
std::vector<std::string> FormsOf(std::string_view secret) {
  std::vector<std::string> forms = {std::string(secret), Base64Encode(AsBytes(secret)), Base64UrlEncode(AsBytes(secret)),
                                    HexEncode(AsBytes(secret))};
  // Without the padding, as the beginning of something longer.
  forms[1].resize(secret.size() / 3 * 4);
  forms[2].resize(secret.size() / 3 * 4);
  return forms;
}

class KmsSecretsTest : public KmsContractTest {
 protected:
  KmsSecretsTest()
      : KmsContractTest({.call_budget = absl::Seconds(2), .attempt_timeout = absl::Seconds(1), .first_backoff = absl::Milliseconds(1)}) {}
  void SetUp() override { LK_ASSERT_OK(SetUpLog({.component = "contract", .least = LogLevel::kDebug, .file = log_file_})); }
  void TearDown() override { LK_EXPECT_OK(SetUpLog({.component = "test"})); }

  // Each operation, with kept and with fresh credentials. What they say is logged, as the callers of a Kms do.
  void Provoke(const KmsWrapped& wrapped) {
    for (const bool fresh : {false, true}) {
      for (const auto& [operation, outcome] : DoAll(wrapped, {.fresh = fresh})) Say(outcome.status);
    }
  }
  void Say(const absl::Status& status) {
    const std::string text = status.ToString();
    said_ += text + "\n";
    Log(LogLevel::kDebug, "a call of a KMS", {{"result", text}});
  }
  void ExpectNowhere(const std::string& where, const std::string& text) {
    std::vector<std::string> secrets = subject_->Secrets();
    EXPECT_FALSE(secrets.empty());
    secrets.emplace_back(kPlaintext);
    for (const std::string& secret : secrets) {
      ASSERT_GE(secret.size(), 8U);
      for (const std::string& form : FormsOf(secret)) {
        const size_t at = text.find(form);
        EXPECT_EQ(at, std::string::npos) << where << " holds the secret " << secret.substr(0, 12)
                                         << "…: " << text.substr(at < 200 ? 0 : at - 200, 400);
      }
    }
  }
  void ExpectNowhere() {
    ExpectNowhere("a message", said_);
    LK_ASSERT_OK_AND_ASSIGN(const std::string log, ReadFile(log_file_));
    EXPECT_THAT(log, testing::HasSubstr("a call of a KMS"));
    ExpectNowhere("the log", log);
    ExpectNowhere("the service's log", subject_->ServiceLog());
  }

  const TempFolder folder_;
  const std::string log_file_ = folder_ / "log";
  std::string said_;
};

TEST_P(KmsSecretsTest, NoSecretIsSaidWhateverFails) {
  const KmsWrapped wrapped = Wrapped();
  Provoke(wrapped);
  const std::vector<std::function<Consequence()>> faults = {[&] { return subject_->Throttle(ContractSubject::kForever); },
                                                            [&] { return subject_->HalfAnswer(); },
                                                            [&] { return subject_->AnswerForAnotherKey(); },
                                                            [&] { return subject_->OtherBytes(); },
                                                            [&] { return subject_->Outage(); },
                                                            [&] { return subject_->RedirectTo("http://127.0.0.1:1/"); }};
  for (const auto& fault : faults) {
    if (!fault().no_such_thing.empty()) continue;
    Provoke(wrapped);
    Say(Test());
    subject_->ClearFaults();
  }
  KmsWrapped corrupt = wrapped;
  corrupt.ciphertext.back() ^= 1;
  Provoke(corrupt);
  Say(kms().Unwrap(key(), wrapped, {}, {}).status());
  Say(kms().Wrap(key(), SecretBytes::CopyOf(std::string(kPlaintext) + std::string(200, 'x')), kContext, {}).status());
  for (const std::string& uri : subject_->HostileUris()) {
    RootKey hostile = key();
    hostile.uri = uri;
    Say(kms().Wrap(hostile, Plaintext(), kContext, {}).status());
  }
  subject_->Deny();
  Provoke(wrapped);
  subject_->Allow();
  subject_->TakeAway();
  Provoke(wrapped);
  subject_->GiveBack();
  subject_->Delete();
  Provoke(wrapped);
  ExpectNowhere();
}

TEST_P(KmsSecretsTest, AServiceThatQuotesWhatItWasSentIsNotQuoted) {
  const KmsWrapped wrapped = Wrapped();
  const Consequence uses = subject_->Quote(std::string(kPlaintext), true);
  if (!Possible("a service that quotes", uses)) return;
  Provoke(wrapped);
  Expect(KmsOperation::kWrap, uses, Do(KmsOperation::kWrap, wrapped, {}));
  subject_->ClearFaults();
  const Consequence all = subject_->Quote(std::string(kPlaintext), false);
  Provoke(wrapped);
  ExpectAll(all, wrapped, {});
  ExpectNowhere();
}

INSTANTIATE_TEST_SUITE_P(Every, KmsSecretsTest, testing::ValuesIn(ContractProviders()), ProviderName);

}  // namespace
}  // namespace latchkey
