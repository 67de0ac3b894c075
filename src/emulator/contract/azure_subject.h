// Azure Key Vault at the emulator: an owner's key in the owner's tenant.
#pragma once

#include "emulator/contract/cloud_subject.h"
#include "kms/azure/azure_kms.h"

namespace latchkey {

class AzureSubject : public CloudSubject {
 public:
  explicit AzureSubject(const KmsCallOptions& call) : CloudSubject("azure", {"get", "wrapkey", "unwrapkey"}) {
    const json::object seed = Seed();
    key_ = KeyOf(seed, "owner");
    other_key_ = KeyOf(seed, "second_owner");
    const json::object& credentials = seed.at("credentials").as_object();
    client_id_ = Text(credentials, "client_id");
    planted_ = {Text(credentials, "client_secret")};
    LK_EXPECT_OK(WriteFileAtomically(folder_ / "secret", planted_.front(), 0600));
    kms_ = NewAzureKms({.key_endpoint = relay_->url(),
                        .authority = relay_->url(),
                        .metadata_endpoint = relay_->url(),
                        .tenant_id = Text(credentials, "tenant_id"),
                        .client_id = client_id_,
                        .client_secret_file = folder_ / "secret",
                        .call = Alone(call)});
  }

  // RSA of 2,048 bits, with the hash of the context beside the plaintext.
  size_t longest_plaintext() const override { return 158; }

  Consequence TakeAway() override {
    Change("keys/disable", {{"key", key_.uri}});
    return {.classes = {FailureClass::kDisabled}};
  }
  void GiveBack() override { Change("keys/enable", {{"key", key_.uri}}); }
  Consequence Deny() override {
    Change("denials", {{"vault", "owner-vault"}, {"principal", client_id_}});
    return {.classes = {FailureClass::kDenied}};
  }
  void Allow() override { Change("denials/remove", {{"vault", "owner-vault"}, {"principal", client_id_}}); }
  Consequence Delete() override {
    Change("keys/delete", {{"key", key_.uri}});
    // Which of the two depends on whether we may see deleted keys.
    return {.classes = {FailureClass::kPendingDeletion, FailureClass::kDestroyed}};
  }
  Consequence AnswerForAnotherKey() override {
    SwapNames("/keys/owner-key-1", "/keys/owner-key-2");
    return {.classes = {FailureClass::kCorrupt}};
  }

  std::vector<std::string> HostileUris() const override {
    return {"http://owner-vault.vault.azure.net/keys/owner-key-1",
            "https://evil.example/keys/owner-key-1",
            "https://owner-vault.vault.azure.net.evil.example/keys/owner-key-1",
            "https://evilvault.azure.net/keys/owner-key-1",
            "https://vault.azure.net/keys/owner-key-1",
            "https://a.b.vault.azure.net/keys/owner-key-1",
            "https://evil.example/.vault.azure.net/keys/owner-key-1",
            "https://evil.example#.vault.azure.net/keys/owner-key-1",
            "https://evil.example?.vault.azure.net/keys/owner-key-1",
            "https://evil.example\\.vault.azure.net/keys/owner-key-1",
            "https://owner-vault.vault.azure.net@evil.example/keys/owner-key-1",
            "https://user:password@owner-vault.vault.azure.net/keys/owner-key-1",
            "https://owner-vault.vault.azure.net:8443/keys/owner-key-1",
            "https://owner-vault.vault.azure.net./keys/owner-key-1",
            "https://owner%2dvault.vault.azure.net/keys/owner-key-1",
            "https://\xc3\xb6wner-vault.vault.azure.net/keys/owner-key-1",
            "https://owner-vault.vault.azure.net\xe3\x80\x82"
            "evil.example/keys/owner-key-1",
            "https://127.0.0.1/keys/owner-key-1",
            "https://[::1]/keys/owner-key-1",
            "https://169.254.169.254/keys/owner-key-1",
            "https://owner-vault.vault.azure.net/keys/../secrets/owner-key-1",
            "https://owner-vault.vault.azure.net/keys/..",
            "https://owner-vault.vault.azure.net/secrets/owner-key-1",
            "https://owner-vault.vault.azure.net/keys/owner-key-1/",
            "https://owner-vault.vault.azure.net/keys/owner-key-1/..",
            "https://owner-vault.vault.azure.net/keys/owner-key-1?api-version=7.0",
            "https://owner-vault.vault.azure.net/keys/owner-key-1#x",
            "https://owner-vault.vault.azure.net/keys/owner%2dkey-1",
            "https://owner-vault.vault.azure.net/keys/owner-key-1\r\nhost: evil.example",
            "https:///keys/owner-key-1",
            "owner-vault.vault.azure.net/keys/owner-key-1",
            ""};
  }

 private:
  bool IsUse(const HttpRequest& request) const override { return request.path.ends_with("wrapkey"); }
  HttpResponse RefusalWith(const std::string& words) const override {
    return HttpResponse::Json(403, json::serialize(json::object{{"error", json::object{{"code", "Forbidden"}, {"message", words}}},
                                                                {"error_description", words}}));
  }

  std::string client_id_;
};

}  // namespace latchkey
