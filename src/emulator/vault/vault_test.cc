#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "base/clock.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/testing.h"
#include "emulator/emulator.h"

namespace latchkey {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct VaultReply {
  int status = 0;
  json::object body;

  std::string error() const {
    const json::value* errors = body.if_contains("errors");
    if (errors == nullptr || errors->get_array().empty()) return "";
    return std::string(errors->get_array()[0].get_string());
  }
  const json::object& data() const { return body.at("data").as_object(); }
  std::string Text(const char* name) const { return std::string(data().at(name).as_string()); }
  int64_t Int(const char* name) const { return data().at(name).as_int64(); }
};

class VaultEmulatorTest : public testing::Test {
 protected:
  void SetUp() override {
    Restart();
    LK_ASSERT_OK_AND_ASSIGN(seed_, emulator_->SeedCloud("vault", {}));
    const json::object& credentials = seed_.at("credentials").as_object();
    token_ = credentials.at("token").as_string();
    root_ = credentials.at("root_token").as_string();
  }
  void Restart() {
    emulator_.reset();
    absl::StatusOr<std::unique_ptr<Emulator>> made = Emulator::Create({.state_file = folder_ / "state.json", .clock = &clock_});
    ASSERT_THAT(made, IsOk());
    emulator_ = *std::move(made);
  }

  VaultReply Call(const std::string& token, const std::string& method, const std::string& path, const json::object& body = {},
                  const std::string& name_space = "") {
    HttpRequest request{.method = method, .target = "/v1/" + path, .peer_address = "127.0.0.1"};
    EXPECT_TRUE(request.SplitTarget());
    if (!body.empty()) request.body = json::serialize(body);
    if (!token.empty()) request.headers["x-vault-token"] = token;
    if (!name_space.empty()) request.headers["x-vault-namespace"] = name_space;
    const HttpResponse response = emulator_->Handle(request, "vault");
    VaultReply reply{.status = response.status};
    if (!response.body.empty()) reply.body = ParseJsonObject(response.body).value_or(json::object());
    return reply;
  }
  json::object Admin(const std::string& path, const json::object& body, int status = 200) {
    const std::string target = "/_admin/vault/" + path;
    const HttpResponse response = emulator_->Handle({.method = "POST",
                                                     .target = target,
                                                     .path = target,
                                                     .headers = {{"content-type", "application/json"}},
                                                     .body = json::serialize(body),
                                                     .peer_address = "127.0.0.1"},
                                                    "vault");
    EXPECT_EQ(response.status, status) << response.body;
    return ParseJsonObject(response.body).value_or(json::object());
  }

  static std::string Encoded(std::string_view text) { return Base64Encode(AsBytes(text)); }
  std::string Wrap(const std::string& context = "c") {
    const VaultReply reply =
        Call(token_, "POST", "transit/encrypt/owner-key-1", {{"plaintext", Encoded("a key")}, {"associated_data", Encoded(context)}});
    EXPECT_EQ(reply.status, 200) << reply.error();
    return reply.Text("ciphertext");
  }
  VaultReply Unwrap(const std::string& ciphertext, const std::string& context = "c") {
    return Call(token_, "POST", "transit/decrypt/owner-key-1", {{"ciphertext", ciphertext}, {"associated_data", Encoded(context)}});
  }

