// That no name and no form of an address leads a request to ourselves or to a metadata server (SSRF).
#include "http/address_rule.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include <fstream>

#include "base/testing.h"
#include "http/client.h"
#include "http/server.h"

namespace latchkey {
namespace {

bool IsForbidden(const std::string& text, AddressRule rule) {
  sockaddr_storage storage{};
  auto& four = reinterpret_cast<sockaddr_in&>(storage);
  auto& six = reinterpret_cast<sockaddr_in6&>(storage);
  if (inet_pton(AF_INET, text.c_str(), &four.sin_addr) == 1) {
    storage.ss_family = AF_INET;
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &six.sin6_addr), 1) << text;
    storage.ss_family = AF_INET6;
  }
  return IsForbiddenAddress(reinterpret_cast<const sockaddr&>(storage), rule);
}

TEST(AddressRuleTest, NobodyIsLedToAMetadataServer) {
  for (const char* address : {"169.254.169.254",
                              "169.254.170.2",
                              "169.254.170.23",
                              "169.254.0.1",
                              "169.254.255.255",
                              "168.63.129.16",
                              "100.100.100.200",
                              "192.0.0.192",
                              "fe80::1",
                              "fe80::a9fe:a9fe",
                              "febf::1",
                              "fd00:ec2::254",
                              "fd00:ec2::23",
                              "fd20:ce::254",
                              "::ffff:169.254.169.254",
                              "::ffff:a9fe:a9fe",
                              "::169.254.169.254",
                              "64:ff9b::169.254.169.254",
                              "64:ff9b::a9fe:a9fe",
                              "64:ff9b:1::a9fe:a9fe",
                              "2002:a9fe:a9fe::1"}) {
    EXPECT_TRUE(IsForbidden(address, AddressRule::kNotMetadata)) << address;
    EXPECT_TRUE(IsForbidden(address, AddressRule::kNotThisHost)) << address;
    EXPECT_FALSE(IsForbidden(address, AddressRule::kAny)) << address;
  }
}

TEST(AddressRuleTest, AKeysNameDoesNotLeadToThisHost) {
  for (const char* address : {"127.0.0.1",
                              "127.255.255.254",
                              "127.1.2.3",
                              "0.0.0.0",
                              "0.1.2.3",
                              "224.0.0.1",
                              "239.1.1.1",
                              "240.0.0.1",
                              "255.255.255.255",
                              "::1",
                              "::",
                              "ff02::1",
                              "::ffff:127.0.0.1",
                              "::ffff:7f00:1",
                              "::ffff:0.0.0.0",
                              "::127.0.0.1",
                              "64:ff9b::127.0.0.1",
                              "64:ff9b::7f00:1",
                              "64:ff9b:1::7f00:1",
                              "2002:7f00:1::1"}) {
    EXPECT_TRUE(IsForbidden(address, AddressRule::kNotThisHost)) << address;
    EXPECT_FALSE(IsForbidden(address, AddressRule::kNotMetadata)) << address;
    EXPECT_FALSE(IsForbidden(address, AddressRule::kAny)) << address;
  }
}

TEST(AddressRuleTest, OthersMayBeReachedPrivateNetworksToo) {
  for (const char* address : {"10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "52.94.1.1", "168.63.129.17", "169.253.1.1",
                              "169.255.1.1", "126.0.0.1", "128.0.0.1", "223.255.255.255", "fd00::1", "fd20:ce:1::254", "fc00::1",
                              "2600:1f18::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::a00:1", "2002:a00:1::1"}) {
    for (const AddressRule rule : {AddressRule::kAny, AddressRule::kNotMetadata, AddressRule::kNotThisHost}) {
      EXPECT_FALSE(IsForbidden(address, rule)) << address;
    }
  }
}

TEST(AddressRuleTest, OtherFamiliesAreForAnyOnly) {
  const sockaddr local{.sa_family = AF_UNIX, .sa_data = {}};
  EXPECT_FALSE(IsForbiddenAddress(local, AddressRule::kAny));
  EXPECT_TRUE(IsForbiddenAddress(local, AddressRule::kNotMetadata));
  EXPECT_TRUE(IsForbiddenAddress(local, AddressRule::kNotThisHost));
}

