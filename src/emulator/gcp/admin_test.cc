// The admin calls and the seed.
#include "emulator/gcp/gcp_testing.h"
#include "emulator/gcp/names.h"

namespace latchkey::emulator {
namespace {

using testing::HasSubstr;

using GcpAdminTest = GcpCloudTest;

TEST_F(GcpAdminTest, ASecondSeedChangesNothingAndAnswersTheSame) {
  const json::object before = cloud_->ToJson();
  const absl::StatusOr<json::object> again = cloud_->Seed({{"base_url", kBase}}, clock_.Now() + absl::Hours(1), Random::System());
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(json::value(*again), json::value(seed_));
  EXPECT_EQ(json::value(cloud_->ToJson()), json::value(before));
}

TEST_F(GcpAdminTest, TheSeedNamesKeysIdentitiesAndTheMachine) {
  EXPECT_EQ(escrow_, "projects/latchkey-operator/locations/us-east1/keyRings/latchkey/cryptoKeys/escrow");
  EXPECT_EQ(seed_.at("owner").as_object().at("type").as_string(), "GCP_CLOUD_KMS");
  EXPECT_EQ(seed_.at("owner").as_object().at("auth_principal").as_string(), kOwner);
  EXPECT_EQ(seed_.at("escrow").as_object().at("auth_principal").as_string(), "");
  EXPECT_EQ(second_key_, "projects/latchkey-owner/locations/us-east1/keyRings/latchkey/cryptoKeys/owner-key-2");
  EXPECT_EQ(file_.at("token_uri").as_string(), std::string(kBase) + "/token");
  EXPECT_EQ(seed_.at("environment").as_object().at("GCE_METADATA_HOST").as_string(), "127.0.0.1:5567");
}

TEST_F(GcpAdminTest, ASeedInAnotherRegionAddsKeysThere) {
  const absl::StatusOr<json::object> there = cloud_->Seed({{"region", "europe-west4"}}, clock_.Now(), Random::System());
  ASSERT_THAT(there, IsOk());
  const std::string key(there->at("owner").as_object().at("uri").as_string());
  EXPECT_EQ(key, "projects/latchkey-owner/locations/europe-west4/keyRings/latchkey/cryptoKeys/owner-key-1");
  EXPECT_EQ(Encrypt(AsOwner(), key, "a key").status, 200);
  EXPECT_EQ(there->at("credentials").as_object().at("service_account").as_object().at("token_uri").as_string(),
            "https://oauth2.googleapis.com/token");
  EXPECT_THAT(cloud_->Seed({{"region", "moon"}}, clock_.Now(), Random::System()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("region")));
  EXPECT_THAT(AdminRefusal("keys/disable", {{"key", "owner-key-1"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than one")));
}

TEST_F(GcpAdminTest, KeysAreMadeWithTheirProjectAndRing) {
  const std::string key = "projects/another-project/locations/global/keyRings/ring/cryptoKeys/key";
  const json::object made = Admin("keys", {{"key", key}, {"protection_level", "HSM"}, {"rotation_seconds", 86'400}});
  EXPECT_EQ(made.at("name").as_string(), key);
  EXPECT_EQ(made.at("nextRotationTime").as_string(), "2023-11-15T22:13:20.000000Z");
  EXPECT_EQ(made.at("versions").as_array().size(), 1U);
  Admin("keys/bindings", {{"key", key}, {"role", "roles/cloudkms.cryptoKeyEncrypter"}, {"member", kOperator}});
  EXPECT_EQ(Encrypt(AsOperator(), key, "a key").Text("protectionLevel"), "HSM");
  EXPECT_THAT(AdminRefusal("keys", {{"key", key}}), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(AdminRefusal("keys", {{"key", "owner"}}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("key")));
  EXPECT_THAT(AdminRefusal("keys", {{"key", key + "2"}, {"protection_level", "EXTERNAL"}}), StatusIs(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(AdminRefusal("keys", {{"key", key + "2"}, {"colour", "red"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("colour")));
}

TEST_F(GcpAdminTest, WhatIsSwitchedTwiceStaysAndWhatCannotBeSwitchedIsSaid) {
  Admin("keys/disable", {{"key", "owner-key-1"}});
  Admin("keys/disable", {{"key", "owner-key-1"}});
  Admin("keys/enable", {{"key", owner_key_ + "/cryptoKeyVersions/1"}});
  Admin("keys/destroy", {{"key", "owner-key-1"}});
  EXPECT_THAT(AdminRefusal("keys/enable", {{"key", "owner-key-1"}}), StatusIs(absl::StatusCode::kFailedPrecondition));
  const json::object restored = Admin("keys/restore", {{"key", "owner-key-1"}});
  EXPECT_EQ(restored.at("versions").as_array().at(0).as_object().at("state").as_string(), "DISABLED");
  Admin("keys/enable", {{"key", "owner-key-1"}});
  EXPECT_EQ(Encrypt(AsOwner(), owner_key_, "a key").status, 200);
  EXPECT_THAT(AdminRefusal("keys/disable", {{"key", "owner-key-1"}, {"version", 7}}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("version")));
  EXPECT_THAT(AdminRefusal("keys/disable", {{"key", "nothing"}}), StatusIs(absl::StatusCode::kNotFound, HasSubstr("key")));
  EXPECT_THAT(AdminRefusal("keys/destroy", {{"key", "owner-key-1"}, {"seconds", -5}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("seconds")));
}

TEST_F(GcpAdminTest, AShortWaitingTimeEndsByTheClock) {
  Admin("keys/destroy", {{"key", owner_key_}, {"seconds", 60}});
  clock_.Advance(absl::Seconds(59));
  EXPECT_FALSE(cloud_->Settle(clock_.Now(), Random::System()));
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(cloud_->Settle(clock_.Now(), Random::System()));
  EXPECT_EQ(Kms(AsOwner(), "GET", owner_key_).body.at("primary").as_object().at("state").as_string(), "DESTROYED");
}

TEST_F(GcpAdminTest, FieldsAreCheckedAndNamed) {
  const auto refused = [&](const std::string& path, const json::object& body, const char* field) {
    EXPECT_THAT(AdminRefusal(path, body), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field))) << path;
  };
  refused("keys/bindings", {{"key", owner_key_}, {"role", "roles/x"}, {"member", kOwner}}, "role");
  refused("keys/bindings", {{"key", owner_key_}, {"role", "roles/owner"}, {"member", "somebody"}}, "member");
  refused("denials", {{"principal", "somebody"}}, "principal");
  refused("service-accounts", {{"project", "latchkey-owner"}, {"name", "x"}}, "name");
  refused("service-accounts", {{"project", "X"}, {"name", "account"}}, "project");
  refused("service-accounts/token-creators", {{"service_account", kOwner}, {"member", "x"}}, "member");
  refused("workload-pools", {{"project", "latchkey-owner"}, {"pool", "a b"}, {"provider", "p"}, {"issuer", "i"}}, "pool");
  refused("subject-tokens", {{"token", "abcdef"}, {"issuer", "i"}, {"subject", "s"}}, "audience");
  EXPECT_THAT(AdminRefusal("metadata", {{"service_account", "x"}}), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(AdminRefusal("keys/bindings/remove", {{"key", owner_key_}, {"role", "roles/owner"}, {"member", kOwner}}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(AdminRefusal("service-accounts", {{"project", "latchkey-owner"}, {"name", "latchkey-cmek"}}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(AdminRefusal("nothing/here", {}), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(GcpAdminTest, APoolComesWithTheFileThatAClientNeeds) {
  const json::object made = Admin("workload-pools", {{"project", "latchkey-operator"},
                                                     {"pool", "clusters"},
                                                     {"provider", "main"},
                                                     {"issuer", "https://tokens.example.com"},
                                                     {"base_url", kBase},
                                                     {"service_account", kOperator},
                                                     {"token_file", "token"}});
  const json::object& file = made.at("credentials").as_object();
  EXPECT_EQ(file.at("type").as_string(), "external_account");
  EXPECT_EQ(file.at("audience"), made.at("audience"));
  EXPECT_EQ(file.at("token_url").as_string(), std::string(kBase) + "/v1/token");
  EXPECT_EQ(file.at("service_account_impersonation_url").as_string(),
            std::string(kBase) + "/v1/projects/-/serviceAccounts/" + kOperator + ":generateAccessToken");
  EXPECT_EQ(file.at("credential_source").as_object().at("file").as_string(), "token");
}

TEST(GcpNamesTest, TimesAndDurationsAreReadAndWritten) {
  EXPECT_EQ(gcp::WireDuration(absl::Milliseconds(1500)), "1.500000s");
  EXPECT_EQ(gcp::ReadWireDuration("1.5s"), absl::Milliseconds(1500));
  EXPECT_EQ(gcp::ReadWireDuration("86400s"), absl::Hours(24));
  for (const char* bad : {"", "s", "1", "-1s", "1.s", ".5s", "1e3s", "1.0000000001s", "9999999999999s"}) {
    EXPECT_EQ(gcp::ReadWireDuration(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(gcp::ReadWireTime("2023-11-14T22:13:20Z"), absl::FromUnixSeconds(1'700'000'000));
  EXPECT_EQ(gcp::ReadWireTime("yesterday"), std::nullopt);
}

TEST(GcpNamesTest, NamesAreReadStrictly) {
  const std::string key = "projects/my-project/locations/us-east1/keyRings/r/cryptoKeys/k";
  for (const std::string& good : {std::string("projects/my-project/locations/us-east1"), key, key + "/cryptoKeyVersions/12"}) {
    const absl::StatusOr<gcp::ResourceName> name = gcp::ParseResourceName(good);
    ASSERT_THAT(name, IsOk());
    EXPECT_EQ(name->Text(), good);
  }
  for (const std::string& bad :
       {std::string(), std::string("projects/my-project"), key + "/", key + "/cryptoKeyVersions/0", key + "/cryptoKeyVersions/-1",
        "/" + key, key + "/cryptoKeyVersions/1/x/y", std::string("projects/P/locations/us-east1"), key + std::string(64, 'k')}) {
    EXPECT_FALSE(gcp::ParseResourceName(bad).ok()) << bad;
  }
  for (const char* location : {"global", "us", "eur4", "us-east1", "northamerica-northeast2", "europe-west10"}) {
    EXPECT_TRUE(gcp::IsServedLocation(location)) << location;
  }
  for (const char* location : {"", "-", "moon", "us-east-1", "US-EAST1", "us-east", "east1", "us-east1000"}) {
    EXPECT_FALSE(gcp::IsServedLocation(location)) << location;
  }
}

}  // namespace
}  // namespace latchkey::emulator
