// The product's own Azure provider against the emulator, over sockets: two implementations of the same wire, written apart.
#include <mutex>

#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"
#include "emulator/cloud.h"
#include "http/server.h"
#include "kms/azure/azure_kms.h"

namespace latchkey {
namespace {

class AzureProviderTest : public testing::Test {
 protected:
  // Keys take time to make: they are made once.
  static void SetUpTestSuite() {
    const std::unique_ptr<emulator::Cloud> cloud = emulator::NewAzureCloud();
    absl::StatusOr<json::object> seed = cloud->Seed({}, Clock::Real().Now(), Random::System());
    ASSERT_THAT(seed, IsOk());
    seed_ = *std::move(seed);
    state_ = cloud->ToJson();
  }

  void SetUp() override {
    cloud_ = emulator::NewAzureCloud();
    LK_ASSERT_OK(cloud_->Restore(state_));
    LK_ASSERT_OK_AND_ASSIGN(
        server_, HttpServer::Start({.handler = [this](HttpRequest request, const HttpResponder& respond) { respond(Answer(request)); }}));
    {
      const std::lock_guard lock(mutex_);
      url_ = "http://127.0.0.1:" + std::to_string(server_->port());
    }
    owner_ = RootKeyOf("owner");
    escrow_ = RootKeyOf("escrow");
    LK_ASSERT_OK(WriteFileAtomically(folder_ / "secret", TextOf(seed_.at("credentials"), "client_secret"), 0600));
    LK_ASSERT_OK(WriteFileAtomically(folder_ / "certificate", TextOf(seed_.at("credentials"), "certificate_pem"), 0600));
    kms_ = With({.client_secret_file = folder_ / "secret"});
  }
  void TearDown() override {
    if (server_ != nullptr) server_->Stop();
  }

  // With the credential that `options` name, and the rest as the seed says.
  std::unique_ptr<Kms> With(AzureKmsOptions options) {
    options.key_endpoint = options.authority = options.metadata_endpoint = url_;
    options.tenant_id = TextOf(seed_.at("credentials"), "tenant_id");
    options.client_id = client_id_.empty() ? TextOf(seed_.at("credentials"), "client_id") : client_id_;
    options.call.first_backoff = absl::Milliseconds(1);
    // Variables of whoever runs the test are nobody's here.
    options.call.environment = [this](const char* name) {
      const auto found = environment_.find(name);
      return found == environment_.end() ? std::string() : found->second;
    };
    return NewAzureKms(std::move(options));
  }

  HttpResponse Answer(const HttpRequest& request) {
    const std::lock_guard lock(mutex_);
    const absl::Time wall = Clock::Real().Now(), now = wall + clock_offset_;
    cloud_->Settle(now, Random::System());
    const emulator::OperationName name = cloud_->NameOf(request);
    emulator::CloudCall call{
        .request = request, .name = name, .now = now, .wall = wall, .random = Random::System(), .base_url = url_, .record = {}};
    HttpResponse response = cloud_->Answer(call);
    if (name.operation == replaced_) cloud_->ReplacePlaintext(name, response, Random::System());
    if (name.operation == throttled_) response = cloud_->Throttled(name);
    return response;
  }
  void Set(std::string& what, const char* operation) {
    const std::lock_guard lock(mutex_);
    what = operation;
  }
  void Admin(const std::string& path, const json::object& body) {
    const std::lock_guard lock(mutex_);
    LK_ASSERT_OK(cloud_->Admin(path, body, Clock::Real().Now() + clock_offset_, Random::System()));
  }

  static std::string TextOf(const json::value& object, const char* name) { return std::string(object.as_object().at(name).as_string()); }
  static RootKey RootKeyOf(const char* name) {
    return {.type = "AZURE_KEY_VAULT", .uri = TextOf(seed_.at(name), "uri"), .auth_principal = TextOf(seed_.at(name), "auth_principal")};
  }

