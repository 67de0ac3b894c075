#include "kms/pkcs11/pkcs11_kms.h"

#include <sys/stat.h>

#include <future>

#include "base/random.h"
#include "kms/pkcs11/faulty_module.h"
#include "kms/pkcs11/softhsm_testing.h"

namespace latchkey {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const KmsContext kContext = {{"latchkey:cluster", "c-1"}, {"latchkey:generation", "1"}};
const RootKey kKey{.type = "PKCS11", .uri = "pkcs11://hsm/kek"};
constexpr char kSecret[] = "0123456789abcdef0123456789abcdef";

testing::Matcher<const absl::Status&> HasClass(FailureClass c) {
  return testing::ResultOf("failure class", [](const absl::Status& s) { return FailureClassOf(s); }, testing::Optional(c));
}

// Each test has a token of its own, reached through the module that can be made faulty.
class Pkcs11KmsTest : public testing::Test {
 protected:
  Pkcs11KmsTest() : token_(NewLabel()), kms_(Make(absl::Seconds(10))) {
    faulty_.Clear();
    token_.CreateKey("kek");
  }
  ~Pkcs11KmsTest() override { faulty_.Clear(); }

  static std::string NewLabel() {
    static int number = 0;
    return absl::StrCat("token ", ++number);
  }
  std::unique_ptr<Kms> Make(absl::Duration call_budget) {
    return NewPkcs11Kms({{"hsm", token_.connection(FaultyModule::kPath)}}, {.call_budget = call_budget, .clock = &clock_});
  }

  KmsWrapped Wrapped() {
    auto wrapped = kms_->Wrap(kKey, SecretBytes::CopyOf(std::string_view(kSecret)), kContext, {});
    EXPECT_THAT(wrapped, IsOk());
    return wrapped.ok() ? *std::move(wrapped) : KmsWrapped();
  }
  absl::Status Unwrap(const KmsWrapped& wrapped, bool fresh = false, const KmsContext& context = kContext) {
    const auto opened = kms_->Unwrap(kKey, wrapped, context, {.fresh = fresh});
    if (opened.ok()) {
      EXPECT_EQ(opened->RevealText(SecretAccess{}), kSecret);
    }
    return opened.status();
  }
  absl::Status Wrap() { return kms_->Wrap(kKey, SecretBytes::CopyOf(std::string_view(kSecret)), kContext, {}).status(); }
  int logins() { return faulty_.calls<&CK_FUNCTION_LIST::C_Login>(); }

