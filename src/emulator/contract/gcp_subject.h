// Google Cloud KMS at the emulator: an owner's key behind the owner's service account.
#pragma once

#include "emulator/contract/cloud_subject.h"
#include "kms/gcp/gcp_kms.h"

namespace latchkey {

class GcpSubject : public CloudSubject {
 public:
  explicit GcpSubject(const KmsCallOptions& call) : CloudSubject("gcp", {"GetCryptoKey", "Encrypt", "Decrypt"}) {
    const json::object seed = Seed();
    key_ = KeyOf(seed, "owner");
    other_key_ = KeyOf(seed, "second_owner");
    const json::object& account = seed.at("credentials").as_object().at("service_account").as_object();
    LK_EXPECT_OK(WriteFileAtomically(folder_ / "credentials.json", json::serialize(account)));
    // The second line of the PEM is as good as all of it.
    const std::string pem = Text(account, "private_key");
    planted_ = {pem.substr(pem.find('\n') + 66, 64)};
    kms_ = NewGcpKms({.kms_endpoint = relay_->url(),
                      .iam_credentials_endpoint = relay_->url(),
                      .oauth_endpoint = relay_->url(),
                      .sts_endpoint = relay_->url(),
                      .metadata_endpoint = relay_->url(),
                      .credentials_file = folder_ / "credentials.json",
                      .call = Alone(call)});
  }

  Consequence TakeAway() override {
    Change("keys/disable", {{"key", key_.uri}});
    return {.classes = {FailureClass::kDisabled}};
  }
  void GiveBack() override { Change("keys/enable", {{"key", key_.uri}}); }
  Consequence Deny() override {
    Change("denials", {{"principal", key_.auth_principal}, {"key", key_.uri}});
    // Google does not tell a denial from a key that is not there.
    return {.classes = {FailureClass::kDenied, FailureClass::kAmbiguous}};
  }
  void Allow() override { Change("denials/remove", {{"principal", key_.auth_principal}, {"key", key_.uri}}); }
  Consequence Delete() override {
    Change("keys/destroy", {{"key", key_.uri}});
    return {.classes = {FailureClass::kPendingDeletion}};
  }
  Consequence AnswerForAnotherKey() override {
    SwapNames(key_.uri, other_key_.uri);
    return {.classes = {FailureClass::kCorrupt}, .unaffected = {{KmsOperation::kUnwrap, "Google's answer to Decrypt names no key"}}};
  }

  std::vector<std::string> HostileUris() const override {
    const std::string project = "projects/latchkey-owner", rest = "/locations/us-east1/keyRings/latchkey/cryptoKeys/";
    return {"https://cloudkms.googleapis.com/v1/" + key_.uri,
            "//evil.example/" + key_.uri,
            "/" + key_.uri,
            "../" + key_.uri,
            key_.uri + "/",
            key_.uri + "/..",
            key_.uri + "/cryptoKeyVersions/1",
            key_.uri + ":decrypt",
            key_.uri + "?x=y",
            key_.uri + "#x",
            key_.uri + "%2f..",
            key_.uri + "\r\nhost: evil.example",
            key_.uri + "\xc3\xa9",
            project + "/../other" + rest + "k",
            project + rest + "..",
            project + rest + ".",
            project + rest,
            "projects/evil.example:443@latchkey-owner" + rest + "k",
            "projects/latchkey-owner/locations/us-east1.evil.example/keyRings/latchkey/cryptoKeys/k",
            "projects/latchkey-owner/locations/us%2deast1/keyRings/latchkey/cryptoKeys/k",
            ""};
  }

 private:
  bool IsUse(const HttpRequest& request) const override { return request.path.ends_with("crypt"); }
  HttpResponse RefusalWith(const std::string& words) const override {
    return HttpResponse::Json(
        403, json::serialize(json::object{{"error", json::object{{"code", 403}, {"message", words}, {"status", "PERMISSION_DENIED"}}}}));
  }
};

}  // namespace latchkey
