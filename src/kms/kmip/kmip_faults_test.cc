// What a KMIP server may do wrong, or right in ways that PyKMIP does not show.
#include "base/testing.h"
#include "kms/kmip/relay_testing.h"

namespace latchkey {
namespace {

using kmip::Operation;
using kmip::Reason;
using testing::HasSubstr;

const KmsContext kContext = {{"latchkey:cluster", "c-1"}};

testing::Matcher<const absl::Status&> HasClass(FailureClass c) {
  return testing::ResultOf("failure class", [](const absl::Status& s) { return FailureClassOf(s); }, testing::Optional(c));
}

class KmipFaultsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_ = std::make_unique<PyKmip>();
    key_ = server_->NewKey("test");
  }
  static void TearDownTestSuite() { server_.reset(); }

  std::unique_ptr<Kms> Make(absl::Duration attempt = absl::Seconds(4), absl::Duration budget = absl::Seconds(10)) {
    return NewKmipKms({{"test", relay_.connection()}},
                      {.call_budget = budget, .attempt_timeout = attempt, .first_backoff = absl::Milliseconds(1)});
  }
  KmsWrapped Wrapped() {
    auto wrapped = kms_->Wrap(key_, SecretBytes::CopyOf(std::string_view("the key")), kContext, {});
    EXPECT_THAT(wrapped, IsOk());
    return wrapped.value_or(KmsWrapped{});
  }
  absl::Status Unwrap(const KmsWrapped& wrapped, const KmsCall& call = {}) { return kms_->Unwrap(key_, wrapped, kContext, call).status(); }
  void Refuse(Operation operation, Reason reason, std::string words, kmip::ResultStatus status = kmip::ResultStatus::kFailed) {
    relay_.Rewrite(operation, [=](std::span<const uint8_t>) { return KmipFailureAnswer(operation, reason, words, status); });
  }
  void Accept(Operation operation) { relay_.Rewrite(operation, nullptr); }
  void SayState(kmip::State state) {
    relay_.Rewrite(Operation::kGetAttributes, [=](std::span<const uint8_t> answer) {
      return KmipReplaced(answer, kmip::kAttribute, [=](TtlvWriter& w) {
        w.Begin(kmip::kAttribute);
        w.Text(kmip::kAttributeName, "State");
        w.Enumeration(kmip::kAttributeValue, static_cast<uint32_t>(state));
        w.End();
      });
    });
  }

  static std::unique_ptr<PyKmip> server_;
  static RootKey key_;
  KmipRelay relay_{*server_};
  std::unique_ptr<Kms> kms_ = Make();
};
std::unique_ptr<PyKmip> KmipFaultsTest::server_;
RootKey KmipFaultsTest::key_;

TEST_F(KmipFaultsTest, KeepsItsConnectionAndMakesANewOneWhenAskedTo) {
  const KmsWrapped wrapped = Wrapped();
  LK_EXPECT_OK(Unwrap(wrapped));
  EXPECT_EQ(relay_.connections(), 1);
  LK_EXPECT_OK(Unwrap(wrapped, {.fresh = true}));
  EXPECT_EQ(relay_.connections(), 3);  // one to decrypt, one to see the state
}

TEST_F(KmipFaultsTest, LooksAtTheStateOnceAnUnwrapAndNotAtAllForAWrap) {
  const KmsWrapped wrapped = Wrapped();
  EXPECT_EQ(relay_.calls(Operation::kGetAttributes), 0);
  LK_EXPECT_OK(Unwrap(wrapped));
  EXPECT_EQ(relay_.calls(Operation::kDecrypt), 1);
  EXPECT_EQ(relay_.calls(Operation::kGetAttributes), 1);
}

TEST_F(KmipFaultsTest, GetsOverADroppedConnection) {
  const KmsWrapped wrapped = Wrapped();
  relay_.Next(KmipFault::kDrop);
  relay_.Next(KmipFault::kDrop);
  LK_EXPECT_OK(Unwrap(wrapped));
}

TEST_F(KmipFaultsTest, IsUnreachableWhenNoWholeAnswerComes) {
  const KmsWrapped wrapped = Wrapped();
  for (const KmipFault fault : {KmipFault::kDrop, KmipFault::kHalf, KmipFault::kGarbage, KmipFault::kTooLong}) {
    relay_.Always(fault);
    const absl::Status status = Unwrap(wrapped);
    EXPECT_THAT(status, HasClass(FailureClass::kUnreachable)) << static_cast<int>(fault);
    EXPECT_THAT(std::string(status.message()), HasSubstr("KMIP Decrypt: "));
  }
}