  FaultyModule& faulty_ = FaultyModule::Instance();
  FakeClock clock_;
  SoftHsmToken token_;
  std::unique_ptr<Kms> kms_;
};

TEST_F(Pkcs11KmsTest, UnwrapsWhatItWrappedUnderTheSameContextOnly) {
  const KmsWrapped wrapped = Wrapped();
  EXPECT_EQ(wrapped.ciphertext.size(), 1 + 12 + 32 + 16U);
  EXPECT_EQ(wrapped.ciphertext[0], 1);
  EXPECT_EQ(wrapped.key_version, "01");
  LK_EXPECT_OK(Unwrap(wrapped));
  LK_EXPECT_OK(Unwrap(wrapped, true));
  EXPECT_NE(wrapped.ciphertext, Wrapped().ciphertext);
  for (const KmsContext& other : {KmsContext{}, KmsContext{{"latchkey:cluster", "c-1"}}, KmsContext{{"latchkey:cluster", "c-2"}}}) {
    EXPECT_THAT(Unwrap(wrapped, false, other), HasClass(FailureClass::kCorrupt));
  }
}

TEST_F(Pkcs11KmsTest, IsCorruptWithAnyBitChangedOrAnyByteGone) {
  for (const bool gcm : {true, false}) {
    if (!gcm) faulty_.HideMechanism(CKM_AES_GCM);
    const KmsWrapped wrapped = Wrapped();
    for (size_t i = 0; i < wrapped.ciphertext.size(); ++i) {
      KmsWrapped changed = wrapped;
      changed.ciphertext[i] ^= static_cast<uint8_t>(1 << i % 8);
      EXPECT_THAT(Unwrap(changed), HasClass(FailureClass::kCorrupt)) << i;
      changed = wrapped;
      changed.ciphertext.resize(i);
      EXPECT_THAT(Unwrap(changed), HasClass(FailureClass::kCorrupt)) << i;
    }
    LK_EXPECT_OK(Unwrap(wrapped));
  }
}

TEST_F(Pkcs11KmsTest, WrapsKeysWhereTheTokenHasNoGcmAndOpensEitherAfterwards) {
  const KmsWrapped by_gcm = Wrapped();
  faulty_.HideMechanism(CKM_AES_GCM);
  const KmsWrapped by_wrapping = Wrapped();
  EXPECT_EQ(by_wrapping.ciphertext.size(), 1 + 64 + 8U);
  EXPECT_EQ(by_wrapping.ciphertext[0], 2);
  LK_EXPECT_OK(Unwrap(by_wrapping));
  LK_EXPECT_OK(Unwrap(by_gcm));
  EXPECT_THAT(Unwrap(by_wrapping, false, {}), HasClass(FailureClass::kCorrupt));
  faulty_.Clear();
  LK_EXPECT_OK(Unwrap(by_wrapping));
  // The objects of the session are gone.
  faulty_.HideMechanism(CKM_AES_GCM);
  LK_EXPECT_OK(Wrap());
  EXPECT_EQ(faulty_.calls<&CK_FUNCTION_LIST::C_DestroyObject>(),
            faulty_.calls<&CK_FUNCTION_LIST::C_CreateObject>() + faulty_.calls<&CK_FUNCTION_LIST::C_UnwrapKey>());
  faulty_.HideMechanism(CKM_AES_KEY_WRAP_PAD);
  EXPECT_THAT(Wrap(), HasClass(FailureClass::kUnsuitable));
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(kKey, {}));
  EXPECT_EQ(description.failure, FailureClass::kUnsuitable);
}

TEST_F(Pkcs11KmsTest, CarriesEveryLengthByBothMechanisms) {
  for (const bool gcm : {true, false}) {
    if (!gcm) faulty_.HideMechanism(CKM_AES_GCM);
    for (const size_t size : {1, 7, 8, 9, 31, 32, 33, 64, 189, 190}) {
      const SecretBytes plaintext = Random::System().Secret(size);
      LK_ASSERT_OK_AND_ASSIGN(const KmsWrapped wrapped, kms_->Wrap(kKey, plaintext, kContext, {}));
      LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, kms_->Unwrap(kKey, wrapped, kContext, {}));
      EXPECT_TRUE(opened.Equals(plaintext)) << size;
    }
  }
  for (const size_t size : {0, 191}) {
    EXPECT_THAT(kms_->Wrap(kKey, SecretBytes(size), kContext, {}).status(), HasClass(FailureClass::kUnsuitable));
  }
}

TEST_F(Pkcs11KmsTest, NoticesThatTheOwnerSwitchesTheKeyOffAndOnAgain) {
  const KmsWrapped wrapped = Wrapped();
  token_.DisableKey("kek");
  EXPECT_THAT(Unwrap(wrapped),
              AllOf(HasClass(FailureClass::kDisabled), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("CKA_DECRYPT is false"))));
  EXPECT_THAT(Wrap(), HasClass(FailureClass::kDisabled));
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription off, kms_->Describe(kKey, {}));
  EXPECT_FALSE(off.usable);
  EXPECT_EQ(off.state, "Disabled");
  EXPECT_EQ(off.failure, FailureClass::kDisabled);
  token_.EnableKey("kek");
  LK_EXPECT_OK(Unwrap(wrapped));
  // A key that could wrap but not open again would lock what it wraps.
  token_.AllowUses("kek", {CKA_DECRYPT}, false);
  EXPECT_THAT(Wrap(), HasClass(FailureClass::kDisabled));
}

TEST_F(Pkcs11KmsTest, TakesTheTokensWordWhereItRefusesAKeyThatLooksWell) {
  const KmsWrapped wrapped = Wrapped();
  faulty_.Fail<&CK_FUNCTION_LIST::C_DecryptInit>(CKR_KEY_FUNCTION_NOT_PERMITTED);
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kDisabled));
}

