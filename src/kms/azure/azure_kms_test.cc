#include "kms/azure/azure_kms.h"

#include "base/testing.h"
#include "kms/azure/fake_azure.h"

namespace latchkey {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

const KmsContext kContext = {{"latchkey:cluster", "c-1"}, {"latchkey:generation", "1"}};
const RootKey kKey{.type = "AZURE_KEY_VAULT", .uri = kTestAzureKey, .auth_principal = kOwnersTenant, .external_id = "org/7"};
constexpr char kSecret[] = "our~client~secret";
constexpr char kPlain[] = "0123456789abcdef0123456789abcdef";

testing::Matcher<const absl::Status&> HasClass(FailureClass c) {
  return testing::ResultOf("failure class", [](const absl::Status& s) { return FailureClassOf(s); }, testing::Optional(c));
}

class AzureKmsTest : public testing::Test {
 protected:
  AzureKmsTest() : kms_(NewAzureKms(Options())) {}

  AzureKmsOptions Options() {
    return {.key_endpoint = azure_.endpoint() + "/",
            .authority = azure_.endpoint(),
            .tenant_id = kOurTenant,
            .client_id = "client-1",
            .call = {.first_backoff = absl::Milliseconds(1),
                     .environment = [](const char* name) -> std::string {
                       return std::string_view(name) == "AZURE_CLIENT_SECRET" ? kSecret : "";
                     },
                     .clock = &clock_}};
  }
  KmsWrapped Wrapped(const RootKey& key = kKey) {
    auto wrapped = kms_->Wrap(key, SecretBytes::CopyOf(std::string_view(kPlain)), kContext, {});
    EXPECT_THAT(wrapped, IsOk());
    return wrapped.ok() ? *std::move(wrapped) : KmsWrapped();
  }
  absl::Status Unwrap(const KmsCall& call = {}) {
    return kms_->Unwrap(kKey, {std::vector<uint8_t>(256, 7), kVersionOne}, kContext, call).status();
  }
  absl::Status UnwrapAnswered(HttpResponse response) {
    azure_.AlwaysAnswer("unwrapkey", std::move(response));
    return Unwrap();
  }

