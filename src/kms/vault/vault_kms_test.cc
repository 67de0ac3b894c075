#include "kms/vault/vault_kms.h"

#include <mutex>
#include <tuple>

#include "base/file.h"
#include "base/testing.h"
#include "kms/bound_payload.h"
#include "kms/vault/fake_vault.h"

namespace latchkey {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const KmsContext kContext = {{"latchkey:cluster", "c-1"}, {"latchkey:generation", "1"}};
const RootKey kKey{.type = "VAULT_TRANSIT", .uri = "vault://prod/teams/transit/db", .auth_principal = {}, .external_id = "org/7"};

testing::Matcher<const absl::Status&> HasClass(FailureClass c) {
  return testing::ResultOf("failure class", [](const absl::Status& s) { return FailureClassOf(s); }, testing::Optional(c));
}

class VaultKmsTest : public testing::Test {
 protected:
  VaultKmsTest() {
    vault_.state()->good_tokens.insert("hvs.static");
    EXPECT_THAT(WriteFileAtomically(folder_ / "token", "hvs.static\n"), IsOk());
    kms_ = Make();
  }

  std::unique_ptr<Kms> Make(absl::Duration attempt_timeout = absl::Seconds(4), absl::Duration call_budget = absl::Seconds(10)) {
    return NewVaultKms(
        {{"prod", {.address = vault_.endpoint(), .namespace_path = "teams/a", .token_file = folder_ / "token"}}},
        {.call_budget = call_budget, .attempt_timeout = attempt_timeout, .first_backoff = absl::Milliseconds(1), .clock = &clock_});
  }

  absl::StatusOr<KmsWrapped> Wrap() { return kms_->Wrap(kKey, SecretBytes::CopyOf(std::string_view("the key")), kContext, {}); }
  absl::Status Unwrap(Kms& kms, const std::string& ciphertext = "vault:v2:QUJD") {
    return kms.Unwrap(kKey, {.ciphertext = {ciphertext.begin(), ciphertext.end()}}, kContext, {}).status();
  }
  // What one answer to decrypt is taken for.
  absl::Status UnwrapAnswered(HttpResponse response) {
    vault_.AlwaysAnswer("decrypt", std::move(response));
    return Unwrap(*kms_);
  }

  TempFolder folder_;
  FakeClock clock_;
  FakeVault vault_;
  std::unique_ptr<Kms> kms_;
};

TEST_F(VaultKmsTest, UnwrapsWhatItWrappedUnderTheSameContextOnly) {
  LK_ASSERT_OK_AND_ASSIGN(const KmsWrapped wrapped, Wrap());
  EXPECT_EQ(wrapped.key_version, "3");
  LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(opened.RevealText(SecretAccess{}), "the key");
  EXPECT_THAT(kms_->Unwrap(kKey, wrapped, {{"latchkey:cluster", "c-2"}}, {}).status(), HasClass(FailureClass::kCorrupt));
}

TEST_F(VaultKmsTest, SendsTheContextAsAssociatedDataWithTokenAndNamespace) {
  LK_ASSERT_OK_AND_ASSIGN(const KmsWrapped wrapped, Wrap());
  LK_ASSERT_OK(kms_->Unwrap(kKey, wrapped, kContext, {}));
  for (const char* operation : {"encrypt", "decrypt"}) {
    const HttpRequest request = vault_.last(operation);
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.Header("x-vault-token"), "hvs.static");
    EXPECT_EQ(request.Header("x-vault-namespace"), "teams/a");
    EXPECT_EQ(request.Header("x-vault-request"), "true");
    LK_ASSERT_OK_AND_ASSIGN(const json::object body, ParseJsonObject(request.body));
    EXPECT_EQ(body.at("associated_data").as_string(), Base64Encode(AsBytes(CanonicalContext(kContext))));
    EXPECT_FALSE(body.contains("context")) << "that is derivation, another thing";
  }
}

TEST_F(VaultKmsTest, ReadsAKeyBeforeItEncryptsSoThatNoneIsMade) {
  vault_.state()->key_exists = false;
  EXPECT_THAT(Wrap().status(), HasClass(FailureClass::kDestroyed));
  vault_.state()->key_exists = true;
  vault_.Next("read", VaultData({{"password", "of a key-value engine"}}));
  EXPECT_THAT(Wrap().status(), HasClass(FailureClass::kUnreachable));
  vault_.state()->key["name"] = "other";
  EXPECT_THAT(Wrap().status(), HasClass(FailureClass::kCorrupt));
  EXPECT_EQ(vault_.calls("encrypt"), 0);
}

