// The product's own provider of Google Cloud KMS against the emulator, over sockets: two implementations of the same wire, written apart.
#include "base/encoding.h"
#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"
#include "crypto/digest.h"
#include "emulator/admin_client.h"
#include "emulator/serve.h"
#include "kms/gcp/gcp_kms.h"

namespace latchkey {
namespace {

class GcpProviderTest : public testing::Test {
 protected:
  void SetUp() override {
    LK_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Emulator> made, Emulator::Create({}));
    LK_ASSERT_OK_AND_ASSIGN(server_, EmulatorServer::Start({}, std::move(made)));
    url_ = server_->url("gcp");
    admin_ = std::make_unique<EmulatorAdminClient>(url_);
    LK_ASSERT_OK_AND_ASSIGN(const json::object seed, admin_->SeedCloud("gcp"));
    owner_ = KeyOf(seed, "owner");
    second_owner_ = KeyOf(seed, "second_owner");
    escrow_ = KeyOf(seed, "escrow");
    credentials_ = folder_ / "credentials.json";
    LK_ASSERT_OK(WriteFileAtomically(credentials_, json::serialize(seed.at("credentials").as_object().at("service_account"))));
    kms_ = Provider(credentials_);
  }

  static RootKey KeyOf(const json::object& seed, const char* name) {
    const json::object& key = seed.at(name).as_object();
    return {.type = std::string(key.at("type").as_string()),
            .uri = std::string(key.at("uri").as_string()),
            .auth_principal = std::string(key.at("auth_principal").as_string()),
            .external_id = ""};
  }
  // `file` empty: the metadata server is asked who we are.
  std::unique_ptr<Kms> Provider(const std::string& file) {
    GcpKmsOptions options{.kms_endpoint = url_,
                          .iam_credentials_endpoint = url_,
                          .oauth_endpoint = url_,
                          .sts_endpoint = url_,
                          .metadata_endpoint = url_,
                          .credentials_file = file,
                          .call = {}};
    options.call.environment = [](const char*) { return std::string(); };
    return NewGcpKms(std::move(options));
  }

  void Wrap(const RootKey& key) {
    const SecretBytes kek = SecretBytes::CopyOf(std::string_view("0123456789abcdef0123456789abcdef"));
    LK_ASSERT_OK_AND_ASSIGN(wrapped_, kms_->Wrap(key, kek, context_, {}));
  }
  static std::string ClassOf(const absl::Status& status) {
    if (status.ok()) return "OK";
    const std::optional<FailureClass> c = FailureClassOf(status);
    return c ? std::string(FailureClassName(*c)) : status.ToString();
  }
  // "OK", or the class of the failure to unwrap `wrapped_`.
  std::string Unwrap(const RootKey& key) { return ClassOf(kms_->Unwrap(key, wrapped_, context_, {.fresh = true}).status()); }
  void Change(const std::string& path, const json::object& body) { LK_ASSERT_OK(admin_->Change("gcp", path, body)); }

  TempFolder folder_;
  std::unique_ptr<EmulatorServer> server_;
  std::string url_, credentials_;
  std::unique_ptr<EmulatorAdminClient> admin_;
  std::unique_ptr<Kms> kms_;
  RootKey owner_, second_owner_, escrow_;
  KmsContext context_ = {{"latchkey:cluster", "c"}, {"latchkey:generation", "1"}};
  KmsWrapped wrapped_;
};

TEST_F(GcpProviderTest, OpensTheOwnersKeyThroughTheirAccountAndItsOwnDirectly) {
  for (const RootKey& key : {owner_, escrow_}) {
    LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(key, {}));
    EXPECT_EQ(description.resolved_uri, key.uri);
    EXPECT_TRUE(description.usable);
    EXPECT_EQ(description.protection_level, "SOFTWARE");
    Wrap(key);
    EXPECT_EQ(Unwrap(key), "OK");
  }
}

TEST_F(GcpProviderTest, ReadsTheOwnersNoAndItsTakingBack) {
  Wrap(owner_);
  Change("keys/disable", {{"key", owner_.uri}});
  EXPECT_EQ(Unwrap(owner_), "DISABLED");
  Change("keys/enable", {{"key", owner_.uri}});
  EXPECT_EQ(Unwrap(owner_), "OK");
  Change("denials", {{"principal", owner_.auth_principal}, {"key", owner_.uri}});
  // The service does not tell a denial from a key that is not there.
  const std::string denied = Unwrap(owner_);
  EXPECT_TRUE(denied == "DENIED" || denied == "AMBIGUOUS") << denied;
  Change("denials/remove", {{"principal", owner_.auth_principal}, {"key", owner_.uri}});
  EXPECT_EQ(Unwrap(owner_), "OK");
  Change("keys/destroy", {{"key", owner_.uri}});
  EXPECT_EQ(Unwrap(owner_), "PENDING_DELETION");
  Change("keys/restore", {{"key", owner_.uri}});
  EXPECT_EQ(Unwrap(owner_), "DISABLED");
  Change("keys/enable", {{"key", owner_.uri}});
  EXPECT_EQ(Unwrap(owner_), "OK");
  Change("keys/destroy", {{"key", owner_.uri}, {"seconds", 0}});
  EXPECT_EQ(Unwrap(owner_), "DESTROYED");
}