  FakeClock clock_;
  FakeAzure azure_;
  std::unique_ptr<Kms> kms_;
};

TEST_F(AzureKmsTest, UnwrapsWhatItWrappedUnderTheSameContextOnly) {
  const KmsWrapped wrapped = Wrapped();
  EXPECT_EQ(wrapped.key_version, kVersionOne);
  LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(opened.RevealText(SecretAccess{}), kPlain);
  EXPECT_THAT(kms_->Unwrap(kKey, wrapped, {{"latchkey:cluster", "c-2"}}, {}).status(), HasClass(FailureClass::kCorrupt));
}

TEST_F(AzureKmsTest, UnwrapsWithTheVersionThatWrappedAfterTheKeyGotANewOne) {
  const KmsWrapped wrapped = Wrapped();
  azure_.Change([](auto& vault) { vault.current = kVersionTwo; });
  LK_EXPECT_OK(kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(azure_.last("unwrapkey").path, std::string("/keys/owner-key/") + kVersionOne + "/unwrapkey");
  EXPECT_EQ(Wrapped().key_version, kVersionTwo);
  // Where no version was kept, it is the current one that is tried.
  EXPECT_THAT(kms_->Unwrap(kKey, {wrapped.ciphertext, ""}, kContext, {}).status(), HasClass(FailureClass::kCorrupt));
}

TEST_F(AzureKmsTest, AKeyNamedWithAVersionUsesThatVersion) {
  RootKey key = kKey;
  key.uri += std::string("/") + kVersionTwo;
  const KmsWrapped wrapped = Wrapped(key);
  EXPECT_EQ(wrapped.key_version, kVersionTwo);
  LK_EXPECT_OK(kms_->Unwrap(key, wrapped, kContext, {}));
  EXPECT_THAT(kms_->Unwrap(key, {wrapped.ciphertext, kVersionOne}, kContext, {}).status(), HasClass(FailureClass::kCorrupt));
}

TEST_F(AzureKmsTest, WrapsEveryLengthUnderAnAesKeyOfAnHsm) {
  azure_.Change([](auto& vault) { vault.kty = "oct-HSM"; });
  for (const size_t size : {1, 7, 8, 9, 32, 100, 190}) {
    const SecretBytes plain = SecretBytes::CopyOf(std::string(size, 'p'));
    LK_ASSERT_OK_AND_ASSIGN(const KmsWrapped wrapped, kms_->Wrap(kKey, plain, kContext, {}));
    EXPECT_EQ(wrapped.ciphertext.size() % 8, 0u);
    LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, kms_->Unwrap(kKey, wrapped, kContext, {}));
    EXPECT_TRUE(opened.Equals(plain)) << size;
  }
  EXPECT_THAT(azure_.last("wrapkey").body, HasSubstr(R"("alg":"A256KW")"));
}

TEST_F(AzureKmsTest, TellsWhatIsTooLongForTheKey) {
  LK_EXPECT_OK(kms_->Wrap(kKey, SecretBytes(158), kContext, {}));
  EXPECT_THAT(kms_->Wrap(kKey, SecretBytes(159), kContext, {}).status(), HasClass(FailureClass::kUnsuitable));
  EXPECT_THAT(kms_->Wrap(kKey, SecretBytes(0), kContext, {}).status(), HasClass(FailureClass::kUnsuitable));
}

TEST_F(AzureKmsTest, AsksTheVaultOnceWhoseItIsAndThenMakesOneRequestACall) {
  Unwrap().IgnoreError();
  EXPECT_EQ(azure_.calls("challenge"), 1);
  EXPECT_EQ(azure_.last("challenge").body, "");
  EXPECT_EQ(azure_.last("challenge").method, "POST");
  EXPECT_EQ(azure_.calls("token"), 1);
  for (int i = 0; i < 3; ++i) Unwrap().IgnoreError();
  EXPECT_EQ(azure_.calls("challenge"), 1);
  EXPECT_EQ(azure_.calls("token"), 1);
  EXPECT_EQ(azure_.calls("unwrapkey"), 4);
  EXPECT_EQ(azure_.calls("get"), 0);
}

TEST_F(AzureKmsTest, SpeaksToTheVaultByItsNameWithATokenOfTheOwnersTenant) {
  Wrapped();
  EXPECT_EQ(azure_.last("wrapkey").Header("host"), kTestVault);
  EXPECT_EQ(azure_.last("wrapkey").Query("api-version"), "7.4");
  EXPECT_EQ(azure_.last("wrapkey").Header("authorization"), "Bearer eyJ0b2tlbi1");
  EXPECT_EQ(azure_.last("token").path, std::string("/") + kOwnersTenant + "/oauth2/v2.0/token");
  EXPECT_THAT(azure_.last_form(), ElementsAre(Pair("client_id", "client-1"), Pair("client_secret", kSecret),
                                              Pair("grant_type", "client_credentials"), Pair("scope", "https://vault.azure.net/.default")));
}

TEST_F(AzureKmsTest, AnErrorHasItsClassTheVaultsWordsAndWhatWasAsked) {
  const absl::Status status =
      UnwrapAnswered(KeyVaultError(403, "Forbidden", "Operation unwrapKey is not allowed on a disabled key.", "KeyDisabled"));
  EXPECT_THAT(status, HasClass(FailureClass::kDisabled));
  EXPECT_EQ(status.message(), "Azure Key Vault unwrapkey: Operation unwrapKey is not allowed on a disabled key. (KeyDisabled)");
}

TEST_F(AzureKmsTest, TheOwnersTenantMaySayNoAndOursCannot) {
  const HttpResponse unknown = EntraAnswer(400, "unauthorized_client", 700016, "Application 'client-1' was not found in the directory.");
  azure_.Next("token", unknown);  // in the owner's tenant; at home it is known
  const absl::Status owners = Unwrap();
  EXPECT_THAT(owners, HasClass(FailureClass::kDenied));
  EXPECT_THAT(std::string(owners.message()), HasSubstr(std::string("Entra ID token of tenant ") + kOwnersTenant + ": AADSTS700016: "));
  // An application that is unknown at home is unknown everywhere: that is no owner's doing.
  azure_.AlwaysAnswer("token", unknown);
  EXPECT_THAT(Unwrap(), HasClass(FailureClass::kIdentity));
  azure_.Change([](auto& vault) { vault.tenant = kOurTenant; });
  RootKey own = kKey;
  own.auth_principal.clear();
  EXPECT_THAT(kms_->Describe(own, {}).status(), HasClass(FailureClass::kIdentity));
}

TEST_F(AzureKmsTest, WaitsAsLongAsTheVaultAsksAndTriesAgain) {
  HttpResponse throttled = KeyVaultError(429, "Throttled", "too many");
  throttled.headers["retry-after"] = "0";
  azure_.Next("unwrapkey", throttled);
  azure_.Next("unwrapkey", KeyVaultError(500, "InternalServerError", "x"));
  const KmsWrapped wrapped = Wrapped();
  LK_EXPECT_OK(kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(azure_.calls("unwrapkey"), 3);
  throttled.headers["retry-after"] = "3600";
  azure_.Next("unwrapkey", throttled);
  EXPECT_THAT(Unwrap(), HasClass(FailureClass::kThrottled));
  EXPECT_EQ(azure_.calls("unwrapkey"), 4);
}

TEST_F(AzureKmsTest, AVaultThatCannotBeFoundIsUnreachable) {
  AzureKmsOptions options = Options();
  options.key_endpoint = "http://gone.invalid";
  EXPECT_THAT(NewAzureKms(options)->Describe(kKey, {}).status(), HasClass(FailureClass::kUnreachable));
}

TEST_F(AzureKmsTest, AVaultOfAnotherTenantThanTheOwnersGetsNoToken) {
  azure_.Change([](auto& vault) { vault.tenant = kOurTenant; });
  const absl::Status status = Unwrap();
  EXPECT_THAT(status, HasClass(FailureClass::kUnsuitable));
  EXPECT_THAT(std::string(status.message()), HasSubstr("auth_principal"));
  EXPECT_EQ(azure_.calls("token"), 0);
  // Once it is the owner's, it is asked anew.
  azure_.Change([](auto& vault) { vault.tenant = kOwnersTenant; });
  Wrapped();
}

TEST_F(AzureKmsTest, AVaultThatMovedToAnotherTenantIsNoticed) {
  Wrapped();
  azure_.Change([](auto& vault) { vault.tenant = kOurTenant; });
  azure_.AlwaysAnswer("unwrapkey", azure_.Challenge());
  EXPECT_THAT(Unwrap(), HasClass(FailureClass::kUnsuitable));
}

TEST_F(AzureKmsTest, WithoutAnOwnersTenantTheVaultMustBeOurs) {
  RootKey own = kKey;
  own.auth_principal.clear();
  EXPECT_THAT(kms_->Describe(own, {}).status(), HasClass(FailureClass::kUnsuitable));
  azure_.Change([](auto& vault) { vault.tenant = kOurTenant; });
  LK_EXPECT_OK(kms_->Describe(own, {}));
  EXPECT_EQ(azure_.last("token").path, std::string("/") + kOurTenant + "/oauth2/v2.0/token");
  AzureKmsOptions options = Options();
  options.tenant_id.clear();
  EXPECT_THAT(NewAzureKms(options)->Describe(own, {}).status(), HasClass(FailureClass::kIdentity));
}

TEST_F(AzureKmsTest, WhatDoesNotAskWhoWeAreIsNoVault) {
  azure_.AlwaysAnswer("challenge", HttpResponse::Json(200, "{}"));
  EXPECT_THAT(Unwrap(), HasClass(FailureClass::kUnreachable));
  HttpResponse malformed = azure_.Challenge();
  malformed.headers["www-authenticate"] = "Bearer authorization=\"nowhere\"";
  azure_.AlwaysAnswer("challenge", malformed);
  EXPECT_THAT(Unwrap(), HasClass(FailureClass::kUnreachable));
  EXPECT_EQ(azure_.calls("token"), 0);
  azure_.AlwaysAnswer("challenge", KeyVaultError(403, "Forbidden", "Client address is not authorized", "ForbiddenByFirewall"));
  EXPECT_THAT(Unwrap(), HasClass(FailureClass::kDenied));
}

TEST_F(AzureKmsTest, ANewTokenIsTriedOnceWhenTheVaultRefusesTheKeptOne) {
  const KmsWrapped wrapped = Wrapped();
  azure_.Next("unwrapkey", azure_.Challenge(", error=\"invalid_token\""));
  LK_EXPECT_OK(kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(azure_.calls("token"), 2);
  azure_.AlwaysAnswer("unwrapkey", azure_.Challenge());
  EXPECT_THAT(Unwrap(), HasClass(FailureClass::kIdentity));
  EXPECT_EQ(azure_.calls("token"), 3);
}

TEST_F(AzureKmsTest, AnswersAClaimsChallengeWithATokenForThoseClaims) {
  const KmsWrapped wrapped = Wrapped();
  const std::string claims = R"({"access_token":{"nbf":{"essential":true,"value":"1502185177"}}})";
  azure_.Next("unwrapkey", azure_.Challenge(", error=\"insufficient_claims\", claims=\"" + Base64Encode(AsBytes(claims)) + "\""));
  LK_EXPECT_OK(kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(azure_.last_form()["claims"], claims);
  EXPECT_EQ(azure_.last("unwrapkey").Header("authorization"), "Bearer eyJ0b2tlbi2");
  // The next one is kept, and asks for nothing more.
  LK_EXPECT_OK(kms_->Unwrap(kKey, wrapped, kContext, {}));
  EXPECT_EQ(azure_.calls("token"), 2);
}

TEST_F(AzureKmsTest, TheOwnersTokenIsFetchedAnewAfterFiveMinutesAndForAConfirmation) {
  Unwrap().IgnoreError();
  clock_.Advance(absl::Minutes(5) - absl::Seconds(1));
  Unwrap().IgnoreError();
  EXPECT_EQ(azure_.calls("token"), 1);
  clock_.Advance(absl::Seconds(1));
  Unwrap().IgnoreError();
  EXPECT_EQ(azure_.calls("token"), 2);
  Unwrap({.fresh = true}).IgnoreError();
  EXPECT_EQ(azure_.calls("token"), 3);
  EXPECT_EQ(azure_.calls("challenge"), 1);
}

TEST_F(AzureKmsTest, OurOwnTokenIsKeptUntilShortlyBeforeItsEnd) {
  RootKey own = kKey;
  own.auth_principal = kOurTenant;
  azure_.Change([](auto& vault) { vault.tenant = kOurTenant; });
  LK_EXPECT_OK(kms_->Describe(own, {}));
  clock_.Advance(absl::Minutes(54));
  LK_EXPECT_OK(kms_->Describe(own, {}));
  EXPECT_EQ(azure_.calls("token"), 1);
  clock_.Advance(absl::Minutes(1));
  LK_EXPECT_OK(kms_->Describe(own, {}));
  EXPECT_EQ(azure_.calls("token"), 2);
}

TEST_F(AzureKmsTest, DescribesTheKeyAsTheVaultSeesIt) {
  azure_.Change([](auto& vault) { vault.kty = "RSA-HSM"; });
  azure_.Change([&](auto& vault) { vault.attributes["exp"] = 1800000000; });
  LK_ASSERT_OK_AND_ASSIGN(KeyDescription d, kms_->Describe(kKey, {}));
  EXPECT_EQ(d.resolved_uri, std::string(kTestAzureKey) + "/" + kVersionOne);
  EXPECT_EQ(d.key_version, kVersionOne);
  EXPECT_EQ(d.state, "Enabled");
  EXPECT_TRUE(d.usable);
  EXPECT_EQ(d.protection_level, "RSA-HSM");
  EXPECT_EQ(d.purge_protected, true);
  EXPECT_EQ(d.expires_at, absl::FromUnixSeconds(1800000000));
  for (const char* level : {"Recoverable+Purgeable", "Purgeable", "CustomizedRecoverable+Purgeable"}) {
    azure_.Change([&](auto& vault) { vault.attributes["recoveryLevel"] = level; });
    LK_ASSERT_OK_AND_ASSIGN(d, kms_->Describe(kKey, {}));
    EXPECT_EQ(d.purge_protected, false) << level;
  }
  azure_.Change([](auto& vault) { vault.attributes.erase("recoveryLevel"); });
  LK_ASSERT_OK_AND_ASSIGN(d, kms_->Describe(kKey, {}));
  EXPECT_EQ(d.purge_protected, std::nullopt);
}

TEST_F(AzureKmsTest, SaysWhyAKeyCannotBeChosen) {
  const auto described = [&] {
    const auto d = kms_->Describe(kKey, {});
    EXPECT_THAT(d, IsOk());
    return d.ok() ? std::tuple(d->usable, d->state, d->failure) : std::tuple(false, std::string(), std::optional<FailureClass>());
  };
  azure_.Change([&](auto& vault) { vault.attributes["enabled"] = false; });
  EXPECT_EQ(described(), std::tuple(false, "Disabled", FailureClass::kDisabled));
  azure_.Change([&](auto& vault) { vault.attributes["enabled"] = true; });
  azure_.Change([](auto& vault) { vault.operations = {"wrapKey"}; });
  EXPECT_EQ(described(), std::tuple(false, "Enabled", FailureClass::kDenied));
  azure_.Change([](auto& vault) { vault.operations = {"wrapKey", "unwrapKey"}; });
  azure_.Change([&](auto& vault) { vault.attributes["nbf"] = 1700001000; });
  EXPECT_EQ(described(), std::tuple(false, "NotYetValid", FailureClass::kUnsuitable));
  azure_.Change([](auto& vault) { vault.attributes.erase("nbf"); });
  azure_.Change([](auto& vault) { vault.kty = "EC"; });
  EXPECT_EQ(described(), std::tuple(false, "Enabled", FailureClass::kUnsuitable));
}

TEST_F(AzureKmsTest, AnExpiredKeyIsNotChosenAndIsNoRefusalToWhatItWrapped) {
  const KmsWrapped wrapped = Wrapped();
  azure_.Change([&](auto& vault) { vault.attributes["exp"] = 1699999999; });
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription d, kms_->Describe(kKey, {}));
  EXPECT_FALSE(d.usable);
  ASSERT_TRUE(d.failure.has_value());
  EXPECT_FALSE(IsRefusal(*d.failure));
  LK_EXPECT_OK(kms_->Unwrap(kKey, wrapped, kContext, {}));
  azure_.AlwaysAnswer("wrapkey", KeyVaultError(403, "Forbidden", "Operation wrapKey is not allowed on an expired key."));
  EXPECT_THAT(kms_->Wrap(kKey, SecretBytes(32), kContext, {}).status(), HasClass(FailureClass::kUnsuitable));
}

TEST_F(AzureKmsTest, ADeletedKeyShowsUntilWhenItCanBeRecovered) {
  const HttpResponse gone = KeyVaultError(404, "KeyNotFound", "A key with (name/id) owner-key was not found in this key vault.");
  azure_.AlwaysAnswer("get", gone);
  azure_.AlwaysAnswer("unwrapkey", gone);
  EXPECT_THAT(kms_->Describe(kKey, {}).status(), HasClass(FailureClass::kDestroyed));
  azure_.Change([](auto& vault) { vault.deleted = json::object{{"deletedDate", 1700000000}, {"scheduledPurgeDate", 1707776000}}; });
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription d, kms_->Describe(kKey, {}));
  EXPECT_EQ(d.state, "Deleted");
  EXPECT_EQ(d.failure, FailureClass::kPendingDeletion);
  EXPECT_EQ(d.deletion_date, absl::FromUnixSeconds(1707776000));
  const absl::Status status = Unwrap();
  EXPECT_THAT(status, HasClass(FailureClass::kPendingDeletion));
  EXPECT_THAT(std::string(status.message()), HasSubstr("until 2024-02-12T22:13:20"));
  // That we may not read the deleted keys makes the key no less gone.
  azure_.AlwaysAnswer("deleted", KeyVaultError(403, "Forbidden", "no", "ForbiddenByRbac"));
  EXPECT_THAT(Unwrap(), HasClass(FailureClass::kDestroyed));
}

TEST_F(AzureKmsTest, HalfAnAnswerIsNoAnswerAndAnotherKeysIsCorrupt) {
  for (const char* body : {"", "{}", "[]", R"({"kid":"https://contoso.vault.azure.net/keys/owner-key/11111111111111111111111111111111"})",
                           R"({"value":"AAAA"})", R"({"kid":7,"value":"AAAA"})",
                           R"({"kid":"https://contoso.vault.azure.net/keys/owner-key/11111111111111111111111111111111","value":"*"})"}) {
    EXPECT_THAT(UnwrapAnswered(HttpResponse::Json(200, body)), HasClass(FailureClass::kUnreachable)) << body;
  }
  for (const char* kid : {"https://contoso.vault.azure.net/keys/owner-key/22222222222222222222222222222222",
                          "https://contoso.vault.azure.net/keys/other-key/11111111111111111111111111111111"}) {
    const std::string body = json::serialize(json::object{{"kid", kid}, {"value", "AAAA"}});
    const absl::Status status = UnwrapAnswered(HttpResponse::Json(200, body));
    EXPECT_THAT(status, HasClass(FailureClass::kCorrupt)) << kid;
    EXPECT_THAT(std::string(status.message()), HasSubstr("another key"));
  }
  for (const char* body : {"{}", R"({"key":{},"attributes":{}})", R"({"key":{"kid":"x","kty":"RSA"},"attributes":{"enabled":true}})"}) {
    azure_.AlwaysAnswer("get", HttpResponse::Json(200, body));
    EXPECT_THAT(kms_->Describe(kKey, {}).status(), HasClass(FailureClass::kUnreachable)) << body;
  }
}

TEST_F(AzureKmsTest, WrappingsOfAnotherFormAreCorruptWithoutAskingAnybody) {
  for (const size_t size : {0, 1, 40, 49, 248, 255, 257, 4096}) {
    EXPECT_THAT(kms_->Unwrap(kKey, {std::vector<uint8_t>(size), kVersionOne}, kContext, {}).status(), HasClass(FailureClass::kCorrupt))
        << size;
  }
  EXPECT_THAT(kms_->Unwrap(kKey, {std::vector<uint8_t>(256), "../secrets/x"}, kContext, {}).status(), HasClass(FailureClass::kCorrupt));
  EXPECT_EQ(azure_.calls("challenge"), 0);
}

TEST_F(AzureKmsTest, NoErrorShowsASecretThatAServiceQuotes) {
  const auto quoting = [](const HttpRequest& request, const HttpResponder& respond) {
    respond(KeyVaultError(403, "Forbidden", "you sent " + request.Header("authorization") + " and " + request.body, "ForbiddenByPolicy"));
  };
  for (const char* operation : {"wrapkey", "unwrapkey"}) azure_.Always(operation, quoting);
  for (const absl::Status& status : {kms_->Wrap(kKey, SecretBytes::CopyOf(std::string_view(kPlain)), kContext, {}).status(), Unwrap()}) {
    EXPECT_THAT(status, HasClass(FailureClass::kDenied));
    EXPECT_THAT(status.ToString(), Not(HasSubstr("eyJ0b2tlbi")));
    EXPECT_THAT(status.ToString(), Not(HasSubstr(Base64UrlEncode(AsBytes(std::string(kPlain).substr(0, 30))))));
  }
  azure_.Always("token", [](const HttpRequest& request, const HttpResponder& respond) {
    const auto form = ParseForm(request.body).value();
    std::string secret;
    for (const auto& [name, value] : form) secret += name == "client_secret" ? value : "";
    respond(EntraAnswer(401, "invalid_client", 7000215, "Invalid client secret provided: " + secret));
  });
  const absl::Status status = Unwrap({.fresh = true});
  EXPECT_THAT(status, HasClass(FailureClass::kIdentity));
  EXPECT_THAT(status.ToString(), HasSubstr("[secret]"));
  EXPECT_THAT(status.ToString(), Not(HasSubstr(kSecret)));
}

TEST_F(AzureKmsTest, TestsAKeyFromEndToEnd) {
  KmsSet set;
  set.Add(NewAzureKms(Options()));
  LK_EXPECT_OK(TestKey(set, kKey, kContext, nullptr));
  azure_.Change([](auto& vault) { vault.kty = "oct-HSM"; });
  LK_EXPECT_OK(TestKey(set, kKey, kContext, nullptr));
}

TEST_F(AzureKmsTest, ChecksTheFormOfUriAndTenant) {
  LK_EXPECT_OK(kms_->Check(kKey));
  RootKey key = kKey;
  key.auth_principal = "contoso.onmicrosoft.com";
  EXPECT_THAT(kms_->Check(key), HasClass(FailureClass::kUnsuitable));
  EXPECT_THAT(std::string(kms_->Check(key).message()), testing::StartsWith("auth_principal: "));
  key = kKey;
  key.uri = "https://contoso.vault.azure.net.evil.example/keys/owner-key";
  EXPECT_THAT(kms_->Check(key), HasClass(FailureClass::kUnsuitable));
  EXPECT_THAT(std::string(kms_->Check(key).message()), testing::StartsWith("uri: "));
  EXPECT_EQ(azure_.calls("challenge"), 0);
}

}  // namespace
}  // namespace latchkey
