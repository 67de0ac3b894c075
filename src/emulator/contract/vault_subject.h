// Vault Transit at the emulator, entered with AppRole.
#pragma once

#include "emulator/contract/cloud_subject.h"
#include "kms/vault/vault_kms.h"

namespace latchkey {

class VaultSubject : public CloudSubject {
 public:
  explicit VaultSubject(const KmsCallOptions& call) : CloudSubject("vault", {"readKey", "encrypt", "decrypt"}) {
    const json::object seed = Seed();
    key_ = KeyOf(seed, "owner");
    other_key_ = KeyOf(seed, "second_owner");
    const json::object& credentials = seed.at("credentials").as_object();
    planted_ = {Text(credentials, "secret_id"), Text(credentials, "root_token")};
    LK_EXPECT_OK(WriteFileAtomically(folder_ / "secret", planted_.front(), 0600));
    kms_ =
        NewVaultKms({{"vault", {.address = relay_->url(), .role_id = Text(credentials, "role_id"), .secret_id_file = folder_ / "secret"}}},
                    Alone(call));
  }

  // Vault has no switch at a key; its paths are denied instead.
  Consequence TakeAway() override {
    Change("policies/deny", {{"name", "latchkey"}, {"path", "transit/+/owner-key-1"}});
    return {.classes = {FailureClass::kDenied}};
  }
  void GiveBack() override { Change("policies/undeny", {{"name", "latchkey"}, {"path", "transit/+/owner-key-1"}}); }
  Consequence Deny() override {
    Change("policies/deny", {{"name", "latchkey"}, {"path", "transit/+/+"}});
    return {.classes = {FailureClass::kDenied}};
  }
  void Allow() override { Change("policies/undeny", {{"name", "latchkey"}, {"path", "transit/+/+"}}); }
  Consequence Delete() override {
    Change("keys/soft-delete", {{"name", "owner-key-1"}});
    return {.classes = {FailureClass::kPendingDeletion}};
  }
  Consequence AnswerForAnotherKey() override {
    SwapNames("owner-key-1", "owner-key-2");
    return {.classes = {FailureClass::kCorrupt}, .unaffected = {{KmsOperation::kUnwrap, "Vault's answer to decrypt names no key"}}};
  }

  std::vector<std::string> HostileUris() const override {
    return {"https://evil.example/transit/owner-key-1",
            "vault://evil.example/transit/owner-key-1",
            "vault://127.0.0.1:8200/transit/owner-key-1",
            "vault://vault:8200/transit/owner-key-1",
            "vault://user@vault/transit/owner-key-1",
            "vault://vault@evil.example/transit/owner-key-1",
            "vault://vault/transit/../sys/seal",
            "vault://vault/transit/..",
            "vault://vault/../transit/owner-key-1",
            "vault://vault/sys/seal",
            "vault://vault/auth/token/create",
            "vault://vault/transit/owner-key-1/",
            "vault://vault//owner-key-1",
            "vault://vault/transit/owner-key-1?version=1",
            "vault://vault/transit/owner-key-1#x",
            "vault://vault/transit/owner%2dkey-1",
            "vault://vault/transit/owner-key-1\r\nx-vault-namespace: other",
            "vault://vault/transit/\xc3\xb6wner-key-1",
            "vault://vault/transit",
            "vault:///transit/owner-key-1",
            "VAULT://vault/transit/owner-key-1",
            ""};
  }

 private:
  bool IsUse(const HttpRequest& request) const override { return request.path.find("crypt/") != std::string::npos; }
  HttpResponse RefusalWith(const std::string& words) const override {
    return HttpResponse::Json(403, json::serialize(json::object{{"errors", json::array{words}}}));
  }
};

}  // namespace latchkey
