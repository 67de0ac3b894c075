// The contract of every KMS: what the rest of Latchkey relies upon, whichever provider it talks to (kms/kms.h).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <iostream>
#include <thread>

#include "base/random.h"
#include "base/testing.h"
#include "emulator/contract/contract_testing.h"
#include "http/server.h"

namespace latchkey {
namespace {

using enum FailureClass;

TEST_P(KmsContractTest, DescribesAnEnabledKey) {
  EXPECT_EQ(kms().type(), key().type);
  LK_EXPECT_OK(kms().Check(key()));
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms().Describe(key(), {}));
  EXPECT_TRUE(description.usable) << description.unusable_because;
  EXPECT_EQ(description.failure, std::nullopt);
  EXPECT_EQ(description.unusable_because, "");
  EXPECT_FALSE(description.resolved_uri.empty());
  EXPECT_FALSE(description.state.empty());
}

TEST_P(KmsContractTest, UnwrapsWhatItWrappedAtEveryLength) {
  std::set<size_t> sizes = {1, 32, 158, 190};
  for (const size_t size : sizes) {
    const SecretBytes plaintext = Random::System().Secret(size);
    const auto wrapped = kms().Wrap(key(), plaintext, kContext, {});
    if (size > subject_->longest_plaintext()) {
      EXPECT_EQ(ClassOf(wrapped.status()), kUnsuitable) << size;
      continue;
    }
    LK_ASSERT_OK(wrapped);
    LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, kms().Unwrap(key(), *wrapped, kContext, {}));
    EXPECT_TRUE(opened.Equals(plaintext)) << size;
    LK_ASSERT_OK_AND_ASSIGN(const SecretBytes again, kms().Unwrap(key(), *wrapped, kContext, {.fresh = true}));
    EXPECT_TRUE(again.Equals(plaintext)) << size;
  }
}