  TempFolder folder_;
  FakeClock clock_;
  std::unique_ptr<Emulator> emulator_;
  json::object seed_;
  std::string token_, root_;
};

TEST_F(VaultEmulatorTest, WrapsAndUnwrapsUnderAssociatedData) {
  const std::string ciphertext = Wrap();
  EXPECT_EQ(ciphertext.substr(0, 9), "vault:v1:");
  EXPECT_EQ(Unwrap(ciphertext).Text("plaintext"), Encoded("a key"));
  const VaultReply other = Unwrap(ciphertext, "d");
  EXPECT_EQ(other.status, 400);
  EXPECT_EQ(other.error(), "cipher: message authentication failed");
}

TEST_F(VaultEmulatorTest, EverythingIsThereAfterARestart) {
  const std::string ciphertext = Wrap();
  Restart();
  EXPECT_EQ(Unwrap(ciphertext).Text("plaintext"), Encoded("a key"));
  LK_ASSERT_OK_AND_ASSIGN(const json::object again, emulator_->SeedCloud("vault", {}));
  EXPECT_EQ(again, seed_);
}

TEST_F(VaultEmulatorTest, BadCiphertextIsRefusedInTheServicesWords) {
  const std::string good = Wrap();
  EXPECT_EQ(Unwrap("x").error(), "invalid ciphertext: no prefix");
  EXPECT_EQ(Unwrap("vault:v1").error(), "invalid ciphertext: wrong number of fields");
  EXPECT_EQ(Unwrap("vault:vx:AAAA").error(), "invalid ciphertext: version number could not be decoded");
  EXPECT_EQ(Unwrap("vault:v2" + good.substr(8)).error(), "invalid ciphertext: version is too new");
  EXPECT_EQ(Unwrap("vault:v1:!").error(), "invalid ciphertext: could not decode base64");
  EXPECT_EQ(Unwrap("vault:v1:AAAA").error(), "invalid ciphertext length");
  EXPECT_EQ(Unwrap("").error(), "missing ciphertext to decrypt");
  EXPECT_EQ(Call(token_, "POST", "transit/encrypt/owner-key-1", {{"x", 1}}).error(), "missing plaintext to encrypt");
}

TEST_F(VaultEmulatorTest, ARotatedKeyOpensOldCiphertextUntilTheOwnerRaisesTheMinimum) {
  const std::string old = Wrap();
  EXPECT_EQ(Call(root_, "POST", "transit/keys/owner-key-1/rotate").status, 200);
  EXPECT_EQ(Wrap().substr(0, 9), "vault:v2:");
  EXPECT_EQ(Unwrap(old).status, 200);
  const VaultReply moved = Call(token_, "POST", "transit/rewrap/owner-key-1", {{"ciphertext", old}, {"associated_data", Encoded("c")}});
  EXPECT_EQ(moved.Int("key_version"), 2);
  EXPECT_EQ(Unwrap(moved.Text("ciphertext")).Text("plaintext"), Encoded("a key"));

  EXPECT_EQ(Call(root_, "POST", "transit/keys/owner-key-1/config", {{"min_decryption_version", 2}}).status, 200);
  EXPECT_EQ(Unwrap(old).error(), "ciphertext or signature version is disallowed by policy (too old)");
  const VaultReply facts = Call(token_, "GET", "transit/keys/owner-key-1");
  EXPECT_EQ(facts.Int("latest_version"), 2);
  EXPECT_EQ(facts.Int("min_decryption_version"), 2);
  EXPECT_EQ(facts.data().at("keys").as_object().size(), 1u);
  EXPECT_EQ(Call(root_, "POST", "transit/keys/owner-key-1/config", {{"min_decryption_version", 3}}).error(),
            "cannot set min decryption version of 3, latest key version is 2");
  EXPECT_EQ(Call(root_, "POST", "transit/keys/owner-key-1/config", {{"min_decryption_version", 1}}).status, 200);
  EXPECT_EQ(Unwrap(old).status, 200);
}

TEST_F(VaultEmulatorTest, OnlyWhoMayCreateMakesAKeyByEncrypting) {
  const json::object body{{"plaintext", Encoded("x")}};
  const VaultReply refused = Call(token_, "POST", "transit/encrypt/typo", body);
  EXPECT_EQ(refused.status, 403);
  EXPECT_THAT(refused.error(), HasSubstr("permission denied"));
  EXPECT_EQ(Call(root_, "GET", "transit/keys/typo").status, 404);

  Admin("policies", {{"name", "maker"}, {"rules", {{"transit/encrypt/*", json::array{"create"}}}}});
  const std::string maker(Admin("tokens", {{"policies", json::array{"maker"}}}).at("token").as_string());
  EXPECT_EQ(Call(maker, "POST", "transit/encrypt/typo", body).status, 200);
  EXPECT_EQ(Call(root_, "GET", "transit/keys/typo").status, 200);
  // Now the key is there, and using it is another right.
  EXPECT_EQ(Call(maker, "POST", "transit/encrypt/typo", body).status, 403);
}

TEST_F(VaultEmulatorTest, ADeniedPathIsRefusedAndComesBack) {
  const std::string ciphertext = Wrap();
  Admin("policies/deny", {{"name", "latchkey"}, {"path", "transit/+/owner-key-1"}});
  EXPECT_EQ(Unwrap(ciphertext).status, 403);
  EXPECT_EQ(Call(token_, "POST", "transit/encrypt/owner-key-2", {{"plaintext", Encoded("x")}}).status, 200);
  Restart();
  EXPECT_EQ(Unwrap(ciphertext).status, 403);
  Admin("policies/undeny", {{"name", "latchkey"}, {"path", "transit/+/owner-key-1"}});
  EXPECT_EQ(Unwrap(ciphertext).status, 200);
}

TEST_F(VaultEmulatorTest, ASoftDeletedKeyCanBeReadAndNotUsed) {
  const std::string ciphertext = Wrap();
  EXPECT_EQ(Call(root_, "DELETE", "transit/keys/owner-key-1/soft-delete").status, 204);
  EXPECT_EQ(Unwrap(ciphertext).error(), "refusing to use soft-deleted key");
  EXPECT_EQ(Call(token_, "POST", "transit/encrypt/owner-key-1", {{"plaintext", Encoded("x")}}).error(), "refusing to use soft-deleted key");
  EXPECT_EQ(Call(token_, "GET", "transit/keys/owner-key-1").data().at("soft_deleted"), true);
  EXPECT_EQ(Call(root_, "POST", "transit/keys/owner-key-1/soft-delete-restore").status, 204);
  EXPECT_EQ(Unwrap(ciphertext).status, 200);
}

TEST_F(VaultEmulatorTest, AKeyGoesOnlyWhenItsDeletionIsAllowed) {
  const std::string ciphertext = Wrap();
  EXPECT_THAT(Call(root_, "DELETE", "transit/keys/owner-key-1").error(), HasSubstr("deletion is not allowed for this key"));
  EXPECT_EQ(Call(root_, "POST", "transit/keys/owner-key-1/config", {{"deletion_allowed", true}}).status, 200);
  EXPECT_EQ(Call(root_, "DELETE", "transit/keys/owner-key-1").status, 204);
  EXPECT_EQ(Unwrap(ciphertext).error(), "encryption key not found");
  const VaultReply gone = Call(token_, "GET", "transit/keys/owner-key-1");
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(gone.error(), "");
  // A key of the same name is another key.
  EXPECT_EQ(Call(root_, "POST", "transit/keys/owner-key-1").status, 200);
  EXPECT_EQ(Unwrap(ciphertext).error(), "cipher: message authentication failed");
}

TEST_F(VaultEmulatorTest, KeysAreMadeListedAndGiveDataKeys) {
  EXPECT_EQ(Call(root_, "POST", "transit/keys/new", {{"type", "aes256-gcm96"}}).Text("type"), "aes256-gcm96");
  EXPECT_EQ(Call(root_, "POST", "transit/keys/rsa", {{"type", "rsa-2048"}}).status, 400);
  const VaultReply list = Call(root_, "GET", "transit/keys?list=true");
  EXPECT_EQ(json::serialize(list.data().at("keys")), R"(["latchkey-escrow","new","owner-key-1","owner-key-2"])");
  EXPECT_EQ(Call(root_, "LIST", "transit/keys").status, 200);
  EXPECT_EQ(Call(token_, "LIST", "transit/keys").status, 403);

  const VaultReply shown = Call(root_, "POST", "transit/datakey/plaintext/new");
  EXPECT_EQ(Call(root_, "POST", "transit/decrypt/new", {{"ciphertext", shown.Text("ciphertext")}}).Text("plaintext"),
            shown.Text("plaintext"));
  EXPECT_FALSE(Call(root_, "POST", "transit/datakey/wrapped/new", {{"bits", 128}}).data().contains("plaintext"));
  EXPECT_EQ(Call(root_, "POST", "transit/datakey/wrapped/new", {{"bits", 7}}).status, 400);
}

TEST_F(VaultEmulatorTest, AppRolesLogInAndTheirTokensEnd) {
  const json::object& credentials = seed_.at("credentials").as_object();
  const json::object login{{"role_id", credentials.at("role_id")}, {"secret_id", credentials.at("secret_id")}};
  const VaultReply in = Call("", "POST", "auth/approle/login", login);
  ASSERT_EQ(in.status, 200) << in.error();
  const json::object& auth = in.body.at("auth").as_object();
  EXPECT_EQ(auth.at("lease_duration"), 3600);
  const std::string token(auth.at("client_token").as_string());
  EXPECT_EQ(Call(token, "GET", "transit/keys/owner-key-1").status, 200);

  clock_.Advance(absl::Minutes(50));
  EXPECT_EQ(Call(token, "GET", "auth/token/lookup-self").Int("ttl"), 600);
  EXPECT_EQ(Call(token, "POST", "auth/token/renew-self", {{"increment", "1h"}}).body.at("auth").as_object().at("lease_duration"), 3600);
  clock_.Advance(absl::Minutes(61));
  const VaultReply late = Call(token, "GET", "transit/keys/owner-key-1");
  EXPECT_EQ(late.status, 403);
  EXPECT_EQ(late.error(), "permission denied");

  json::object wrong = login;
  wrong["secret_id"] = "no";
  EXPECT_EQ(Call("", "POST", "auth/approle/login", wrong).status, 400);
  EXPECT_EQ(Call("", "POST", "auth/approle/login", wrong).error(), "invalid role or secret ID");
  // The owner changes the secret.
  Admin("approles", {{"name", "latchkey"}, {"policies", json::array{"latchkey"}}});
  EXPECT_EQ(Call("", "POST", "auth/approle/login", login).error(), "invalid role or secret ID");
}

TEST_F(VaultEmulatorTest, ServiceAccountsLogInWithRegisteredTokens) {
  const json::object& credentials = seed_.at("credentials").as_object();
  const json::object login{{"role", "latchkey"}, {"jwt", credentials.at("kubernetes_token")}};
  EXPECT_EQ(Call("", "POST", "auth/kubernetes/login", login).status, 200);
  EXPECT_EQ(Call("", "POST", "auth/kubernetes/login", {{"role", "latchkey"}, {"jwt", "x"}}).status, 403);
  EXPECT_EQ(Call("", "POST", "auth/kubernetes/login", {{"role", "no"}, {"jwt", "x"}}).error(), "invalid role name \"no\"");
  Admin("kubernetes-tokens", {{"token", "t2"}, {"service_account", "latchkey/other"}});
  EXPECT_EQ(Call("", "POST", "auth/kubernetes/login", {{"role", "latchkey"}, {"jwt", "t2"}}).error(),
            "service account name not authorized");
}

TEST_F(VaultEmulatorTest, TokensSayWhatTheyMayAndCanBeRevoked) {
  const VaultReply may =
      Call(token_, "POST", "sys/capabilities-self", {{"paths", json::array{"transit/decrypt/owner-key-1", "transit/keys/a", "x"}}});
  EXPECT_EQ(json::serialize(may.data().at("transit/decrypt/owner-key-1")), R"(["update"])");
  EXPECT_EQ(json::serialize(may.data().at("x")), R"(["deny"])");
  EXPECT_EQ(json::serialize(Call(root_, "POST", "sys/capabilities-self", {{"paths", json::array{"x"}}}).body.at("capabilities")),
            R"(["root"])");
  EXPECT_EQ(Call("", "GET", "transit/keys/owner-key-1").status, 403);
  EXPECT_EQ(Call(token_, "POST", "auth/token/revoke-self").status, 204);
  EXPECT_EQ(Call(token_, "GET", "auth/token/lookup-self").status, 403);
}

TEST_F(VaultEmulatorTest, NamespacesAreApart) {
  Admin("namespaces", {{"path", "team/a"}});
  Admin("mounts", {{"namespace", "team/a"}, {"type", "transit"}, {"path", "kms/transit"}});
  Admin("keys", {{"namespace", "team/a"}, {"mount", "kms/transit"}, {"name", "k"}});
  Admin("policies", {{"namespace", "team/a"}, {"name", "use"}, {"rules", {{"kms/transit/encrypt/k", json::array{"update"}}}}});
  const std::string inner(Admin("tokens", {{"namespace", "team/a"}, {"policies", json::array{"use"}}}).at("token").as_string());
  const json::object body{{"plaintext", Encoded("x")}};
  EXPECT_EQ(Call(inner, "POST", "kms/transit/encrypt/k", body, "team/a/").status, 200);
  EXPECT_EQ(Call(inner, "POST", "transit/encrypt/owner-key-1", body).status, 403);
  EXPECT_EQ(Call(root_, "POST", "kms/transit/encrypt/k", body, "team/a").status, 200);
  EXPECT_EQ(Call(root_, "POST", "kms/transit/encrypt/k", body, "team/b").status, 404);
  EXPECT_EQ(Call(root_, "POST", "kms/transit/encrypt/k", body).status, 404);
  Admin("keys", {{"namespace", "team/b"}, {"name", "k"}}, 400);
}

TEST_F(VaultEmulatorTest, ASealedVaultAnswersNothingButItsHealth) {
  const std::string ciphertext = Wrap();
  EXPECT_EQ(Call("", "GET", "sys/health").status, 200);
  Admin("sealed", {{"on", true}});
  const VaultReply sealed = Unwrap(ciphertext);
  EXPECT_EQ(sealed.status, 503);
  EXPECT_EQ(sealed.error(), "Vault is sealed");
  const VaultReply health = Call("", "GET", "sys/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(health.body.at("sealed"), true);
  EXPECT_EQ(Call("", "GET", "sys/seal-status").body.at("sealed"), true);
  Admin("sealed", {{"on", false}});
  EXPECT_EQ(Unwrap(ciphertext).status, 200);
}

TEST_F(VaultEmulatorTest, MostParticularRuleDecides) {
  Admin("policies", {{"name", "p"},
                     {"rules",
                      {{"transit/*", json::array{"update"}},
                       {"transit/encrypt/+", json::array{"deny"}},
                       {"transit/encrypt/owner-key-2", json::array{"update"}}}}});
  const std::string token(Admin("tokens", {{"policies", json::array{"p"}}}).at("token").as_string());
  const json::object body{{"plaintext", Encoded("x")}};
  EXPECT_EQ(Call(token, "POST", "transit/encrypt/owner-key-1", body).status, 403);
  EXPECT_EQ(Call(token, "POST", "transit/encrypt/owner-key-2", body).status, 200);
  EXPECT_EQ(Call(token, "POST", "transit/datakey/wrapped/owner-key-1").status, 200);
}

}  // namespace
}  // namespace latchkey
