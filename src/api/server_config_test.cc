#include "api/server_config.h"

#include "base/testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

constexpr const char* kLeast = "[store]\npath = \"/s.db\"\n[escrow]\nuri = \"local://escrow\"\n";

TEST(ServerConfigTest, TheLeastOneHasDefaultsOnLoopback) {
  LK_ASSERT_OK_AND_ASSIGN(const ServerConfig config, ParseServerConfig(kLeast));
  EXPECT_EQ(config.public_listen.ToString(), "127.0.0.1:8080");
  EXPECT_EQ(config.agent_listen.ToString(), "127.0.0.1:8443");
  EXPECT_FALSE(config.health_listen.has_value());
  EXPECT_EQ(config.escrow.type, "LOCAL");
  EXPECT_EQ(config.key_test_timeout, absl::Seconds(20));
  EXPECT_FALSE(config.rewrap_new_versions);
  EXPECT_EQ(config.requests_per_second_per_key, 0);
}

TEST(ServerConfigTest, ReadsEveryKey) {
  LK_ASSERT_OK_AND_ASSIGN(const ServerConfig config, ParseServerConfig(R"(
    [public]
    listen = "0.0.0.0:443"
    certificate_file = "/c.pem"
    private_key_file = "/k.pem"
    i_accept_plaintext_off_loopback = false
    handler_threads = 8
    requests_per_second_per_key = 10
    [agents]
    listen = "[::]:8443"
    names = ["latchkey.example.com"]
    [health]
    listen = "127.0.0.1:9090"
    [store]
    path = "/s.db"
    [escrow]
    type = "AWS_KMS"
    uri = "arn:aws:kms:us-east-1:1:key/1"
    auth_principal = "arn:aws:iam::1:role/r"
    [organization]
    name = "Example"
    account_id = "111122223333"
    [keys]
    test_timeout = "5s"
    rewrap_new_versions = true
    [log]
    level = "debug"
    file = "/l.log"
  )"));
  EXPECT_TRUE(config.has_tls());
  EXPECT_EQ(config.agent_listen.address, "::");
  EXPECT_EQ(config.agent_names, std::vector<std::string>{"latchkey.example.com"});
  EXPECT_EQ(config.health_listen->port, 9090);
  EXPECT_EQ(config.escrow.auth_principal, "arn:aws:iam::1:role/r");
  EXPECT_EQ(config.requests_per_second_per_key, 10);
  EXPECT_EQ(config.key_test_timeout, absl::Seconds(5));
  EXPECT_TRUE(config.rewrap_new_versions);
  EXPECT_EQ(config.log_level, LogLevel::kDebug);
}

TEST(ServerConfigTest, AFaultNamesItsKey) {
  const std::pair<const char*, const char*> kBad[] = {
      {"[public]\nlissten = \"x\"\n", "public.lissten: is not a setting"},
      {"[pubic]\n", "pubic: is not a setting"},
      {"public = 3\n", "public: must be a table"},
      {"[keys]\nrewrap_new_versions = \"yes\"\n", "keys.rewrap_new_versions: must be true or false"},
      {"[public]\nlisten = 8080\n", "public.listen: must be a string"},
      {"[public]\nlisten = \"8080\"\n", "public.listen: must be address:port"},
      {"[public]\nlisten = \"::1:8080\"\n", "public.listen: must be address:port"},
      {"[public]\nlisten = \"127.0.0.1:65536\"\n", "public.listen: must be address:port"},
      {"[public]\nhandler_threads = 1\n", "public.handler_threads: must be 2 to 256"},
      {"[public]\nhandler_threads = \"many\"\n", "public.handler_threads: must be a whole number"},
      {"[public]\nrequests_per_second_per_key = -1\n", "public.requests_per_second_per_key: must be 0"},
      {"[public]\nrequests_per_second_per_key = nan\n", "public.requests_per_second_per_key: must be 0"},
      {"[public]\ncertificate_file = \"/c\"\n", "public.private_key_file: is required"},
      {"[agents]\nnames = \"a\"\n", "agents.names: must be a list of strings"},
      {"[agents]\nnames = []\n", "agents.names: must have at least one"},
      {"[keys]\ntest_timeout = \"90s\"\n", "keys.test_timeout: must be 1s to 60s"},
      {"[keys]\ntest_timeout = \"soon\"\n", "keys.test_timeout: must be a duration"},
      {"[log]\nlevel = \"loud\"\n", "log.level: must be debug"},
      {"[public\n", "line 1"},
  };
  for (const auto& [text, says] : kBad) {
    EXPECT_THAT(ParseServerConfig(std::string(text) + kLeast), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(says))) << text;
  }
  EXPECT_THAT(ParseServerConfig("[escrow]\nuri=\"u\"\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("store.path: is required")));
  EXPECT_THAT(ParseServerConfig("[store]\npath=\"p\"\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("escrow.uri: is required")));
}

TEST(ServerConfigTest, PlaintextOffLoopbackWantsTheHonestFlag) {
  const std::string open = std::string("[public]\nlisten = \"0.0.0.0:8080\"\n") + kLeast;
  EXPECT_THAT(ParseServerConfig(open), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("i_accept_plaintext_off_loopback")));
  LK_EXPECT_OK(ParseServerConfig("[public]\nlisten = \"0.0.0.0:8080\"\ni_accept_plaintext_off_loopback = true\n" + std::string(kLeast)));
  LK_EXPECT_OK(ParseServerConfig("[public]\nlisten = \"[::1]:8080\"\n" + std::string(kLeast)));
  LK_EXPECT_OK(ParseServerConfig("[public]\nlisten = \"localhost:8080\"\n" + std::string(kLeast)));
}

TEST(ServerConfigTest, HealthOffLoopbackWantsAnHonestFlagOfItsOwn) {
  const std::string open = "[health]\nlisten = \"0.0.0.0:9090\"\n";
  EXPECT_THAT(ParseServerConfig(open + kLeast), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("health.listen: 0.0.0.0:9090")));
  EXPECT_THAT(ParseServerConfig("[public]\ni_accept_plaintext_off_loopback = true\n" + open + kLeast),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("health.i_accept_plaintext_off_loopback")));
  LK_EXPECT_OK(ParseServerConfig(open + "i_accept_plaintext_off_loopback = true\n" + kLeast));
  LK_EXPECT_OK(ParseServerConfig(std::string("[health]\nlisten = \"[::1]:9090\"\n") + kLeast));
}

TEST(ServerConfigTest, AFileThatIsNotThereIsNamed) {
  const TempFolder folder;
  EXPECT_THAT(LoadServerConfig(folder / "none.toml"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.toml")));
}

}  // namespace
}  // namespace latchkey