TEST_P(KmsContractTest, RefusesToWrapNothingAndTooMuch) {
  for (const size_t size : {size_t{0}, size_t{191}, size_t{100'000}}) {
    EXPECT_EQ(ClassOf(kms().Wrap(key(), SecretBytes(size), kContext, {}).status()), kUnsuitable) << size;
  }
}

TEST_P(KmsContractTest, TwoWrappingsOfTheSameBytesDiffer) { EXPECT_NE(Wrapped().ciphertext, Wrapped().ciphertext); }

TEST_P(KmsContractTest, AnotherContextIsCorrupt) {
  const KmsWrapped wrapped = Wrapped();
  const KmsContext others[] = {{},
                               {{"latchkey:cluster", "c-1"}},
                               {{"latchkey:cluster", "c-1"}, {"latchkey:generation", "2"}},
                               {{"latchkey:cluster", "c-1"}, {"latchkey:generation", "1"}, {"more", ""}},
                               {{"latchkey:cluster", "1"}, {"latchkey:generation", "c-1"}}};
  for (const KmsContext& other : others) EXPECT_EQ(ClassOf(kms().Unwrap(key(), wrapped, other, {}).status()), kCorrupt) << other.size();
  LK_EXPECT_OK(Unwrap(wrapped));
}

TEST_P(KmsContractTest, WorksWithoutAContextAndWithOneInUtf8) {
  for (const KmsContext& context : {KmsContext{}, KmsContext{{"größe", "klein\"\\/"}}}) {
    LK_ASSERT_OK_AND_ASSIGN(const KmsWrapped wrapped, kms().Wrap(key(), Plaintext(), context, {}));
    LK_EXPECT_OK(kms().Unwrap(key(), wrapped, context, {}));
    EXPECT_EQ(ClassOf(Unwrap(wrapped)), kCorrupt);
  }
}

TEST_P(KmsContractTest, ABlobWithChangedBytesIsCorrupt) {
  const KmsWrapped good = Wrapped();
  const size_t size = good.ciphertext.size();
  for (const size_t at : {size_t{0}, size_t{1}, size_t{2}, size / 4, size / 2, size - 9, size - 1}) {
    for (const uint8_t change : {uint8_t{0x01}, uint8_t{0x80}, uint8_t{0xff}}) {
      KmsWrapped bad = good;
      bad.ciphertext[at] ^= change;
      EXPECT_EQ(ClassOf(Unwrap(bad)), kCorrupt) << "byte " << at << " of " << size << " changed by " << int{change};
    }
  }
  LK_EXPECT_OK(Unwrap(good));
}

TEST_P(KmsContractTest, ABlobThatWasCutOrMadeLongerIsCorrupt) {
  const KmsWrapped good = Wrapped();
  const size_t size = good.ciphertext.size();
  for (const size_t wanted : {size_t{0}, size_t{1}, size_t{12}, size / 2, size - 1, size + 1, size + 8, 2 * size, size_t{100'000}}) {
    KmsWrapped bad = good;
    bad.ciphertext.resize(wanted);
    EXPECT_EQ(ClassOf(Unwrap(bad)), kCorrupt) << wanted << " bytes in place of " << size;
  }
  KmsWrapped twice = good;
  twice.ciphertext.insert(twice.ciphertext.end(), good.ciphertext.begin(), good.ciphertext.end());
  EXPECT_EQ(ClassOf(Unwrap(twice)), kCorrupt);
}

TEST_P(KmsContractTest, ABlobOfOtherBytesIsCorrupt) {
  KmsWrapped noise = Wrapped();
  for (const size_t size : {size_t{1}, size_t{61}, size_t{256}, noise.ciphertext.size()}) {
    noise.ciphertext = Random::System().Bytes(size);
    EXPECT_EQ(ClassOf(Unwrap(noise)), kCorrupt) << size;
  }
}

TEST_P(KmsContractTest, AnotherKeyNeverOpensIt) {
  const KmsWrapped wrapped = Wrapped();
  const absl::Status with_other = kms().Unwrap(subject_->other_key(), wrapped, kContext, {}).status();
  ASSERT_FALSE(with_other.ok());
  EXPECT_TRUE(ClassOf(with_other) == kCorrupt || IsRefusal(*ClassOf(with_other))) << with_other;
  LK_ASSERT_OK_AND_ASSIGN(const KmsWrapped of_other, kms().Wrap(subject_->other_key(), Plaintext(), kContext, {}));
  const absl::Status of_others = Unwrap(of_other);
  ASSERT_FALSE(of_others.ok());
  EXPECT_TRUE(ClassOf(of_others) == kCorrupt || IsRefusal(*ClassOf(of_others))) << of_others;
  LK_EXPECT_OK(kms().Unwrap(subject_->other_key(), of_other, kContext, {}));
}

TEST_P(KmsContractTest, AKeyTakenAwayIsToldByItsClassAndComesBack) {
  const KmsWrapped wrapped = Wrapped();
  const Consequence taken = subject_->TakeAway();
  if (!Possible("taking the key away", taken)) return;
  ExpectAll(taken, wrapped, {.fresh = true});
  subject_->GiveBack();
  ExpectAllWell(wrapped, {.fresh = true});
}

TEST_P(KmsContractTest, ADeniedPrincipalIsToldByItsClassAndComesBack) {
  const KmsWrapped wrapped = Wrapped();
  const Consequence denied = subject_->Deny();
  if (!Possible("denying the principal", denied)) return;
  ExpectAll(denied, wrapped, {.fresh = true});
  subject_->Allow();
  ExpectAllWell(wrapped, {.fresh = true});
}

TEST_P(KmsContractTest, ADeletedKeyIsToldByItsClass) {
  const KmsWrapped wrapped = Wrapped();
  const Consequence deleted = subject_->Delete();
  if (!Possible("deleting the key", deleted)) return;
  ExpectAll(deleted, wrapped, {.fresh = true});
  // The other key is none the worse.
  LK_EXPECT_OK(kms().Wrap(subject_->other_key(), Plaintext(), kContext, {.fresh = true}));
}

TEST_P(KmsContractTest, BeingThrottledOnceIsGotOver) {
  const KmsWrapped wrapped = Wrapped();
  const Consequence once = subject_->Throttle(1);
  if (!Possible("throttling once", once)) return;
  for (const KmsOperation operation : kKmsOperations) {
    LK_EXPECT_OK(Do(operation, wrapped, {})) << NameOf(operation);
  }
}

TEST_P(KmsContractTest, BeingThrottledForLongIsThrottled) {
  const KmsWrapped wrapped = Wrapped();
  const Consequence forever = subject_->Throttle(ContractSubject::kForever);
  if (!Possible("throttling", forever)) return;
  ExpectAll(forever, wrapped, {});
  subject_->ClearFaults();
  ExpectAllWell(wrapped, {});
}

TEST_P(KmsContractTest, HalfAnAnswerIsNoAnswer) {
  const KmsWrapped wrapped = Wrapped();
  const Consequence half = subject_->HalfAnswer();
  if (!Possible("half an answer", half)) return;
  ExpectAll(half, wrapped, {});
}

TEST_P(KmsContractTest, AnAnswerForAnotherKeyIsCorrupt) {
  const KmsWrapped wrapped = Wrapped();
  const Consequence swapped = subject_->AnswerForAnotherKey();
  if (!Possible("an answer for another key", swapped)) return;
  ExpectAll(swapped, wrapped, {});
  subject_->ClearFaults();
  ExpectAllWell(wrapped, {});
}

TEST_P(KmsContractTest, AKeyThatUnwrapsOtherBytesFailsItsTest) {
  const KmsWrapped wrapped = Wrapped();
  const Consequence other = subject_->OtherBytes();
  if (!Possible("other bytes than wrapped", other)) return;
  const auto opened = kms().Unwrap(key(), wrapped, kContext, {});
  // Where nothing in the answer tells, whoever unwraps compares.
  if (opened.ok()) {
    EXPECT_FALSE(opened->Equals(Plaintext()));
  } else {
    EXPECT_EQ(ClassOf(opened.status()), kCorrupt) << opened.status();
  }
  EXPECT_EQ(ClassOf(Test()), kCorrupt);
}

TEST_P(KmsContractTest, PassesTheTestOfAKey) {
  std::vector<KeyTestStep> steps;
  LK_EXPECT_OK(Test(&steps));
  std::vector<std::string> names;
  for (const KeyTestStep& step : steps) names.push_back(step.name);
  EXPECT_THAT(names, testing::IsSupersetOf({"form", "describe", "wrap", "unwrap", "context"}));
}

TEST_P(KmsContractTest, ServesEightThreadsAtOnce) {
  const KmsWrapped wrapped = Wrapped();
  std::mutex mutex;
  std::vector<std::string> failures;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 3; ++round) {
        const KmsCall call{.fresh = i == 0};
        const SecretBytes mine = Random::System().Secret(32);
        absl::Status status = Unwrap(wrapped, call);
        if (const auto made = kms().Wrap(key(), mine, kContext, call); made.ok()) {
          const auto opened = kms().Unwrap(key(), *made, kContext, call);
          if (opened.ok() && !opened->Equals(mine)) status = absl::InternalError("another thread's bytes");
          if (!opened.ok()) status = opened.status();
        } else {
          status = made.status();
        }
        if (const auto described = kms().Describe(key(), call); !described.ok()) status = described.status();
        const std::lock_guard lock(mutex);
        if (!status.ok()) failures.emplace_back(status.message());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(failures, testing::IsEmpty());
}

TEST_P(KmsContractTest, AMalformedPrincipalIsUnsuitable) {
  for (const char* principal : {"not a principal", "https://evil.example/", "..", "a\r\nb", "\xff"}) {
    RootKey other = key();
    other.auth_principal = principal;
    const absl::Status status = kms().Check(other);
    EXPECT_EQ(ClassOf(status), kUnsuitable) << principal;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("auth_principal"));
  }
}

TEST_P(KmsContractTest, AKeyLeadsOnlyToHostsOfItsType) {
  const KmsWrapped wrapped = Wrapped();
  const int64_t before = subject_->Requests();
  for (const std::string& uri : subject_->HostileUris()) {
    RootKey hostile = key();
    hostile.uri = uri;
    const absl::Status status = kms().Check(hostile);
    EXPECT_EQ(ClassOf(status), kUnsuitable) << uri;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("uri")) << uri;
    EXPECT_EQ(ClassOf(kms().Describe(hostile, {}).status()), kUnsuitable) << uri;
    EXPECT_EQ(ClassOf(kms().Wrap(hostile, Plaintext(), kContext, {}).status()), kUnsuitable) << uri;
    EXPECT_EQ(ClassOf(kms().Unwrap(hostile, wrapped, kContext, {}).status()), kUnsuitable) << uri;
  }
  EXPECT_EQ(subject_->Requests(), before);
}

TEST_P(KmsContractTest, NeverFollowsARedirect) {
  const KmsWrapped wrapped = Wrapped();
  std::atomic<int> visits = 0;
  LK_ASSERT_OK_AND_ASSIGN(const auto elsewhere, HttpServer::Start({.handler = [&](HttpRequest, const HttpResponder& respond) {
                            ++visits;
                            respond(HttpResponse::Json(200, "{}"));
                          }}));
  const Consequence redirected = subject_->RedirectTo(absl::StrCat("http://127.0.0.1:", elsewhere->port()));
  if (!Possible("a redirect", redirected)) return;
  ExpectAll(redirected, wrapped, {});
  ExpectAll(redirected, wrapped, {.fresh = true});
  EXPECT_EQ(visits, 0);
}

TEST_P(KmsContractTimeTest, AnOutageIsUnreachableWithinTheBudget) {
  const KmsWrapped wrapped = Wrapped();
  const Consequence out = subject_->Outage();
  if (!Possible("an outage", out)) return;
  ExpectAllInTime(out, wrapped);
  subject_->ClearFaults();
  ExpectAllWell(wrapped, {});
}

TEST_P(KmsContractTest, ASlowAnswerIsWaitedFor) {
  const KmsWrapped wrapped = Wrapped();
  const Consequence slow = subject_->Slow(absl::Milliseconds(150));
  if (!Possible("a slow answer", slow)) return;
  ExpectAllWell(wrapped, {});
}

TEST_P(KmsContractTimeTest, AnAnswerThatIsTooSlowIsNoAnswer) {
  const KmsWrapped wrapped = Wrapped();
  const Consequence slow = subject_->Slow(absl::Seconds(30));
  if (!Possible("an answer beyond the budget", slow)) return;
  ExpectAllInTime(slow, wrapped);
  subject_->ClearFaults();
  ExpectRecovery(wrapped);
}

INSTANTIATE_TEST_SUITE_P(Every, KmsContractTest, testing::ValuesIn(ContractProviders()), ProviderName);
INSTANTIATE_TEST_SUITE_P(Every, KmsContractTimeTest, testing::ValuesIn(ContractProviders()), ProviderName);

}  // namespace
}  // namespace latchkey
