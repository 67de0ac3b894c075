#include "cli/dev_clouds.h"

#include <sys/stat.h>

#include "agent/config.h"
#include "base/file.h"
#include "base/testing.h"

namespace latchkey {
namespace {

using ::testing::HasSubstr;

constexpr char kTokens[] = R"([connections.hsm]
type = "PKCS11"
module = "/usr/lib/softhsm/libsofthsm2.so"
token_label = "owner"
pin_file = "/etc/latchkey/owner.pin"
)";

class DevStackTest : public ::testing::Test {
 protected:
  absl::StatusOr<DevStack> Prepare(const std::string& connections = "") {
    if (connections.empty()) return PrepareDevStack({.folder = folder_ / "dev"});
    EXPECT_THAT(WriteFileAtomically(folder_ / "connections.toml", connections), IsOk());
    return PrepareDevStack({.folder = folder_ / "dev", .connections_file = folder_ / "connections.toml"});
  }

  TempFolder folder_;
};

TEST_F(DevStackTest, ItsAgentReachesEveryCloudAsTheOperator) {
  LK_ASSERT_OK_AND_ASSIGN(const DevStack stack, Prepare());
  LK_ASSERT_OK_AND_ASSIGN(const AgentConfig agent, LoadAgentConfig(stack.agent_config));
  const KmsConfig& kms = agent.kms.kms;
  EXPECT_EQ(kms.gcp.kms_endpoint, stack.clouds.at("gcp").url);
  EXPECT_EQ(kms.gcp.metadata_endpoint, stack.clouds.at("gcp").url);
  EXPECT_EQ(kms.azure.key_endpoint, stack.clouds.at("azure").url);
  EXPECT_EQ(kms.azure.authority, stack.clouds.at("azure").url);
  ASSERT_TRUE(kms.vault_connections.contains("vault"));
  const VaultConnection& vault = kms.vault_connections.at("vault");
  EXPECT_EQ(vault.address, stack.clouds.at("vault").url);
  for (const std::string& file : {kms.gcp.credentials_file, kms.azure.client_certificate_file, vault.secret_id_file}) {
    struct stat facts{};
    ASSERT_EQ(stat(file.c_str(), &facts), 0) << file;
    EXPECT_EQ(facts.st_mode & 0777, 0600U) << file;
    EXPECT_GT(facts.st_size, 0) << file;
  }
}

TEST_F(DevStackTest, TheOwnersKeysAreVariablesForTheShell) {
  LK_ASSERT_OK_AND_ASSIGN(const DevStack stack, Prepare());
  LK_ASSERT_OK_AND_ASSIGN(const std::string variables, DevCloudVariables(stack.clouds));
  for (const char* line : {"export GCP_OWNER_KEY=projects/", "export GCP_OWNER_PRINCIPAL=latchkey-cmek@",
                           "export AZURE_SECOND_OWNER_KEY=https://", "export VAULT_OWNER_KEY=vault://vault/transit/"}) {
    EXPECT_THAT(variables, HasSubstr(line));
  }
}

TEST_F(DevStackTest, ConnectionsAreAddedWhenItIsMadeAndNotLater) {
  LK_ASSERT_OK_AND_ASSIGN(const DevStack stack, Prepare(kTokens));
  LK_ASSERT_OK_AND_ASSIGN(const AgentConfig agent, LoadAgentConfig(stack.agent_config));
  EXPECT_TRUE(agent.kms.kms.pkcs11_connections.contains("hsm"));
  EXPECT_THAT(Prepare(kTokens), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--connections")));
  EXPECT_THAT(Prepare(), IsOk());
}

TEST_F(DevStackTest, AFaultOfTheConnectionsIsNamedBeforeAnythingIsThere) {
  EXPECT_THAT(Prepare("[connections.hsm]\ntype = \"PKCS12\"\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("connections.hsm.type")));
  // The stack is begun again.
  EXPECT_THAT(Prepare(kTokens), IsOk());
}

}  // namespace
}  // namespace latchkey
