#include "kms/gcp/names.h"

#include "base/encoding.h"
#include "base/testing.h"
#include "kms/gcp/crc32c.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

constexpr char kKey[] = "projects/owner-project/locations/europe-west3/keyRings/Ring_1/cryptoKeys/key-1";

TEST(GcpNamesTest, TakesAKeysNameApart) {
  LK_ASSERT_OK_AND_ASSIGN(const GcpKeyName name, ParseGcpKeyName(kKey));
  EXPECT_EQ(name.project, "owner-project");
  EXPECT_EQ(name.location, "europe-west3");
  EXPECT_EQ(name.key_ring, "Ring_1");
  EXPECT_EQ(name.crypto_key, "key-1");
  for (const char* good : {"projects/123456789012/locations/global/keyRings/r/cryptoKeys/k",
                           "projects/example.com:my-project/locations/us/keyRings/r/cryptoKeys/k"}) {
    LK_EXPECT_OK(ParseGcpKeyName(good));
  }
}

TEST(GcpNamesTest, RefusesWhatIsNoNameOfAKey) {
  const std::string long_name(64, 'k');
  for (const std::string& bad : std::vector<std::string>{"",
                                                         "k",
                                                         "projects/p",
                                                         std::string("/") + kKey,
                                                         std::string(kKey) + "/",
                                                         std::string(kKey) + "\n",
                                                         std::string(kKey) + "?alt=media",
                                                         "//cloudkms.googleapis.com/" + std::string(kKey),
                                                         "https://cloudkms.googleapis.com/v1/" + std::string(kKey),
                                                         "projects/owner-project/locations/../keyRings/r/cryptoKeys/k",
                                                         "projects/owner-project/locations//keyRings/r/cryptoKeys/k",
                                                         "projects/owner-project/locations/eu.evil.org/keyRings/r/cryptoKeys/k",
                                                         "projects/Owner/locations/eu/keyRings/r/cryptoKeys/k",
                                                         "projects/-/locations/eu/keyRings/r/cryptoKeys/k",
                                                         "projects/1evil-x/locations/eu/keyRings/r/cryptoKeys/k",
                                                         "projects/evil:my-project/locations/eu/keyRings/r/cryptoKeys/k",
                                                         "projects/owner-project/locations/eu/keyRings/r/cryptoKeys/k:decrypt",
                                                         "projects/owner-project/locations/eu/keyRings/r/cryptoKeys/%2e",
                                                         "projects/owner-project/locations/eu/keyRings/r/cryptoKeys/" + long_name,
                                                         "projects/owner-project/locations/eu/keyrings/r/cryptokeys/k",
                                                         "projects/owner-project/locations/eu/keyRings/r/cryptoKeys/k/x/y/z"}) {
    EXPECT_THAT(ParseGcpKeyName(bad), StatusIs(absl::StatusCode::kInvalidArgument)) << bad;
  }
  EXPECT_THAT(ParseGcpKeyName(std::string(kKey) + "/cryptoKeyVersions/1"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name the key itself")));
}

TEST(GcpNamesTest, KnowsServiceAccountsFromOtherAddresses) {
  for (const char* good : {"latchkey-cmek@owner-project.iam.gserviceaccount.com", "latchkey@my-project.example.com.iam.gserviceaccount.com",
                           "123456789012-compute@developer.gserviceaccount.com", "my-project@appspot.gserviceaccount.com"}) {
    LK_EXPECT_OK(CheckServiceAccount(good)) << good;
  }
  for (const char* bad : {"", "x", "@p.iam.gserviceaccount.com", "a@gserviceaccount.com", "somebody@example.com",
                          "A@p.iam.gserviceaccount.com", "a/../b@p.iam.gserviceaccount.com", "a:signJwt@p.iam.gserviceaccount.com",
                          "a@b@p.iam.gserviceaccount.com", "a@p.iam.gserviceaccount.com/x", "a@p.iam.gserviceaccount.com.evil.org",
                          "a@.iam.gserviceaccount.com", "a@p.iam.gserviceaccount.com\r\nx: y", "-a@p.iam.gserviceaccount.com"}) {
    EXPECT_THAT(CheckServiceAccount(bad), StatusIs(absl::StatusCode::kInvalidArgument)) << bad;
  }
}

TEST(GcpNamesTest, KnowsAVersionOfTheKeyFromOneOfAnother) {
  EXPECT_EQ(VersionOfGcpKey(kKey, std::string(kKey) + "/cryptoKeyVersions/12"), "12");
  EXPECT_EQ(VersionOfGcpKey(kKey, std::string(kKey) + "0/cryptoKeyVersions/1"), std::nullopt);
  EXPECT_EQ(VersionOfGcpKey(kKey, std::string(kKey) + "/cryptoKeyVersions/x"), std::nullopt);
  EXPECT_EQ(VersionOfGcpKey(kKey, std::string(kKey) + "/cryptoKeyVersions/1/x"), std::nullopt);
  EXPECT_EQ(VersionOfGcpKey(kKey, kKey), std::nullopt);
  // A project's number and its id may stand for one another, two ids may not.
  EXPECT_TRUE(IsSameGcpKey(kKey, "projects/123/locations/europe-west3/keyRings/Ring_1/cryptoKeys/key-1"));
  EXPECT_FALSE(IsSameGcpKey(kKey, "projects/other-project/locations/europe-west3/keyRings/Ring_1/cryptoKeys/key-1"));
  EXPECT_FALSE(IsSameGcpKey(kKey, "projects/owner-project/locations/europe-west1/keyRings/Ring_1/cryptoKeys/key-1"));
}

// RFC 3720, B.4, and the check value of the CRC catalogue.
TEST(GcpCrc32cTest, IsCastagnolis) {
  EXPECT_EQ(Crc32c(AsBytes("123456789")), 0xE3069283);
  EXPECT_EQ(Crc32c(std::vector<uint8_t>(32, 0x00)), 0x8A9136AA);
  EXPECT_EQ(Crc32c(std::vector<uint8_t>(32, 0xFF)), 0x62A8AB43);
  EXPECT_EQ(Crc32c({}), 0);
}

}  // namespace
}  // namespace latchkey