TEST_F(GcpProviderTest, AGrantTakenBackIsARefusal) {
  Wrap(owner_);
  const json::object grant{{"service_account", owner_.auth_principal}, {"member", "latchkey@latchkey-operator.iam.gserviceaccount.com"}};
  Change("service-accounts/token-creators/remove", grant);
  const std::string denied = Unwrap(owner_);
  EXPECT_TRUE(denied == "DENIED" || denied == "AMBIGUOUS") << denied;
  Change("service-accounts/token-creators", grant);
  EXPECT_EQ(Unwrap(owner_), "OK");
}

TEST_F(GcpProviderTest, AnOldVersionOpensAfterARotation) {
  Wrap(owner_);
  Change("keys/rotate", {{"key", owner_.uri}});
  EXPECT_EQ(Unwrap(owner_), "OK");
  const std::string before = wrapped_.key_version;
  Wrap(owner_);
  EXPECT_NE(wrapped_.key_version, before);
}

TEST_F(GcpProviderTest, TellsAnOutageFromARefusal) {
  Wrap(owner_);
  LK_ASSERT_OK(admin_->Outage(true, "gcp"));
  const std::string out = Unwrap(owner_);
  EXPECT_TRUE(out == "UNREACHABLE" || out == "IDENTITY") << out;
  LK_ASSERT_OK(admin_->ClearFaults());
  LK_ASSERT_OK(admin_->AddFault({{"cloud", "gcp"}, {"operation", "Decrypt"}, {"action", "throttle"}, {"standing", true}}));
  EXPECT_EQ(Unwrap(owner_), "THROTTLED");
  LK_ASSERT_OK(admin_->ClearFaults());
  EXPECT_EQ(Unwrap(owner_), "OK");
}

TEST_F(GcpProviderTest, AnotherContextAndAnotherKeyAreCorrupt) {
  Wrap(owner_);
  EXPECT_EQ(Unwrap(second_owner_), "CORRUPT");
  context_["latchkey:generation"] = "2";
  EXPECT_EQ(Unwrap(owner_), "CORRUPT");
}

TEST_F(GcpProviderTest, TheMachinesOwnAccountWillDo) {
  kms_ = Provider("");
  for (const RootKey& key : {owner_, escrow_}) {
    Wrap(key);
    EXPECT_EQ(Unwrap(key), "OK");
  }
}

TEST_F(GcpProviderTest, AnIdentityFromElsewhereWillDo) {
  const std::string token_file = folder_ / "token";
  LK_ASSERT_OK(WriteFileAtomically(token_file, "a token from the cluster\n"));
  LK_ASSERT_OK_AND_ASSIGN(const json::object pool,
                          admin_->Change("gcp", "workload-pools",
                                         {{"project", "latchkey-operator"},
                                          {"pool", "clusters"},
                                          {"provider", "main"},
                                          {"issuer", "https://tokens.example.com"},
                                          {"audiences", json::array{"latchkey"}},
                                          {"token_file", token_file},
                                          {"service_account", "latchkey@latchkey-operator.iam.gserviceaccount.com"}}));
  Change(
      "subject-tokens",
      {{"token", "a token from the cluster"}, {"issuer", "https://tokens.example.com"}, {"subject", "agent-1"}, {"audience", "latchkey"}});
  Change("service-accounts/token-creators", {{"service_account", "latchkey@latchkey-operator.iam.gserviceaccount.com"},
                                             {"member", std::string(pool.at("principal_prefix").as_string()) + "agent-1"}});
  const std::string file = folder_ / "external.json";
  LK_ASSERT_OK(WriteFileAtomically(file, json::serialize(pool.at("credentials"))));
  kms_ = Provider(file);
  Wrap(owner_);
  EXPECT_EQ(Unwrap(owner_), "OK");
  LK_ASSERT_OK(WriteFileAtomically(token_file, "another token\n"));
  kms_ = Provider(file);
  EXPECT_EQ(Unwrap(owner_), "IDENTITY");
}

}  // namespace
}  // namespace latchkey
