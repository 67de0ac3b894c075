// Cloud KMS: life cycles, states, cryptography, permissions.
#include "emulator/gcp/crc32c.h"
#include "emulator/gcp/gcp_testing.h"

namespace latchkey::emulator {
namespace {

using testing::HasSubstr;

using GcpKmsTest = GcpCloudTest;

TEST(GcpCrcTest, MatchesThePublishedCheckValue) { EXPECT_EQ(gcp::Crc32c(AsBytes("123456789")), 0xE3069283U); }

TEST_F(GcpKmsTest, EncryptsAndDecryptsWithTheContextAndNoOther) {
  const std::string token = AsOwner();
  const GcpReply sealed = Encrypt(token, owner_key_, "a key", "cluster 1");
  ASSERT_EQ(sealed.status, 200) << sealed.text;
  EXPECT_EQ(sealed.Text("name"), owner_key_ + "/cryptoKeyVersions/1");
  EXPECT_EQ(sealed.record.principal, kOwner);
  EXPECT_EQ(sealed.record.key, owner_key_);
  EXPECT_EQ(sealed.record.region, "us-east1");
  const GcpReply opened = Decrypt(token, owner_key_, sealed.Text("ciphertext"), "cluster 1");
  EXPECT_EQ(opened.Text("plaintext"), B64("a key"));
  EXPECT_EQ(opened.Text("plaintextCrc32c"), std::to_string(gcp::Crc32c(AsBytes("a key"))));
  EXPECT_TRUE(opened.body.at("usedPrimary").as_bool());
  const GcpReply other = Decrypt(token, owner_key_, sealed.Text("ciphertext"), "cluster 2");
  EXPECT_EQ(other.status, 400);
  EXPECT_EQ(other.Code(), "INVALID_ARGUMENT");
  EXPECT_EQ(other.Message(), "Decryption failed: the ciphertext is invalid.");
}

TEST_F(GcpKmsTest, ACiphertextOfAnotherKeyIsRefusedByName) {
  const std::string token = AsOwner();
  const std::string ciphertext = Encrypt(token, owner_key_, "a key").Text("ciphertext");
  const GcpReply other = Decrypt(token, second_key_, ciphertext);
  EXPECT_EQ(other.Code(), "INVALID_ARGUMENT");
  EXPECT_EQ(other.Message(), "Decryption failed: verify that 'name' refers to the correct CryptoKey.");
  std::string spoilt = ciphertext;
  spoilt[spoilt.size() - 8] = spoilt[spoilt.size() - 8] == 'A' ? 'B' : 'A';
  EXPECT_EQ(Decrypt(token, owner_key_, spoilt).Message(), "Decryption failed: the ciphertext is invalid.");
  EXPECT_EQ(Decrypt(token, owner_key_, B64("nothing of ours")).Message(), "Decryption failed: the ciphertext is invalid.");
}

TEST_F(GcpKmsTest, ChecksumsAreVerifiedAndAWrongOneIsRefused) {
  const std::string token = AsOwner();
  const std::string crc = std::to_string(gcp::Crc32c(AsBytes("a key")));
  const GcpReply good = Kms(token, "POST", owner_key_ + ":encrypt", {{"plaintext", B64("a key")}, {"plaintextCrc32c", crc}});
  ASSERT_EQ(good.status, 200) << good.text;
  EXPECT_TRUE(good.body.at("verifiedPlaintextCrc32c").as_bool());
  EXPECT_FALSE(good.body.contains("verifiedAdditionalAuthenticatedDataCrc32c"));
  const absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(good.Text("ciphertext"));
  ASSERT_THAT(bytes, IsOk());
  EXPECT_EQ(good.Text("ciphertextCrc32c"), std::to_string(gcp::Crc32c(*bytes)));
  const GcpReply wrong = Kms(token, "POST", owner_key_ + ":encrypt", {{"plaintext", B64("a key")}, {"plaintextCrc32c", "1"}});
  EXPECT_EQ(wrong.Code(), "INVALID_ARGUMENT");
  EXPECT_THAT(wrong.Message(), HasSubstr("plaintext_crc32c"));
  const GcpReply number =
      Kms(token, "POST", owner_key_ + ":decrypt", {{"ciphertext", good.body.at("ciphertext")}, {"ciphertextCrc32c", 7}});
  EXPECT_THAT(number.Message(), HasSubstr("ciphertext_crc32c"));
}

TEST_F(GcpKmsTest, NothingIsEncryptedToo) {
  const std::string token = AsOwner();
  const GcpReply sealed = Encrypt(token, owner_key_, "");
  const GcpReply opened = Decrypt(token, owner_key_, sealed.Text("ciphertext"));
  EXPECT_EQ(opened.status, 200) << opened.text;
  EXPECT_FALSE(opened.body.contains("plaintext"));
  EXPECT_EQ(opened.Text("plaintextCrc32c"), "0");
}

TEST_F(GcpKmsTest, SixtyFourKibibytesFitAndOneMoreByteDoesNot) {
  const std::string token = AsOwner();
  EXPECT_EQ(Encrypt(token, owner_key_, std::string(64 << 10, 'x')).status, 200);
  EXPECT_EQ(Encrypt(token, owner_key_, std::string((64 << 10) + 1, 'x')).Code(), "INVALID_ARGUMENT");
  EXPECT_EQ(Encrypt(token, owner_key_, "x", std::string((64 << 10) + 1, 'x')).Code(), "INVALID_ARGUMENT");
}

TEST_F(GcpKmsTest, ADisabledVersionNeitherEncryptsNorDecryptsAndSaysItsState) {
  const std::string token = AsOwner();
  const std::string ciphertext = Encrypt(token, owner_key_, "a key").Text("ciphertext");
  Admin("keys/disable", {{"key", "owner-key-1"}});
  for (const GcpReply& reply : {Decrypt(token, owner_key_, ciphertext), Encrypt(token, owner_key_, "a key")}) {
    EXPECT_EQ(reply.status, 400);
    EXPECT_EQ(reply.Code(), "FAILED_PRECONDITION");
    EXPECT_EQ(reply.Message(), owner_key_ + "/cryptoKeyVersions/1 is not enabled, current state is: DISABLED.");
    EXPECT_THAT(reply.text, HasSubstr("KEY_DISABLED"));
    EXPECT_EQ(reply.record.result, "FAILED_PRECONDITION");
  }
  Admin("keys/enable", {{"key", "owner-key-1"}});
  EXPECT_EQ(Decrypt(token, owner_key_, ciphertext).Text("plaintext"), B64("a key"));
}

TEST_F(GcpKmsTest, AnOldVersionDecryptsAfterARotationAndSaysThatItIsOld) {
  const std::string token = AsOwner();
  const std::string old = Encrypt(token, owner_key_, "a key").Text("ciphertext");
  Admin("keys/rotate", {{"key", owner_key_}});
  const GcpReply fresh = Encrypt(token, owner_key_, "a key");
  EXPECT_EQ(fresh.Text("name"), owner_key_ + "/cryptoKeyVersions/2");
  const GcpReply opened = Decrypt(token, owner_key_, old);
  EXPECT_EQ(opened.Text("plaintext"), B64("a key"));
  EXPECT_FALSE(opened.body.contains("usedPrimary"));
  Admin("keys/disable", {{"key", owner_key_}, {"version", 1}});
  EXPECT_EQ(Decrypt(token, owner_key_, old).Message(), owner_key_ + "/cryptoKeyVersions/1 is not enabled, current state is: DISABLED.");
  EXPECT_EQ(Decrypt(token, owner_key_, fresh.Text("ciphertext")).status, 200);
}

TEST_F(GcpKmsTest, DestructionIsScheduledUndoneIntoDisabledAndFinalOnItsDay) {
  const std::string token = AsOwner();
  const std::string administrator = AsAdministrator();
  const std::string version = owner_key_ + "/cryptoKeyVersions/1";
  const std::string ciphertext = Encrypt(token, owner_key_, "a key").Text("ciphertext");
  const GcpReply scheduled = Kms(administrator, "POST", version + ":destroy");
  EXPECT_EQ(scheduled.Text("state"), "DESTROY_SCHEDULED");
  EXPECT_EQ(scheduled.Text("destroyTime"), "2023-12-14T22:13:20.000000Z") << "30 days ahead";
  EXPECT_EQ(Decrypt(token, owner_key_, ciphertext).Message(), version + " is not enabled, current state is: DESTROY_SCHEDULED.");
  EXPECT_EQ(Kms(administrator, "POST", version + ":destroy").Code(), "FAILED_PRECONDITION");
  EXPECT_EQ(Kms(administrator, "PATCH", version + "?updateMask=state", {{"state", "ENABLED"}}).Code(), "FAILED_PRECONDITION");

  const GcpReply restored = Kms(administrator, "POST", version + ":restore");
  EXPECT_EQ(restored.Text("state"), "DISABLED");
  EXPECT_FALSE(restored.body.contains("destroyTime"));
  EXPECT_EQ(Kms(administrator, "POST", version + ":restore").Code(), "FAILED_PRECONDITION");
  EXPECT_EQ(Kms(administrator, "PATCH", version + "?updateMask=state", {{"state", 1}}).Text("state"), "ENABLED");
  EXPECT_EQ(Decrypt(token, owner_key_, ciphertext).status, 200);

  EXPECT_EQ(Kms(administrator, "POST", version + ":destroy").status, 200);
  clock_.Advance(absl::Hours(24 * 30));
  const std::string later = AsAdministrator();
  const GcpReply gone = Kms(later, "GET", version);
  EXPECT_EQ(gone.Text("state"), "DESTROYED");
  EXPECT_EQ(gone.Text("destroyEventTime"), "2023-12-14T22:13:20.000000Z");
  EXPECT_EQ(Kms(later, "POST", version + ":restore").Code(), "FAILED_PRECONDITION");
  const json::object state = cloud_->ToJson();
  for (const json::value& key : state.at("keys").as_array()) {
    const json::object& only = key.as_object().at("versions").as_array().at(0).as_object();
    EXPECT_EQ(only.at("material").as_string().empty(), only.at("state").as_string() == "DESTROYED") << "what is destroyed is not kept";
  }
  EXPECT_EQ(Decrypt(AsOwner(), owner_key_, ciphertext).Message(), version + " is not enabled, current state is: DESTROYED.");
}

TEST_F(GcpKmsTest, AKeyLivesFromItsRingToItsDestruction) {
  const std::string token = AsAdministrator();
  const std::string location = "projects/latchkey-owner/locations/europe-west4";
  const std::string ring = location + "/keyRings/databases";
  EXPECT_EQ(Kms(token, "GET", ring).Code(), "NOT_FOUND") << "who may look is told so";
  EXPECT_EQ(Kms(token, "POST", ring + "/cryptoKeys?cryptoKeyId=main", {{"purpose", "ENCRYPT_DECRYPT"}}).Code(), "NOT_FOUND");
  EXPECT_EQ(Kms(token, "POST", location + "/keyRings?keyRingId=databases").Text("name"), ring);
  EXPECT_EQ(Kms(token, "POST", location + "/keyRings?keyRingId=databases").status, 409);
  const GcpReply made = Kms(token, "POST", ring + "/cryptoKeys?cryptoKeyId=main",
                            {{"purpose", 1},
                             {"versionTemplate", json::object{{"algorithm", "GOOGLE_SYMMETRIC_ENCRYPTION"}, {"protectionLevel", 2}}},
                             {"labels", json::object{{"team", "db"}}},
                             {"destroyScheduledDuration", "86400s"}});
  ASSERT_EQ(made.status, 200) << made.text;
  EXPECT_TRUE(made.changed);
  const std::string key = ring + "/cryptoKeys/main";
  EXPECT_EQ(made.Text("name"), key);
  EXPECT_EQ(made.Text("purpose"), "ENCRYPT_DECRYPT");
  EXPECT_EQ(made.Text("destroyScheduledDuration"), "86400s");
  EXPECT_EQ(made.body.at("primary").as_object().at("protectionLevel").as_string(), "HSM");
  EXPECT_EQ(Kms(token, "POST", ring + "/cryptoKeys?cryptoKeyId=main", {{"purpose", "ENCRYPT_DECRYPT"}}).Code(), "ALREADY_EXISTS");

  EXPECT_EQ(Kms(token, "GET", location + "/keyRings").body.at("keyRings").as_array().size(), 1U);
  EXPECT_EQ(Kms(token, "GET", ring + "/cryptoKeys").body.at("cryptoKeys").as_array().size(), 1U);
  EXPECT_EQ(Kms(token, "POST", key + "/cryptoKeyVersions").Text("name"), key + "/cryptoKeyVersions/2");
  const GcpReply primary = Kms(token, "POST", key + ":updatePrimaryVersion", {{"cryptoKeyVersionId", "2"}});
  EXPECT_EQ(primary.body.at("primary").as_object().at("name").as_string(), key + "/cryptoKeyVersions/2");
  EXPECT_EQ(Kms(token, "POST", key + ":updatePrimaryVersion", {{"cryptoKeyVersionId", "9"}}).Code(), "NOT_FOUND");
  Kms(token, "PATCH", key + "/cryptoKeyVersions/1?updateMask=state", {{"state", "DISABLED"}});
  EXPECT_EQ(Kms(token, "POST", key + ":updatePrimaryVersion", {{"cryptoKeyVersionId", "1"}}).Code(), "FAILED_PRECONDITION");

  const GcpReply labelled = Kms(token, "PATCH", key + "?updateMask=labels", {{"labels", json::object{{"team", "other"}}}});
  EXPECT_EQ(labelled.body.at("labels").as_object().at("team").as_string(), "other");
  EXPECT_EQ(Kms(token, "PATCH", key + "?updateMask=purpose", {{"purpose", "MAC"}}).Code(), "INVALID_ARGUMENT");
  EXPECT_EQ(Kms(token, "PATCH", key, {}).Code(), "INVALID_ARGUMENT") << "no mask";
  EXPECT_EQ(Kms(token, "POST", key + "/cryptoKeyVersions/2:destroy").Text("destroyTime"), "2023-11-15T22:13:20.000000Z");
}

TEST_F(GcpKmsTest, ListsComeInPages) {
  const std::string token = AsAdministrator();
  for (int i = 0; i < 4; ++i) Kms(token, "POST", owner_key_ + "/cryptoKeyVersions");
  const std::string list = owner_key_ + "/cryptoKeyVersions";
  const GcpReply first = Kms(token, "GET", list + "?pageSize=3");
  EXPECT_EQ(first.body.at("cryptoKeyVersions").as_array().size(), 3U);
  EXPECT_EQ(first.body.at("totalSize").as_int64(), 5);
  const GcpReply rest = Kms(token, "GET", list + "?pageSize=3&pageToken=" + first.Text("nextPageToken"));
  EXPECT_EQ(rest.body.at("cryptoKeyVersions").as_array().size(), 2U);
  EXPECT_FALSE(rest.body.contains("nextPageToken"));
  EXPECT_EQ(Kms(token, "GET", list + "?pageToken=99").Code(), "INVALID_ARGUMENT");
  EXPECT_EQ(Kms(token, "GET", list + "?filter=state%3DENABLED").status, 501) << "a filter is not silently left out";
}

TEST_F(GcpKmsTest, RotatesByItselfWhenItsTimeHasComeAndOnceOnly) {
  const std::string administrator = AsAdministrator();
  const GcpReply set = Kms(administrator, "PATCH", owner_key_ + "?updateMask=rotationPeriod,next_rotation_time",
                           {{"rotationPeriod", "86400s"}, {"nextRotationTime", "2023-11-15T22:13:20Z"}});
  ASSERT_EQ(set.status, 200) << set.text;
  EXPECT_EQ(set.Text("nextRotationTime"), "2023-11-15T22:13:20.000000Z");
  clock_.Advance(absl::Hours(24 * 10) + absl::Seconds(1));
  const GcpReply key = Kms(AsAdministrator(), "GET", owner_key_);
  EXPECT_EQ(key.body.at("primary").as_object().at("name").as_string(), owner_key_ + "/cryptoKeyVersions/2");
  EXPECT_EQ(key.Text("nextRotationTime"), "2023-11-25T22:13:20.000000Z");
  EXPECT_FALSE(cloud_->Settle(clock_.Now(), Random::System()));
  EXPECT_EQ(Kms(AsAdministrator(), "PATCH", owner_key_ + "?updateMask=rotationPeriod", {{"rotationPeriod", "60s"}}).Code(),
            "INVALID_ARGUMENT");
  const GcpReply cleared = Kms(AsAdministrator(), "PATCH", owner_key_ + "?updateMask=rotationPeriod,nextRotationTime", {});
  EXPECT_FALSE(cleared.body.contains("rotationPeriod"));
  EXPECT_FALSE(cleared.body.contains("nextRotationTime"));
}

TEST_F(GcpKmsTest, EnumsAreNumbersForClientsThatAskForThem) {
  const GcpReply key = Kms(AsOwner(), "GET", owner_key_ + "?%24alt=json%3Benum-encoding=int");
  EXPECT_EQ(key.body.at("purpose").as_int64(), 1);
  EXPECT_EQ(key.body.at("primary").as_object().at("state").as_int64(), 1);
  EXPECT_EQ(Kms(AsOwner(), "GET", owner_key_ + "?$alt=json%3Benum-encoding=int").body.at("purpose").as_int64(), 1);
}

TEST_F(GcpKmsTest, DeniedAndAbsentLookAlike) {
  const std::string stranger = AsOperator();
  const std::string absent = "projects/latchkey-owner/locations/us-east1/keyRings/latchkey/cryptoKeys/nothing";
  for (const std::string& key : {owner_key_, absent}) {
    const GcpReply reply = Decrypt(stranger, key, B64("x"));
    EXPECT_EQ(reply.status, 403);
    EXPECT_EQ(reply.Code(), "PERMISSION_DENIED");
    EXPECT_EQ(reply.Message(),
              "Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied on resource '" + key + "' (or it may not exist).");
    EXPECT_THAT(reply.text, HasSubstr("IAM_PERMISSION_DENIED"));
    EXPECT_EQ(Kms(stranger, "GET", key).Code(), "PERMISSION_DENIED");
  }
  EXPECT_EQ(Kms(AsAdministrator(), "GET", absent).Message(), "CryptoKey " + absent + " not found.");
}

TEST_F(GcpKmsTest, ARoleAllowsWhatItSaysAndNoMore) {
  const std::string token = AsOwner();
  const std::string ciphertext = Encrypt(token, owner_key_, "a key").Text("ciphertext");
  Admin("keys/bindings/remove", {{"key", owner_key_}, {"role", "roles/cloudkms.cryptoKeyEncrypterDecrypter"}, {"member", kOwner}});
  EXPECT_EQ(Decrypt(token, owner_key_, ciphertext).Code(), "PERMISSION_DENIED");
  EXPECT_EQ(Encrypt(token, owner_key_, "a key").Code(), "PERMISSION_DENIED");
  EXPECT_EQ(Kms(token, "GET", owner_key_).status, 200) << "viewer it still is";
  Admin("keys/bindings", {{"key", owner_key_}, {"role", "roles/cloudkms.cryptoKeyDecrypter"}, {"member", kOwner}});
  EXPECT_EQ(Decrypt(token, owner_key_, ciphertext).status, 200);
  EXPECT_EQ(Encrypt(token, owner_key_, "a key").Code(), "PERMISSION_DENIED");
  EXPECT_EQ(Kms(token, "POST", owner_key_ + "/cryptoKeyVersions/1:destroy").Code(), "PERMISSION_DENIED");
  EXPECT_EQ(Encrypt(AsAdministrator(), owner_key_, "a key").Code(), "PERMISSION_DENIED") << "administering is not using";
}

TEST_F(GcpKmsTest, ADenialGoesBeforeEveryRole) {
  const std::string token = AsOwner();
  Admin("denials", {{"principal", kOwner}, {"key", owner_key_}});
  EXPECT_EQ(Encrypt(token, owner_key_, "a key").Code(), "PERMISSION_DENIED");
  EXPECT_EQ(Kms(token, "GET", owner_key_).Code(), "PERMISSION_DENIED");
  EXPECT_EQ(Encrypt(token, second_key_, "a key").status, 200) << "another key is left alone";
  Admin("denials/remove", {{"principal", kOwner}, {"key", owner_key_}});
  EXPECT_EQ(Encrypt(token, owner_key_, "a key").status, 200);
  Admin("denials", {{"principal", "*"}});
  EXPECT_EQ(Encrypt(token, second_key_, "a key").Code(), "PERMISSION_DENIED");
}

TEST_F(GcpKmsTest, TestIamPermissionsTellsWhatIsHeld) {
  const json::object asked{{"permissions", json::array{"cloudkms.cryptoKeyVersions.useToEncrypt", "cloudkms.cryptoKeys.update"}}};
  const GcpReply held = Kms(AsOwner(), "POST", owner_key_ + ":testIamPermissions", asked);
  EXPECT_EQ(held.text, R"({"permissions":["cloudkms.cryptoKeyVersions.useToEncrypt"]})");
  EXPECT_EQ(Kms(AsOperator(), "POST", owner_key_ + ":testIamPermissions", asked).text, "{}");
  EXPECT_EQ(Kms(AsOwner(), "POST", owner_key_ + ":testIamPermissions", {{"permissions", json::array{"storage.buckets.get"}}}).Code(),
            "INVALID_ARGUMENT");
}

TEST_F(GcpKmsTest, APolicyIsReadAndReplacedUnlessItChangedMeanwhile) {
  const std::string token = AsAdministrator();
  const GcpReply before = Kms(token, "GET", owner_key_ + ":getIamPolicy");
  EXPECT_THAT(before.text, HasSubstr("roles/cloudkms.cryptoKeyEncrypterDecrypter"));
  const json::object none{{"policy", json::object{{"etag", before.body.at("etag")}, {"bindings", json::array()}}}};
  EXPECT_EQ(Kms(token, "POST", owner_key_ + ":setIamPolicy", none).status, 200);
  EXPECT_EQ(Kms(token, "POST", owner_key_ + ":setIamPolicy", none).Code(), "ABORTED");
  EXPECT_EQ(Encrypt(AsOwner(), owner_key_, "a key").Code(), "PERMISSION_DENIED");
  const json::object bad{
      {"policy", json::object{{"bindings", json::array{json::object{{"role", "roles/x"}, {"members", json::array()}}}}}}};
  EXPECT_EQ(Kms(token, "POST", owner_key_ + ":setIamPolicy", bad).Code(), "INVALID_ARGUMENT");
  EXPECT_EQ(Kms(AsOwner(), "GET", owner_key_ + ":getIamPolicy").Code(), "PERMISSION_DENIED");
  EXPECT_EQ(Kms(token, "POST", owner_key_ + ":getIamPolicy").status, 200) << "how the official clients ask";
}

TEST_F(GcpKmsTest, KeysOfOtherPurposesAreThereToBeRefused) {
  const std::string token = AsAdministrator();
  const std::string ring = "projects/latchkey-owner/locations/us-east1/keyRings/latchkey";
  const GcpReply made = Kms(token, "POST", ring + "/cryptoKeys?cryptoKeyId=signing",
                            {{"purpose", "ASYMMETRIC_SIGN"}, {"versionTemplate", json::object{{"algorithm", "EC_SIGN_P256_SHA256"}}}});
  EXPECT_EQ(made.status, 200) << made.text;
  EXPECT_FALSE(made.body.contains("primary"));
  Admin("projects/bindings", {{"project", "latchkey-owner"}, {"role", "roles/owner"}, {"member", kAdministrator}});
  EXPECT_EQ(Encrypt(token, ring + "/cryptoKeys/signing", "x").Code(), "FAILED_PRECONDITION");
  EXPECT_EQ(Kms(token, "POST", ring + "/cryptoKeys?cryptoKeyId=other", {}).Code(), "INVALID_ARGUMENT") << "no purpose";
  const GcpReply bare = Kms(token, "POST", ring + "/cryptoKeys?cryptoKeyId=bare&skipInitialVersionCreation=true", {{"purpose", 1}});
  EXPECT_EQ(bare.status, 200);
  EXPECT_EQ(Encrypt(token, ring + "/cryptoKeys/bare", "x").Code(), "FAILED_PRECONDITION") << "there is no primary";
}

TEST_F(GcpKmsTest, NamesLocationsAndBodiesAreChecked) {
  const std::string token = AsOwner();
  EXPECT_EQ(Kms(token, "GET", "projects/latchkey-owner/locations/us-east1/keyRings/a%20b/cryptoKeys/k").Code(), "INVALID_ARGUMENT");
  EXPECT_EQ(Kms(token, "GET", owner_key_ + "/cryptoKeyVersions/01").Code(), "INVALID_ARGUMENT");
  const GcpReply elsewhere = Kms(token, "GET", "projects/latchkey-owner/locations/moon/keyRings/latchkey/cryptoKeys/owner-key-1");
  EXPECT_EQ(elsewhere.status, 404);
  EXPECT_THAT(elsewhere.Message(), HasSubstr("The request concerns location 'moon' but was sent to location 'global'"));
  EXPECT_EQ(Send("POST", "/v1/" + owner_key_ + ":encrypt", "{", {{"authorization", "Bearer " + token}}).Code(), "INVALID_ARGUMENT");
  EXPECT_EQ(Kms(token, "POST", owner_key_ + ":encrypt", {{"plaintext", "*"}}).Code(), "INVALID_ARGUMENT");
  EXPECT_EQ(Kms(token, "POST", owner_key_ + ":rawEncrypt").status, 501);
  EXPECT_EQ(Kms(token, "GET", "elsewhere").status, 404);
}

TEST_F(GcpKmsTest, ABodyThatIsAnEmptyStringIsNoBody) {
  const GcpReply made = Send("POST", "/v1/projects/latchkey-owner/locations/us-east1/keyRings?keyRingId=ring", "\"\"",
                             {{"authorization", "Bearer " + AsAdministrator()}});
  EXPECT_EQ(made.status, 200) << made.text;
}

TEST_F(GcpKmsTest, EncodedNamesAreTheSameNames) {
  std::string encoded = owner_key_;
  encoded.replace(encoded.find("owner-key-1"), 5, "%6Fwner");
  EXPECT_EQ(Kms(AsOwner(), "GET", encoded).status, 200);
}

TEST_F(GcpKmsTest, AStateThatWasReadBackDecryptsAndRemembers) {
  const std::string token = AsOwner();
  const std::string ciphertext = Encrypt(token, owner_key_, "a key").Text("ciphertext");
  Admin("keys/rotate", {{"key", owner_key_}});
  Admin("keys/destroy", {{"key", owner_key_}, {"version", 2}, {"seconds", 0}});
  Admin("denials", {{"principal", kOwner}, {"key", second_key_}});
  const json::object before = cloud_->ToJson();
  Restart();
  EXPECT_EQ(json::value(cloud_->ToJson()), json::value(before));
  EXPECT_EQ(Decrypt(token, owner_key_, ciphertext).Text("plaintext"), B64("a key")) << "tokens outlive a restart too";
  EXPECT_EQ(Encrypt(token, owner_key_, "x").Message(), owner_key_ + "/cryptoKeyVersions/2 is not enabled, current state is: DESTROYED.");
  EXPECT_EQ(Encrypt(token, second_key_, "x").Code(), "PERMISSION_DENIED");
}

TEST_F(GcpKmsTest, AMalformedStateIsRefusedByField) {
  json::object state = cloud_->ToJson();
  state.at("keys").as_array().at(0).as_object()["name"] = "projects/x";
  EXPECT_THAT(cloud_->Restore(state), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("keys.name")));
  EXPECT_THAT(NewGcpCloud()->Restore({}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(GcpKmsTest, OtherBytesOnOrderHaveAFittingChecksum) {
  const std::string token = AsOwner();
  const std::string ciphertext = Encrypt(token, owner_key_, "a key").Text("ciphertext");
  Decrypt(token, owner_key_, ciphertext);
  EXPECT_EQ(last_name_.operation, "Decrypt");
  cloud_->ReplacePlaintext(last_name_, last_, Random::System());
  const absl::StatusOr<json::object> body = ParseJsonObject(last_.body);
  ASSERT_THAT(body, IsOk());
  const absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(std::string(body->at("plaintext").as_string()));
  ASSERT_THAT(bytes, IsOk());
  EXPECT_EQ(bytes->size(), 5U);
  EXPECT_NE(AsText(*bytes), "a key");
  EXPECT_EQ(body->at("plaintextCrc32c").as_string(), std::to_string(gcp::Crc32c(*bytes)));
}

TEST_F(GcpKmsTest, FaultsSpeakTheFormOfTheirService) {
  const HttpResponse throttled = cloud_->Throttled({"cloudkms", "Decrypt"});
  EXPECT_EQ(throttled.status, 429);
  EXPECT_THAT(throttled.body, HasSubstr("RESOURCE_EXHAUSTED"));
  EXPECT_THAT(cloud_->Throttled({"sts", "exchangeToken"}).body, HasSubstr("\"error\":\"rate_limit_exceeded\""));
  EXPECT_THAT(cloud_->OrderedError({"cloudkms", "Decrypt"}, {.status = 503}).body, HasSubstr("\"status\":\"UNAVAILABLE\""));
  EXPECT_THAT(cloud_->OrderedError({"oauth2", "token"}, {.status = 400, .type = "invalid_grant", .message = "m"}).body,
              HasSubstr(R"("error":"invalid_grant","error_description":"m")"));
}

}  // namespace
}  // namespace latchkey::emulator