TEST_F(KmipFaultsTest, WaitsNoLongerThanItsBudgetForAServerThatIsSilent) {
  const KmsWrapped wrapped = Wrapped();
  relay_.Always(KmipFault::kSilence);
  kms_ = Make(absl::Milliseconds(80), absl::Milliseconds(200));
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kUnreachable));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(3));
}

TEST_F(KmipFaultsTest, TakesAnAnswerOfAnotherKeyForCorrupt) {
  const KmsWrapped wrapped = Wrapped();
  relay_.Always(KmipFault::kOtherKey);
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kCorrupt));
  EXPECT_THAT(kms_->Describe(key_, {}).status(), HasClass(FailureClass::kCorrupt));
  EXPECT_THAT(kms_->Wrap(key_, SecretBytes(32), kContext, {}).status(), HasClass(FailureClass::kCorrupt));
}

TEST_F(KmipFaultsTest, IsThrottledWhenAskingAgainDidNotHelp) {
  const KmsWrapped wrapped = Wrapped();
  relay_.Next(KmipFault::kThrottle);
  LK_EXPECT_OK(Unwrap(wrapped));
  relay_.Always(KmipFault::kThrottle);
  const int before = relay_.calls(Operation::kDecrypt);
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kThrottled));
  EXPECT_EQ(relay_.calls(Operation::kDecrypt) - before, 3);
}

TEST_F(KmipFaultsTest, ClassifiesEveryReasonThatItKnows) {
  const KmsWrapped wrapped = Wrapped();
  // While the key's attributes say that it is active and fit.
  const std::tuple<Reason, FailureClass, FailureClass> rows[] = {
      // reason, of Decrypt, of Encrypt
      {Reason::kItemNotFound, FailureClass::kDestroyed, FailureClass::kDestroyed},
      {Reason::kObjectNotFound, FailureClass::kDestroyed, FailureClass::kDestroyed},
      {Reason::kObjectDestroyed, FailureClass::kDestroyed, FailureClass::kDestroyed},
      {Reason::kKeyValueNotPresent, FailureClass::kDestroyed, FailureClass::kDestroyed},
      {Reason::kObjectArchived, FailureClass::kDisabled, FailureClass::kDisabled},
      {Reason::kAuthenticationNotSuccessful, FailureClass::kDenied, FailureClass::kDenied},
      {Reason::kNotAuthorised, FailureClass::kDenied, FailureClass::kDenied},
      {Reason::kPermissionDenied, FailureClass::kDenied, FailureClass::kDenied},
      {Reason::kUsageLimitExceeded, FailureClass::kDenied, FailureClass::kDenied},
      {Reason::kIllegalOperation, FailureClass::kDenied, FailureClass::kDenied},
      {Reason::kWrongKeyLifecycleState, FailureClass::kDenied, FailureClass::kDenied},
      {Reason::kCryptographicFailure, FailureClass::kCorrupt, FailureClass::kUnreachable},
      {Reason::kInvalidField, FailureClass::kCorrupt, FailureClass::kUnsuitable},
      {Reason::kMissingData, FailureClass::kCorrupt, FailureClass::kUnsuitable},
      {Reason::kOperationNotSupported, FailureClass::kUnsuitable, FailureClass::kUnsuitable},
      {Reason::kFeatureNotSupported, FailureClass::kUnsuitable, FailureClass::kUnsuitable},
      {Reason::kBadCryptographicParameters, FailureClass::kUnsuitable, FailureClass::kUnsuitable},
      {Reason::kUnsupportedCryptographicParameters, FailureClass::kUnsuitable, FailureClass::kUnsuitable},
      {Reason::kUnsupportedProtocolVersion, FailureClass::kUnsuitable, FailureClass::kUnsuitable},
      {Reason::kIllegalObjectType, FailureClass::kUnsuitable, FailureClass::kUnsuitable},
      {Reason::kInvalidObjectType, FailureClass::kUnsuitable, FailureClass::kUnsuitable},
      {Reason::kIncompatibleUsageMask, FailureClass::kUnsuitable, FailureClass::kUnsuitable},
      {Reason::kKeyFormatNotSupported, FailureClass::kUnsuitable, FailureClass::kUnsuitable},
      {Reason::kAttestationRequired, FailureClass::kIdentity, FailureClass::kIdentity},
      {Reason::kAttestationFailed, FailureClass::kIdentity, FailureClass::kIdentity},
      {Reason::kServerLimitExceeded, FailureClass::kThrottled, FailureClass::kThrottled},
      {Reason::kInvalidMessage, FailureClass::kUnreachable, FailureClass::kUnreachable},
      {Reason::kResponseTooLarge, FailureClass::kUnreachable, FailureClass::kUnreachable},
      {Reason::kOperationCanceled, FailureClass::kUnreachable, FailureClass::kUnreachable},
      {Reason::kInternalServerError, FailureClass::kUnreachable, FailureClass::kUnreachable},
      {Reason::kProtectionStorageUnavailable, FailureClass::kUnreachable, FailureClass::kUnreachable},
      {static_cast<Reason>(0x7777), FailureClass::kUnreachable, FailureClass::kUnreachable},
  };
  for (const auto& [reason, of_decrypt, of_encrypt] : rows) {
    Refuse(Operation::kDecrypt, reason, "said the server");
    Refuse(Operation::kEncrypt, reason, "said the server");
    const absl::Status status = Unwrap(wrapped);
    EXPECT_THAT(status, HasClass(of_decrypt)) << KmipReasonName(reason);
    EXPECT_THAT(std::string(status.message()), HasSubstr("said the server (" + KmipReasonName(reason) + ")"));
    EXPECT_THAT(kms_->Wrap(key_, SecretBytes(32), kContext, {}).status(), HasClass(of_encrypt)) << KmipReasonName(reason);
  }
}