// A server of this host, and who reaches it.
class RuledClientTest : public testing::Test {
 protected:
  void SetUp() override {
    LK_ASSERT_OK_AND_ASSIGN(server_, HttpServer::Start({.handler = [this](HttpRequest, const HttpResponder& respond) {
                              ++visits_;
                              respond({});
                            }}));
  }
  absl::Status Ask(const std::string& host, AddressRule rule) const {
    const HttpClient client({.connect_timeout = absl::Seconds(2), .fresh_connection = true, .addresses = rule});
    return client.Send(absl::StrCat("http://", host, ":", server_->port(), "/"), {}).status();
  }

  std::unique_ptr<HttpServer> server_;
  std::atomic<int> visits_ = 0;
};

TEST_F(RuledClientTest, EveryWayOfWritingLoopbackIsRefused) {
  for (const char* host : {"127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "0.0.0.0",
                           "0", "localhost", "LOCALHOST", "localhost.", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1]", "[::]"}) {
    const absl::Status refused = Ask(host, AddressRule::kNotThisHost);
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kUnavailable)) << host;
  }
  EXPECT_EQ(visits_, 0);
  // The same names do lead there: it is the rule that refused.
  int reached = 0;
  for (const char* host : {"127.0.0.1", "127.1", "2130706433", "0x7f.1", "localhost", "0.0.0.0"}) {
    LK_EXPECT_OK(Ask(host, AddressRule::kNotMetadata)) << host;
    EXPECT_EQ(visits_, ++reached) << host;
  }
}

// A name's addresses are looked at after it was resolved; this host's own name stands for one that somebody else's DNS gives out.
TEST_F(RuledClientTest, ANameThatResolvesToLoopbackIsRefused) {
  std::ifstream hosts("/etc/hosts");
  std::string address, name;
  std::set<std::string> names = {"localhost"};
  for (std::string line; std::getline(hosts, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    if (!(words >> address) || !address.starts_with("127.")) continue;
    while (words >> name) names.insert(name);
  }
  for (const std::string& one : names) {
    EXPECT_THAT(Ask(one, AddressRule::kNotThisHost), StatusIs(absl::StatusCode::kUnavailable)) << one;
  }
  EXPECT_EQ(visits_, 0);
}

TEST(RuledClientMetadataTest, MetadataAddressesAreRefusedWithoutATry) {
  for (const AddressRule rule : {AddressRule::kNotMetadata, AddressRule::kNotThisHost}) {
    // Nobody waits: no packet is sent.
    const HttpClient client({.connect_timeout = absl::Seconds(30), .total_timeout = absl::Seconds(30), .addresses = rule});
    const absl::Time begin = absl::Now();
    for (const char* host : {"169.254.169.254", "2852039166", "0xa9fe.0xa9fe", "[fe80::a9fe:a9fe]", "[fd00:ec2::254]", "[fd20:ce::254]",
                             "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]"}) {
      EXPECT_THAT(client.Send(absl::StrCat("http://", host, "/latest/meta-data/"), {}), StatusIs(absl::StatusCode::kUnavailable)) << host;
    }
    EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  }
}

// Connections are kept per thread, for all clients.
TEST_F(RuledClientTest, AConnectionThatAnotherClientHasOpenedIsNoWayAround) {
  const std::string url = absl::StrCat("http://127.0.0.1:", server_->port(), "/");
  LK_EXPECT_OK(HttpClient({}).Send(url, {}));
  EXPECT_EQ(visits_, 1);
  EXPECT_THAT(HttpClient({.addresses = AddressRule::kNotThisHost}).Send(url, {}), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(visits_, 1);
  LK_EXPECT_OK(HttpClient({.addresses = AddressRule::kNotMetadata}).Send(url, {}));
}

TEST_F(RuledClientTest, UserinfoAndFragmentsDoNotHideTheHost) {
  for (const char* host : {"kms.example@127.0.0.1", "kms.example:443@127.0.0.1", "kms.example%40x@127.0.0.1"}) {
    EXPECT_THAT(Ask(host, AddressRule::kNotThisHost), StatusIs(absl::StatusCode::kUnavailable)) << host;
  }
  EXPECT_EQ(visits_, 0);
}

}  // namespace
}  // namespace latchkey
