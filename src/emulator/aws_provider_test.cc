// The product's own AWS provider against the emulator, over sockets: two implementations of the same wire, written apart.
#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"
#include "emulator/admin_client.h"
#include "emulator/serve.h"
#include "kms/aws/aws_kms.h"

namespace latchkey {
namespace {

class AwsProviderTest : public testing::Test {
 protected:
  void SetUp() override {
    // Credentials of whoever runs the test would go before the file's.
    for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
                             "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"}) {
      unsetenv(name);
    }
    LK_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Emulator> made, Emulator::Create({}));
    LK_ASSERT_OK_AND_ASSIGN(const json::object seed, made->SeedDevelopment({.external_id = "organization-1"}));
    LK_ASSERT_OK_AND_ASSIGN(server_, EmulatorServer::Start({}, std::move(made)));
    admin_ = std::make_unique<EmulatorAdminClient>(server_->url());
    LK_ASSERT_OK(WriteFileAtomically(folder_ / "credentials",
                                     "[default]\naws_access_key_id = " + std::string(seed.at("access_key_id").as_string()) +
                                         "\naws_secret_access_key = " + std::string(seed.at("secret_access_key").as_string()) + "\n"));
    const json::object& region = seed.at("regions").as_object().at("us-east-1").as_object();
    owner_ = {.type = "AWS_KMS",
              .uri = std::string(region.at("owner_key").as_string()),
              .auth_principal = std::string(seed.at("role").as_string()),
              .external_id = "organization-1"};
    escrow_ = {.type = "AWS_KMS", .uri = std::string(region.at("escrow_key").as_string())};
    kms_ = NewAwsKms({.kms_endpoint = server_->url(),
                      .sts_endpoint = server_->url(),
                      .profile = "default",
                      .shared_credentials_file = folder_ / "credentials",
                      .config_file = folder_ / "no-config"});
  }

  // Of an unwrap of `wrapped_`, which is made first.
  void Wrap(const RootKey& key) {
    const SecretBytes kek = SecretBytes::CopyOf(std::string_view("0123456789abcdef0123456789abcdef"));
    LK_ASSERT_OK_AND_ASSIGN(const KmsWrapped wrapped, kms_->Wrap(key, kek, context_, {}));
    wrapped_ = wrapped.ciphertext;
  }
  // "OK", or the class of the failure.
  std::string Unwrap(const RootKey& key) {
    const auto opened = kms_->Unwrap(key, {wrapped_}, context_, {.fresh = true});
    if (opened.ok()) return "OK";
    const std::optional<FailureClass> c = FailureClassOf(opened.status());
    return c ? std::string(FailureClassName(*c)) : opened.status().ToString();
  }

  TempFolder folder_;
  std::unique_ptr<EmulatorServer> server_;
  std::unique_ptr<EmulatorAdminClient> admin_;
  std::unique_ptr<Kms> kms_;
  RootKey owner_, escrow_;
  KmsContext context_ = {{"latchkey:cluster", "c"}, {"latchkey:generation", "1"}};
  std::vector<uint8_t> wrapped_;
};

TEST_F(AwsProviderTest, OpensTheOwnersKeyThroughTheRoleAndItsOwnDirectly) {
  for (const RootKey& key : {owner_, escrow_}) {
    LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(key, {}));
    EXPECT_EQ(description.resolved_uri, key.uri);
    EXPECT_TRUE(description.usable);
    Wrap(key);
    EXPECT_EQ(Unwrap(key), "OK");
  }
}

TEST_F(AwsProviderTest, ReadsTheOwnersNoAndItsTakingBack) {
  Wrap(owner_);
  LK_ASSERT_OK(admin_->DisableKey(owner_.uri));
  EXPECT_EQ(Unwrap(owner_), "DISABLED");
  LK_ASSERT_OK(admin_->EnableKey(owner_.uri));
  EXPECT_EQ(Unwrap(owner_), "OK");
  LK_ASSERT_OK(admin_->Deny(owner_.auth_principal, owner_.uri));
  EXPECT_EQ(Unwrap(owner_), "DENIED");
  LK_ASSERT_OK(admin_->Undeny(owner_.auth_principal, owner_.uri));
  LK_ASSERT_OK(admin_->Untrust(owner_.auth_principal));
  EXPECT_EQ(Unwrap(owner_), "DENIED");
  LK_ASSERT_OK(admin_->Trust(owner_.auth_principal));
  EXPECT_EQ(Unwrap(owner_), "OK");
  LK_ASSERT_OK(admin_->ScheduleDeletion(owner_.uri, 7));
  EXPECT_EQ(Unwrap(owner_), "PENDING_DELETION");
}

TEST_F(AwsProviderTest, TellsAnOutageFromARefusal) {
  Wrap(owner_);
  LK_ASSERT_OK(admin_->Outage(true));
  EXPECT_EQ(Unwrap(owner_), "UNREACHABLE");
  LK_ASSERT_OK(admin_->ClearFaults());
  LK_ASSERT_OK(admin_->Throttle("*", 0));
  EXPECT_EQ(Unwrap(owner_), "THROTTLED");
  LK_ASSERT_OK(admin_->ClearFaults());
  EXPECT_EQ(Unwrap(owner_), "OK");
}

TEST_F(AwsProviderTest, AnotherContextIsCorrupt) {
  Wrap(owner_);
  context_["latchkey:generation"] = "2";
  EXPECT_EQ(Unwrap(owner_), "CORRUPT");
}

TEST_F(AwsProviderTest, AWrongExternalIdIsARefusal) {
  Wrap(owner_);
  owner_.external_id = "organization-2";
  EXPECT_EQ(Unwrap(owner_), "DENIED");
}

}  // namespace
}  // namespace latchkey
