#include "agent/config.h"

#include "base/testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr char kLeast[] = "server = \"https://127.0.0.1:7790\"\nregion = \"us-east-1\"\n";

TEST(AgentConfigTest, TwoSettingsAreEnough) {
  LK_ASSERT_OK_AND_ASSIGN(const AgentConfig config, ParseAgentConfig(kLeast));
  EXPECT_EQ(config.region, "us-east-1");
  EXPECT_EQ(config.clocks.check_interval, absl::Seconds(60));
  EXPECT_EQ(config.clocks.outage_grace, absl::Hours(1));
  EXPECT_EQ(config.clocks.escrow_grace, std::nullopt);
}

TEST(AgentConfigTest, ReadsEverySetting) {
  LK_ASSERT_OK_AND_ASSIGN(const AgentConfig config, ParseAgentConfig(std::string(kLeast) + R"(
join_token = "t"
state_dir = "/s"
run_dir = "/r"
data_dir = "/d"
user = "latchkey"
hostname = "h"
advertise_host = "db.example.com"
listen_address = "0.0.0.0"
port_range = "6000-6010"
metrics_address = ""
program = "/usr/bin/latchkey"
fuse_io_uring = false
allow_return_to_escrow = true
escrow_uri = "local://escrow"
i_accept_plaintext_off_loopback = true
[clocks]
check_interval = "2s"
outage_grace = "20s"
confirm_after = ["1s", "2s"]
retry_base = "500ms"
stop_timeout = "3s"
escrow_grace = "10m"
probe_interval = "1s"
[aws]
kms_endpoint = "https://127.0.0.1:1"
sts_endpoint = "https://127.0.0.1:2"
ca_file = "/ca"
profile = "p"
shared_credentials_file = "/c"
config_file = "/f"
[gcp]
kms_endpoint = "https://127.0.0.1:3"
credentials_file = "/g"
ca_file = "/gca"
[azure]
key_endpoint = "https://127.0.0.1:4"
tenant_id = "t"
client_id = "c"
client_secret_file = "/s"
[connections.escrow]
type = "LOCAL"
path = "/keys/escrow"
[connections.prod]
type = "VAULT_TRANSIT"
address = "https://vault.example:8200"
namespace = "team"
ca_file = "/vca"
role_id = "r"
secret_id_file = "/sid"
[connections.hsm]
type = "PKCS11"
module = "/usr/lib/softhsm/libsofthsm2.so"
token_label = "cmek"
pin_file = "/pin"
[connections.kmip1]
type = "KMIP"
host = "kmip.example"
port = 5697
ca_file = "/kca"
client_certificate_file = "/kc"
client_key_file = "/kk"
[[allowed_root_keys]]
type = "AWS_KMS"
account = "111122223333"
principal = "arn:aws:iam::111122223333:role/latchkey"
)"));
  EXPECT_EQ(config.last_port, 6010);
  EXPECT_EQ(config.clocks.confirm_after, (std::vector<absl::Duration>{absl::Seconds(1), absl::Seconds(2)}));
  EXPECT_EQ(config.clocks.escrow_grace, absl::Minutes(10));
  EXPECT_EQ(config.kms.kms.local_connections.at("escrow"), "/keys/escrow");
  EXPECT_EQ(config.kms.kms.gcp.credentials_file, "/g");
  EXPECT_EQ(config.kms.kms.azure.client_secret_file, "/s");
  EXPECT_EQ(config.kms.kms.vault_connections.at("prod").namespace_path, "team");
  EXPECT_EQ(config.kms.vault_ca_files.at("prod"), "/vca");
  EXPECT_EQ(config.kms.kms.pkcs11_connections.at("hsm").token_label, "cmek");
  EXPECT_EQ(config.kms.kms.kmip_connections.at("kmip1").port, 5697);
  EXPECT_EQ(config.allowed_root_keys.at(0).account, "111122223333");
  EXPECT_FALSE(config.fuse_io_uring);
  EXPECT_TRUE(config.allow_return_to_escrow);
  EXPECT_EQ(config.escrow_uri, "local://escrow");
  EXPECT_TRUE(config.i_accept_plaintext_off_loopback);
}

struct Fault {
  const char* toml;
  const char* message;
};

TEST(AgentConfigTest, EveryFaultNamesItsKey) {
  const Fault faults[] = {
      {"serverr = \"x\"\n", "serverr: is not a setting"},
      {"user = 7\n", "user: must be a string"},
      {"allow_return_to_escrow = \"yes\"\n", "allow_return_to_escrow: must be true or false"},
      {"port_range = \"5500\"\n", "port_range: "},
      {"port_range = \"80-90\"\n", "port_range: "},
      {"escrow_uri = 1\n", "escrow_uri: must be a string"},
      {"metrics_address = \"0.0.0.0:7795\"\n", "metrics_address: 0.0.0.0 is not loopback"},
      {"run_dir = \"run\"\n", "run_dir: must be an absolute path"},
      {"[clocks]\noutage_grace = \"soon\"\n", "clocks.outage_grace: must be a duration"},
      {"[clocks]\noutage_grace = \"-1s\"\n", "clocks.outage_grace: must be a duration"},
      {"[clocks]\noutage_grace = \"90s\"\n", "clocks.check_interval: must be at most half"},
      {"[clocks]\noutage_grace = \"48h\"\n", "clocks.outage_grace: must be at most 24h"},
      {"[clocks]\nconfirm_after = []\n", "clocks.confirm_after: must be a list"},
      {"[clocks]\ngrace = \"1h\"\n", "clocks.grace: is not a setting"},
      {"[aws]\nkms = \"x\"\n", "aws.kms: is not a setting"},
      {"[connections.a]\ntype = \"FTP\"\npath = \"/x\"\n", "connections.a.type: must be LOCAL, VAULT_TRANSIT, PKCS11 or KMIP"},
      {"[connections.a]\ntype = \"LOCAL\"\npath = \"x\"\n", "connections.a.path: must be an absolute path"},
      {"[[allowed_root_keys]]\naccount = \"1\"\n", "allowed_root_keys[0].type: must be set"},
      {"[[allowed_root_keys]]\ntype = \"AWS_KMS\"\nacount = \"1\"\n", "allowed_root_keys[0].acount: is not a setting"},
      {"region = [\n", "line 3"},
  };
  for (const Fault& fault : faults) {
    EXPECT_THAT(ParseAgentConfig(std::string(kLeast) + fault.toml), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(fault.message)))
        << fault.toml;
  }
  EXPECT_THAT(ParseAgentConfig("region = \"r\"\n"), StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("server: ")));
  EXPECT_THAT(ParseAgentConfig("server = \"http://x\"\nregion = \"r\"\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("server: ")));
}

TEST(AgentConfigTest, MetricsLeaveTheMachineOnlyWhenThatIsSaidInWords) {
  for (const char* on : {"127.0.0.1:7795", "localhost:0", "::1:7795", ""}) {
    LK_EXPECT_OK(ParseAgentConfig(absl::StrCat(kLeast, "metrics_address = \"", on, "\"\n")).status());
  }
  for (const char* off : {"0.0.0.0:7795", ":7795", "db1.example.com:7795"}) {
    const std::string config = absl::StrCat(kLeast, "metrics_address = \"", off, "\"\n");
    EXPECT_THAT(ParseAgentConfig(config), StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("metrics_address: "))) << off;
    LK_EXPECT_OK(ParseAgentConfig(config + "i_accept_plaintext_off_loopback = true\n").status()) << off;
  }
}