TEST_F(Pkcs11KmsTest, IsDestroyedWhenNoKeyHasTheLabel) {
  const KmsWrapped wrapped = Wrapped();
  token_.RenameKey("kek", "aside");
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kDestroyed));
  token_.RenameKey("aside", "kek");
  LK_EXPECT_OK(Unwrap(wrapped));
  token_.DestroyKey("kek");
  EXPECT_THAT(Unwrap(wrapped, true),
              AllOf(HasClass(FailureClass::kDestroyed), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("\"kek\""))));
  EXPECT_THAT(kms_->Describe(kKey, {}).status(), HasClass(FailureClass::kDestroyed));
  // Another key with the same label does not open it, and the message tells why.
  token_.CreateKey("kek", {.id = "\x02"});
  EXPECT_THAT(Unwrap(wrapped),
              AllOf(HasClass(FailureClass::kCorrupt), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("has it been replaced?"))));
}

TEST_F(Pkcs11KmsTest, RefusesKeysThatAreNotOneAesKeyOf256Bits) {
  token_.CreateKey("kek");
  EXPECT_THAT(Wrap(), AllOf(HasClass(FailureClass::kUnsuitable),
                            StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("several AES keys with the label \"kek\""))));
  token_.DestroyKey("kek");
  token_.CreateKey("kek", {.bytes = 16});
  EXPECT_THAT(Wrap(), AllOf(HasClass(FailureClass::kUnsuitable), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("128 bits"))));
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(kKey, {}));
  EXPECT_EQ(description.failure, FailureClass::kUnsuitable);
  token_.DestroyKey("kek");
  token_.CreateKey("kek", {.type = CKK_GENERIC_SECRET});
  EXPECT_THAT(Wrap(),
              AllOf(HasClass(FailureClass::kUnsuitable), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not an AES key"))));
}

TEST_F(Pkcs11KmsTest, DescribesTheKey) {
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription plain, kms_->Describe(kKey, {}));
  EXPECT_TRUE(plain.usable);
  EXPECT_EQ(plain.resolved_uri, kKey.uri);
  EXPECT_EQ(plain.state, "Enabled");
  EXPECT_EQ(plain.key_version, "01");
  EXPECT_EQ(plain.protection_level, "SoftHSM v2");
  EXPECT_EQ(plain.expires_at, std::nullopt);
  token_.CreateKey("öffentlicher/Schlüssel", {.id = "\xab\xcd", .extractable = true, .is_private = false});
  token_.SetEndDate("öffentlicher/Schlüssel", "20300228");
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription other,
                          kms_->Describe({.type = "PKCS11", .uri = "pkcs11://hsm/%C3%B6ffentlicher%2fSchl%c3%bcssel"}, {}));
  EXPECT_EQ(other.key_version, "abcd");
  EXPECT_EQ(other.protection_level, "SoftHSM v2, extractable");
  token_.SetEndDate("kek", "20300228");
  LK_EXPECT_OK(kms_->Describe(kKey, {}));
  EXPECT_EQ(other.expires_at, absl::FromCivil(absl::CivilDay(2030, 3, 1), absl::UTCTimeZone()));
}

TEST_F(Pkcs11KmsTest, KeepsItsLoginUntilAFreshCallOrUntilItIsOld) {
  const KmsWrapped wrapped = Wrapped();
  EXPECT_EQ(logins(), 1);
  LK_EXPECT_OK(Unwrap(wrapped));
  EXPECT_EQ(logins(), 1);
  LK_EXPECT_OK(Unwrap(wrapped, true));
  EXPECT_EQ(logins(), 2);
  clock_.Advance(absl::Minutes(5) - absl::Seconds(1));
  LK_EXPECT_OK(Unwrap(wrapped));
  EXPECT_EQ(logins(), 2);
  clock_.Advance(absl::Seconds(1));
  LK_EXPECT_OK(Unwrap(wrapped));
  EXPECT_EQ(logins(), 3);
}

