#include "kms/azure/key_id.h"

#include "base/testing.h"

namespace latchkey {
namespace {

constexpr char kVersion[] = "0123456789abcdef0123456789abcdef";

TEST(AzureKeyIdTest, ReadsTheKeysOfVaultsAndHsmsOfEveryCloud) {
  struct Row {
    std::string host, suffix, authority;
  };
  for (const Row& row : {Row{"contoso.vault.azure.net", "vault.azure.net", "https://login.microsoftonline.com"},
                         Row{"contoso.managedhsm.azure.net", "managedhsm.azure.net", "https://login.microsoftonline.com"},
                         Row{"contoso.vault.azure.cn", "vault.azure.cn", "https://login.chinacloudapi.cn"},
                         Row{"contoso.vault.usgovcloudapi.net", "vault.usgovcloudapi.net", "https://login.microsoftonline.us"}}) {
    LK_ASSERT_OK_AND_ASSIGN(const AzureKeyId id, ParseAzureKeyId("https://" + row.host + "/keys/My-Key-1"));
    EXPECT_EQ(id.host, row.host);
    EXPECT_EQ(id.suffix, row.suffix);
    EXPECT_EQ(id.authority, row.authority);
    EXPECT_EQ(id.name, "My-Key-1");
    EXPECT_EQ(id.version, "");
  }
}

TEST(AzureKeyIdTest, ReadsTheVersionAndTakesAHostInAnyCase) {
  LK_ASSERT_OK_AND_ASSIGN(const AzureKeyId id,
                          ParseAzureKeyId("https://Contoso-1.VAULT.azure.net/keys/k/0123456789ABCDEF0123456789abcdef"));
  EXPECT_EQ(id.host, "contoso-1.vault.azure.net");
  EXPECT_EQ(id.version, kVersion);
}

TEST(AzureKeyIdTest, LeadsToNoOtherHostThanAVaults) {
  for (const char* uri : {"",
                          "https://",
                          "contoso.vault.azure.net/keys/k",
                          "http://contoso.vault.azure.net/keys/k",
                          "https://vault.azure.net/keys/k",
                          "https://.vault.azure.net/keys/k",
                          "https://a.b.vault.azure.net/keys/k",
                          "https://contoso.vault.azure.net.evil.example/keys/k",
                          "https://contoso.evil.example/keys/k",
                          "https://contosovault.azure.net/keys/k",
                          "https://contoso.vault.azure.net:8443/keys/k",
                          "https://contoso.vault.azure.net@evil.example/keys/k",
                          "https://evil.example#contoso.vault.azure.net/keys/k",
                          "https://evil.example?contoso.vault.azure.net/keys/k",
                          "https://evil.example\\.vault.azure.net/keys/k",
                          "https://user@contoso.vault.azure.net/keys/k",
                          "https://contoso.vault.azure.net./keys/k",
                          "https://169.254.169.254/keys/k",
                          "https://1contoso.vault.azure.net/keys/k",
                          "https://con--toso.vault.azure.net/keys/k",
                          "https://contoso-.vault.azure.net/keys/k",
                          "https://co.vault.azure.net/keys/k",
                          "https://abcdefghijklmnopqrstuvwxy.vault.azure.net/keys/k",
                          "https://con toso.vault.azure.net/keys/k",
                          "https://con%74oso.vault.azure.net/keys/k",
                          "https://contoso.vault.azure.net\r\nhost: evil/keys/k",
                          "https://kontö.vault.azure.net/keys/k"}) {
    EXPECT_FALSE(ParseAzureKeyId(uri).ok()) << uri;
  }
}

TEST(AzureKeyIdTest, LeadsToNothingButAKey) {
  const std::string vault = "https://contoso.vault.azure.net";
  for (const std::string& path :
       {std::string(), std::string("/"), std::string("/keys"), std::string("/keys/"), std::string("/secrets/k"), std::string("/Keys/k"),
        std::string("/keys/k/"), std::string("/keys/k?x=1"), std::string("/keys/k#x"), std::string("/keys/../secrets/k"),
        std::string("/keys/k_1"), std::string("/keys/k%2e"), std::string("//keys/k"), "/keys/" + std::string(128, 'k'),
        std::string("/keys/k/0123"), std::string("/keys/k/") + kVersion + "0", std::string("/keys/k/") + kVersion + "/unwrapkey",
        std::string("/keys/k/0123456789abcdef0123456789abcdeg"), std::string("/keys/k\0x", 9)}) {
    EXPECT_FALSE(ParseAzureKeyId(vault + path).ok()) << path;
  }
  LK_EXPECT_OK(ParseAzureKeyId(vault + "/keys/" + std::string(127, 'k')));
}

TEST(AzureKeyIdTest, TakesTenantsByTheirIdOnly) {
  LK_ASSERT_OK_AND_ASSIGN(const std::string tenant, ParseAzureTenant("72F988BF-86f1-41af-91ab-2d7cd011db47"));
  EXPECT_EQ(tenant, "72f988bf-86f1-41af-91ab-2d7cd011db47");
  for (const char* text :
       {"", "common", "organizations", "contoso.onmicrosoft.com", "72f988bf-86f1-41af-91ab-2d7cd011db4",
        "72f988bf-86f1-41af-91ab-2d7cd011db47/", "72f988bf086f1-41af-91ab-2d7cd011db47", "{2f988bf-86f1-41af-91ab-2d7cd011db47"}) {
    EXPECT_FALSE(ParseAzureTenant(text).ok()) << text;
  }
}

}  // namespace
}  // namespace latchkey