TEST_F(KmipFaultsTest, TakesAPromiseToAnswerLaterForNoAnswer) {
  const KmsWrapped wrapped = Wrapped();
  Refuse(Operation::kDecrypt, Reason::kPermissionDenied, "later", kmip::ResultStatus::kPending);
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kUnreachable));
}

TEST_F(KmipFaultsTest, CleansTheServersWords) {
  Refuse(Operation::kDecrypt, Reason::kItemNotFound, "no\nsuch\tkey" + std::string(5000, 'x'));
  const absl::Status status = Unwrap(Wrapped());
  EXPECT_THAT(std::string(status.message()), HasSubstr("no such key"));
  EXPECT_LT(status.message().size(), 1200U);
}

TEST_F(KmipFaultsTest, DoesNotCallAServerThatDecryptsNothingCorrupt) {
  const KmsWrapped wrapped = Wrapped();
  Refuse(Operation::kDecrypt, Reason::kGeneralFailure, "see the log");
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kUnreachable));
}

TEST_F(KmipFaultsTest, SealsForARevokedKeyThoughTheServerStillDecrypts) {
  const KmsWrapped wrapped = Wrapped();
  SayState(kmip::State::kDeactivated);
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kDisabled));
  SayState(kmip::State::kCompromised);
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kDisabled));
  SayState(kmip::State::kDestroyed);
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kDestroyed));
  SayState(static_cast<kmip::State>(9));
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kAmbiguous));
  SayState(kmip::State::kActive);
  LK_EXPECT_OK(Unwrap(wrapped));
}

TEST_F(KmipFaultsTest, UnwrapsWithoutTheRightToSeeTheStateButNotWithoutAnAnswer) {
  const KmsWrapped wrapped = Wrapped();
  Refuse(Operation::kGetAttributes, Reason::kPermissionDenied, "not yours");
  LK_EXPECT_OK(Unwrap(wrapped));
  Refuse(Operation::kGetAttributes, Reason::kOperationNotSupported, "what");
  LK_EXPECT_OK(Unwrap(wrapped));
  Refuse(Operation::kGetAttributes, Reason::kInternalServerError, "sorry");
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kUnreachable));
  // Some servers hide in these words what a policy forbids; the key has decrypted just now.
  Refuse(Operation::kGetAttributes, Reason::kItemNotFound, "gone");
  LK_EXPECT_OK(Unwrap(wrapped));
}

TEST_F(KmipFaultsTest, AsksForTheStateWhenARefusalDoesNotTell) {
  const KmsWrapped wrapped = Wrapped();
  Refuse(Operation::kDecrypt, Reason::kIllegalOperation, "no");
  SayState(kmip::State::kDeactivated);
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kDisabled));
  Refuse(Operation::kGetAttributes, Reason::kPermissionDenied, "not yours");
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kAmbiguous));
  Refuse(Operation::kDecrypt, Reason::kPermissionDenied, "no");
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kDenied));
  Refuse(Operation::kGetAttributes, Reason::kItemNotFound, "gone");
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kDestroyed));
}