TEST_F(Pkcs11KmsTest, LogsInAnewOnceWhenTheSessionIsLost) {
  const KmsWrapped wrapped = Wrapped();
  token_.LogOut();
  LK_EXPECT_OK(Unwrap(wrapped));
  token_.CloseAllSessions();
  LK_EXPECT_OK(Unwrap(wrapped));
  for (const CK_RV rv : {CKR_SESSION_HANDLE_INVALID, CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT, CKR_USER_NOT_LOGGED_IN}) {
    faulty_.Fail<&CK_FUNCTION_LIST::C_DecryptInit>(rv, 1);
    LK_EXPECT_OK(Unwrap(wrapped));
  }
  const int before = logins();
  faulty_.Fail<&CK_FUNCTION_LIST::C_DecryptInit>(CKR_DEVICE_REMOVED);
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kUnreachable));
  EXPECT_EQ(logins(), before + 1);
}

TEST_F(Pkcs11KmsTest, InitialisesTheModuleAnewWithEachLoginButTheFirst) {
  const KmsWrapped wrapped = Wrapped();
  const int first = faulty_.calls<&CK_FUNCTION_LIST::C_Initialize>();
  LK_EXPECT_OK(Unwrap(wrapped));
  EXPECT_EQ(faulty_.calls<&CK_FUNCTION_LIST::C_Initialize>(), first);
  LK_EXPECT_OK(Unwrap(wrapped, true));
  EXPECT_EQ(faulty_.calls<&CK_FUNCTION_LIST::C_Initialize>(), first + 1);
  clock_.Advance(absl::Minutes(5));
  LK_EXPECT_OK(Unwrap(wrapped));
  EXPECT_EQ(faulty_.calls<&CK_FUNCTION_LIST::C_Initialize>(), first + 2);
}

// After an initialisation the module counts its handles from the beginning: one from before is another token's.
TEST_F(Pkcs11KmsTest, ASessionFromBeforeAnInitialisationIsNotTakenForAnotherTokens) {
  SoftHsmToken other(NewLabel());
  other.CreateKey("kek", {.id = "\x07"});
  const auto kms = NewPkcs11Kms({{"hsm", other.connection(FaultyModule::kPath)}}, {.clock = &clock_});
  const KmsWrapped wrapped = Wrapped();
  for (int i = 0; i < 3; ++i) {
    LK_ASSERT_OK_AND_ASSIGN(const KeyDescription theirs, kms->Describe(kKey, {.fresh = true}));
    EXPECT_EQ(theirs.key_version, "07");
    LK_EXPECT_OK(Unwrap(wrapped, i == 1));
    const int before = logins();
    LK_ASSERT_OK_AND_ASSIGN(const KeyDescription again, kms->Describe(kKey, {}));
    EXPECT_EQ(again.key_version, "07");
    // Nor has it been logged out in the other's place.
    EXPECT_EQ(logins() - before, i == 1 ? 1 : 0);
  }
}

TEST_F(Pkcs11KmsTest, ATokenThatHangsHoldsUpNoOther) {
  SoftHsmToken other(NewLabel());
  other.CreateKey("kek");
  const auto kms = NewPkcs11Kms({{"hsm", other.connection(FaultyModule::kPath)}}, {.clock = &clock_});
  LK_EXPECT_OK(kms->Describe(kKey, {}));
  const KmsWrapped wrapped = Wrapped();
  kms_ = Make(absl::Milliseconds(50));
  faulty_.Hang<&CK_FUNCTION_LIST::C_Decrypt>();
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kUnreachable));
  EXPECT_TRUE(faulty_.WaitUntilOneHangs());
  LK_EXPECT_OK(kms->Describe(kKey, {.fresh = true}));
}

