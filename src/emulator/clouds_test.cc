// What the emulator does for every cloud alike, seen through one of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "emulator/admin_client.h"
#include "emulator/emulator_testing.h"
#include "emulator/serve.h"
#include "emulator/tls_folder.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

class CloudsTest : public EmulatorTest {
 protected:
  void SetUp() override {
    EmulatorTest::SetUp();
    LK_ASSERT_OK_AND_ASSIGN(const json::object seed, emulator_->SeedCloud("vault", {}));
    token_ = seed.at("credentials").as_object().at("root_token").as_string();
  }
  // Status of reading a Transit key.
  int ReadKey(const std::string& name) {
    const std::string path = "/v1/transit/keys/" + name;
    return emulator_->Handle({.target = path, .path = path, .headers = {{"x-vault-token", token_}}, .peer_address = "127.0.0.1"}, "vault")
        .status;
  }
  bool SoftDeleted(const std::string& name) {
    const std::string path = "/v1/transit/keys/" + name;
    const HttpResponse response =
        emulator_->Handle({.target = path, .path = path, .headers = {{"x-vault-token", token_}}, .peer_address = "127.0.0.1"}, "vault");
    return response.body.find("\"soft_deleted\":true") != std::string::npos;
  }
  std::string token_;
};

TEST_F(CloudsTest, AnOutageIsOfOneCloudOrOfAll) {
  Admin("/_admin/outage", {{"on", true}, {"cloud", "vault"}});
  EXPECT_EQ(ReadKey("owner-key-1"), 0);
  EXPECT_EQ(Kms(operator_, "ListKeys", {}).status, 200);
  Restart();
  EXPECT_EQ(ReadKey("owner-key-1"), 0);
  Admin("/_admin/outage", {{"on", true}});
  EXPECT_EQ(emulator_->Handle(KmsRequest(operator_, "ListKeys", {})).status, 0);
  Admin("/_admin/faults/clear", {});
  EXPECT_EQ(ReadKey("owner-key-1"), 200);
  EXPECT_EQ(Kms(operator_, "ListKeys", {}).status, 200);
  EXPECT_EQ(AdminPost("/_admin/outage", {{"on", true}, {"cloud", "moon"}}).status, 400);
}

TEST_F(CloudsTest, FaultsQueueForEachCloudApart) {
  Admin("/_admin/faults", {{"action", "throttle"}, {"cloud", "vault"}});
  Admin("/_admin/faults", {{"action", "error"}, {"status", 502}, {"cloud", "vault"}, {"operation", "readKey"}});
  EXPECT_EQ(Kms(operator_, "ListKeys", {}).status, 200);
  Restart();
  // The named operation goes before "*".
  EXPECT_EQ(ReadKey("owner-key-1"), 502);
  EXPECT_EQ(ReadKey("owner-key-1"), 429);
  EXPECT_EQ(ReadKey("owner-key-1"), 200);
}

TEST_F(CloudsTest, TheLogSaysWhichCloudWasAsked) {
  ReadKey("owner-key-1");
  const json::object log = AdminGet("/_admin/calls?since=0");
  const json::object& last = log.at("calls").as_array().back().as_object();
  EXPECT_EQ(last.at("cloud"), "vault");
  EXPECT_EQ(last.at("operation"), "readKey");
  EXPECT_EQ(last.at("key"), "transit/owner-key-1");
  EXPECT_EQ(last.at("principal"), "root");
}

TEST_F(CloudsTest, StateShowsTheCloudAndNoSecretOfIt) {
  const std::string state = json::serialize(AdminGet("/_admin/state"));
  EXPECT_THAT(state, HasSubstr("transit/owner-key-1"));
  EXPECT_EQ(state.find(token_), std::string::npos);
}