TEST_F(KmipFaultsTest, ReadsTheDatesOfTheKey) {
  relay_.Rewrite(Operation::kGetAttributes, [](std::span<const uint8_t> answer) {
    bool first = true;
    return KmipReplaced(answer, kmip::kAttribute, [first](TtlvWriter& w) mutable {
      if (!std::exchange(first, false)) return;
      const auto attribute = [&](std::string_view name, const auto& value) {
        w.Begin(kmip::kAttribute);
        w.Text(kmip::kAttributeName, name);
        value();
        w.End();
      };
      attribute("State", [&] { w.Enumeration(kmip::kAttributeValue, 2); });
      attribute("Deactivation Date", [&] { w.DateTime(kmip::kAttributeValue, 2'000'000'000); });
      attribute("Destroy Date", [&] { w.DateTime(kmip::kAttributeValue, 2'100'000'000); });
      attribute("x-Color", [&] { w.Text(kmip::kAttributeValue, "green"); });
    });
  });
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(key_, {}));
  EXPECT_TRUE(description.usable);
  EXPECT_EQ(description.expires_at, absl::FromUnixSeconds(2'000'000'000));
  EXPECT_EQ(description.deletion_date, absl::FromUnixSeconds(2'100'000'000));
}

TEST_F(KmipFaultsTest, RefusesAnswersToEncryptThatCouldNotBeDecryptedAgain) {
  const auto wrap = [&] { return kms_->Wrap(key_, SecretBytes(32), kContext, {}).status(); };
  const auto replace = [&](uint32_t tag, const std::vector<uint8_t>& bytes) {
    relay_.Rewrite(Operation::kEncrypt,
                   [=](std::span<const uint8_t> answer) { return KmipReplaced(answer, tag, [&](TtlvWriter& w) { w.Bytes(tag, bytes); }); });
  };
  replace(kmip::kAuthenticationTag, std::vector<uint8_t>(12));
  EXPECT_THAT(wrap(), HasClass(FailureClass::kCorrupt));
  replace(kmip::kData, std::vector<uint8_t>(48));
  EXPECT_THAT(wrap(), HasClass(FailureClass::kCorrupt));
  relay_.Rewrite(Operation::kEncrypt, [](std::span<const uint8_t> answer) {
    return KmipReplaced(answer, kmip::kAuthenticationTag, [](TtlvWriter& w) { w.Bytes(kmip::kIvCounterNonce, std::vector<uint8_t>(12)); });
  });
  EXPECT_THAT(wrap(), HasClass(FailureClass::kCorrupt));
  // A server that does not know the fields of KMIP 1.4 leaves the tag out.
  relay_.Rewrite(Operation::kEncrypt,
                 [](std::span<const uint8_t> answer) { return KmipReplaced(answer, kmip::kAuthenticationTag, [](TtlvWriter&) {}); });
  EXPECT_THAT(wrap(), HasClass(FailureClass::kUnreachable));
}

TEST_F(KmipFaultsTest, UnderTls13TooARefusedCertificateIsTroubleOfItsOwn) {
  const auto other = NewCa("another ca", absl::Now(), absl::Hours(1));
  const auto stranger = IssueNew(*other, {.common_name = "latchkey", .for_client = true, .now = absl::Now(), .valid = absl::Hours(1)});
  KmipConnection connection = relay_.connection();
  connection.client_certificate_file = server_->folder() / "stranger.pem";
  connection.client_key_file = server_->folder() / "stranger.key";
  LK_ASSERT_OK(WriteFileAtomically(connection.client_certificate_file, stranger->certificate_pem));
  LK_ASSERT_OK(WriteFileAtomically(connection.client_key_file, stranger->private_key_pem));
  const absl::Status status = NewKmipKms({{"test", connection}}, {})->Describe(key_, {}).status();
  EXPECT_THAT(status, HasClass(FailureClass::kIdentity));
  EXPECT_THAT(std::string(status.message()), HasSubstr("refuses the TLS connection"));
}

TEST(TlsAlertTest, IsTheOwnersNoOnlyWhenNobodyElseCanHaveSaidIt) {
  for (const int alert : {44, 49}) {
    EXPECT_EQ(ClassifyTlsAlert(alert, true), FailureClass::kDenied);
    EXPECT_EQ(ClassifyTlsAlert(alert, false), FailureClass::kIdentity);
  }
  for (const int alert : {40, 42, 43, 45, 46, 48, 116}) EXPECT_EQ(ClassifyTlsAlert(alert, true), FailureClass::kIdentity);
  EXPECT_EQ(ClassifyTlsAlert(70, true), FailureClass::kUnreachable);  // protocol_version
}

TEST_F(KmipFaultsTest, ServesManyThreadsAtOnce) {
  const KmsWrapped wrapped = Wrapped();
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 5; ++n) good += Unwrap(wrapped).ok() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 40);
  EXPECT_LE(relay_.connections(), 41);
}

}  // namespace
}  // namespace latchkey
