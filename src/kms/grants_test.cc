#include "kms/grants.h"

#include "base/json.h"
#include "base/testing.h"
#include "protocol/key_type.h"

namespace latchkey {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const GrantRequest kAws = {.key = {.type = "AWS_KMS",
                                   .uri = "arn:aws:kms:us-east-1:222222222222:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                                   .auth_principal = "arn:aws:iam::222222222222:role/path/latchkey-cmek",
                                   .external_id = "0c1d7f4e-organization"},
                           .caller = "arn:aws:iam::111111111111:role/latchkey-agent"};
const GrantRequest kGcp = {.key = {.type = "GCP_CLOUD_KMS",
                                   .uri = "projects/owner-p/locations/us-east1/keyRings/ring/cryptoKeys/k",
                                   .auth_principal = "latchkey-cmek@owner-p.iam.gserviceaccount.com"},
                           .caller = "latchkey@operator-p.iam.gserviceaccount.com"};
const GrantRequest kAzure = {.key = {.type = "AZURE_KEY_VAULT",
                                     .uri = "https://owner-vault.vault.azure.net/keys/k1",
                                     .auth_principal = "11111111-2222-3333-4444-555555555555"},
                             .caller = "99999999-2222-3333-4444-555555555555"};
const GrantRequest kVault = {.key = {.type = "VAULT_TRANSIT", .uri = "vault://prod/teams/a/transit/db"}, .caller = "latchkey"};

std::string Text(const GrantRequest& request, GrantForm form) {
  const auto text = Grants(request, form);
  EXPECT_THAT(text, IsOk());
  return text.value_or("");
}

TEST(GrantsTest, NoFormLeavesAPlaceholderUnfilled) {
  for (const GrantRequest& request : {kAws, kGcp, kAzure, kVault}) {
    for (const GrantForm form : {GrantForm::kPolicy, GrantForm::kCommands, GrantForm::kTerraform}) {
      const std::string text = Text(request, form);
      EXPECT_THAT(text, Not(HasSubstr("{{"))) << request.key.type;
      if (form == GrantForm::kCommands) {
        EXPECT_THAT(text, HasSubstr(request.caller)) << request.key.type;
      }
    }
  }
}

TEST(GrantsTest, TheAwsDocumentsAreJsonAndBindTheExternalId) {
  const std::string commands = Text(kAws, GrantForm::kCommands);
  size_t documents = 0;
  for (size_t at = commands.find("<<'END'\n"); at != std::string::npos; at = commands.find("<<'END'\n", at + 1)) {
    const size_t from = at + 8;
    LK_ASSERT_OK_AND_ASSIGN(const json::object document, ParseJsonObject(commands.substr(from, commands.find("\nEND", from) - from)));
    EXPECT_TRUE(document.contains("Statement"));
    ++documents;
  }
  EXPECT_EQ(documents, 2u);
  EXPECT_THAT(commands, AllOf(HasSubstr("\"sts:ExternalId\": \"0c1d7f4e-organization\""), HasSubstr("--role-name latchkey-cmek ")));
}

TEST(GrantsTest, NamesArePutWhereTheyBelong) {
  EXPECT_THAT(Text(kGcp, GrantForm::kCommands),
              AllOf(HasSubstr("add-iam-policy-binding k --keyring ring --location us-east1 --project owner-p"),
                    HasSubstr("--member serviceAccount:latchkey@operator-p.iam.gserviceaccount.com")));
  EXPECT_THAT(Text(kAzure, GrantForm::kCommands), AllOf(HasSubstr("--name owner-vault "), HasSubstr("/keys/k1")));
  EXPECT_THAT(Text(kVault, GrantForm::kPolicy), AllOf(HasSubstr("path \"teams/a/transit/decrypt/db\""), Not(HasSubstr("\"create\""))));
}

TEST(GrantsTest, WhatIsNotGivenStandsInCapitals) {
  EXPECT_THAT(Text({.key = {.type = "AWS_KMS", .uri = kAws.key.uri}}, GrantForm::kCommands),
              AllOf(HasSubstr("ARN-OF-LATCHKEYS-IDENTITY"), HasSubstr("ORGANIZATION-ID")));
}

TEST(GrantsTest, ValuesThatCouldBreakOutOfAQuotationAreRefused) {
  for (const char* bad : {"a'b", "a\"b", "a$(id)", "a`id`", "a\nb", "a;b", "a b", "a\\b", "{{caller}}"}) {
    for (std::string RootKey::* field : {&RootKey::uri, &RootKey::auth_principal, &RootKey::external_id}) {
      GrantRequest request = kAws;
      request.key.*field = bad;
      EXPECT_THAT(Grants(request, GrantForm::kCommands), StatusIs(absl::StatusCode::kInvalidArgument)) << bad;
    }
    GrantRequest request = kAws;
    request.caller = bad;
    EXPECT_THAT(Grants(request, GrantForm::kCommands), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("caller"))) << bad;
  }
  EXPECT_THAT(Grants({.key = {.type = "FTP"}}, GrantForm::kPolicy), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("type")));
}

TEST(GrantsTest, EveryTypeHasAPolicy) {
  for (const std::string_view type : kKeyTypes) {
    EXPECT_THAT(Grants({.key = {.type = std::string(type), .uri = "x://c/m/k"}}, GrantForm::kPolicy), IsOk()) << type;
  }
  EXPECT_THAT(Grants({.key = {.type = "KMIP", .uri = "kmip://c/1"}}, GrantForm::kTerraform), StatusIs(absl::StatusCode::kUnimplemented));
}

TEST(GrantsTest, ARemedyFitsTheStepThatFailed) {
  EXPECT_THAT(Remedy(kAws, "identity", FailureClass::kDenied), AllOf(StartsWith("Trust policy"), HasSubstr("sts:AssumeRole")));
  EXPECT_THAT(Remedy(kAws, "wrap", FailureClass::kDenied), HasSubstr("kms:Encrypt"));
  EXPECT_THAT(Remedy(kGcp, "identity", FailureClass::kDenied), HasSubstr("serviceAccountTokenCreator"));
  EXPECT_THAT(Remedy(kGcp, "unwrap", FailureClass::kDenied), HasSubstr("useToDecrypt"));
  EXPECT_THAT(Remedy(kAzure, "identity", FailureClass::kDenied), HasSubstr("az ad sp create"));
  EXPECT_THAT(Remedy(kVault, "wrap", FailureClass::kDenied), HasSubstr("capabilities"));
  EXPECT_EQ(Remedy(kAws, "unwrap", FailureClass::kDisabled), NextStep(FailureClass::kDisabled));
}

}  // namespace
}  // namespace latchkey