TEST_F(VaultKmsTest, TakesOnlyKeysThatAuthenticateAssociatedDataAndAreNotDerived) {
  for (const char* type : {"aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"}) {
    vault_.state()->key["type"] = type;
    LK_EXPECT_OK(Wrap());
  }
  for (const char* type : {"aes128-gcm96", "rsa-4096", "ecdsa-p256", "hmac", "managed_key"}) {
    vault_.state()->key["type"] = type;
    EXPECT_THAT(Wrap().status(), HasClass(FailureClass::kUnsuitable)) << type;
    LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(kKey, {}));
    EXPECT_EQ(description.failure, FailureClass::kUnsuitable);
    EXPECT_THAT(description.unusable_because, HasSubstr(type));
  }
  vault_.state()->key["type"] = "aes256-gcm96";
  vault_.state()->key["derived"] = true;
  EXPECT_THAT(Wrap().status(), HasClass(FailureClass::kUnsuitable));
}

TEST_F(VaultKmsTest, ClassifiesWhatTheServersAnswer) {
  const std::vector<std::tuple<int, std::string, FailureClass>> rows = {
      {400, "encryption key not found", FailureClass::kDestroyed},
      {400, "ciphertext or signature version is disallowed by policy (too old)", FailureClass::kDisabled},
      {400, "refusing to use soft-deleted key", FailureClass::kPendingDeletion},
      {400, "invalid ciphertext: no prefix", FailureClass::kCorrupt},
      {400, "invalid ciphertext: version is too new", FailureClass::kCorrupt},
      {400, "invalid ciphertext: unable to decrypt", FailureClass::kCorrupt},
      {400, "cipher: message authentication failed", FailureClass::kCorrupt},
      {400, "chacha20poly1305: message authentication failed", FailureClass::kCorrupt},
      {400, "'[0].associated_data' provided for non-AEAD cipher suite rsa-2048", FailureClass::kUnsuitable},
      {400, "missing 'context' for key derivation; the key was created using a derived key", FailureClass::kUnsuitable},
      {400, "something that nobody has seen", FailureClass::kUnreachable},
      {404, "no handler for route \"teams/transit/decrypt/db\". route entry not found.", FailureClass::kAmbiguous},
      {404, "something that nobody has seen", FailureClass::kAmbiguous},
      {404, "1 error occurred:\n\t* unsupported path\n\n", FailureClass::kUnsuitable},
      {405, "1 error occurred:\n\t* unsupported operation\n\n", FailureClass::kUnsuitable},
      {403, "1 error occurred:\n\t* permission denied\n\n", FailureClass::kDenied},
      {403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n", FailureClass::kIdentity},
      {412, "required index state not present", FailureClass::kUnreachable},
      {429, "request path \"teams/transit/decrypt/db\": rate limit quota exceeded", FailureClass::kThrottled},
      {472, "", FailureClass::kUnreachable},
      {473, "", FailureClass::kUnreachable},
      {500, "1 error occurred:\n\t* local node not active but active cluster node not found\n\n", FailureClass::kUnreachable},
      {501, "Vault is not initialized", FailureClass::kUnreachable},
      {502, "bad gateway", FailureClass::kUnreachable},
      {503, "Vault is sealed", FailureClass::kUnreachable},
  };
  for (const auto& [status, text, expected] : rows) {
    const absl::Status refused = UnwrapAnswered(VaultErrors(status, {text}));
    EXPECT_THAT(refused, HasClass(expected)) << status << " " << text << " " << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("Vault Transit decrypt")) << status;
    EXPECT_THAT(std::string(refused.message()), Not(HasSubstr("\n"))) << status;
  }
  EXPECT_THAT(UnwrapAnswered(VaultErrors(404, {})), HasClass(FailureClass::kDestroyed));
}