TEST_F(Pkcs11KmsTest, ManyTokensOfOneModuleAreUsedAtOnce) {
  std::vector<std::unique_ptr<SoftHsmToken>> tokens;
  std::map<std::string, Pkcs11Connection> connections;
  for (int i = 0; i < 4; ++i) {
    tokens.push_back(std::make_unique<SoftHsmToken>(NewLabel()));
    tokens.back()->CreateKey("kek", {.id = std::string(1, static_cast<char>(0x10 + i))});
    connections[absl::StrCat("t", i)] = tokens.back()->connection(FaultyModule::kPath);
  }
  const auto kms = NewPkcs11Kms(connections, {.clock = &clock_});
  std::vector<std::future<void>> calls;
  for (int i = 0; i < 4; ++i) {
    calls.push_back(std::async(std::launch::async, [&, i] {
      const RootKey key{.type = "PKCS11", .uri = absl::StrCat("pkcs11://t", i, "/kek")};
      for (int n = 0; n < 20; ++n) {
        const auto wrapped = kms->Wrap(key, SecretBytes(32), kContext, {.fresh = n % 5 == 0});
        ASSERT_THAT(wrapped, IsOk());
        EXPECT_EQ(wrapped->key_version, absl::StrCat(10 + i));
        EXPECT_THAT(kms->Unwrap(key, *wrapped, kContext, {.fresh = n % 7 == 0}), IsOk());
      }
    }));
  }
  for (auto& call : calls) call.get();
}

TEST_F(Pkcs11KmsTest, DoesNotTakeAKeyForGoneThatIsOnlyOutOfSight) {
  const KmsWrapped wrapped = Wrapped();
  // Both logins are lost before the search, which then finds nothing.
  faulty_.Fail<&CK_FUNCTION_LIST::C_Login>(CKR_OK);
  token_.LogOut();
  EXPECT_THAT(Unwrap(wrapped, true), HasClass(FailureClass::kIdentity));
}

TEST_F(Pkcs11KmsTest, CallsFromManyThreadsTakeTurns) {
  const KmsWrapped wrapped = Wrapped();
  std::vector<std::future<absl::Status>> calls;
  for (int i = 0; i < 16; ++i) calls.push_back(std::async(std::launch::async, [&, i] { return Unwrap(wrapped, i % 4 == 0); }));
  for (auto& call : calls) LK_EXPECT_OK(call.get());
}

TEST_F(Pkcs11KmsTest, ConnectionsToOneTokenUseTheirOwnPins) {
  const auto kms =
      NewPkcs11Kms({{"hsm", token_.connection(FaultyModule::kPath)},
                    {"wrong", {.module = FaultyModule::kPath, .token_label = token_.label(), .pin_file = token_.pin_file() + "2"}}},
                   {});
  LK_ASSERT_OK(WriteFileAtomically(token_.pin_file() + "2", "9999"));
  LK_EXPECT_OK(kms->Describe(kKey, {}));
  EXPECT_THAT(kms->Describe({.type = "PKCS11", .uri = "pkcs11://wrong/kek"}, {}).status(), HasClass(FailureClass::kDenied));
  LK_EXPECT_OK(kms->Describe(kKey, {}));
}

TEST_F(Pkcs11KmsTest, IsUnreachableWithoutModuleOrToken) {
  const auto kms = NewPkcs11Kms({{"module", {.module = "/nowhere/module.so", .token_label = token_.label(), .pin_file = token_.pin_file()}},
                                 {"libc", {.module = "/lib/x86_64-linux-gnu/libm.so.6", .token_label = "x", .pin_file = token_.pin_file()}},
                                 {"token", {.module = kSoftHsmModule, .token_label = "none such", .pin_file = token_.pin_file()}}},
                                {});
  for (const char* connection : {"module", "libc", "token"}) {
    EXPECT_THAT(kms->Describe({.type = "PKCS11", .uri = absl::StrCat("pkcs11://", connection, "/kek")}, {}).status(),
                HasClass(FailureClass::kUnreachable))
        << connection;
  }
}

TEST_F(Pkcs11KmsTest, DoesNotChooseBetweenTokensOfOneLabel) {
  const SoftHsmToken twin(token_.label());
  EXPECT_THAT(Wrap(), AllOf(HasClass(FailureClass::kUnsuitable), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2 tokens"))));
}

TEST_F(Pkcs11KmsTest, DoesNotBelieveHalfAnAnswer) {
  const KmsWrapped wrapped = Wrapped();
  faulty_.GiveHalfAnswers();
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kCorrupt));
  EXPECT_THAT(Wrap(), HasClass(FailureClass::kCorrupt));
}

