#include "kms/azure/challenge.h"

#include "base/encoding.h"
#include "base/testing.h"
#include "kms/azure/fake_azure.h"

namespace latchkey {
namespace {

constexpr char kTenant[] = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const AzureChallenge kPlain{.tenant = kTenant, .resource = "https://vault.azure.net"};

TEST(AzureChallengeTest, ReadsWhatVaultsAnswer) {
  for (
      const char* header :
      {R"(Bearer authorization="https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47", resource="https://vault.azure.net")",
       R"(Bearer authorization="https://login.windows.net/72F988BF-86f1-41af-91ab-2d7cd011db47/", resource="https://vault.azure.net/")",
       R"(bearer authorization_uri="https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/oauth2/authorize",resource="https://vault.azure.net")",
       R"(PoP authorization="https://x/y", resource="z", Bearer authorization="https://login.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47", resource="https://vault.azure.net", Basic realm="a")",
       R"(Bearer realm="", authorization="https://l/72f988bf-86f1-41af-91ab-2d7cd011db47",resource=https://vault.azure.net)"}) {
    LK_ASSERT_OK_AND_ASSIGN(const AzureChallenge challenge, ParseAzureChallenge(header));
    EXPECT_EQ(challenge, kPlain) << header;
  }
}

TEST(AzureChallengeTest, ReadsTheClaimsThatAreMissing) {
  const std::string claims = R"({"access_token":{"nbf":{"essential":true,"value":"1>?"}}})";
  for (const std::string& encoded : {Base64Encode(AsBytes(claims)), Base64UrlEncode(AsBytes(claims))}) {
    LK_ASSERT_OK_AND_ASSIGN(const AzureChallenge challenge,
                            ParseAzureChallenge(ChallengeHeader(kTenant, "https://vault.azure.net",
                                                                ", error=\"insufficient_claims\", claims=\"" + encoded + "\"")));
    EXPECT_EQ(challenge.claims, claims);
  }
  for (const char* more : {", error=\"insufficient_claims\"", ", error=\"insufficient_claims\", claims=\"*\"",
                           ", error=\"insufficient_claims\", claims=\"W10=\""}) {
    EXPECT_FALSE(ParseAzureChallenge(ChallengeHeader(kTenant, "https://vault.azure.net", more)).ok()) << more;
  }
  LK_ASSERT_OK_AND_ASSIGN(const AzureChallenge other, ParseAzureChallenge(ChallengeHeader(kTenant, "https://vault.azure.net",
                                                                                          ", error=\"invalid_token\", claims=\"*\"")));
  EXPECT_EQ(other.claims, "");
}

TEST(AzureChallengeTest, RefusesWhatIsMalformed) {
  const std::string good = ChallengeHeader(kTenant, "https://vault.azure.net");
  for (const std::string& header :
       {std::string(), std::string("Bearer"), std::string("Negotiate"), std::string("Basic realm=\"x\""), good.substr(7), good + ", =",
        good.substr(0, good.size() - 1), good + ", resource=\"https://managedhsm.azure.net\"", "Bearer \"" + good, good + ", x=\"\\",
        ChallengeHeader("common", "https://vault.azure.net"), ChallengeHeader("", "https://vault.azure.net"), ChallengeHeader(kTenant, ""),
        ChallengeHeader(kTenant, "https://vault.azure.net\\\" x"), ChallengeHeader(kTenant, std::string(300, 'x')),
        "Bearer authorization=\"" + std::string(kTenant) + "\", resource=\"https://vault.azure.net\"", good + std::string(20'000, ' ')}) {
    EXPECT_FALSE(ParseAzureChallenge(header).ok()) << header;
  }
}

TEST(AzureChallengeTest, NoTokenGoesToWhoAsksForAnotherResourcesOrTenants) {
  const auto class_of = [](const std::string& resource, std::string_view suffix, std::string_view tenant) {
    return FailureClassOf(CheckAzureChallenge({.tenant = kTenant, .resource = resource}, suffix, tenant));
  };
  LK_EXPECT_OK(CheckAzureChallenge(kPlain, "vault.azure.net", kTenant));
  LK_EXPECT_OK(CheckAzureChallenge(kPlain, "", ""));
  for (const char* resource : {"https://management.azure.com", "https://managedhsm.azure.net", "https://azure.net", "https://evil.example",
                               "http://vault.azure.net", "https://vault.azure.net.evil.example", "https://vault.azure.net:443",
                               "vault.azure.net", "https://graph.microsoft.com"}) {
    EXPECT_EQ(class_of(resource, "vault.azure.net", kTenant), FailureClass::kUnreachable) << resource;
  }
  EXPECT_EQ(class_of("https://vault.azure.net", "vault.azure.net", kOurTenant), FailureClass::kUnsuitable);
}

}  // namespace
}  // namespace latchkey