TEST_F(VaultKmsTest, DoesNotBelieveAPageThatIsNotVaults) {
  for (const int status : {302, 400, 403, 404, 500}) {
    EXPECT_THAT(UnwrapAnswered({.status = status, .body = "<html>a portal</html>"}), HasClass(FailureClass::kUnreachable)) << status;
    EXPECT_THAT(UnwrapAnswered(HttpResponse::Json(status, R"({"message":"no"})")), HasClass(FailureClass::kUnreachable)) << status;
  }
  EXPECT_THAT(UnwrapAnswered({.status = 429, .body = "slow down"}), HasClass(FailureClass::kThrottled));
}

TEST_F(VaultKmsTest, DoesNotFollowAStandbyThatPointsElsewhere) {
  const absl::Status status = UnwrapAnswered({.status = 307, .headers = {{"location", vault_.endpoint() + "/v1/elsewhere"}}});
  EXPECT_THAT(status, HasClass(FailureClass::kUnreachable));
  EXPECT_THAT(std::string(status.message()), HasSubstr("standby"));
  EXPECT_EQ(vault_.calls("other"), 0);
}

TEST_F(VaultKmsTest, RepeatsWhatMayGoBetterAndNothingElse) {
  LK_ASSERT_OK_AND_ASSIGN(const KmsWrapped wrapped, Wrap());
  vault_.Next("decrypt", VaultErrors(503, {"Vault is sealed"}));
  vault_.Next("decrypt", VaultErrors(429, {"rate limit quota exceeded"}));
  LK_EXPECT_OK(kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(vault_.calls("decrypt"), 3);
  EXPECT_THAT(UnwrapAnswered(VaultErrors(400, {"encryption key not found"})), HasClass(FailureClass::kDestroyed));
  EXPECT_EQ(vault_.calls("decrypt"), 4);
}

TEST_F(VaultKmsTest, AVersionThatWasTrimmedAwayIsDestroyedAndOneBelowTheBoundDisabled) {
  vault_.AlwaysAnswer("decrypt", VaultErrors(400, {"ciphertext or signature version is disallowed by policy (too old)"}));
  vault_.state()->key["min_decryption_version"] = 3;
  EXPECT_THAT(Unwrap(*kms_), HasClass(FailureClass::kDisabled));
  vault_.state()->key["min_available_version"] = 2;
  EXPECT_THAT(Unwrap(*kms_), HasClass(FailureClass::kDisabled)) << "version 2 is the first that is left";
  vault_.state()->key["min_available_version"] = 3;
  EXPECT_THAT(Unwrap(*kms_), HasClass(FailureClass::kDestroyed));
}

TEST_F(VaultKmsTest, TakesABrokenAnswerForNoAnswer) {
  HttpResponse half = VaultData({{"plaintext", "QUJD"}});
  half.cut_after = 150;
  EXPECT_THAT(UnwrapAnswered(half), HasClass(FailureClass::kUnreachable));
  for (const std::string body : {"", "{", "[]", "null", "<html/>", R"({"data":null})", R"({"data":[]})", R"({"data":{}})",
                                 R"({"data":{"plaintext":""}})", R"({"data":{"plaintext":"not base64"}})", R"({"data":{"plaintext":7}})"}) {
    EXPECT_THAT(UnwrapAnswered(HttpResponse::Json(200, body)), HasClass(FailureClass::kUnreachable)) << body;
  }
  for (const char* ciphertext : {"", "QUJD", "vault:v3:", "vault:v3:???", "vault:v0:QUJD", "vault:vx:QUJD", "vault:v3QUJD"}) {
    vault_.Next("encrypt", VaultData({{"ciphertext", ciphertext}}));
    EXPECT_THAT(Wrap().status(), HasClass(FailureClass::kUnreachable)) << ciphertext;
  }
  vault_.Next("encrypt", VaultData({{"ciphertext", "vault:v2:QUJD"}, {"key_version", 3}}));
  EXPECT_THAT(Wrap().status(), HasClass(FailureClass::kUnreachable));
  vault_.Next("encrypt", VaultData({{"ciphertext", "vault:v2:QUJD"}}));
  LK_ASSERT_OK_AND_ASSIGN(const KmsWrapped wrapped, Wrap());
  EXPECT_EQ(wrapped.key_version, "2") << "older releases do not tell the version beside the ciphertext";
}

TEST_F(VaultKmsTest, EndsWithinItsTimeWhenNothingIsAnswered) {
  std::mutex mutex;
  std::vector<HttpResponder> parked;
  vault_.Always("decrypt", [&](const HttpRequest&, const HttpResponder& respond) {
    const std::lock_guard lock(mutex);
    parked.push_back(respond);
  });
  const auto impatient = Make(absl::Milliseconds(100), absl::Milliseconds(250));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(Unwrap(*impatient), HasClass(FailureClass::kUnreachable));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
  const std::lock_guard lock(mutex);
  parked.clear();
}

TEST_F(VaultKmsTest, DescribesAKeyWithItsVersionsRotationAndProtection) {
  LK_ASSERT_OK_AND_ASSIGN(KeyDescription description, kms_->Describe(kKey, {}));
  EXPECT_TRUE(description.usable);
  EXPECT_EQ(description.resolved_uri, kKey.uri);
  EXPECT_EQ(description.state, "active");
  EXPECT_EQ(description.key_version, "3");
  EXPECT_EQ(description.purge_protected, true);
  EXPECT_EQ(description.rotation_enabled, false);
  EXPECT_EQ(description.next_rotation, std::nullopt);

  vault_.state()->key["deletion_allowed"] = true;
  vault_.state()->key["auto_rotate_period"] = 86400;
  vault_.state()->key["min_decryption_version"] = 2;
  LK_ASSERT_OK_AND_ASSIGN(description, kms_->Describe(kKey, {}));
  EXPECT_EQ(description.purge_protected, false);
  EXPECT_EQ(description.rotation_enabled, true);
  EXPECT_EQ(description.next_rotation, absl::FromUnixSeconds(1'690'086'400));
  EXPECT_EQ(description.state, "active, decrypts from version 2 on");

  vault_.state()->key["soft_deleted"] = true;
  LK_ASSERT_OK_AND_ASSIGN(description, kms_->Describe(kKey, {}));
  EXPECT_EQ(description.failure, FailureClass::kPendingDeletion);
  vault_.state()->key.erase("auto_rotate_period");
  LK_ASSERT_OK_AND_ASSIGN(description, kms_->Describe(kKey, {}));
  EXPECT_EQ(description.rotation_enabled, std::nullopt);

  vault_.state()->key_exists = false;
  EXPECT_THAT(kms_->Describe(kKey, {}).status(), HasClass(FailureClass::kDestroyed));
}

TEST_F(VaultKmsTest, TestsAKeyStepByStep) {
  KmsSet set;
  set.Add(Make());
  std::vector<KeyTestStep> steps;
  LK_ASSERT_OK(TestKey(set, kKey, kContext, &steps));
  EXPECT_EQ(steps.size(), 6u);
  vault_.state()->policy_allows = false;
  EXPECT_THAT(TestKey(set, kKey, kContext, nullptr), HasClass(FailureClass::kDenied));
}

TEST_F(VaultKmsTest, RefusesWhatIsNoKeyWithoutAskingAnybody) {
  LK_EXPECT_OK(kms_->Check(kKey));
  for (const std::string& bad : {std::string(),
                                 std::string("vault://"),
                                 std::string("vault://prod"),
                                 std::string("vault://prod/transit"),
                                 std::string("vault://prod//db"),
                                 std::string("vault://prod/transit/db/"),
                                 std::string("vault:///transit/db"),
                                 std::string("vault://prod/../db"),
                                 std::string("vault://prod/transit/.."),
                                 std::string("vault://prod/transit/./db"),
                                 std::string("vault://prod/transit/d%2fb"),
                                 std::string("vault://prod/transit/db?x=1"),
                                 std::string("vault://prod/transit/db#x"),
                                 std::string("vault://prod@evil/transit/db"),
                                 std::string("vault://prod:1/transit/db"),
                                 std::string("vault://prod/transit/d b"),
                                 std::string("vault://prod/transit/db\n"),
                                 std::string("vault://prod/sys/db"),
                                 std::string("vault://prod/auth/token/db"),
                                 std::string("https://prod/transit/db"),
                                 "vault://prod/transit/" + std::string(129, 'a'),
                                 "vault://prod/" + std::string(300, 'a') + "/" + std::string(300, 'b'),
                                 std::string("vault://other/transit/db")}) {
    EXPECT_THAT(kms_->Check({.type = "VAULT_TRANSIT", .uri = bad}),
                AllOf(HasClass(FailureClass::kUnsuitable), StatusIs(absl::StatusCode::kInvalidArgument, testing::StartsWith("uri: "))))
        << bad;
  }
  RootKey named = kKey;
  named.auth_principal = "role";
  EXPECT_THAT(kms_->Check(named), StatusIs(absl::StatusCode::kInvalidArgument, testing::StartsWith("auth_principal: ")));
  EXPECT_THAT(kms_->Wrap(kKey, SecretBytes(191), kContext, {}).status(), HasClass(FailureClass::kUnsuitable));
  EXPECT_THAT(kms_->Wrap(kKey, SecretBytes(), kContext, {}).status(), HasClass(FailureClass::kUnsuitable));
  for (const std::string bad :
       {"", "QUJD", "vault:v1", "vault:v1:", "vault:v-1:QUJD", "vault:v99999999999999999999:QUJD", "vault:v1:QU D"}) {
    EXPECT_THAT(Unwrap(*kms_, bad), HasClass(FailureClass::kCorrupt)) << bad;
  }
  for (const char* operation : {"read", "encrypt", "decrypt"}) EXPECT_EQ(vault_.calls(operation), 0);
}

TEST(VaultConnectionTest, NamesTheFieldThatIsWrong) {
  const VaultConnection good{.address = "https://vault.example:8200", .token_file = "/run/token"};
  LK_EXPECT_OK(CheckVaultConnection(good));
  for (const char* address :
       {"https://vault.example/", "http://127.0.0.1:8200", "http://localhost:8200", "http://[::1]:8200", "https://[::1]"}) {
    VaultConnection other = good;
    other.address = address;
    LK_EXPECT_OK(CheckVaultConnection(other));
  }
  for (const char* address : {"", "vault.example", "ftp://vault.example", "http://vault.example:8200", "http://127.0.0.1.evil.example",
                              "http://10.0.0.1", "https://", "https://vault.example/v1", "https://u@vault.example",
                              "https://vault.example?x", "https://vault.example#x", "https://vault example", "http://127.evil.0.1"}) {
    VaultConnection other = good;
    other.address = address;
    EXPECT_THAT(CheckVaultConnection(other), StatusIs(absl::StatusCode::kInvalidArgument, testing::StartsWith("address: "))) << address;
  }
  const auto refused = [&good](const auto& change, const std::string& field) {
    VaultConnection other = good;
    change(other);
    EXPECT_THAT(CheckVaultConnection(other), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field + ":")));
  };
  refused([](VaultConnection& c) { c.token_file.clear(); }, "kubernetes_role");
  refused(
      [](VaultConnection& c) {
        c.role_id = "r";
        c.secret_id_file = "/s";
      },
      "kubernetes_role");
  refused(
      [](VaultConnection& c) {
        c.token_file.clear();
        c.role_id = "r";
      },
      "secret_id_file");
  refused([](VaultConnection& c) { c.namespace_path = "a/../b"; }, "namespace");
  refused([](VaultConnection& c) { c.namespace_path = "a\r\nx: y"; }, "namespace");
  refused([](VaultConnection& c) { c.approle_mount = "../sys"; }, "approle_mount");
  refused([](VaultConnection& c) { c.kubernetes_mount = ""; }, "kubernetes_mount");
}

TEST(VaultConnectionTest, OneThatIsWrongFailsItsOwnKeysOnly) {
  FakeVault vault;
  vault.state()->good_tokens.insert("t");
  TempFolder folder;
  LK_ASSERT_OK(WriteFileAtomically(folder / "token", "t"));
  const auto kms = NewVaultKms(
      {{"prod", {.address = vault.endpoint(), .token_file = folder / "token"}}, {"bad", {.address = "http://vault.example"}}}, {});
  LK_EXPECT_OK(kms->Describe(kKey, {}));
  const absl::Status status = kms->Describe({.type = "VAULT_TRANSIT", .uri = "vault://bad/transit/db"}, {}).status();
  EXPECT_THAT(status, HasClass(FailureClass::kIdentity));
  EXPECT_THAT(std::string(status.message()), HasSubstr("address"));
}

}  // namespace
}  // namespace latchkey
