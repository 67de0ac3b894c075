// AWS KMS at the emulator: an owner's key behind the owner's role.
#pragma once

#include "emulator/contract/cloud_subject.h"
#include "kms/aws/aws_kms.h"

namespace latchkey {

class AwsSubject : public CloudSubject {
 public:
  explicit AwsSubject(const KmsCallOptions& call) : CloudSubject("aws", {"DescribeKey", "Encrypt", "Decrypt"}) {
    const auto seed = admin_->Seed("organization-1", {"us-east-1"});
    EXPECT_THAT(seed, IsOk());
    const json::object& region = seed->at("regions").as_object().at("us-east-1").as_object();
    key_ = {.type = "AWS_KMS", .uri = Text(region, "owner_key"), .auth_principal = Text(*seed, "role"), .external_id = "organization-1"};
    other_key_ = key_;
    other_key_.uri = Text(region, "second_owner_key");
    const std::string secret = Text(*seed, "secret_access_key");
    LK_EXPECT_OK(WriteFileAtomically(folder_ / "credentials", absl::StrCat("[default]\naws_access_key_id = ", Text(*seed, "access_key_id"),
                                                                           "\naws_secret_access_key = ", secret, "\n")));
    planted_ = {secret};
    kms_ = NewAwsKms({.kms_endpoint = relay_->url(),
                      .sts_endpoint = relay_->url(),
                      .profile = "default",
                      .shared_credentials_file = folder_ / "credentials",
                      .config_file = folder_ / "no-config",
                      .call = Alone(call)});
  }

  Consequence TakeAway() override {
    LK_EXPECT_OK(admin_->DisableKey(key_.uri));
    return {.classes = {FailureClass::kDisabled}};
  }
  void GiveBack() override { LK_EXPECT_OK(admin_->EnableKey(key_.uri)); }
  Consequence Deny() override {
    LK_EXPECT_OK(admin_->Deny(key_.auth_principal, key_.uri));
    return {.classes = {FailureClass::kDenied}};
  }
  void Allow() override { LK_EXPECT_OK(admin_->Undeny(key_.auth_principal, key_.uri)); }
  Consequence Delete() override {
    LK_EXPECT_OK(admin_->ScheduleDeletion(key_.uri, 7));
    return {.classes = {FailureClass::kPendingDeletion}};
  }
  Consequence AnswerForAnotherKey() override {
    SwapNames(key_.uri, other_key_.uri);
    return {.classes = {FailureClass::kCorrupt}};
  }

  std::vector<std::string> HostileUris() const override {
    const std::string id = key_.uri.substr(key_.uri.rfind('/') + 1);
    const auto with = [&](const std::string& region, const std::string& partition = "aws") {
      return absl::StrCat("arn:", partition, ":kms:", region, ":222222222222:key/", id);
    };
    return {with("evil.example/us-east-1"),
            with("us-east-1.evil.example"),
            with("us-east-1@evil.example"),
            with("us-east-1#-"),
            with("us-east-1?-"),
            with("us-east-1%2e-"),
            with("us-east-1 -1"),
            with("us-\xc3\xa9st-1"),
            with("us-east-1\n"),
            with("../us-east-1"),
            with("us-east-1\\-"),
            with("-us-east-1"),
            with(""),
            with("us-east-1", "evil"),
            with("us-east-1", "aws.evil.example"),
            key_.uri + "/..",
            key_.uri + "#",
            key_.uri + " ",
            "https://kms.us-east-1.amazonaws.com/" + id,
            "arn:aws:kms:us-east-1:222222222222:alias/owner-key-1",
            "arn:aws:s3:us-east-1:222222222222:key/" + id,
            id,
            ""};
  }

 private:
  bool IsUse(const HttpRequest& request) const override { return request.Header("x-amz-target").ends_with("crypt"); }
  HttpResponse RefusalWith(const std::string& words) const override {
    HttpResponse response = HttpResponse::Json(400, json::serialize(json::object{{"__type", "AccessDeniedException"}, {"message", words}}));
    response.headers["content-type"] = "application/x-amz-json-1.1";
    return response;
  }
};

}  // namespace latchkey