TEST_F(CloudsTest, AChangeMayBiteLater) {
  Admin("/_admin/vault/keys/soft-delete", {{"name", "owner-key-1"}, {"after_seconds", 30}});
  Admin("/_admin/keys/disable", {{"key", owner_key_}, {"after_seconds", 60}});
  EXPECT_FALSE(SoftDeleted("owner-key-1"));
  clock_.Advance(absl::Seconds(29));
  EXPECT_FALSE(SoftDeleted("owner-key-1"));
  Restart();
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(SoftDeleted("owner-key-1"));
  EXPECT_EQ(Kms(AsRole(), "Encrypt", {{"KeyId", owner_key_}, {"Plaintext", "AAAA"}}).type(), "ok");
  Admin("/_admin/clock/advance", {{"seconds", 30}});
  EXPECT_EQ(Kms(AsRole(), "Encrypt", {{"KeyId", owner_key_}, {"Plaintext", "AAAA"}}).type(), "DisabledException");
  EXPECT_TRUE(AdminGet("/_admin/state").at("pending").as_array().empty());
}

TEST_F(CloudsTest, WhatWouldBeRefusedIsRefusedWhenItIsOrdered) {
  EXPECT_EQ(AdminPost("/_admin/keys/disable", {{"key", "alias/nobody"}, {"after_seconds", 5}}).status, 404);
  EXPECT_EQ(AdminPost("/_admin/vault/keys/rotate", {{"nmae", "k"}, {"after_seconds", 5}}).status, 400);
  for (const json::value& seconds : {json::value(0), json::value(-1), json::value(1e9), json::value("5"), json::value(40'000'000)}) {
    const HttpResponse answer = AdminPost("/_admin/keys/disable", {{"key", owner_key_}, {"after_seconds", seconds}});
    EXPECT_EQ(answer.status, 400) << json::serialize(seconds);
    EXPECT_THAT(answer.body, HasSubstr("after_seconds"));
  }
  EXPECT_EQ(AdminPost("/_admin/clock/advance", {{"seconds", 5}, {"after_seconds", 5}}).status, 400);
  // Nothing of the trials is left.
  EXPECT_EQ(Kms(AsRole(), "DescribeKey", {{"KeyId", owner_key_}}).body.at("KeyMetadata").as_object().at("KeyState"), "Enabled");
}

TEST_F(CloudsTest, ChangesThatFallDueTogetherHappenInTheirOrderAndAtTheirTime) {
  Admin("/_admin/keys/disable", {{"key", owner_key_}, {"after_seconds", 20}});
  Admin("/_admin/keys/schedule-deletion", {{"key", owner_key_}, {"days", 7}, {"after_seconds", 10}});
  Admin("/_admin/keys/cancel-deletion", {{"key", owner_key_}, {"after_seconds", 15}});
  Admin("/_admin/keys/schedule-deletion", {{"key", second_key_}, {"seconds", 60}, {"after_seconds", 10}});
  clock_.Advance(absl::Seconds(25));
  EXPECT_EQ(Kms(AsRole(), "DescribeKey", {{"KeyId", owner_key_}}).body.at("KeyMetadata").as_object().at("KeyState"), "Disabled");
  // The window began when the change fell due, not when somebody looked.
  clock_.Advance(absl::Seconds(46));
  EXPECT_EQ(Kms(AsRole(), "DescribeKey", {{"KeyId", second_key_}}).type(), "NotFoundException");
}