TEST_F(Pkcs11KmsTest, GivesUpACallThatHangsAndRefusesOthersUntilItComesBack) {
  const KmsWrapped wrapped = Wrapped();
  kms_ = Make(absl::Milliseconds(200));
  for (const bool login : {false, true}) {
    if (login) {
      faulty_.Hang<&CK_FUNCTION_LIST::C_Login>();
    } else {
      faulty_.Hang<&CK_FUNCTION_LIST::C_Decrypt>();
    }
    EXPECT_THAT(Unwrap(wrapped, true),
                AllOf(HasClass(FailureClass::kUnreachable), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("not answered in time"))));
    EXPECT_TRUE(faulty_.WaitUntilOneHangs());
    EXPECT_THAT(Unwrap(wrapped),
                AllOf(HasClass(FailureClass::kUnreachable), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("has not come back"))));
    faulty_.Clear();
    absl::Status status;
    const absl::Time end = absl::Now() + absl::Seconds(10);
    do {
      status = Unwrap(wrapped);
    } while (!status.ok() && absl::Now() < end);
    LK_EXPECT_OK(status);
  }
}

TEST_F(Pkcs11KmsTest, GoesWhileACallHangs) {
  const KmsWrapped wrapped = Wrapped();
  kms_ = Make(absl::Milliseconds(50));
  faulty_.Hang<&CK_FUNCTION_LIST::C_Decrypt>();
  EXPECT_THAT(Unwrap(wrapped), HasClass(FailureClass::kUnreachable));
  EXPECT_TRUE(faulty_.WaitUntilOneHangs());
  kms_.reset();
  faulty_.Clear();
  kms_ = Make(absl::Seconds(10));
  LK_EXPECT_OK(Unwrap(wrapped));
}

TEST_F(Pkcs11KmsTest, PassesAKeyTest) {
  KmsSet set;
  set.Add(Make(absl::Seconds(10)));
  LK_EXPECT_OK(TestKey(set, kKey, kContext, nullptr));
  token_.DisableKey("kek");
  EXPECT_EQ(FailureClassOf(TestKey(set, kKey, kContext, nullptr)), FailureClass::kDisabled);
}

TEST_F(Pkcs11KmsTest, RefusesNamesThatAreNotItsOwn) {
  for (const char* uri : {"", "kek", "pkcs11://", "pkcs11://hsm", "pkcs11://hsm/", "pkcs11:///kek", "pkcs11://hsm/a/b", "pkcs11://hsm/a b",
                          "pkcs11://hsm/%", "pkcs11://hsm/%4", "pkcs11://hsm/%zz", "pkcs11://hsm/%00", "pkcs11://hsm/%ff",
                          "pkcs11://hsm/a?b", "pkcs11://other/kek", "pkcs11:token=x;object=kek", "file:///x"}) {
    const absl::Status status = kms_->Check({.type = "PKCS11", .uri = uri});
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("uri: "))) << uri;
    EXPECT_EQ(FailureClassOf(status), FailureClass::kUnsuitable);
  }
  LK_EXPECT_OK(kms_->Check(kKey));
  LK_EXPECT_OK(kms_->Check({.type = "PKCS11", .uri = "pkcs11://hsm/my%20key"}));
  EXPECT_THAT(kms_->Check({.type = "PKCS11", .uri = kKey.uri, .auth_principal = "x"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("auth_principal: ")));
}

TEST(Pkcs11ConnectionTest, NamesTheFieldThatIsWrong) {
  const Pkcs11Connection good{.module = "/lib/x.so", .token_label = "t", .pin_file = "/etc/pin"};
  LK_EXPECT_OK(CheckPkcs11Connection(good));
  Pkcs11Connection bad = good;
  bad.module = "x.so";
  EXPECT_THAT(CheckPkcs11Connection(bad), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("module: ")));
  bad = good;
  bad.pin_file = "pin";
  EXPECT_THAT(CheckPkcs11Connection(bad), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pin_file: ")));
  for (const std::string& label : {std::string(), std::string(33, 'x'), std::string("x "), std::string("\n"), std::string("\xff")}) {
    bad = good;
    bad.token_label = label;
    EXPECT_THAT(CheckPkcs11Connection(bad), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("token_label: ")));
  }
}

}  // namespace
}  // namespace latchkey
