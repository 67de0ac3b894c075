#include "emulator/arn.h"
#include "emulator/emulator_testing.h"

namespace latchkey {
namespace {

using KmsTest = EmulatorTest;

TEST_F(KmsTest, AKeyLivesFromCreateToDelete) {
  const KmsReply created = Kms(operator_, "CreateKey", {{"Description", "test key 123"}});
  ASSERT_EQ(created.status, 200);
  const json::object& metadata = created.body.at("KeyMetadata").as_object();
  const std::string arn(metadata.at("Arn").as_string());
  EXPECT_EQ(arn, emulator::KeyArn(kRegion, "111111111111", std::string_view(metadata.at("KeyId").as_string())));
  EXPECT_EQ(metadata.at("AWSAccountId"), "111111111111");
  EXPECT_EQ(metadata.at("KeyState"), "Enabled");
  EXPECT_EQ(metadata.at("KeySpec"), "SYMMETRIC_DEFAULT");
  EXPECT_EQ(metadata.at("CustomerMasterKeySpec"), "SYMMETRIC_DEFAULT");
  EXPECT_EQ(metadata.at("EncryptionAlgorithms"), json::array{"SYMMETRIC_DEFAULT"});
  EXPECT_EQ(metadata.at("Origin"), "AWS_KMS");
  EXPECT_EQ(metadata.at("MultiRegion"), false);
  EXPECT_EQ(metadata.at("CreationDate").to_number<double>(), 1'700'000'000.0);
  EXPECT_EQ(metadata.at("CurrentKeyMaterialId").as_string().size(), 64U);

  const std::string blob = Encrypted(operator_, arn);
  const KmsReply opened = Kms(operator_, "Decrypt", {{"CiphertextBlob", blob}});
  EXPECT_EQ(opened.Text("Plaintext"), Base64Encode(AsBytes("a key")));
  EXPECT_EQ(opened.Text("KeyId"), arn);
  EXPECT_EQ(opened.Text("EncryptionAlgorithm"), "SYMMETRIC_DEFAULT");

  EXPECT_EQ(Kms(operator_, "DisableKey", {{"KeyId", arn}}).status, 200);
  EXPECT_EQ(Kms(operator_, "Decrypt", {{"CiphertextBlob", blob}}).message(), arn + " is disabled.");
  EXPECT_EQ(Kms(operator_, "EnableKey", {{"KeyId", arn}}).status, 200);
  EXPECT_EQ(Kms(operator_, "Decrypt", {{"CiphertextBlob", blob}}).status, 200);

  const KmsReply scheduled = Kms(operator_, "ScheduleKeyDeletion", {{"KeyId", arn}, {"PendingWindowInDays", 7}});
  EXPECT_EQ(scheduled.Text("KeyState"), "PendingDeletion");
  EXPECT_EQ(scheduled.Text("KeyId"), arn);
  EXPECT_EQ(scheduled.body.at("DeletionDate").to_number<double>(), 1'700'000'000.0 + 7 * 86'400);
  EXPECT_EQ(Kms(operator_, "EnableKey", {{"KeyId", arn}}).type(), "KMSInvalidStateException");
  EXPECT_EQ(Kms(operator_, "CancelKeyDeletion", {{"KeyId", arn}}).Text("KeyId"), arn);
  EXPECT_EQ(Kms(operator_, "DescribeKey", {{"KeyId", arn}}).body.at("KeyMetadata").as_object().at("KeyState"), "Disabled");

  EXPECT_EQ(Kms(operator_, "ScheduleKeyDeletion", {{"KeyId", arn}, {"PendingWindowInDays", 7}}).status, 200);
  clock_.Advance(absl::Hours(7 * 24));
  const KmsReply gone = Kms(operator_, "DescribeKey", {{"KeyId", arn}});
  EXPECT_EQ(gone.status, 400);
  EXPECT_EQ(gone.type(), "NotFoundException");
  EXPECT_EQ(gone.message(), "Key '" + arn + "' does not exist");
  const KmsReply orphan = Kms(operator_, "Decrypt", {{"CiphertextBlob", blob}});
  EXPECT_EQ(orphan.type(), "AccessDeniedException");
  EXPECT_THAT(orphan.message(),
              testing::HasSubstr("on the resource associated with this ciphertext because the resource does not exist in this Region"));
}

struct StateCase {
  const char* state;
  const char* type;
  const char* words;
};

class KmsStateTest : public EmulatorTest, public testing::WithParamInterface<StateCase> {};

TEST_P(KmsStateTest, DecidesWhetherCryptographyWorks) {
  const std::string blob = Encrypted(operator_, escrow_key_);
  if (std::string(GetParam().state) == "PendingDeletion") {
    Admin("/_admin/keys/schedule-deletion", {{"key", escrow_key_}});
  } else {
    Admin("/_admin/keys/state", {{"key", escrow_key_}, {"state", GetParam().state}});
  }
  const std::vector<std::pair<std::string, json::object>> calls = {
      {"Encrypt", {{"KeyId", escrow_key_}, {"Plaintext", "AAAA"}}},
      {"Decrypt", {{"CiphertextBlob", blob}}},
      {"Decrypt", {{"CiphertextBlob", blob}, {"KeyId", escrow_key_}}},
      {"GenerateDataKey", {{"KeyId", escrow_key_}, {"KeySpec", "AES_256"}}},
      {"GenerateDataKeyWithoutPlaintext", {{"KeyId", escrow_key_}, {"NumberOfBytes", 64}}},
      {"ReEncrypt", {{"CiphertextBlob", blob}, {"DestinationKeyId", escrow_key_}}},
  };
  for (const auto& [operation, body] : calls) {
    const KmsReply reply = Kms(operator_, operation, body);
    EXPECT_EQ(reply.type(), GetParam().type) << operation;
    EXPECT_EQ(reply.status, reply.type() == "ok" ? 200 : 400) << operation;
    if (reply.type() != "ok") {
      EXPECT_EQ(reply.message(), escrow_key_ + GetParam().words) << operation;
    }
  }
  Restart();  // an emulator that comes back knows the state still
  const KmsReply described = Kms(operator_, "DescribeKey", {{"KeyId", escrow_key_}});
  EXPECT_EQ(described.body.at("KeyMetadata").as_object().at("KeyState"), GetParam().state);
  EXPECT_EQ(Kms(operator_, "Decrypt", {{"CiphertextBlob", blob}}).type(), GetParam().type);
  EXPECT_EQ(described.body.at("KeyMetadata").as_object().at("Enabled"), std::string(GetParam().state) == "Enabled");
}

INSTANTIATE_TEST_SUITE_P(EveryState, KmsStateTest,
                         testing::Values(StateCase{"Enabled", "ok", ""}, StateCase{"Disabled", "DisabledException", " is disabled."},
                                         StateCase{"PendingDeletion", "KMSInvalidStateException", " is pending deletion."},
                                         StateCase{"PendingImport", "KMSInvalidStateException", " is pending import."},
                                         StateCase{"Unavailable", "KMSInvalidStateException", " is unavailable."},
                                         StateCase{"Creating", "KMSInvalidStateException", " is creating."},
                                         StateCase{"Updating", "ok", ""},
                                         StateCase{"PendingReplicaDeletion", "KMSInvalidStateException", " is pending deletion."}),
                         [](const auto& each) { return std::string(each.param.state); });

// While the primary Region of a multi-Region key is updated, the key can be used and not be managed.
TEST_F(KmsTest, AKeyThatIsUpdatingIsNotManaged) {
  Admin("/_admin/keys/state", {{"key", escrow_key_}, {"state", "Updating"}});
  for (const char* operation :
       {"EnableKey", "DisableKey", "ScheduleKeyDeletion", "EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"}) {
    const KmsReply reply = Kms(operator_, operation, {{"KeyId", escrow_key_}});
    EXPECT_EQ(reply.type(), "KMSInvalidStateException") << operation;
    EXPECT_EQ(reply.message(), escrow_key_ + " is updating.") << operation;
  }
  EXPECT_EQ(Kms(operator_, "CancelKeyDeletion", {{"KeyId", escrow_key_}}).type(), "KMSInvalidStateException");
  EXPECT_EQ(Kms(operator_, "GetKeyRotationStatus", {{"KeyId", escrow_key_}}).status, 200);
  Admin("/_admin/keys/state", {{"key", escrow_key_}, {"state", "Enabled"}});
  EXPECT_EQ(Kms(operator_, "DisableKey", {{"KeyId", escrow_key_}}).status, 200);
}

TEST_F(KmsTest, AKeyWhoseReplicasAreStillThereCanBeKept) {
  ASSERT_EQ(Kms(operator_, "EnableKeyRotation", {{"KeyId", escrow_key_}}).status, 200);
  Admin("/_admin/keys/state", {{"key", escrow_key_}, {"state", "PendingReplicaDeletion"}});
  for (const char* operation : {"EnableKey", "DisableKey", "ScheduleKeyDeletion", "EnableKeyRotation", "RotateKeyOnDemand"}) {
    const KmsReply reply = Kms(operator_, operation, {{"KeyId", escrow_key_}});
    EXPECT_EQ(reply.type(), "KMSInvalidStateException") << operation;
    EXPECT_EQ(reply.message(), escrow_key_ + " is pending deletion.") << operation;
  }
  EXPECT_EQ(Kms(operator_, "GetKeyRotationStatus", {{"KeyId", escrow_key_}}).body.at("KeyRotationEnabled"), false);
  // Its window has not begun, so it has no day yet and is there after any time.
  clock_.Advance(absl::Hours(24 * 400));
  const KmsReply waiting = Kms(operator_, "DescribeKey", {{"KeyId", escrow_key_}});
  const json::object& metadata = waiting.body.at("KeyMetadata").as_object();
  EXPECT_EQ(metadata.at("KeyState"), "PendingReplicaDeletion");
  EXPECT_EQ(metadata.at("PendingDeletionWindowInDays"), 30);
  EXPECT_FALSE(metadata.contains("DeletionDate"));

  EXPECT_EQ(Kms(operator_, "CancelKeyDeletion", {{"KeyId", escrow_key_}}).Text("KeyId"), escrow_key_);
  const KmsReply kept = Kms(operator_, "DescribeKey", {{"KeyId", escrow_key_}});
  EXPECT_EQ(kept.body.at("KeyMetadata").as_object().at("KeyState"), "Disabled");
  EXPECT_FALSE(kept.body.at("KeyMetadata").as_object().contains("PendingDeletionWindowInDays"));
  EXPECT_EQ(Kms(operator_, "EnableKey", {{"KeyId", escrow_key_}}).status, 200);
}

TEST_F(KmsTest, TheEncryptionContextBindsTheCiphertext) {
  const std::string blob = Encrypted(operator_, escrow_key_, {{"latchkey:cluster", "c"}, {"latchkey:region", "r"}});
  EXPECT_EQ(
      Kms(operator_, "Decrypt", {{"CiphertextBlob", blob}, {"EncryptionContext", {{"latchkey:region", "r"}, {"latchkey:cluster", "c"}}}})
          .type(),
      "ok");
  for (const json::object& other :
       {json::object{}, json::object{{"latchkey:cluster", "c"}}, json::object{{"latchkey:cluster", "C"}, {"latchkey:region", "r"}},
        json::object{{"latchkey:cluster", "cl"}, {"atchkey:region", "r"}}}) {
    const HttpResponse response =
        emulator_->Handle(KmsRequest(operator_, "Decrypt", {{"CiphertextBlob", blob}, {"EncryptionContext", other}}));
    EXPECT_EQ(response.status, 400);
    EXPECT_EQ(response.body, R"({"__type":"InvalidCiphertextException"})");
  }
}

TEST_F(KmsTest, AChangedCiphertextIsInvalidWhereverItWasChanged) {
  const std::string blob = Encrypted(operator_, escrow_key_);
  std::vector<uint8_t> bytes = Base64Decode(blob).value();
  const size_t head = 6 + escrow_key_.size();
  for (size_t at : {size_t{0}, head, head + 31, head + 32, head + 44, bytes.size() - 1}) {
    std::vector<uint8_t> changed = bytes;
    changed[at] ^= 1;
    EXPECT_EQ(Kms(operator_, "Decrypt", {{"CiphertextBlob", Base64Encode(changed)}}).type(), "InvalidCiphertextException") << at;
  }
  bytes.resize(40);
  EXPECT_EQ(Kms(operator_, "Decrypt", {{"CiphertextBlob", Base64Encode(bytes)}}).type(), "InvalidCiphertextException");
}

TEST_F(KmsTest, AnotherKeyThanTheOneThatEncryptedIsIncorrect) {
  const TestIdentity role = AsRole();
  const std::string blob = Encrypted(role, owner_key_);
  const KmsReply reply = Kms(role, "Decrypt", {{"CiphertextBlob", blob}, {"KeyId", second_key_}});
  EXPECT_EQ(reply.type(), "IncorrectKeyException");
  EXPECT_EQ(reply.message(), "The key ID in the request does not identify a CMK that can perform this operation.");
}

TEST_F(KmsTest, RotationKeepsTheKeyAndOldCiphertextDecrypts) {
  const std::string old_blob = Encrypted(operator_, escrow_key_);
  const std::string first = Kms(operator_, "Decrypt", {{"CiphertextBlob", old_blob}}).Text("KeyMaterialId");
  EXPECT_EQ(Kms(operator_, "RotateKeyOnDemand", {{"KeyId", escrow_key_}}).Text("KeyId"), escrow_key_);
  const std::string second = Kms(operator_, "Decrypt", {{"CiphertextBlob", Encrypted(operator_, escrow_key_)}}).Text("KeyMaterialId");
  EXPECT_NE(first, second);
  EXPECT_EQ(Kms(operator_, "Decrypt", {{"CiphertextBlob", old_blob}}).Text("KeyMaterialId"), first);
  EXPECT_EQ(Kms(operator_, "DescribeKey", {{"KeyId", escrow_key_}}).body.at("KeyMetadata").as_object().at("CurrentKeyMaterialId"),
            json::string(second));

  const KmsReply rotations = Kms(operator_, "ListKeyRotations", {{"KeyId", escrow_key_}});
  ASSERT_EQ(rotations.body.at("Rotations").as_array().size(), 1U);
  EXPECT_EQ(rotations.body.at("Rotations").as_array()[0].as_object().at("RotationType"), "ON_DEMAND");
  const KmsReply all =
      Kms(operator_, "ListKeyRotations", {{"KeyId", escrow_key_}, {"IncludeKeyMaterial", "ALL_KEY_MATERIAL"}, {"Limit", 1}});
  EXPECT_EQ(all.body.at("Rotations").as_array()[0].as_object().at("KeyMaterialId"), json::string(first));
  EXPECT_EQ(all.body.at("Truncated"), true);
  const KmsReply rest = Kms(operator_, "ListKeyRotations",
                            {{"KeyId", escrow_key_}, {"IncludeKeyMaterial", "ALL_KEY_MATERIAL"}, {"Marker", all.Text("NextMarker")}});
  EXPECT_EQ(rest.body.at("Rotations").as_array()[0].as_object().at("KeyMaterialState"), "CURRENT");

  EXPECT_EQ(Kms(operator_, "DisableKey", {{"KeyId", escrow_key_}}).status, 200);
  EXPECT_EQ(Kms(operator_, "RotateKeyOnDemand", {{"KeyId", escrow_key_}}).type(), "DisabledException");
}

TEST_F(KmsTest, AKeyRotatesOnDemandTwentyFiveTimesAtMost) {
  for (int i = 0; i < 25; ++i) EXPECT_EQ(Kms(operator_, "RotateKeyOnDemand", {{"KeyId", escrow_key_}}).status, 200);
  EXPECT_EQ(Kms(operator_, "RotateKeyOnDemand", {{"KeyId", escrow_key_}}).type(), "LimitExceededException");
}

TEST_F(KmsTest, AutomaticRotationHappensWhenItsDayComes) {
  EXPECT_EQ(Kms(operator_, "EnableKeyRotation", {{"KeyId", escrow_key_}, {"RotationPeriodInDays", 90}}).status, 200);
  const KmsReply status = Kms(operator_, "GetKeyRotationStatus", {{"KeyId", escrow_key_}});
  EXPECT_EQ(status.body.at("KeyRotationEnabled"), true);
  EXPECT_EQ(status.body.at("RotationPeriodInDays"), 90);
  clock_.Advance(absl::Hours(24 * 91));
  const KmsReply rotations = Kms(operator_, "ListKeyRotations", {{"KeyId", escrow_key_}});
  ASSERT_EQ(rotations.body.at("Rotations").as_array().size(), 1U);
  EXPECT_EQ(rotations.body.at("Rotations").as_array()[0].as_object().at("RotationType"), "AUTOMATIC");
  EXPECT_EQ(Kms(operator_, "DisableKeyRotation", {{"KeyId", escrow_key_}}).status, 200);
  EXPECT_EQ(Kms(operator_, "GetKeyRotationStatus", {{"KeyId", escrow_key_}}).body.at("KeyRotationEnabled"), false);
}

TEST_F(KmsTest, ReEncryptMovesACiphertextToAnotherKeyAndContext) {
  const TestIdentity role = AsRole();
  const std::string blob = Encrypted(role, owner_key_, {{"a", "1"}});
  const KmsReply moved = Kms(role, "ReEncrypt",
                             {{"CiphertextBlob", blob},
                              {"SourceEncryptionContext", {{"a", "1"}}},
                              {"DestinationKeyId", second_key_},
                              {"DestinationEncryptionContext", {{"b", "2"}}}});
  ASSERT_EQ(moved.status, 200) << moved.message();
  EXPECT_EQ(moved.Text("SourceKeyId"), owner_key_);
  EXPECT_EQ(moved.Text("KeyId"), second_key_);
  const KmsReply opened = Kms(role, "Decrypt", {{"CiphertextBlob", moved.Text("CiphertextBlob")}, {"EncryptionContext", {{"b", "2"}}}});
  EXPECT_EQ(opened.Text("Plaintext"), Base64Encode(AsBytes("a key")));
}

TEST_F(KmsTest, ADataKeyOpensToWhatWasHandedOut) {
  const KmsReply made = Kms(operator_, "GenerateDataKey", {{"KeyId", escrow_key_}, {"KeySpec", "AES_256"}});
  EXPECT_EQ(Base64Decode(made.Text("Plaintext")).value().size(), 32U);
  EXPECT_EQ(Kms(operator_, "Decrypt", {{"CiphertextBlob", made.Text("CiphertextBlob")}}).Text("Plaintext"), made.Text("Plaintext"));
  const KmsReply hidden = Kms(operator_, "GenerateDataKeyWithoutPlaintext", {{"KeyId", escrow_key_}, {"NumberOfBytes", 64}});
  EXPECT_FALSE(hidden.body.contains("Plaintext"));
  EXPECT_EQ(Kms(operator_, "GenerateDataKey", {{"KeyId", escrow_key_}}).type(), "ValidationException");
}

TEST_F(KmsTest, ADryRunTellsAndDoesNothing) {
  const std::string blob = Encrypted(operator_, escrow_key_);
  for (const KmsReply& reply :
       {Kms(operator_, "Encrypt", {{"KeyId", escrow_key_}, {"Plaintext", "AAAA"}, {"DryRun", true}}),
        Kms(operator_, "Decrypt", {{"CiphertextBlob", blob}, {"DryRun", true}}),
        Kms(operator_, "GenerateDataKey", {{"KeyId", escrow_key_}, {"KeySpec", "AES_256"}, {"DryRun", true}}),
        Kms(operator_, "Decrypt", {{"KeyId", escrow_key_}, {"DryRun", true}, {"DryRunModifiers", {"IGNORE_CIPHERTEXT"}}})}) {
    EXPECT_EQ(reply.status, 400);
    EXPECT_EQ(reply.type(), "DryRunOperationException");
    EXPECT_EQ(reply.message(), "The request would have succeeded, but the DryRun option is set.");
  }
  Admin("/_admin/keys/disable", {{"key", escrow_key_}});
  EXPECT_EQ(Kms(operator_, "Encrypt", {{"KeyId", escrow_key_}, {"Plaintext", "AAAA"}, {"DryRun", true}}).type(), "DisabledException");
}

TEST_F(KmsTest, KeysAreFoundByIdArnAndAliasInTheirOwnRegion) {
  const std::string id = escrow_key_.substr(escrow_key_.rfind('/') + 1);
  for (const std::string& name :
       {id, escrow_key_, std::string("alias/latchkey-escrow"), std::string("arn:aws:kms:us-east-1:111111111111:alias/latchkey-escrow")}) {
    EXPECT_EQ(Kms(operator_, "DescribeKey", {{"KeyId", name}}).status, 200) << name;
  }
  const KmsReply arn_elsewhere = Kms(operator_, "DescribeKey", {{"KeyId", escrow_key_}}, "eu-west-1");
  EXPECT_EQ(arn_elsewhere.type(), "NotFoundException");
  EXPECT_EQ(arn_elsewhere.message(), "Invalid arn us-east-1");
  const KmsReply id_elsewhere = Kms(operator_, "DescribeKey", {{"KeyId", id}}, "eu-west-1");
  EXPECT_EQ(id_elsewhere.message(), "Key 'arn:aws:kms:eu-west-1:111111111111:key/" + id + "' does not exist");
  EXPECT_EQ(Kms(operator_, "DescribeKey", {{"KeyId", "fake-key-id"}}).message(), "Invalid keyId 'fake-key-id'");
  EXPECT_EQ(Kms(operator_, "DescribeKey", {{"KeyId", "alias/none"}}).message(),
            "Alias arn:aws:kms:us-east-1:111111111111:alias/none is not found.");
  const KmsReply elsewhere = Kms(operator_, "Decrypt", {{"CiphertextBlob", Encrypted(operator_, escrow_key_)}}, "eu-west-1");
  EXPECT_EQ(elsewhere.type(), "AccessDeniedException");
}

TEST_F(KmsTest, KeysOfOtherTypesRefuseEncryption) {
  const KmsReply signing = Kms(operator_, "CreateKey", {{"KeyUsage", "SIGN_VERIFY"}, {"KeySpec", "ECC_NIST_P256"}});
  const std::string arn(signing.body.at("KeyMetadata").as_object().at("Arn").as_string());
  const KmsReply refused = Kms(operator_, "Encrypt", {{"KeyId", arn}, {"Plaintext", "AAAA"}});
  EXPECT_EQ(refused.type(), "InvalidKeyUsageException");
  EXPECT_EQ(refused.message(), arn + " key usage is SIGN_VERIFY which is not valid for Encrypt.");
  const KmsReply rsa = Kms(operator_, "CreateKey", {{"KeyUsage", "ENCRYPT_DECRYPT"}, {"KeySpec", "RSA_2048"}});
  const std::string rsa_arn(rsa.body.at("KeyMetadata").as_object().at("Arn").as_string());
  EXPECT_EQ(Kms(operator_, "Encrypt", {{"KeyId", rsa_arn}, {"Plaintext", "AAAA"}}).message(),
            "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.");
}

TEST_F(KmsTest, BadRequestsAreRefusedInTheServicesWords) {
  const KmsReply big = Kms(operator_, "Encrypt", {{"KeyId", escrow_key_}, {"Plaintext", Base64Encode(std::vector<uint8_t>(4097))}});
  EXPECT_EQ(big.type(), "ValidationException");
  EXPECT_EQ(
      big.message(),
      "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096");
  EXPECT_EQ(Kms(operator_, "Encrypt", {{"KeyId", escrow_key_}, {"Plaintext", Base64Encode(std::vector<uint8_t>(4096))}}).status, 200);
  EXPECT_EQ(Kms(operator_, "Encrypt", {{"Plaintext", "AAAA"}}).message(),
            "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null");
  EXPECT_EQ(Kms(operator_, "Encrypt", {{"KeyId", 7}, {"Plaintext", "AAAA"}}).type(), "SerializationException");
  EXPECT_EQ(Kms(operator_, "Encrypt", {{"KeyId", escrow_key_}, {"Plaintext", "not base64"}}).type(), "SerializationException");
  EXPECT_EQ(Kms(operator_, "Encrypt", {{"KeyId", escrow_key_}, {"Plaintext", "AAAA"}, {"EncryptionContext", {{"a", 1}}}}).type(),
            "SerializationException");
  EXPECT_EQ(Kms(operator_, "ScheduleKeyDeletion", {{"KeyId", escrow_key_}, {"PendingWindowInDays", 6}}).type(), "ValidationException");
  const KmsReply unknown = Kms(operator_, "Sign", {{"KeyId", escrow_key_}});
  EXPECT_EQ(unknown.status, 400);
  EXPECT_EQ(unknown.type(), "UnknownOperationException");
}

TEST_F(KmsTest, AnswersHaveTheWireFormOfTheService) {
  const HttpResponse good = emulator_->Handle(KmsRequest(operator_, "DescribeKey", {{"KeyId", escrow_key_}}));
  EXPECT_EQ(good.headers.at("content-type"), "application/x-amz-json-1.1");
  EXPECT_EQ(good.headers.at("x-amzn-requestid").size(), 36U);
  const HttpResponse empty = emulator_->Handle(KmsRequest(operator_, "DisableKey", {{"KeyId", escrow_key_}}));
  EXPECT_EQ(empty.status, 200);
  EXPECT_EQ(empty.body, "");
  const HttpResponse bad = emulator_->Handle(KmsRequest(operator_, "DescribeKey", {{"KeyId", "x"}}));
  EXPECT_EQ(bad.headers.at("content-type"), "application/x-amz-json-1.1");
  EXPECT_EQ(bad.headers.at("x-amzn-requestid").size(), 36U);
}

TEST_F(KmsTest, ListKeysShowsTheCallersAccountAndRegion) {
  const KmsReply keys = Kms(operator_, "ListKeys", {});
  ASSERT_EQ(keys.body.at("Keys").as_array().size(), 1U);
  EXPECT_EQ(keys.body.at("Keys").as_array()[0].as_object().at("KeyArn"), json::string(escrow_key_));
  EXPECT_EQ(Kms(AsRole(), "ListKeys", {}).body.at("Keys").as_array().size(), 2U);
  EXPECT_EQ(Kms(operator_, "ListKeys", {}, "eu-west-1").body.at("Keys").as_array().size(), 0U);
  EXPECT_EQ(Kms(operator_, "ListKeys", {{"Marker", "x"}}).type(), "InvalidMarkerException");
}

}  // namespace
}  // namespace latchkey
