// The product's own Vault provider against the emulator, over sockets: two implementations of the same wire, written apart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"
#include "emulator/admin_client.h"
#include "emulator/serve.h"
#include "kms/vault/vault_kms.h"

namespace latchkey {
namespace {

RootKey KeyOf(const json::object& seed, const char* name) {
  const json::object& key = seed.at(name).as_object();
  return {.type = std::string(key.at("type").as_string()), .uri = std::string(key.at("uri").as_string())};
}

class VaultProviderTest : public testing::Test {
 protected:
  void SetUp() override {
    LK_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Emulator> made, Emulator::Create({}));
    LK_ASSERT_OK_AND_ASSIGN(server_, EmulatorServer::Start({}, std::move(made)));
    admin_ = std::make_unique<EmulatorAdminClient>(server_->url());
    LK_ASSERT_OK_AND_ASSIGN(const json::object seed, admin_->SeedCloud("vault"));
    owner_ = KeyOf(seed, "owner");
    second_ = KeyOf(seed, "second_owner");
    const json::object& credentials = seed.at("credentials").as_object();
    const auto text = [&](const char* name) { return std::string(credentials.at(name).as_string()); };
    EXPECT_EQ(text("address"), server_->url("vault"));
    for (const auto& [file, field] : {std::pair{"token", "token"}, {"secret", "secret_id"}, {"jwt", "kubernetes_token"}}) {
      LK_ASSERT_OK(WriteFileAtomically(folder_ / file, text(field)));
    }
    by_token_ = {.address = text("address"), .token_file = folder_ / "token"};
    by_approle_ = {.address = text("address"), .role_id = text("role_id"), .secret_id_file = folder_ / "secret"};
    by_kubernetes_ = {.address = text("address"), .kubernetes_role = text("kubernetes_role"), .kubernetes_token_file = folder_ / "jwt"};
    Use(by_token_);
  }
  void Use(const VaultConnection& connection) {
    kms_ = NewVaultKms({{"vault", connection}},
                       {.first_backoff = absl::Milliseconds(1), .environment = [](const char*) { return std::string(); }});
  }

  void Wrap() {
    const SecretBytes kek = SecretBytes::CopyOf(kKek);
    LK_ASSERT_OK_AND_ASSIGN(wrapped_, kms_->Wrap(owner_, kek, context_, {}));
  }
  // "OK", "OTHER BYTES", or the class of the failure.
  std::string Unwrap(const RootKey& key, const KmsContext& context) {
    const auto opened = kms_->Unwrap(key, wrapped_, context, {.fresh = true});
    if (opened.ok()) return opened->RevealText(SecretAccess{}) == kKek ? "OK" : "OTHER BYTES";
    const std::optional<FailureClass> c = FailureClassOf(opened.status());
    return c ? std::string(FailureClassName(*c)) : opened.status().ToString();
  }
  std::string Unwrap() { return Unwrap(owner_, context_); }

  static constexpr std::string_view kKek = "0123456789abcdef0123456789abcdef";
  TempFolder folder_;
  std::unique_ptr<EmulatorServer> server_;
  std::unique_ptr<EmulatorAdminClient> admin_;
  std::unique_ptr<Kms> kms_;
  RootKey owner_, second_;
  VaultConnection by_token_, by_approle_, by_kubernetes_;
  KmsContext context_ = {{"latchkey:cluster", "c"}, {"latchkey:generation", "1"}};
  KmsWrapped wrapped_;
};

TEST_F(VaultProviderTest, EveryWayInWrapsAndUnwraps) {
  for (const VaultConnection* connection : {&by_token_, &by_approle_, &by_kubernetes_}) {
    Use(*connection);
    Wrap();
    EXPECT_EQ(Unwrap(), "OK");
    LK_ASSERT_OK_AND_ASSIGN(const KeyDescription facts, kms_->Describe(owner_, {}));
    EXPECT_EQ(facts.key_version, "1");
  }
}

TEST_F(VaultProviderTest, AnotherContextOrKeyIsCorrupt) {
  Wrap();
  EXPECT_EQ(Unwrap(owner_, {{"latchkey:cluster", "d"}}), "CORRUPT");
  EXPECT_EQ(Unwrap(second_, context_), "CORRUPT");
}

TEST_F(VaultProviderTest, WhatTheOwnerTakesAwayIsToldApartFromSilence) {
  Wrap();
  LK_ASSERT_OK(admin_->Change("vault", "policies/deny", {{"name", "latchkey"}, {"path", "transit/+/owner-key-1"}}));
  EXPECT_EQ(Unwrap(), "DENIED");
  LK_ASSERT_OK(admin_->Change("vault", "policies/undeny", {{"name", "latchkey"}, {"path", "transit/+/owner-key-1"}}));
  EXPECT_EQ(Unwrap(), "OK");

  LK_ASSERT_OK(admin_->Change("vault", "keys/soft-delete", {{"name", "owner-key-1"}}));
  EXPECT_EQ(Unwrap(), "PENDING_DELETION");
  LK_ASSERT_OK(admin_->Change("vault", "keys/restore", {{"name", "owner-key-1"}}));

  LK_ASSERT_OK(admin_->Change("vault", "keys/rotate", {{"name", "owner-key-1"}}));
  EXPECT_EQ(Unwrap(), "OK");
  LK_ASSERT_OK(admin_->Change("vault", "keys/config", {{"name", "owner-key-1"}, {"min_decryption_version", 2}}));
  EXPECT_EQ(Unwrap(), "DISABLED");
  LK_ASSERT_OK(admin_->Change("vault", "keys/config", {{"name", "owner-key-1"}, {"min_decryption_version", 1}}));

  LK_ASSERT_OK(admin_->Change("vault", "sealed", {{"on", true}}));
  EXPECT_EQ(Unwrap(), "UNREACHABLE");
  LK_ASSERT_OK(admin_->Change("vault", "sealed", {{"on", false}}));
  EXPECT_EQ(Unwrap(), "OK");
}

TEST_F(VaultProviderTest, OurOwnCredentialsAreOurOwnTrouble) {
  Wrap();
  LK_ASSERT_OK(WriteFileAtomically(folder_ / "token", "hvs.no-such-token"));
  EXPECT_EQ(Unwrap(), "IDENTITY");
  Use(by_approle_);
  LK_ASSERT_OK(WriteFileAtomically(folder_ / "secret", "wrong"));
  EXPECT_EQ(Unwrap(), "IDENTITY");
}

TEST_F(VaultProviderTest, FaultsOfTheCloudAreMet) {
  Wrap();
  LK_ASSERT_OK(admin_->AddFault({{"cloud", "vault"}, {"operation", "decrypt"}, {"action", "throttle"}, {"standing", true}}));
  EXPECT_EQ(Unwrap(), "THROTTLED");
  LK_ASSERT_OK(admin_->ClearFaults("vault"));
  LK_ASSERT_OK(admin_->AddFault({{"cloud", "vault"}, {"operation", "decrypt"}, {"action", "other-bytes"}, {"times", 1}}));
  // Well formed, and nothing in the answer tells: whoever unwraps compares.
  EXPECT_EQ(Unwrap(), "OTHER BYTES");
  LK_ASSERT_OK(admin_->Outage(true, "vault"));
  EXPECT_EQ(Unwrap(), "UNREACHABLE");
  LK_ASSERT_OK(admin_->Outage(false));
  EXPECT_EQ(Unwrap(), "OK");
}

}  // namespace
}  // namespace latchkey
