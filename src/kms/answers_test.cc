// What must not be believed in an answer of HTTP status 200. The providers' own tests ask for whole operations; here are the answers that
// no well-behaved fake gives.
#include "kms/aws/answers.h"

#include <limits>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "base/testing.h"
#include "kms/answer_fields.h"
#include "kms/azure/answers.h"
#include "kms/gcp/answers.h"
#include "kms/gcp/crc32c.h"
#include "kms/vault/answers.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;

const absl::Time kAsked = absl::FromUnixSeconds(1'700'000'000);
const std::string kArn = "arn:aws:kms:us-east-1:222222222222:key/0";
const std::string kGcpKey = "projects/owner/locations/eu/keyRings/r/cryptoKeys/k";
const std::string kKid = "https://owner.vault.azure.net/keys/k/0123456789abcdef0123456789abcdef";

template <typename Reader, typename... More>
auto Read(const json::object& answer, const Reader& reader, More&&... more) {
  std::string body = json::serialize(answer);
  auto out = reader(body, std::forward<More>(more)...);
  EXPECT_TRUE(body.empty());
  return out;
}
std::string Base64Of(size_t size) { return Base64Encode(std::vector<uint8_t>(size, 0x5a)); }
AzureAsked AskedAzure() {
  static const AzureKeyId kId = ParseAzureKeyId("https://owner.vault.azure.net/keys/k").value();
  return {.key = kId, .any_host = false, .what = "get"};
}

TEST(AnswerTimeTest, IsOneThatCanBeWrittenDown) {
  EXPECT_EQ(ReadAnswerTime("2023-11-14T22:13:20Z"), kAsked);
  for (const char* text :
       {"infinite-future", "infinite-past", "99999-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", ""}) {
    EXPECT_EQ(ReadAnswerTime(text), std::nullopt) << text;
  }
}

TEST(AnswerTimeTest, AnEndIsNeitherForEverNorBeforeTheToken) {
  EXPECT_EQ(BoundExpiry(absl::InfiniteFuture(), kAsked, absl::Hours(1)), kAsked + absl::Hours(1));
  EXPECT_EQ(BoundExpiry(absl::InfinitePast(), kAsked, absl::Hours(1)), kAsked);
  EXPECT_EQ(BoundExpiry(kAsked + absl::Minutes(5), kAsked, absl::Hours(1)), kAsked + absl::Minutes(5));
}

TEST(AnswerSizeTest, ACiphertextThatCouldNotBeSentBackIsNotKept) {
  const auto aws = [](size_t size) { return Read({{"KeyId", kArn}, {"CiphertextBlob", Base64Of(size)}}, ReadAwsEncrypted, kArn).status(); };
  LK_EXPECT_OK(aws(kMostAwsCiphertext));
  EXPECT_EQ(FailureClassOf(aws(kMostAwsCiphertext + 1)), FailureClass::kCorrupt);

  const auto gcp = [](size_t size) {
    const std::vector<uint8_t> bytes(size, 0x5a);
    bool changed = false;
    return Read({{"name", kGcpKey + "/cryptoKeyVersions/1"},
                 {"ciphertext", Base64Encode(bytes)},
                 {"ciphertextCrc32c", absl::StrCat(Crc32c(bytes))},
                 {"verifiedPlaintextCrc32c", true}},
                ReadGcpEncrypted, kGcpKey, false, changed)
        .status();
  };
  LK_EXPECT_OK(gcp(kMostGcpCiphertext));
  EXPECT_EQ(FailureClassOf(gcp(kMostGcpCiphertext + 1)), FailureClass::kCorrupt);

  const auto azure = [](size_t size) {
    return Read({{"kid", kKid}, {"value", Base64UrlEncode(std::vector<uint8_t>(size, 0x5a))}}, ReadAzureWrapped, AskedAzure()).status();
  };
  LK_EXPECT_OK(azure(512));
  EXPECT_EQ(FailureClassOf(azure(513)), FailureClass::kCorrupt);

  const auto vault = [](size_t size) {
    return Read({{"data", json::object{{"ciphertext", absl::StrCat("vault:v1:", Base64Of(size))}}}}, ReadVaultEncrypted).status();
  };
  LK_EXPECT_OK(vault(3000));
  EXPECT_EQ(FailureClassOf(vault(3072)), FailureClass::kCorrupt);
}

TEST(AnswerSizeTest, WhatWasUnwrappedIsNoLongerThanWhatLatchkeyWraps) {
  const auto all = [](size_t size) {
    const std::vector<uint8_t> bytes(size, 0x5a);
    bool changed = false;
    return std::vector<absl::Status>{
        Read({{"KeyId", kArn}, {"Plaintext", Base64Encode(bytes)}}, ReadAwsDecrypted, kArn).status(),
        Read({{"plaintext", Base64Encode(bytes)}, {"plaintextCrc32c", absl::StrCat(Crc32c(bytes))}}, ReadGcpDecrypted, changed).status(),
        Read({{"kid", kKid}, {"value", Base64UrlEncode(bytes)}}, ReadAzureUnwrapped, AskedAzure()).status(),
        Read({{"data", json::object{{"plaintext", Base64Encode(bytes)}}}}, ReadVaultDecrypted).status()};
  };
  for (const absl::Status& status : all(kMostUnwrapped)) LK_EXPECT_OK(status);
  for (const absl::Status& status : all(kMostUnwrapped + 1)) EXPECT_EQ(FailureClassOf(status), FailureClass::kUnreachable);
}

std::string Sts(const std::string& id, const std::string& token, const std::string& expiration) {
  return absl::StrCat("<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>", id,
                      "</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>", token, "</SessionToken><Expiration>", expiration,
                      "</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>");
}
absl::StatusOr<SharedAwsCredentials> ReadSts(std::string body) { return ReadStsCredentials(body, "AssumeRole", kAsked, absl::Minutes(15)); }

TEST(AwsAnswersTest, CredentialsOfARoleLastNoLongerThanWasAskedFor) {
  LK_ASSERT_OK_AND_ASSIGN(const SharedAwsCredentials good, ReadSts(Sts("ASIA0", "token", "2023-11-14T22:20:00Z")));
  EXPECT_EQ(good->expires, kAsked + absl::Seconds(400));
  LK_ASSERT_OK_AND_ASSIGN(const SharedAwsCredentials late, ReadSts(Sts("ASIA0", "token", "2099-01-01T00:00:00Z")));
  EXPECT_EQ(late->expires, kAsked + absl::Minutes(15));
  EXPECT_EQ(FailureClassOf(ReadSts(Sts("ASIA0", "token", "infinite-future")).status()), FailureClass::kUnreachable);
}

TEST(AwsAnswersTest, CredentialsThatWouldEndAHeaderAreNone) {
  for (const std::string& body :
       {Sts("ASIA0&#13;&#10;x-amz-target: y", "token", "2023-11-14T22:20:00Z"), Sts("ASIA0", "token&#10;x", "2023-11-14T22:20:00Z"),
        Sts("ASIA0", std::string(kMostToken + 1, 't'), "2023-11-14T22:20:00Z")}) {
    EXPECT_EQ(FailureClassOf(ReadSts(body).status()), FailureClass::kUnreachable);
  }
}

TEST(AwsAnswersTest, AMachineThatSaysWhyItHasNoCredentialsDoesNotSayWhatTheyAre) {
  const auto read = Read(
      {{"Code", "Failed"}, {"Message", "not secret-words nor token-words"}, {"SecretAccessKey", "secret-words"}, {"Token", "token-words"}},
      ReadMachineCredentials, "instance metadata", kAsked);
  EXPECT_THAT(read.status().message(), HasSubstr("Failed not [secret] nor [secret]"));
}

TEST(AwsAnswersTest, TextsOfAKeyAreMadeFitForPeople) {
  LK_ASSERT_OK_AND_ASSIGN(
      const AwsKeyMetadata key,
      Read({{"KeyMetadata",
             json::object{{"Arn", kArn}, {"KeyState", "Odd\n\x1b[31m" + std::string(5000, 'x')}, {"KeyUsage", "U"}, {"KeySpec", "S"}}}},
           ReadAwsKeyMetadata, kArn));
  EXPECT_LE(key.key_state.size(), 1024U);
  EXPECT_THAT(key.key_state, Not(HasSubstr("\n")));
  EXPECT_FALSE(DescribeAwsKey(key).usable);
}

TEST(GcpAnswersTest, ATimeThatIsNoneIsLeftOut) {
  LK_ASSERT_OK_AND_ASSIGN(
      const GcpKey key,
      Read({{"name", kGcpKey}, {"purpose", "ENCRYPT_DECRYPT"}, {"nextRotationTime", "infinite-future"}}, ReadGcpKey, kGcpKey));
  EXPECT_EQ(key.next_rotation, std::nullopt);
  EXPECT_EQ(FailureClassOf(Read({{"accessToken", "t"}, {"expireTime", "infinite-past"}}, ReadGcpImpersonatedToken, "t", kAsked,
                                absl::Minutes(15), FailureClass::kUnreachable)
                               .status()),
            FailureClass::kUnreachable);
}

TEST(AzureAnswersTest, ATokenLastsThirtyHoursAtMostWhateverIsSaid) {
  const auto expires = [](json::value in, json::value on) {
    return Read({{"access_token", "t"}, {"expires_in", std::move(in)}, {"expires_on", std::move(on)}}, ReadAzureToken, "token", kAsked)
        ->expires;
  };
  EXPECT_EQ(expires(3599, nullptr), kAsked + absl::Seconds(3599));
  EXPECT_EQ(expires(9'000'000, nullptr), kAsked + absl::Hours(30));
  EXPECT_EQ(expires(nullptr, 99'000'000'000), kAsked + absl::Hours(30));
  EXPECT_EQ(expires(nullptr, 1), kAsked);
  // A period that is none does not go before a date that is one.
  EXPECT_EQ(expires(std::numeric_limits<int64_t>::max(), 1'700'003'600), kAsked + absl::Hours(1));
  EXPECT_EQ(expires(-1, 1'700'003'600), kAsked + absl::Hours(1));
}

TEST(AzureAnswersTest, ADeletedKeyIsTheOneThatWasAskedForAndSaysThatItIsDeleted) {
  LK_EXPECT_OK(Read({{"deletedDate", 1'690'000'000}, {"key", json::object{{"kid", kKid}}}}, ReadAzureDeletedKey, AskedAzure()).status());
  EXPECT_EQ(
      FailureClassOf(Read({{"deletedDate", 1'690'000'000},
                           {"key", json::object{{"kid", "https://owner.vault.azure.net/keys/other/" + kKid.substr(kKid.size() - 32)}}}},
                          ReadAzureDeletedKey, AskedAzure())
                         .status()),
      FailureClass::kCorrupt);
  EXPECT_EQ(FailureClassOf(Read({}, ReadAzureDeletedKey, AskedAzure()).status()), FailureClass::kUnreachable);
}

TEST(VaultAnswersTest, PeriodsAndTimesAreOnesThatCanBeWrittenDown) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  LK_ASSERT_OK_AND_ASSIGN(const VaultKey key, Read({{"data", json::object{{"name", "k"},
                                                                          {"type", "aes256-gcm96"},
                                                                          {"latest_version", 1},
                                                                          {"auto_rotate_period", most},
                                                                          {"keys", json::object{{"1", 99'000'000'000}}}}}},
                                                   ReadVaultKey, "k"));
  EXPECT_EQ(latchkey::FormatTime(*DescribeVaultKey("vault://main/transit/k", key).next_rotation).substr(0, 2), "52");
  LK_ASSERT_OK_AND_ASSIGN(const VaultLoginAnswer login,
                          Read({{"auth", json::object{{"client_token", "t"}, {"lease_duration", most}}}}, ReadVaultLogin, "login"));
  EXPECT_LT(login.lease, absl::InfiniteDuration());
}

}  // namespace
}  // namespace latchkey