TEST(AgentConfigTest, PinsAllowWhatTheyNameAndNothingElse) {
  AgentConfig config;
  const RootKey key{
      .type = "AWS_KMS", .uri = "arn:aws:kms:us-east-1:111122223333:key/k", .auth_principal = "arn:aws:iam::111122223333:role/r"};
  LK_EXPECT_OK(CheckRootAllowed(config, key));
  config.allowed_root_keys = {{.type = "AWS_KMS", .account = "111122223333", .principal = ""}};
  LK_EXPECT_OK(CheckRootAllowed(config, key));
  config.allowed_root_keys = {{.type = "AWS_KMS", .account = "999900009999", .principal = ""}};
  EXPECT_THAT(CheckRootAllowed(config, key), StatusIs(absl::StatusCode::kFailedPrecondition, StartsWith("ROOT_REFUSED")));
  config.allowed_root_keys = {{.type = "AWS_KMS", .account = "111122223333", .principal = "arn:aws:iam::111122223333:role/other"}};
  EXPECT_THAT(CheckRootAllowed(config, key), StatusIs(absl::StatusCode::kFailedPrecondition));
  config.allowed_root_keys = {{.type = "LOCAL", .account = "escrow", .principal = ""}};
  LK_EXPECT_OK(CheckRootAllowed(config, {.type = "LOCAL", .uri = "local://escrow", .auth_principal = "", .external_id = ""}));
  EXPECT_THAT(CheckRootAllowed(config, key), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(AgentConfigTest, ShortLeasesAreNotEatenUpByTheStopTimeout) {
  AgentClocks clocks;
  EXPECT_EQ(clocks.StopBeforeLeaseEnd(absl::Hours(1)), absl::Seconds(30));
  EXPECT_EQ(clocks.StopBeforeLeaseEnd(absl::Seconds(20)), absl::Seconds(5));
}

}  // namespace
}  // namespace latchkey
