#include "kms/vault/login.h"

#include <atomic>
#include <thread>

#include "base/file.h"
#include "base/testing.h"
#include "kms/vault/fake_vault.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;

const KmsContext kContext = {{"latchkey:cluster", "c-1"}};
const RootKey kKey{.type = "VAULT_TRANSIT", .uri = "vault://prod/teams/transit/db", .auth_principal = {}, .external_id = {}};

testing::Matcher<const absl::Status&> HasClass(FailureClass c) {
  return testing::ResultOf("failure class", [](const absl::Status& s) { return FailureClassOf(s); }, testing::Optional(c));
}

class VaultLoginTest : public testing::Test {
 protected:
  VaultLoginTest() { Write("secret", vault_.state()->secret + "\n"); }

  void Write(const std::string& name, const std::string& text) { EXPECT_THAT(WriteFileAtomically(folder_ / name, text), IsOk()); }
  std::unique_ptr<Kms> Make(VaultConnection connection) {
    connection.address = vault_.endpoint() + "/";
    return NewVaultKms({{"prod", connection}}, {.first_backoff = absl::Milliseconds(1), .clock = &clock_});
  }
  std::unique_ptr<Kms> WithAppRole() { return Make({.role_id = vault_.state()->role_id, .secret_id_file = folder_ / "secret"}); }
  std::unique_ptr<Kms> WithToken() { return Make({.token_file = folder_ / "token"}); }
  absl::Status Describe(Kms& kms, bool fresh = false) { return kms.Describe(kKey, {.fresh = fresh}).status(); }

  TempFolder folder_;
  FakeClock clock_;
  FakeVault vault_;
};

TEST_F(VaultLoginTest, LogsInWithAppRoleOnceAndKeepsTheTokenForFiveMinutes) {
  const auto kms = WithAppRole();
  LK_ASSERT_OK(Describe(*kms));
  EXPECT_EQ(vault_.last("login").path, "/v1/auth/approle/login");
  EXPECT_EQ(vault_.last("login").Header("x-vault-token"), "");
  EXPECT_EQ(vault_.last("read").Header("x-vault-token"), "hvs.token-1");
  LK_ASSERT_OK(Describe(*kms));
  EXPECT_EQ(vault_.calls("login"), 1);
  LK_ASSERT_OK(Describe(*kms, true));
  EXPECT_EQ(vault_.calls("login"), 2) << "a confirmation logs in anew";
  clock_.Advance(absl::Minutes(5));
  LK_ASSERT_OK(Describe(*kms));
  EXPECT_EQ(vault_.calls("login"), 3);
}

TEST_F(VaultLoginTest, ReplacesATokenShortlyBeforeItsLeaseEnds) {
  vault_.state()->lease_seconds = 100;
  const auto kms = WithAppRole();
  LK_ASSERT_OK(Describe(*kms));
  clock_.Advance(absl::Seconds(79));
  LK_ASSERT_OK(Describe(*kms));
  EXPECT_EQ(vault_.calls("login"), 1);
  clock_.Advance(absl::Seconds(1));
  LK_ASSERT_OK(Describe(*kms));
  EXPECT_EQ(vault_.calls("login"), 2);
}

TEST_F(VaultLoginTest, ATokenWithoutEndIsReplacedAllTheSame) {
  vault_.state()->lease_seconds = 0;
  const auto kms = WithAppRole();
  LK_ASSERT_OK(Describe(*kms));
  clock_.Advance(absl::Minutes(4));
  LK_ASSERT_OK(Describe(*kms));
  EXPECT_EQ(vault_.calls("login"), 1);
}

TEST_F(VaultLoginTest, LogsInAsAKubernetesServiceAccountReadingItsTokenEachTime) {
  const auto kms =
      Make({.kubernetes_role = vault_.state()->role_id, .kubernetes_token_file = folder_ / "secret", .kubernetes_mount = "k8s/prod"});
  LK_ASSERT_OK(Describe(*kms));
  EXPECT_EQ(vault_.last("login").path, "/v1/auth/k8s/prod/login");
  vault_.state()->secret = "rotated";
  EXPECT_THAT(Describe(*kms, true), HasClass(FailureClass::kIdentity));
  Write("secret", "rotated");
  LK_EXPECT_OK(Describe(*kms, true));
}

TEST_F(VaultLoginTest, ARefusalIsTheOwnersNoOnlyWithATokenOfANewLogin) {
  const auto kms = WithAppRole();
  LK_ASSERT_OK(Describe(*kms));
  for (const bool told : {true, false}) {
    vault_.state()->tells_dead_tokens = told;
    vault_.state()->good_tokens.clear();
    const int before = vault_.calls("login");
    LK_EXPECT_OK(Describe(*kms)) << "the token was revoked, the role was not";
    EXPECT_EQ(vault_.calls("login"), before + 1);
  }
  vault_.state()->policy_allows = false;
  const int before = vault_.calls("login");
  EXPECT_THAT(Describe(*kms), HasClass(FailureClass::kDenied));
  EXPECT_EQ(vault_.calls("login"), before + 1) << "once";
  EXPECT_THAT(Describe(*kms, true), HasClass(FailureClass::kDenied));
  EXPECT_EQ(vault_.calls("login"), before + 2) << "a token of this very call is not doubted";
}

