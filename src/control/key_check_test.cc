// Trying a key for no cluster.
#include "control/key_check.h"

#include <gtest/gtest.h>

#include "control/control_testing.h"

namespace latchkey {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class KeyCheckTest : public ControlTest {
 protected:
  static RegionKeySpec Spec(const std::string& region = "us-east-1") { return {region, Key("a")}; }
};

TEST_F(KeyCheckTest, AHostOfTheRegionTriesTheKeyAndItsStepsAreTold) {
  const auto host = Host("h1");
  const auto other = Host("h2", "eu-west-1");
  std::optional<KeyTest> asked;
  host->on_key_test = [&](const KeyTest& test) -> std::optional<KeyVerdict> {
    asked = test;
    return KeyVerdict{.test_id = test.id,
                      .ok = false,
                      .failure = FailureClass::kDenied,
                      .message = "AccessDenied",
                      .steps = {{.name = "form", .ok = true, .microseconds = 7}, {.name = "describe", .ok = false, .microseconds = 9}}};
  };
  host->StartPolling();
  const auto view = control_->cmek().Test(caller_, Spec());
  host->StopPolling();
  LK_ASSERT_OK(view);
  EXPECT_EQ(view->host, "h1");
  EXPECT_FALSE(view->ok);
  EXPECT_EQ(view->failure, FailureClass::kDenied);
  EXPECT_EQ(view->message, "AccessDenied");
  EXPECT_EQ(view->next_step, NextStep(FailureClass::kDenied));
  EXPECT_THAT(view->steps, SizeIs(2));
  ASSERT_TRUE(asked.has_value());
  EXPECT_EQ(asked->cluster_id, "");
  EXPECT_EQ(asked->region, "us-east-1");
  EXPECT_EQ(asked->root.external_id, control_->organization_id()) << "never one of the request";

  const auto entries = AuditOf("KEY_TEST");
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_EQ(entries[0].actor, "ann (LKEY1_test)");
  EXPECT_EQ(entries[0].error, "");
  EXPECT_THAT(entries[0].payload, HasSubstr("DENIED"));
  EXPECT_THAT(entries[0].payload, HasSubstr(Key("a").uri));
  EXPECT_THAT(entries[0].payload, HasSubstr("h1"));
}

TEST_F(KeyCheckTest, AGoodKeyHasNothingToMend) {
  const auto host = Host();
  host->StartPolling();
  const auto view = control_->cmek().Test(caller_, Spec());
  host->StopPolling();
  LK_ASSERT_OK(view);
  EXPECT_TRUE(view->ok);
  EXPECT_EQ(view->message + view->next_step, "");
}

TEST_F(KeyCheckTest, WithoutAHostOfTheRegionThereIsNoAnswerAndThatIsAudited) {
  const auto host = Host("h1", "eu-west-1");
  EXPECT_THAT(control_->cmek().Test(caller_, Spec()), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("us-east-1")));
  ASSERT_THAT(AuditOf("KEY_TEST"), SizeIs(1));
  EXPECT_THAT(AuditOf("KEY_TEST")[0].error, HasSubstr("us-east-1"));
}

TEST_F(KeyCheckTest, AHostThatKeepsSilentMakesItUnavailable) {
  key_test_timeout_ = absl::Milliseconds(30);
  Reopen();
  const auto host = Host();
  EXPECT_THAT(control_->cmek().Test(caller_, Spec()), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("h1")));
}

TEST_F(KeyCheckTest, WhatCanNeverBeAnOwnersKeyIsNotTried) {
  const auto host = Host();
  RegionKeySpec escrow{"us-east-1", {.type = "LOCAL", .uri = "local://escrow", .auth_principal = "", .external_id = ""}};
  const auto refused = control_->cmek().Test(caller_, escrow);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("key_spec.uri: is the operator's own key")));
  EXPECT_EQ(KeyFaultOf(refused.status()), KeyFault::kPermanent);
  EXPECT_THAT(control_->cmek().Test(caller_, {"", Key("a")}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("region")));
  RegionKeySpec blank = Spec();
  blank.key.uri = "arn with blanks";
  EXPECT_THAT(control_->cmek().Test(caller_, blank), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("key_spec.uri")));
  LK_ASSERT_OK(host->Sync());
  EXPECT_THAT(host->key_tests(), IsEmpty());
}

TEST(EscrowNameTest, AnotherSpellingOfTheOperatorsKeyIsTheOperatorsKey) {
  Core core{ControlOptions{}};
  core.escrow = {.type = "AZURE_KEY_VAULT", .uri = "https://operator.vault.azure.net/keys/escrow"};
  for (const char* same : {"https://operator.vault.azure.net/keys/escrow", "https://Operator.vault.azure.net/keys/ESCROW",
                           "https://operator.vault.azure.net/keys/escrow/0123456789abcdef0123456789abcdef"}) {
    EXPECT_THAT(CheckKey(core, {.type = "AZURE_KEY_VAULT", .uri = same}, "key_spec"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("operator's own key")))
        << same;
  }
  LK_EXPECT_OK(CheckKey(core, {.type = "AZURE_KEY_VAULT", .uri = "https://operator.vault.azure.net/keys/escrow2"}, "key_spec"));
  LK_EXPECT_OK(CheckKey(core, {.type = "AZURE_KEY_VAULT", .uri = "https://owner.vault.azure.net/keys/escrow"}, "key_spec"));
}

}  // namespace
}  // namespace latchkey