  void Wrap(const RootKey& key) {
    const SecretBytes kek = SecretBytes::CopyOf(std::string_view("0123456789abcdef0123456789abcdef"));
    LK_ASSERT_OK_AND_ASSIGN(wrapped_, kms_->Wrap(key, kek, context_, {}));
  }
  // "OK", or the class of the failure.
  std::string Unwrap(const RootKey& key) {
    const auto opened = kms_->Unwrap(key, wrapped_, context_, {.fresh = true});
    if (opened.ok()) return "OK";
    const std::optional<FailureClass> c = FailureClassOf(opened.status());
    return c ? std::string(FailureClassName(*c)) : opened.status().ToString();
  }

  static inline json::object seed_, state_;
  TempFolder folder_;
  std::mutex mutex_;
  std::unique_ptr<emulator::Cloud> cloud_;              // guarded by mutex_
  absl::Duration clock_offset_;                         // guarded by mutex_
  std::string throttled_ = "none", replaced_ = "none";  // guarded by mutex_
  std::unique_ptr<HttpServer> server_;
  std::string url_, client_id_;
  std::map<std::string, std::string> environment_;
  std::unique_ptr<Kms> kms_;
  RootKey owner_, escrow_;
  KmsContext context_ = {{"latchkey:cluster", "c"}, {"latchkey:generation", "1"}};
  KmsWrapped wrapped_;
};

TEST_F(AzureProviderTest, OpensTheOwnersKeyInTheOwnersTenantAndItsOwnInItsOwn) {
  for (const RootKey& key : {owner_, escrow_}) {
    LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(key, {}));
    EXPECT_TRUE(description.usable) << description.unusable_because;
    EXPECT_EQ(description.purge_protected, false);
    Wrap(key);
    EXPECT_EQ(wrapped_.key_version, description.key_version);
    EXPECT_EQ(Unwrap(key), "OK");
  }
}

TEST_F(AzureProviderTest, ReadsTheOwnersNoAndItsTakingBack) {
  Wrap(owner_);
  const json::object key{{"key", owner_.uri}};
  const std::string application = TextOf(seed_.at("credentials"), "client_id");
  Admin("keys/disable", key);
  EXPECT_EQ(Unwrap(owner_), "DISABLED");
  Admin("keys/enable", key);
  EXPECT_EQ(Unwrap(owner_), "OK");
  const json::object denial{{"vault", "owner-vault"}, {"principal", application}};
  Admin("denials", denial);
  EXPECT_EQ(Unwrap(owner_), "DENIED");
  Admin("denials/remove", denial);
  const json::object consent{{"tenant", owner_.auth_principal}, {"application", application}};
  Admin("consents/withdraw", consent);
  EXPECT_EQ(Unwrap(owner_), "DENIED");
  Admin("consents", consent);
  EXPECT_EQ(Unwrap(owner_), "OK");
  Admin("firewall", {{"vault", "owner-vault"}, {"closed", true}});
  EXPECT_EQ(Unwrap(owner_), "DENIED");
  Admin("firewall", {{"vault", "owner-vault"}, {"closed", false}});
  Admin("keys/delete", key);
  EXPECT_THAT(Unwrap(owner_), testing::AnyOf("PENDING_DELETION", "DESTROYED"));
  Admin("keys/recover", key);
  EXPECT_EQ(Unwrap(owner_), "OK");
}

TEST_F(AzureProviderTest, AnExpiredKeyGoesOnUnwrapping) {
  Wrap(owner_);
  Admin("keys/expiry", {{"key", owner_.uri}, {"exp", 1'700'000'000}});
  EXPECT_EQ(Unwrap(owner_), "OK");
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(owner_, {}));
  EXPECT_EQ(description.expires_at, absl::FromUnixSeconds(1'700'000'000));
}

TEST_F(AzureProviderTest, WhatAnOldVersionWrappedOpensAfterARotation) {
  Wrap(owner_);
  Admin("keys/rotate", {{"key", owner_.uri}});
  EXPECT_EQ(Unwrap(owner_), "OK");
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(owner_, {}));
  EXPECT_NE(description.key_version, wrapped_.key_version);
}

TEST_F(AzureProviderTest, ProvesItselfByCertificateAndByAForeignToken) {
  kms_ = With({.client_certificate_file = folder_ / "certificate"});
  Wrap(owner_);
  EXPECT_EQ(Unwrap(owner_), "OK");
  Admin("applications/federated", {{"application", TextOf(seed_.at("credentials"), "client_id")},
                                   {"issuer", "https://cluster.example"},
                                   {"subject", "agent"},
                                   {"token", "aaa.bbb.ccc"}});
  LK_ASSERT_OK(WriteFileAtomically(folder_ / "token", "aaa.bbb.ccc", 0600));
  kms_ = With({.federated_token_file = folder_ / "token"});
  EXPECT_EQ(Unwrap(owner_), "OK");
}

TEST_F(AzureProviderTest, ProvesItselfAsTheMachinesIdentity) {
  {
    const std::lock_guard lock(mutex_);
    const absl::Time now = Clock::Real().Now();
    LK_ASSERT_OK_AND_ASSIGN(
        const json::object made,
        cloud_->Admin("managed-identity",
                      {{"tenant", TextOf(seed_.at("credentials"), "tenant_id")}, {"name", "node"}, {"system_assigned", true}}, now,
                      Random::System()));
    client_id_ = TextOf(made, "client_id");
  }
  Admin("roles", {{"vault", "latchkey-escrow"}, {"role", "Key Vault Crypto Service Encryption User"}, {"principal", client_id_}});
  kms_ = With({});
  Wrap(escrow_);
  EXPECT_EQ(Unwrap(escrow_), "OK");
}

TEST_F(AzureProviderTest, AWrongSecretIsAMatterOfOurIdentity) {
  Wrap(owner_);
  LK_ASSERT_OK(WriteFileAtomically(folder_ / "secret", "wrong", 0600));
  kms_ = With({.client_secret_file = folder_ / "secret"});
  EXPECT_EQ(Unwrap(owner_), "IDENTITY");
}

TEST_F(AzureProviderTest, AVaultThatIsGoneDoesNotAnswer) {
  Wrap(owner_);
  Admin("vaults/remove", {{"vault", "owner-vault"}});
  EXPECT_EQ(Unwrap(owner_), "UNREACHABLE");
}

TEST_F(AzureProviderTest, TellsThrottlingAndCorruptionFromARefusal) {
  Wrap(owner_);
  Set(throttled_, "unwrapkey");
  EXPECT_EQ(Unwrap(owner_), "THROTTLED");
  Set(throttled_, "none");
  Set(replaced_, "unwrapkey");
  EXPECT_EQ(Unwrap(owner_), "CORRUPT");
  Set(replaced_, "none");
  context_["latchkey:generation"] = "2";
  EXPECT_EQ(Unwrap(owner_), "CORRUPT");
}

TEST_F(AzureProviderTest, AnOctetKeyOfAManagedHsmWrapsToo) {
  const std::string host = "owner-hsm.managedhsm.azure.net", application = TextOf(seed_.at("credentials"), "client_id");
  Admin("vaults", {{"tenant", owner_.auth_principal}, {"name", "owner-hsm"}, {"managed_hsm", true}, {"purge_protection", true}});
  Admin("roles", {{"vault", host}, {"role", "Key Vault Crypto Service Encryption User"}, {"principal", application}});
  Admin("keys", {{"vault", host}, {"name", "oct"}, {"kty", "oct-HSM"}});
  owner_.uri = "https://" + host + "/keys/oct";
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(owner_, {}));
  EXPECT_TRUE(description.usable) << description.unusable_because;
  EXPECT_EQ(description.purge_protected, true);
  Wrap(owner_);
  EXPECT_EQ(Unwrap(owner_), "OK");
}

}  // namespace
}  // namespace latchkey
