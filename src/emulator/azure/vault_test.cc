#include "emulator/azure/azure_testing.h"

namespace latchkey::emulator::azure {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

class AzureVaultTest : public AzureTest {};

TEST_F(AzureVaultTest, ARequestWithoutATokenLearnsWhereToGetOne) {
  const Reply reply = Send("GET", "/keys/owner-key-1/?api%2Dversion=2025-07-01", {{"host", kVaultHost}});
  EXPECT_EQ(reply.status, 401);
  EXPECT_EQ(reply.error(), "Unauthorized");
  EXPECT_EQ(reply.headers.at("www-authenticate"),
            std::string("Bearer authorization=\"https://login.microsoftonline.com/") + kOwner + "\", resource=\"https://vault.azure.net\"");
  EXPECT_EQ(reply.record.result, "Unauthorized");
}

TEST_F(AzureVaultTest, AFirstRequestWithoutATokenIsNamedChallengeSoThatOrderedFaultsWaitForTheRealOne) {
  HttpRequest request{.method = "POST", .target = "/keys/k/wrapkey?api-version=7.4", .headers = {{"host", kVaultHost}}};
  ASSERT_TRUE(request.SplitTarget());
  EXPECT_EQ(cloud_->NameOf(request).operation, "challenge");
  request.headers["authorization"] = "Bearer x";
  EXPECT_EQ(cloud_->NameOf(request).operation, "wrapkey");
}

TEST_F(AzureVaultTest, OperationsAreKnownByMethodAndPathAsLibrariesWriteThem) {
  const std::string version(32, 'a');
  const std::pair<const char*, std::string> cases[] = {
      {"GET /keys", "list"},
      {"GET /keys/k/", "get"},
      {"GET /keys/k/versions", "versions"},
      {"POST /keys/k/create", "create"},
      {"PATCH /keys/k/", "update"},
      {"DELETE /keys/k", "delete"},
      {"POST /keys/k/rotate", "rotate"},
      {"GET /keys/k/rotationpolicy", "getrotationpolicy"},
      {"PUT /keys/k/rotationpolicy", "setrotationpolicy"},
      {"POST /keys/k//wrapkey", "wrapkey"},
      {"POST /keys/k/unwrapKey", "unwrapkey"},
      {"POST /keys/k/encrypt", "encrypt"},
      {"GET /deletedkeys", "listdeleted"},
      {"GET /deletedkeys/k", "getdeleted"},
      {"POST /deletedkeys/k/recover", "recover"},
      {"DELETE /deletedkeys/k", "purge"},
      {"PUT /keys/k", ""},
      {"GET /keys/k/nonsense", ""},
      {"POST /keys/k/not-a-version/wrapkey", ""},
  };
  for (const auto& [line, operation] : cases) {
    const std::string text = line;
    HttpRequest request{.method = text.substr(0, text.find(' ')), .target = text.substr(text.find(' ') + 1)};
    request.headers = {{"host", kVaultHost}, {"authorization", "Bearer x"}};
    ASSERT_TRUE(request.SplitTarget());
    EXPECT_EQ(cloud_->NameOf(request).operation, operation) << text;
  }
  HttpRequest versioned{.method = "POST", .target = "/keys/k/" + version + "/unwrapkey", .headers = {{"authorization", "Bearer x"}}};
  ASSERT_TRUE(versioned.SplitTarget());
  EXPECT_EQ(cloud_->NameOf(versioned).operation, "unwrapkey");
}

TEST_F(AzureVaultTest, TokensThatAreForgedExpiredForAnotherServiceOrOfAnotherTenantAreRefused) {
  token_ = "nonsense";
  EXPECT_EQ(Vault("GET", "/keys/owner-key-1").status, 401);
  // The operator's, with the owner's tenant written into it.
  const std::string honest = Token(kOperator);
  const size_t first = honest.find('.'), second = honest.rfind('.');
  LK_ASSERT_OK_AND_ASSIGN(const std::vector<uint8_t> claims, Base64UrlDecode(honest.substr(first + 1, second - first - 1)));
  std::string text(AsText(claims));
  for (size_t at = text.find(kOperator); at != std::string::npos; at = text.find(kOperator)) text.replace(at, 36, kOwner);
  token_ = honest.substr(0, first + 1) + Base64UrlEncode(AsBytes(text)) + honest.substr(second);
  EXPECT_THAT(json::serialize(Vault("GET", "/keys/owner-key-1").body), HasSubstr("AKV10001"));
  token_ = Token(kOperator);
  const Reply stranger = Vault("GET", "/keys/owner-key-1");
  EXPECT_EQ(stranger.status, 401);
  EXPECT_THAT(json::serialize(stranger.body), HasSubstr("AKV10032: Invalid issuer"));
  token_ = TokenRequest(kOwner, "client_secret=" + secret_, "https://managedhsm.azure.net/.default").Text("access_token");
  EXPECT_THAT(json::serialize(Vault("GET", "/keys/owner-key-1").body), HasSubstr("AKV10022: Invalid audience"));
  token_ = Token();
  EXPECT_EQ(Vault("GET", "/keys/owner-key-1").status, 200);
  now_ += absl::Hours(1);
  const Reply late = Vault("GET", "/keys/owner-key-1");
  EXPECT_EQ(late.status, 401);
  EXPECT_THAT(late.headers.at("www-authenticate"), HasSubstr("invalid_token"));
}

TEST_F(AzureVaultTest, AnApiVersionIsDemanded) {
  EXPECT_EQ(Vault("GET", "/keys/owner-key-1?a=b").error(), "BadParameter");
  EXPECT_EQ(Vault("GET", "/keys/owner-key-1?api-version=1.0").error(), "BadParameter");
  for (const char* known : {"7.4", "7.6-preview.2", "2025-07-01"}) {
    EXPECT_EQ(Vault("GET", std::string("/keys/owner-key-1?api-version=") + known).status, 200) << known;
  }
}

TEST_F(AzureVaultTest, TheAddressOfAKeyIsTheVaultsOwnNameOrWhereTheCallerReachedUs) {
  EXPECT_THAT(Reply::At(Vault("GET", "/keys/owner-key-1").Object("key"), "kid"),
              StartsWith("https://owner-vault.vault.azure.net/keys/owner-key-1/"));
  token_ = Token(kOperator);
  const Reply created = Vault("POST", "/keys/k/create", {{"kty", "oct-HSM"}}, "localhost:8443");
  EXPECT_THAT(Reply::At(created.Object("key"), "kid"), StartsWith("https://localhost:8443/keys/k/"));
  EXPECT_THAT(created.record.key, StartsWith("https://emulator.vault.azure.net/keys/k"));
}

TEST_F(AzureVaultTest, AVaultThatIsNotThereAnswersNothing) {
  EXPECT_EQ(Vault("GET", "/keys/k", {}, "nobody.vault.azure.net").status, 0);
  EXPECT_EQ(Vault("GET", "/keys/k", {}, "owner-vault.managedhsm.azure.net").status, 0);
  Admin("vaults/remove", {{"vault", "owner-vault"}});
  EXPECT_EQ(Vault("GET", "/keys/owner-key-1").status, 0);
}

TEST_F(AzureVaultTest, WhatAKeyWrapsItsVersionUnwraps) {
  const Reply wrapped = Wrap("thirty-two bytes of a secret key");
  ASSERT_EQ(wrapped.status, 200) << json::serialize(wrapped.body);
  EXPECT_EQ(wrapped.Text("value").size(), 342u);  // 256 bytes
  EXPECT_EQ(Decoded(Unwrap(wrapped)), "thirty-two bytes of a secret key");
  EXPECT_NE(Wrap("thirty-two bytes of a secret key").Text("value"), wrapped.Text("value"));
  const Reply other = Vault("POST", "/keys/owner-key-2/unwrapkey", {{"alg", "RSA-OAEP-256"}, {"value", wrapped.Text("value")}});
  EXPECT_EQ(other.status, 400);
  EXPECT_EQ(other.error(), "BadParameter");
}

TEST_F(AzureVaultTest, MalformedCryptographyIsABadParameter) {
  const std::string value = Base64UrlEncode(AsBytes("0123456789abcdef"));
  const json::object cases[] = {
      {{"value", value}},
      {{"alg", "RSA-OAEP-256"}},
      {{"alg", "RSA-OAEP-256"}, {"value", "not base64url!"}},
      {{"alg", "RSA-OAEP-256"}, {"value", ""}},
      {{"alg", "RSA-OAEP-256"}, {"value", Base64UrlEncode(std::vector<uint8_t>(191))}},
      {{"alg", "RSA-OAEP-256"}, {"value", std::string(70'000, 'A')}},
      {{"alg", "RSA1_5"}, {"value", value}},
      {{"alg", "A256KW"}, {"value", value}},
  };
  for (const json::object& body : cases) {
    const Reply reply = Vault("POST", "/keys/owner-key-1/wrapkey", body);
    EXPECT_EQ(reply.status, 400) << json::serialize(body).substr(0, 200);
    EXPECT_EQ(reply.error(), "BadParameter");
  }
  EXPECT_EQ(Vault("POST", "/keys/owner-key-1/unwrapkey", {{"alg", "RSA-OAEP-256"}, {"value", value}}).error(), "BadParameter");
  EXPECT_EQ(Vault("POST", "/keys/no-such-key/wrapkey", {{"alg", "RSA-OAEP-256"}, {"value", value}}).error(), "KeyNotFound");
  EXPECT_EQ(Vault("GET", "/keys/owner-key-1/" + std::string(32, '0')).error(), "KeyNotFound");
}

TEST_F(AzureVaultTest, AnOctetKeyWrapsWithKeyWrapAndEncryptsWithGcm) {
  BecomeOfficer();
  ASSERT_EQ(Vault("POST", "/keys/oct/create", {{"kty", "oct-HSM"}, {"key_size", 256}}).status, 200);
  EXPECT_EQ(Decoded(Unwrap(Wrap("0123456789abcdef", "oct", "A256KW"), "A256KW")), "0123456789abcdef");
  EXPECT_EQ(Wrap("not a multiple of 8", "oct", "A256KW").error(), "BadParameter");
  const std::string aad = Base64UrlEncode(AsBytes("context"));
  const Reply sealed =
      Vault("POST", "/keys/oct/encrypt", {{"alg", "A256GCM"}, {"value", Base64UrlEncode(AsBytes("any length")).c_str()}, {"aad", aad}});
  ASSERT_EQ(sealed.status, 200) << json::serialize(sealed.body);
  json::object open{
      {"alg", "A256GCM"}, {"value", sealed.Text("value")}, {"iv", sealed.Text("iv")}, {"tag", sealed.Text("tag")}, {"aad", aad}};
  EXPECT_EQ(Decoded(Vault("POST", "/keys/oct/decrypt", open)), "any length");
  open["aad"] = Base64UrlEncode(AsBytes("another"));
  EXPECT_EQ(Vault("POST", "/keys/oct/decrypt", open).error(), "BadParameter");
  open.erase("iv");
  EXPECT_EQ(Vault("POST", "/keys/oct/decrypt", open).status, 400);
}

TEST_F(AzureVaultTest, ADisabledKeyNeitherWrapsNorUnwrapsButIsShown) {
  const Reply wrapped = Wrap("secret");
  Admin("keys/disable", {{"key", KeyOf("owner-key-1")}});
  const Reply refused = Unwrap(wrapped);
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.error(), "Forbidden/KeyDisabled");
  EXPECT_EQ(refused.record.result, "KeyDisabled");
  EXPECT_EQ(Wrap("secret").error(), "Forbidden/KeyDisabled");
  const Reply shown = Vault("GET", "/keys/owner-key-1");
  EXPECT_EQ(shown.status, 200);
  EXPECT_FALSE(shown.Object("attributes").at("enabled").as_bool());
  Admin("keys/enable", {{"key", KeyOf("owner-key-1")}});
  EXPECT_EQ(Decoded(Unwrap(wrapped)), "secret");
}

TEST_F(AzureVaultTest, ADisabledKeyWrapsWhereTheAdminLetsItAndStillUnwrapsNothing) {
  const Reply wrapped = Wrap("secret");
  Admin("strictness", {{"wrap_on_disabled", "allowed"}});
  Admin("keys/disable", {{"key", KeyOf("owner-key-1")}});
  EXPECT_EQ(Wrap("secret").status, 200);
  EXPECT_EQ(Unwrap(wrapped).error(), "Forbidden/KeyDisabled");
}

TEST_F(AzureVaultTest, AnExpiredKeyStillUnwrapsWhatItWrapped) {
  const Reply wrapped = Wrap("secret");
  Admin("keys/expiry", {{"key", KeyOf("owner-key-1")}, {"exp", absl::ToUnixSeconds(now_ + absl::Minutes(1))}});
  EXPECT_EQ(Wrap("secret").status, 200);
  now_ += absl::Minutes(1);
  EXPECT_EQ(Wrap("secret").error(), "Forbidden/KeyExpired");
  EXPECT_EQ(Decoded(Unwrap(wrapped)), "secret");
  Admin("keys/expiry", {{"key", KeyOf("owner-key-1")}, {"exp", nullptr}, {"nbf", absl::ToUnixSeconds(now_ + absl::Minutes(1))}});
  EXPECT_EQ(Wrap("secret").error(), "Forbidden/KeyNotYetValid");
  EXPECT_EQ(Decoded(Unwrap(wrapped)), "secret");
  now_ += absl::Minutes(1);
  EXPECT_EQ(Wrap("secret").status, 200);
}

TEST_F(AzureVaultTest, AKeyDoesOnlyWhatItsOperationsName) {
  BecomeOfficer();
  json::array only;
  only.push_back("unwrapKey");
  const Reply wrapped = Wrap("secret");
  json::object body;
  body["key_ops"] = only;
  EXPECT_EQ(Vault("PATCH", "/keys/owner-key-1", body).status, 200);
  EXPECT_EQ(Wrap("secret").error(), "Forbidden/KeyOperationForbidden");
  EXPECT_EQ(Decoded(Unwrap(wrapped)), "secret");
}

TEST_F(AzureVaultTest, ANewVersionWrapsAndTheOldOneStillUnwraps) {
  const Reply old = Wrap("secret");
  Admin("keys/rotate", {{"key", KeyOf("owner-key-1")}});
  const Reply now = Wrap("secret");
  EXPECT_NE(now.Text("kid"), old.Text("kid"));
  EXPECT_EQ(Decoded(Unwrap(old)), "secret");
  EXPECT_EQ(Decoded(Unwrap(now)), "secret");
  BecomeOfficer();
  EXPECT_EQ(Vault("GET", "/keys/owner-key-1/versions").body.at("value").as_array().size(), 2u);
  // One version can be disabled alone.
  Admin("keys/disable", {{"key", old.Text("kid")}});
  EXPECT_EQ(Unwrap(old).error(), "Forbidden/KeyDisabled");
  EXPECT_EQ(Decoded(Unwrap(now)), "secret");
}

TEST_F(AzureVaultTest, RolesGiveWhatTheyAreMadeForAndNoMore) {
  const auto create = [&] { return Vault("POST", "/keys/x/create", {{"kty", "oct-HSM"}}); };
  EXPECT_EQ(Wrap("x").status, 200);
  EXPECT_EQ(Vault("POST", "/keys/owner-key-1/encrypt", {}).error(), "Forbidden/ForbiddenByRbac");
  EXPECT_EQ(create().error(), "Forbidden/ForbiddenByRbac");
  const json::object mine{{"vault", "owner-vault"}, {"role", "Key Vault Crypto Service Encryption User"}, {"principal", kApplication}};
  Admin("roles/remove", mine);
  const Reply refused = Wrap("x");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.error(), "Forbidden/ForbiddenByRbac");
  EXPECT_THAT(json::serialize(refused.body),
              AllOf(HasSubstr("keys/wrap/action"), HasSubstr("location=westeurope"), HasSubstr(kApplication)));
  // For one key.
  json::object one = mine;
  one["key"] = "owner-key-2";
  Admin("roles", one);
  EXPECT_EQ(Wrap("x").error(), "Forbidden/ForbiddenByRbac");
  EXPECT_EQ(Wrap("x", "owner-key-2").status, 200);
  Admin("roles", {{"vault", "owner-vault"}, {"role", "Key Vault Reader"}, {"principal", kApplication}});
  EXPECT_EQ(Vault("GET", "/keys/owner-key-1").status, 200);
  EXPECT_EQ(Wrap("x").error(), "Forbidden/ForbiddenByRbac");
  Admin("roles", {{"vault", "owner-vault"}, {"role", "Key Vault Crypto User"}, {"principal", kApplication}});
  EXPECT_EQ(Vault("POST", "/keys/owner-key-1/encrypt", {{"alg", "RSA-OAEP-256"}, {"value", "YWJj"}}).status, 200);
  EXPECT_EQ(create().error(), "Forbidden/ForbiddenByRbac");
  BecomeOfficer();
  EXPECT_EQ(create().status, 200);
}

TEST_F(AzureVaultTest, ADenialGoesBeforeEveryRoleUntilItIsTakenBack) {
  BecomeOfficer();
  const json::object denial{{"vault", "owner-vault"}, {"key", "owner-key-1"}, {"principal", kApplication}};
  Admin("denials", denial);
  EXPECT_EQ(Wrap("x").error(), "Forbidden/ForbiddenByRbac");
  EXPECT_EQ(Wrap("x", "owner-key-2").status, 200);
  Admin("denials/remove", denial);
  EXPECT_EQ(Wrap("x").status, 200);
}

TEST_F(AzureVaultTest, AClosedFirewallLetsNobodyIn) {
  Admin("firewall", {{"vault", "owner-vault"}, {"closed", true}});
  const Reply refused = Wrap("x");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.error(), "Forbidden/ForbiddenByFirewall");
  EXPECT_THAT(json::serialize(refused.body), HasSubstr("Client address is not authorized and caller is not a trusted service."));
  Admin("firewall", {{"vault", "owner-vault"}, {"closed", false}});
  EXPECT_EQ(Wrap("x").status, 200);
}

TEST_F(AzureVaultTest, AManagedHsmIsAVaultWithANameAndTokensOfItsOwn) {
  Admin("vaults", {{"tenant", kOwner}, {"name", "owner-hsm"}, {"managed_hsm", true}});
  Admin("roles", {{"vault", "owner-hsm.managedhsm.azure.net"}, {"role", "Key Vault Crypto Officer"}, {"principal", kApplication}});
  const std::string host = "owner-hsm.managedhsm.azure.net";
  EXPECT_THAT(Send("GET", "/keys/k?api-version=7.4", {{"host", host}}).headers.at("www-authenticate"),
              HasSubstr("resource=\"https://managedhsm.azure.net\""));
  EXPECT_EQ(Vault("POST", "/keys/k/create", {{"kty", "oct-HSM"}}, host).status, 401);
  token_ = TokenRequest(kOwner, "client_secret=" + secret_, "https://managedhsm.azure.net/.default").Text("access_token");
  const Reply created = Vault("POST", "/keys/k/create", {{"kty", "oct-HSM"}}, host);
  EXPECT_THAT(Reply::At(created.Object("key"), "kid"), StartsWith("https://owner-hsm.managedhsm.azure.net/keys/k/"));
  EXPECT_FALSE(created.Object("key").contains("n"));
}

TEST_F(AzureVaultTest, TheFaultsOfAServiceHaveItsOwnForm) {
  const OperationName unwrap{"keyvault", "unwrapkey"}, token{"entra", "token"};
  const HttpResponse throttled = cloud_->Throttled(unwrap);
  EXPECT_EQ(throttled.status, 429);
  EXPECT_EQ(throttled.headers.at("retry-after"), "1");
  EXPECT_EQ(cloud_->Throttled(token).status, 429);
  const HttpResponse ordered = cloud_->OrderedError(unwrap, {.status = 403, .type = "Forbidden/KeyDisabled"});
  EXPECT_EQ(ordered.status, 403);
  EXPECT_THAT(ordered.body, HasSubstr(R"("innererror":{"code":"KeyDisabled"})"));
  EXPECT_THAT(cloud_->OrderedError(token, {.status = 400, .type = "unauthorized_client/700016"}).body, HasSubstr("[700016]"));
  HttpResponse answer = HttpResponse::Json(200, R"({"kid":"k","value":"AAAA"})");
  cloud_->ReplacePlaintext(unwrap, answer, Random::System());
  EXPECT_THAT(answer.body, AllOf(HasSubstr(R"("kid":"k")"), testing::Not(HasSubstr("\"AAAA\""))));
}

}  // namespace
}  // namespace latchkey::emulator::azure
