// Keys from creation to purge, their rotation, what is remembered over a restart, and what the admin API refuses.
#include "emulator/azure/azure_testing.h"
#include "emulator/azure/rotation.h"

namespace latchkey::emulator::azure {
namespace {

using testing::HasSubstr;

class AzureKeyLifeTest : public AzureTest {
 protected:
  void SetUp() override {
    AzureTest::SetUp();
    BecomeOfficer();
  }
  Reply CreateOct(const std::string& name, json::object body = {}) {
    body["kty"] = "oct-HSM";
    return Vault("POST", "/keys/" + name + "/create", body);
  }
};

TEST_F(AzureKeyLifeTest, AKeyIsCreatedWithWhatItWasAskedFor) {
  json::object attributes{{"enabled", false}, {"nbf", 1'900'000'000}, {"exp", 2'000'000'000}};
  json::object body{{"kty", "RSA"}, {"key_size", 2048}};
  body["attributes"] = attributes;
  body["tags"] = json::object{{"owner", "ada"}};
  body["key_ops"] = json::array{"wrapKey", "unwrapKey"};
  const Reply reply = Vault("POST", "/keys/new-key/create", body);
  ASSERT_EQ(reply.status, 200) << json::serialize(reply.body);
  EXPECT_TRUE(reply.changed);
  const json::object& key = reply.Object("key");
  EXPECT_EQ(Reply::At(key, "kty"), "RSA");
  EXPECT_EQ(Reply::At(key, "e"), "AQAB");
  EXPECT_EQ(Reply::At(key, "n").size(), 342u);
  EXPECT_EQ(key.at("key_ops").as_array().size(), 2u);
  const json::object& shown = reply.Object("attributes");
  EXPECT_FALSE(shown.at("enabled").as_bool());
  EXPECT_EQ(shown.at("nbf").as_int64(), 1'900'000'000);
  EXPECT_EQ(shown.at("exp").as_int64(), 2'000'000'000);
  EXPECT_EQ(shown.at("created").as_int64(), absl::ToUnixSeconds(now_));
  EXPECT_EQ(Reply::At(shown, "recoveryLevel"), "Recoverable+Purgeable");
  EXPECT_EQ(shown.at("recoverableDays").as_int64(), 90);
  EXPECT_EQ(Reply::At(reply.Object("tags"), "owner"), "ada");
}

TEST_F(AzureKeyLifeTest, AKeyThatCannotBeMadeIsABadParameter) {
  json::object odd_operation{{"kty", "oct-HSM"}};
  odd_operation["key_ops"] = json::array{"sign"};
  json::object odd_dates{{"kty", "oct-HSM"}};
  odd_dates["attributes"] = json::object{{"nbf", 2}, {"exp", 1}};
  for (const json::object& body : {json::object{}, json::object{{"kty", "EC"}}, json::object{{"kty", "RSA"}, {"key_size", 1024}},
                                   json::object{{"kty", "RSA"}, {"key_size", "2048"}}, odd_operation, odd_dates}) {
    EXPECT_EQ(Vault("POST", "/keys/x/create", body).error(), "BadParameter") << json::serialize(body);
  }
  EXPECT_EQ(CreateOct("under_score").error(), "BadParameter");
  EXPECT_EQ(CreateOct("OWNER-KEY-1").error(), "BadParameter");  // names differ by more than case, and that one is of another type
}

TEST_F(AzureKeyLifeTest, AnUpdateChangesOnlyWhatItNames) {
  json::object off;
  off["attributes"] = json::object{{"enabled", false}};
  const Reply reply = Vault("PATCH", "/keys/owner-key-1/", off);
  EXPECT_EQ(reply.status, 200);
  EXPECT_FALSE(reply.Object("attributes").at("enabled").as_bool());
  json::object until;
  until["attributes"] = json::object{{"exp", 2'000'000'000}};
  EXPECT_FALSE(Vault("PATCH", "/keys/owner-key-1", until).Object("attributes").at("enabled").as_bool());
}

TEST_F(AzureKeyLifeTest, ListsComeInPagesWithAnAddressForTheNext) {
  for (const char* name : {"a", "b", "c"}) ASSERT_EQ(CreateOct(name).status, 200);
  std::string at = "/keys?api-version=7.4&maxresults=2";
  std::string names;
  int pages = 0;
  while (!at.empty() && ++pages < 10) {
    const Reply page = Vault("GET", at);
    ASSERT_EQ(page.status, 200) << json::serialize(page.body);
    for (const json::value& item : page.body.at("value").as_array()) {
      const std::string kid = Reply::At(item.as_object(), "kid");
      names += kid.substr(kid.rfind('/') + 1) + " ";
    }
    const std::string next = page.Text("nextLink");
    at = next.empty() ? "" : next.substr(next.find("/keys"));
  }
  EXPECT_EQ(names, "a b c owner-key-1 owner-key-2 ");
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(Vault("GET", "/keys?api-version=7.4&maxresults=26").error(), "BadParameter");
}

TEST_F(AzureKeyLifeTest, ADeletedKeyIsGoneUntilItIsRecovered) {
  const Reply wrapped = Wrap("secret");
  const Reply deleted = Vault("DELETE", "/keys/owner-key-1");
  ASSERT_EQ(deleted.status, 200);
  EXPECT_EQ(deleted.Text("recoveryId"), "https://owner-vault.vault.azure.net/deletedkeys/owner-key-1");
  EXPECT_EQ(deleted.body.at("scheduledPurgeDate").as_int64(), absl::ToUnixSeconds(now_ + absl::Hours(24 * 90)));
  const Reply gone = Unwrap(wrapped);
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(gone.error(), "KeyNotFound");
  EXPECT_EQ(Vault("GET", "/keys/owner-key-1").status, 404);
  const Reply again = Vault("POST", "/keys/owner-key-1/create", {{"kty", "RSA"}});
  EXPECT_EQ(again.status, 409);
  EXPECT_EQ(again.error(), "Conflict/ObjectIsDeletedButRecoverable");
  EXPECT_EQ(Vault("GET", "/deletedkeys").body.at("value").as_array().size(), 1u);
  EXPECT_EQ(Vault("GET", "/deletedkeys/owner-key-1").status, 200);
  EXPECT_EQ(Vault("POST", "/deletedkeys/owner-key-1/recover").status, 200);
  EXPECT_EQ(Vault("GET", "/deletedkeys/owner-key-1").status, 404);
  EXPECT_EQ(Decoded(Unwrap(wrapped)), "secret");
}

TEST_F(AzureKeyLifeTest, AfterItsRetentionADeletedKeyIsPurgedByTheClock) {
  Admin("keys/delete", {{"key", KeyOf("owner-key-1")}});
  now_ += absl::Hours(24 * 89);
  EXPECT_FALSE(cloud_->Settle(now_, Random::System()));
  now_ += absl::Hours(24);
  EXPECT_TRUE(cloud_->Settle(now_, Random::System()));
  token_ = Token();
  EXPECT_EQ(Vault("GET", "/deletedkeys/owner-key-1").status, 404);
}

TEST_F(AzureKeyLifeTest, PurgingIsForGoodAndAProtectedVaultForbidsIt) {
  EXPECT_EQ(Vault("DELETE", "/deletedkeys/owner-key-1").status, 404);  // not deleted
  Vault("DELETE", "/keys/owner-key-1");
  EXPECT_EQ(Vault("DELETE", "/deletedkeys/owner-key-1").status, 204);
  EXPECT_EQ(Vault("POST", "/deletedkeys/owner-key-1/recover").status, 404);

  Admin("vaults", {{"tenant", kOwner}, {"name", "protected"}, {"retention_days", 7}, {"purge_protection", true}});
  BecomeOfficer("protected");
  const std::string host = "protected.vault.azure.net";
  const Reply created = Vault("POST", "/keys/k/create", {{"kty", "oct-HSM"}}, host);
  EXPECT_EQ(Reply::At(created.Object("attributes"), "recoveryLevel"), "CustomizedRecoverable");
  Vault("DELETE", "/keys/k", {}, host);
  const Reply refused = Vault("DELETE", "/deletedkeys/k", {}, host);
  EXPECT_EQ(refused.status, 403);
  EXPECT_THAT(json::serialize(refused.body), HasSubstr("purge protection is enabled"));
  EXPECT_THAT(cloud_->Admin("keys/purge", {{"key", "https://" + host + "/keys/k"}}, now_, Random::System()),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(AzureKeyLifeTest, AKeyRotatesByItsPolicy) {
  ASSERT_EQ(CreateOct("k").status, 200);
  EXPECT_THAT(json::serialize(Vault("GET", "/keys/k/rotationpolicy").body), HasSubstr("P30D"));
  const auto policy = [](const std::string& text) { return *ParseJsonObject(text); };
  const Reply set = Vault("PUT", "/keys/k/rotationpolicy",
                          policy(R"({"lifetimeActions": [{"trigger": {"timeAfterCreate": "P30D"}, "action": {"type": "Rotate"}}],
                                     "attributes": {"expiryTime": "P60D"}})"));
  ASSERT_EQ(set.status, 200) << json::serialize(set.body);
  EXPECT_THAT(json::serialize(Vault("GET", "/keys/k/rotationpolicy").body), HasSubstr(R"("timeAfterCreate":"P30D")"));
  const std::string first = Reply::At(Vault("GET", "/keys/k").Object("key"), "kid");
  now_ += absl::Hours(24 * 30);
  token_ = Token();
  const Reply second = Vault("GET", "/keys/k");
  EXPECT_NE(Reply::At(second.Object("key"), "kid"), first);
  EXPECT_EQ(second.Object("attributes").at("exp").as_int64(), absl::ToUnixSeconds(now_ + absl::Hours(24 * 60)));
  EXPECT_EQ(Vault("POST", "/keys/k/rotate").status, 200);
  EXPECT_EQ(Vault("GET", "/keys/k/versions").body.at("value").as_array().size(), 3u);
  for (const char* bad : {R"({"lifetimeActions": [{"trigger": {}, "action": {"type": "rotate"}}]})",
                          R"({"lifetimeActions": [{"trigger": {"timeAfterCreate": "P1D"}, "action": {"type": "rotate"}}]})",
                          R"({"lifetimeActions": [{"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "rotate"}}]})",
                          R"({"lifetimeActions": [{"trigger": {"timeAfterCreate": "P30D"}, "action": {"type": "explode"}}]})",
                          R"({"attributes": {"expiryTime": "soon"}})"}) {
    EXPECT_EQ(Vault("PUT", "/keys/k/rotationpolicy", policy(bad)).error(), "BadParameter") << bad;
  }
}

TEST(IsoDurationTest, ReadsYearsMonthsWeeksAndDaysInThisOrder) {
  EXPECT_EQ(ParseIsoDays("P90D"), absl::Hours(24 * 90));
  EXPECT_EQ(ParseIsoDays("P1Y6M"), absl::Hours(24 * (365 + 180)));
  EXPECT_EQ(ParseIsoDays("P2W"), absl::Hours(24 * 14));
  for (const char* bad : {"", "P", "90D", "PD", "P0D", "P1D1Y", "P1Y1Y", "PT1H", "P1", "P999999D", "P101Y"}) {
    EXPECT_EQ(ParseIsoDays(bad), std::nullopt) << bad;
  }
}

TEST_F(AzureKeyLifeTest, EverythingIsRememberedOverARestart) {
  const Reply wrapped = Wrap("secret");
  ASSERT_EQ(CreateOct("oct").status, 200);
  const Reply wrapped_by_oct = Wrap("0123456789abcdef", "oct", "A256KW");
  Admin("keys/expiry", {{"key", KeyOf("owner-key-1")}, {"exp", 1'700'000'000}});
  Admin("keys/delete", {{"key", KeyOf("owner-key-2")}});
  Admin("denials", {{"vault", "owner-vault"}, {"principal", kApplication}, {"key", "denied"}});
  Admin("strictness", {{"wrap_on_disabled", "allowed"}});
  Admin("managed-identity", {{"tenant", kOwner}, {"name", "node"}});
  Admin("applications/federated", {{"application", kApplication}, {"issuer", "i"}, {"subject", "s"}, {"token", "t"}});
  Vault("PUT", "/keys/oct/rotationpolicy",
        *ParseJsonObject(R"({"lifetimeActions": [{"trigger": {"timeAfterCreate": "P30D"}, "action": {"type": "rotate"}}]})"));
  const std::string text = json::serialize(cloud_->ToJson());
  const std::unique_ptr<Cloud> restarted = NewAzureCloud();
  LK_ASSERT_OK_AND_ASSIGN(const json::object state, ParseJsonObject(text));
  LK_ASSERT_OK(restarted->Restore(state));
  EXPECT_EQ(json::serialize(restarted->ToJson()), text);
  EXPECT_EQ(json::serialize(restarted->State()), json::serialize(cloud_->State()));
  LK_ASSERT_OK(cloud_->Restore(state));
  EXPECT_EQ(Decoded(Unwrap(wrapped)), "secret");  // with the token from before
  EXPECT_EQ(Decoded(Unwrap(wrapped_by_oct, "A256KW")), "0123456789abcdef");
}

TEST_F(AzureKeyLifeTest, AStateThatIsMalformedIsRefusedByTheNameOfItsField) {
  const auto refused = [&](const char* pointer, const json::value& value) {
    json::value state = cloud_->ToJson();
    boost::system::error_code error;
    json::value* place = state.find_pointer(pointer, error);
    EXPECT_NE(place, nullptr) << pointer;
    if (place != nullptr) *place = value;
    return std::string(NewAzureCloud()->Restore(state.get_object()).message());
  };
  EXPECT_THAT(refused("/token_key", "AA=="), HasSubstr("token_key"));
  EXPECT_THAT(refused("/tenants/0/id", "x"), HasSubstr("tenants"));
  EXPECT_THAT(refused("/vaults/0/retention_days", 1), HasSubstr("retention_days"));
  EXPECT_THAT(refused("/vaults/2/keys/0/versions/0/material", "x"), HasSubstr("material"));
  EXPECT_THAT(refused("/vaults/2/keys/0/versions", json::array()), HasSubstr("versions"));
  EXPECT_THAT(refused("/vaults/2/roles/0/role", "King"), HasSubstr("role"));
  EXPECT_THAT(refused("/applications/0/certificates/0/pem", "x"), HasSubstr("certificate"));
}

TEST_F(AzureKeyLifeTest, TheAdminApiNamesWhatIsWrong) {
  const auto refused = [&](const char* path, const json::object& body) {
    return cloud_->Admin(path, body, now_, Random::System()).status();
  };
  const auto invalid = absl::StatusCode::kInvalidArgument, missing = absl::StatusCode::kNotFound;
  EXPECT_THAT(refused("nonsense", {}), StatusIs(missing));
  EXPECT_THAT(refused("vaults", {{"tenant", kOwner}, {"name", "No"}}), StatusIs(invalid, HasSubstr("name")));
  EXPECT_THAT(refused("vaults", {{"tenant", kOwner}, {"name", "vault"}, {"retention_days", 91}}),
              StatusIs(invalid, HasSubstr("retention_days")));
  EXPECT_THAT(refused("vaults", {{"tenant", kOwner}, {"name", "owner-vault"}}), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(refused("roles", {{"vault", "owner-vault"}, {"role", "King"}, {"principal", kApplication}}),
              StatusIs(invalid, HasSubstr("role")));
  EXPECT_THAT(refused("roles", {{"vault", "owner-vault"}, {"role", "Key Vault Reader"}, {"principal", "x"}}),
              StatusIs(missing, HasSubstr("principal")));
  EXPECT_THAT(
      refused("roles", {{"vault", "owner-vault"}, {"role", "Key Vault Reader"}, {"principal", kApplication}, {"tenant", kOperator}}),
      StatusIs(invalid, HasSubstr("tenant")));
  EXPECT_THAT(refused("keys/disable", {{"key", "owner-key-1"}}), StatusIs(invalid, HasSubstr("key")));
  EXPECT_THAT(refused("keys/disable", {{"key", KeyOf("no-such-key")}}), StatusIs(missing));
  EXPECT_THAT(refused("keys/disable", {{"key", KeyOf("owner-key-1")}, {"when", "now"}}), StatusIs(invalid, HasSubstr("when")));
  EXPECT_THAT(refused("keys/recover", {{"key", KeyOf("owner-key-1")}}), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(refused("keys/expiry", {{"key", KeyOf("owner-key-1")}, {"exp", "soon"}}), StatusIs(invalid, HasSubstr("exp")));
  EXPECT_THAT(refused("strictness", {{"wrap_on_disabled", "maybe"}}), StatusIs(invalid, HasSubstr("wrap_on_disabled")));
  EXPECT_THAT(refused("consents", {{"tenant", "x"}, {"application", kApplication}}), StatusIs(missing, HasSubstr("tenant")));
}

TEST_F(AzureKeyLifeTest, SeedingTwiceChangesNothingAndAnswersTheSame) {
  Admin("consents/withdraw", {{"tenant", kOwner}, {"application", kApplication}});
  const std::string before = json::serialize(cloud_->ToJson());
  LK_ASSERT_OK_AND_ASSIGN(const json::object again, cloud_->Seed({}, now_, Random::System()));
  EXPECT_EQ(again, *seed_);
  EXPECT_EQ(json::serialize(cloud_->ToJson()), before);
  EXPECT_EQ(Reply::At(again.at("owner").as_object(), "uri"), KeyOf("owner-key-1"));
  EXPECT_EQ(Reply::At(again.at("owner").as_object(), "auth_principal"), kOwner);
  EXPECT_EQ(Reply::At(again.at("escrow").as_object(), "uri"), "https://latchkey-escrow.vault.azure.net/keys/escrow");
  EXPECT_EQ(Reply::At(again.at("environment").as_object(), "AZURE_CLIENT_SECRET"), secret_);
}

}  // namespace
}  // namespace latchkey::emulator::azure