TEST_F(VaultLoginTest, ARefusedLoginIsTroubleOfOurOwn) {
  const auto kms = WithAppRole();
  vault_.state()->secret = "another";
  const absl::Status status = Describe(*kms);
  EXPECT_THAT(status, HasClass(FailureClass::kIdentity));
  EXPECT_THAT(std::string(status.message()), HasSubstr("invalid role or secret ID"));
  const std::vector<std::tuple<int, std::string, FailureClass>> rows = {
      {400, "failed to validate credentials", FailureClass::kIdentity},
      {403, "permission denied", FailureClass::kIdentity},
      {404, "no handler for route", FailureClass::kIdentity},
      {429, "rate limit quota exceeded", FailureClass::kThrottled},
      {500, "internal error", FailureClass::kUnreachable},
      {503, "Vault is sealed", FailureClass::kUnreachable},
  };
  for (const auto& [code, text, expected] : rows) {
    vault_.AlwaysAnswer("login", VaultErrors(code, {text}));
    EXPECT_THAT(Describe(*kms), HasClass(expected)) << code << " " << text;
  }
  for (const char* body :
       {"", "{}", R"({"auth":{}})", R"({"auth":{"client_token":"x"}})", R"({"auth":{"client_token":"x y","lease_duration":1}})",
        R"({"auth":{"client_token":"x","lease_duration":-1}})"}) {
    vault_.AlwaysAnswer("login", HttpResponse::Json(200, body));
    EXPECT_THAT(Describe(*kms), HasClass(FailureClass::kUnreachable)) << body;
  }
  EXPECT_EQ(vault_.calls("read"), 0);
  ASSERT_TRUE(std::filesystem::remove(folder_ / "secret"));
  EXPECT_THAT(Describe(*kms), HasClass(FailureClass::kIdentity));
}

TEST_F(VaultLoginTest, ATokenFileIsReadAtEveryCall) {
  const auto kms = WithToken();
  EXPECT_THAT(Describe(*kms), HasClass(FailureClass::kIdentity)) << "there is none";
  Write("token", "first\n");
  vault_.state()->good_tokens = {"first", "second"};
  LK_EXPECT_OK(Describe(*kms));
  Write("token", "second");
  LK_EXPECT_OK(Describe(*kms));
  EXPECT_EQ(vault_.last("read").Header("x-vault-token"), "second");
  EXPECT_EQ(vault_.calls("login") + vault_.calls("lookup-self"), 0);
}

TEST_F(VaultLoginTest, ATokenOfAFileThatIsRefusedIsAskedWhetherItLives) {
  const auto kms = WithToken();
  Write("token", "good");
  vault_.state()->good_tokens = {"good"};
  vault_.state()->policy_allows = false;
  EXPECT_THAT(Describe(*kms), HasClass(FailureClass::kDenied)) << "it lives: the policy refuses";
  EXPECT_EQ(vault_.calls("lookup-self"), 1);
  vault_.Next("lookup-self", VaultErrors(503, {"Vault is sealed"}));
  vault_.Next("lookup-self", VaultErrors(503, {"Vault is sealed"}));
  vault_.Next("lookup-self", VaultErrors(503, {"Vault is sealed"}));
  EXPECT_THAT(Describe(*kms), HasClass(FailureClass::kUnreachable)) << "nobody knows";
  vault_.state()->good_tokens.clear();
  EXPECT_THAT(Describe(*kms), HasClass(FailureClass::kIdentity));
  vault_.state()->tells_dead_tokens = false;
  EXPECT_THAT(Describe(*kms), HasClass(FailureClass::kIdentity));
  EXPECT_THAT(std::string(Describe(*kms).message()), HasSubstr("auth/token/lookup-self"));
}

TEST_F(VaultLoginTest, RefusesTokensThatNoHeaderCanCarry) {
  const auto kms = WithToken();
  for (const std::string& text : {std::string("a\r\nx-evil: 1"), std::string("a b"), std::string("\xc3\xa4"), std::string(10'000, 'a')}) {
    Write("token", text);
    const absl::Status status = Describe(*kms);
    EXPECT_THAT(status, HasClass(FailureClass::kIdentity));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("evil")));
  }
  EXPECT_EQ(vault_.calls("read"), 0);
}

TEST_F(VaultLoginTest, ShowsNoSecretThatAServerQuotes) {
  std::atomic<size_t> ahead = 0;  // words before what is quoted, so that it stands where messages are cut
  const auto quote = [&ahead](const HttpRequest& request, const HttpResponder& respond) {
    respond(VaultErrors(400, {std::string(ahead, 'x') + "got " + request.Header("x-vault-token") + " and " + request.body}));
  };
  vault_.state()->secret = "planted-secret-id";
  Write("secret", vault_.state()->secret);
  const auto kms = WithAppRole();
  for (const char* operation : {"read", "encrypt", "decrypt"}) vault_.Always(operation, quote);
  std::string seen;
  const auto see = [&seen](const absl::Status& status) { seen += std::string(status.message()); };
  see(Describe(*kms));
  ahead = 1024 - std::string_view("got hvs.tok").size();
  see(Describe(*kms));
  ahead = 0;
  const std::string_view ciphertext = "vault:v1:QUJD";
  see(kms->Unwrap(kKey, {.ciphertext = {ciphertext.begin(), ciphertext.end()}}, kContext, {}).status());
  vault_.Always("read", nullptr);
  see(kms->Wrap(kKey, SecretBytes::CopyOf(std::string_view("planted-plaintext")), kContext, {}).status());
  vault_.Always("login", quote);
  see(Describe(*kms, true));
  EXPECT_THAT(seen, HasSubstr("got [secret] and"));
  EXPECT_THAT(seen, Not(HasSubstr("hvs.")));
  EXPECT_THAT(seen, Not(HasSubstr("planted")));
  EXPECT_THAT(seen, Not(HasSubstr(Base64Encode(AsBytes("planted-plaintext")))));
}

TEST_F(VaultLoginTest, ManyCallersLogInOnce) {
  const auto kms = WithAppRole();
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { good += Describe(*kms).ok() ? 1 : 0; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 8);
  EXPECT_EQ(vault_.calls("login"), 1);
}

}  // namespace
}  // namespace latchkey