TEST_F(CloudsTest, AWaitingChangeIsBounded) {
  emulator::World world;
  for (size_t i = 0; i < emulator::World::kMostPending; ++i) LK_ASSERT_OK(world.Postpone({.due = clock_.Now(), .path = "/", .body = {}}));
  EXPECT_THAT(world.Postpone({.due = clock_.Now(), .path = "/", .body = {}}), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(CloudsTest, AStateFileFromBeforeTheCloudsIsRead) {
  emulator_.reset();
  LK_ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(folder_ / "state.json"));
  LK_ASSERT_OK_AND_ASSIGN(json::object document, ParseJsonObject(text));
  for (const char* name : {"vault", "outages", "pending", "instance_role", "containers"}) document.erase(name);
  document["outage"] = true;
  document["faults"] = json::object{{"queue", json::array()}, {"standing", json::array()}};
  LK_ASSERT_OK(WriteFileAtomically(folder_ / "state.json", json::serialize(document)));
  Restart();
  EXPECT_EQ(emulator_->Handle(KmsRequest(operator_, "ListKeys", {})).status, 0);
  Admin("/_admin/outage", {{"on", false}});
  EXPECT_EQ(Kms(operator_, "ListKeys", {}).status, 200);
}

TEST(EmulatorServerTest, EveryCloudHasAPortAndTheAdminApiIsOnEach) {
  LK_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Emulator> made, Emulator::Create({}));
  LK_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<EmulatorServer> server, EmulatorServer::Start({}, std::move(made)));
  ASSERT_NE(server->url("vault"), "");
  EXPECT_NE(server->url("vault"), server->url());
  EXPECT_EQ(server->url("moon"), "");
  for (const std::string& url : {server->url(), server->url("vault")}) {
    const EmulatorAdminClient admin(url);
    LK_ASSERT_OK_AND_ASSIGN(const json::object seed, admin.SeedCloud("vault"));
    EXPECT_EQ(std::string(seed.at("credentials").as_object().at("address").as_string()), server->url("vault"));
    LK_EXPECT_OK(admin.Change("vault", "keys/rotate", {{"name", "owner-key-1"}}));
    EXPECT_THAT(admin.Change("vault", "keys/nothing", {}), StatusIs(absl::StatusCode::kNotFound));
    EXPECT_THAT(admin.Change("moon", "keys", {}), StatusIs(absl::StatusCode::kNotFound));
    LK_EXPECT_OK(admin.Change("aws", "accounts", {{"id", "333333333333"}}));
  }
  LK_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Emulator> another, Emulator::Create({}));
  EXPECT_THAT(EmulatorServer::Start({.ports = {{"moon", {}}}}, std::move(another)), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(EmulatorServerTest, ATakenPortIsGivenUpOnlyWhereThatIsAllowed) {
  LK_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Emulator> made, Emulator::Create({}));
  LK_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<EmulatorServer> first, EmulatorServer::Start({}, std::move(made)));
  LK_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Emulator> strict, Emulator::Create({}));
  EXPECT_FALSE(EmulatorServer::Start({.ports = {{"vault", {.port = first->port()}}}}, std::move(strict)).ok());
  LK_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Emulator> lenient, Emulator::Create({}));
  LK_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<EmulatorServer> second,
                          EmulatorServer::Start({.ports = {{"vault", {.port = first->port(), .or_any = true}}}}, std::move(lenient)));
  EXPECT_NE(second->url("vault"), first->url());
}

TEST(EmulatorServerTest, SpeaksTlsWithTheCaOfItsFolder) {
  const TempFolder folder;
  LK_ASSERT_OK_AND_ASSIGN(const EmulatorTls tls, OpenTlsFolder(folder / "tls", absl::Now()));
  LK_ASSERT_OK_AND_ASSIGN(const std::string ca, ReadFile(tls.ca_file));
  LK_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Emulator> made, Emulator::Create({}));
  LK_ASSERT_OK_AND_ASSIGN(
      const std::unique_ptr<EmulatorServer> server,
      EmulatorServer::Start({.certificate_pem = tls.server.certificate_pem, .private_key_pem = tls.server.private_key_pem},
                            std::move(made)));
  EXPECT_THAT(server->url("vault"), HasSubstr("https://127.0.0.1:"));
  LK_EXPECT_OK(EmulatorAdminClient(server->url("vault"), ca).Health());
  EXPECT_FALSE(EmulatorAdminClient(server->url("vault")).Health().ok());
}

TEST(TlsFolderTest, KeepsItsCaAndMakesANewCertificateInTime) {
  const TempFolder folder;
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  LK_ASSERT_OK_AND_ASSIGN(const EmulatorTls first, OpenTlsFolder(folder / "tls", now));
  LK_ASSERT_OK_AND_ASSIGN(const std::string ca, ReadFile(first.ca_file));
  LK_ASSERT_OK_AND_ASSIGN(const EmulatorTls again, OpenTlsFolder(folder / "tls", now + absl::Hours(24)));
  EXPECT_EQ(again.server.certificate_pem, first.server.certificate_pem);
  LK_ASSERT_OK_AND_ASSIGN(const EmulatorTls later, OpenTlsFolder(folder / "tls", now + 340 * absl::Hours(24)));
  EXPECT_NE(later.server.certificate_pem, first.server.certificate_pem);
  LK_ASSERT_OK_AND_ASSIGN(const std::string same, ReadFile(later.ca_file));
  EXPECT_EQ(same, ca);
}

}  // namespace
}  // namespace latchkey
