// Faults, the log, state over restarts, the admin API, and the server on a port.
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <sstream>

#include "emulator/admin_client.h"
#include "emulator/emulator_testing.h"
#include "emulator/serve.h"

namespace latchkey {
namespace {

using AdminTest = EmulatorTest;

TEST_F(AdminTest, FaultsAreMetInTheOrderInWhichTheyWereQueued) {
  Admin("/_admin/faults", {{"operation", "DescribeKey"}, {"action", "throttle"}});
  Admin("/_admin/faults", {{"operation", "DescribeKey"}, {"action", "drop"}});
  Admin("/_admin/faults",
        {{"operation", "DescribeKey"}, {"action", "error"}, {"status", 503}, {"type", "KeyUnavailableException"}, {"times", 2}});
  Admin("/_admin/faults", {{"operation", "DescribeKey"}, {"action", "delay"}, {"delay_ms", 1500}});
  const json::object body{{"KeyId", escrow_key_}};
  EXPECT_EQ(Kms(operator_, "ListKeys", {}).status, 200) << "another operation is left alone";
  const KmsReply throttled = Kms(operator_, "DescribeKey", body);
  EXPECT_EQ(throttled.status, 400);
  EXPECT_EQ(throttled.type(), "ThrottlingException");
  EXPECT_EQ(throttled.message(), "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.");
  EXPECT_EQ(emulator_->Handle(KmsRequest(operator_, "DescribeKey", body)).status, 0);
  EXPECT_EQ(Kms(operator_, "DescribeKey", body).status, 503);
  EXPECT_EQ(Kms(operator_, "DescribeKey", body).type(), "KeyUnavailableException");
  const EmulatorAnswer late = emulator_->Answer(KmsRequest(operator_, "DescribeKey", body));
  EXPECT_EQ(late.delay, absl::Milliseconds(1500));
  EXPECT_EQ(late.response.status, 200);
  const EmulatorAnswer plain = emulator_->Answer(KmsRequest(operator_, "DescribeKey", body));
  EXPECT_EQ(plain.delay, absl::ZeroDuration());
  EXPECT_EQ(plain.response.status, 200);
}

TEST_F(AdminTest, AStandingFaultHoldsUntilItIsCleared) {
  Admin("/_admin/faults", {{"action", "throttle"}, {"standing", true}});
  Admin("/_admin/faults", {{"action", "drop"}});
  EXPECT_EQ(emulator_->Handle(KmsRequest(operator_, "ListKeys", {})).status, 0) << "the queue goes first";
  EXPECT_EQ(Kms(operator_, "ListKeys", {}).type(), "ThrottlingException");
  EXPECT_EQ(Element(Sts(operator_, "Action=GetCallerIdentity").body, "Code"), "Throttling");
  Restart();
  EXPECT_EQ(Kms(operator_, "ListKeys", {}).type(), "ThrottlingException");
  Admin("/_admin/faults/clear", {});
  EXPECT_EQ(Kms(operator_, "ListKeys", {}).status, 200);
}

TEST_F(AdminTest, AnswersCanBeCutSpoiltOrReplaced) {
  const std::string blob = Encrypted(operator_, escrow_key_);
  const json::object body{{"CiphertextBlob", blob}};
  const std::string whole = emulator_->Handle(KmsRequest(operator_, "Decrypt", body)).body;
  for (const char* action : {"truncate", "corrupt", "other-bytes"}) Admin("/_admin/faults", {{"operation", "Decrypt"}, {"action", action}});
  EXPECT_EQ(emulator_->Handle(KmsRequest(operator_, "Decrypt", body)).body, whole.substr(0, whole.size() / 2));
  const HttpResponse spoilt = emulator_->Handle(KmsRequest(operator_, "Decrypt", body));
  EXPECT_EQ(spoilt.body.size(), whole.size());
  EXPECT_NE(spoilt.body, whole);
  const KmsReply other = Kms(operator_, "Decrypt", body);
  EXPECT_EQ(other.status, 200);
  EXPECT_EQ(Base64Decode(other.Text("Plaintext")).value().size(), 5U);
  EXPECT_NE(other.Text("Plaintext"), Base64Encode(AsBytes("a key")));
}

TEST_F(AdminTest, AnOutageDropsEveryCallButTheAdminApi) {
  Admin("/_admin/outage", {{"on", true}});
  EXPECT_EQ(emulator_->Handle(KmsRequest(operator_, "ListKeys", {})).status, 0);
  EXPECT_EQ(Sts(operator_, "Action=GetCallerIdentity").status, 0);
  EXPECT_EQ(AdminGet("/_admin/health").at("outage"), true);
  Admin("/_admin/outage", {{"on", false}});
  EXPECT_EQ(Kms(operator_, "ListKeys", {}).status, 200);
}

TEST_F(AdminTest, TheLogTellsWhoAskedWhatAndHoldsNoSecret) {
  const TestIdentity role = AsRole();
  const std::string blob = Encrypted(role, owner_key_);
  EXPECT_EQ(Kms(role, "Decrypt", {{"CiphertextBlob", blob}}).status, 200);
  const json::object first = AdminGet("/_admin/calls?since=0");
  const json::array& calls = first.at("calls").as_array();
  ASSERT_EQ(calls.size(), 3U);
  EXPECT_EQ(calls[0].as_object().at("operation"), "AssumeRole");
  EXPECT_EQ(calls[0].as_object().at("principal"), kUser);
  EXPECT_EQ(calls[0].as_object().at("key"), kRole);
  const json::object& decrypt = calls[2].as_object();
  EXPECT_EQ(decrypt.at("operation"), "Decrypt");
  EXPECT_EQ(decrypt.at("principal"), "arn:aws:sts::222222222222:assumed-role/latchkey-cmek/latchkey-agent");
  EXPECT_EQ(decrypt.at("key"), json::string(owner_key_));
  EXPECT_EQ(decrypt.at("region"), kRegion);
  EXPECT_EQ(decrypt.at("result"), "ok");
  const std::string text = json::serialize(first);
  for (const std::string& secret : {role.secret, role.token, operator_.secret, Base64Encode(AsBytes("a key")), blob}) {
    EXPECT_EQ(text.find(secret), std::string::npos);
  }

  const int64_t last = first.at("last").as_int64();
  Admin("/_admin/keys/disable", {{"key", owner_key_}});
  EXPECT_EQ(Kms(role, "Decrypt", {{"CiphertextBlob", blob}}).type(), "DisabledException");
  const json::object next = AdminGet("/_admin/calls?since=" + std::to_string(last));
  ASSERT_EQ(next.at("calls").as_array().size(), 1U);
  EXPECT_EQ(next.at("calls").as_array()[0].as_object().at("result"), "DisabledException");

  Restart();
  EXPECT_EQ(Kms(operator_, "ListKeys", {}).status, 200);
  const json::object after = AdminGet("/_admin/calls?since=" + std::to_string(next.at("last").as_int64()));
  ASSERT_EQ(after.at("calls").as_array().size(), 1U) << "numbers go on above those that were given before a restart";
}

TEST_F(AdminTest, BytesFromOutsideDoNotSpoilTheLog) {
  EXPECT_EQ(Sts(operator_, "Action=%FF%00%C3x").status, 400);
  std::vector<uint8_t> blob = Base64Decode(Encrypted(operator_, escrow_key_)).value();
  blob[10] = 0xff;
  EXPECT_EQ(Kms(operator_, "Decrypt", {{"CiphertextBlob", Base64Encode(blob)}}).type(), "AccessDeniedException");
  const HttpRequest request{.method = "GET", .target = "/_admin/calls", .path = "/_admin/calls", .peer_address = "127.0.0.1"};
  LK_ASSERT_OK_AND_ASSIGN(const json::object calls, ParseJsonObject(emulator_->Handle(request).body));
  EXPECT_EQ(calls.at("calls").as_array()[0].as_object().at("operation"), json::string(std::string(3, '?') + "x"));
}

TEST_F(AdminTest, ARestartKeepsEverything) {
  const TestIdentity role = AsRole();
  const std::string blob = Encrypted(role, owner_key_, {{"a", "b"}});
  Admin("/_admin/keys/rotate", {{"key", owner_key_}});
  Admin("/_admin/keys/disable", {{"key", second_key_}});
  Admin("/_admin/keys/schedule-deletion", {{"key", escrow_key_}, {"days", 7}});
  Admin("/_admin/denials", {{"principal", kRole}, {"key", escrow_key_}});
  const std::string before = json::serialize(AdminGet("/_admin/state"));
  Restart();
  EXPECT_EQ(json::serialize(AdminGet("/_admin/state")), before);
  EXPECT_EQ(Kms(role, "Decrypt", {{"CiphertextBlob", blob}, {"EncryptionContext", {{"a", "b"}}}}).status, 200)
      << "the session lives on too";
  EXPECT_EQ(Kms(role, "DescribeKey", {{"KeyId", second_key_}}).body.at("KeyMetadata").as_object().at("KeyState"), "Disabled");
  struct stat facts{};
  ASSERT_EQ(stat((folder_ / "state.json").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600U);
}

TEST_F(AdminTest, AStateFileIsUsedByOneEmulatorOnly) {
  EXPECT_FALSE(Emulator::Create({.state_file = folder_ / "state.json", .clock = &clock_}).ok());
}

TEST_F(AdminTest, ABrokenStateFileIsNamedAndLeftAlone) {
  emulator_.reset();
  std::ofstream(folder_ / "state.json") << "{\"format\":1}";
  const auto made = Emulator::Create({.state_file = folder_ / "state.json", .clock = &clock_});
  EXPECT_THAT(made, StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("state.json")));
  std::stringstream text;
  text << std::ifstream(folder_ / "state.json").rdbuf();
  EXPECT_EQ(text.str(), "{\"format\":1}");
}

TEST_F(AdminTest, SeedingTwiceChangesNothing) {
  LK_ASSERT_OK_AND_ASSIGN(const json::object again, emulator_->SeedDevelopment({.external_id = kExternalId}));
  EXPECT_EQ(again.at("secret_access_key"), json::string(operator_.secret));
  EXPECT_EQ(again.at("regions").as_object().at(kRegion).as_object().at("owner_key"), json::string(owner_key_));
  LK_ASSERT_OK_AND_ASSIGN(const json::object wider,
                          emulator_->SeedDevelopment({.external_id = kExternalId, .regions = {kRegion, "eu-west-1"}}));
  EXPECT_EQ(wider.at("regions").as_object().size(), 2U);
  EXPECT_THAT(emulator_->SeedDevelopment({.external_id = ""}),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("external_id")));
}

TEST_F(AdminTest, BadInputIsRefusedWithTheFieldAndChangesNothing) {
  const std::string before = json::serialize(AdminGet("/_admin/state"));
  struct Case {
    const char* path;
    json::object body;
    int status;
    const char* field;
  };
  const std::vector<Case> cases = {
      {"/_admin/accounts", {{"id", "12"}}, 400, "id"},
      {"/_admin/users", {{"account", "111111111111"}}, 400, "name"},
      {"/_admin/users", {{"account", "x"}, {"name", "n"}}, 400, "account"},
      {"/_admin/users", {{"account", "111111111111"}, {"name", "n"}, {"access_key_id", "short"}}, 400, "access_key_id"},
      {"/_admin/users", {{"account", "111111111111"}, {"name", "latchkey"}}, 409, "name"},
      {"/_admin/roles", {{"account", "222222222222"}, {"name", "r"}}, 400, "principals"},
      {"/_admin/roles", {{"account", "222222222222"}, {"name", "r"}, {"principals", {"nobody"}}}, 400, "principals"},
      {"/_admin/roles", {{"account", "222222222222"}, {"name", "r"}, {"principals", {"*"}}, {"external_id", "a b"}}, 400, "external_id"},
      {"/_admin/roles/trust", {{"role", "arn:aws:iam::222222222222:role/none"}}, 404, "role"},
      {"/_admin/keys", {{"account", "222222222222"}, {"region", "nowhere"}}, 400, "region"},
      {"/_admin/keys", {{"account", "222222222222"}, {"region", kRegion}, {"alias", "owner-key-1"}}, 409, "alias"},
      {"/_admin/keys", {{"account", "222222222222"}, {"region", kRegion}, {"key_spec", "RSA_1"}}, 400, "key_spec"},
      {"/_admin/keys", {{"account", "222222222222"}, {"region", kRegion}, {"policy", "{}"}}, 400, "Statement"},
      {"/_admin/keys", {{"account", "222222222222"}, {"region", kRegion}, {"colour", "red"}}, 400, "colour"},
      {"/_admin/keys/disable", {{"key", "none"}}, 404, "key"},
      {"/_admin/keys/disable", {}, 400, "key"},
      {"/_admin/keys/state", {{"key", owner_key_}, {"state", "Sleeping"}}, 400, "state"},
      {"/_admin/keys/schedule-deletion", {{"key", owner_key_}, {"days", 6}}, 400, "days"},
      {"/_admin/keys/schedule-deletion", {{"key", owner_key_}, {"days", 7}, {"seconds", 5}}, 400, "seconds"},
      {"/_admin/keys/cancel-deletion", {{"key", owner_key_}}, 409, "key"},
      {"/_admin/denials", {{"principal", "me"}}, 400, "principal"},
      {"/_admin/denials/remove", {{"principal", kRole}}, 404, "principal"},
      {"/_admin/faults", {{"operation", "Decrypt"}}, 400, "action"},
      {"/_admin/faults", {{"action", "explode"}}, 400, "action"},
      {"/_admin/faults", {{"action", "delay"}}, 400, "delay_ms"},
      {"/_admin/faults", {{"action", "error"}, {"status", 200}}, 400, "status"},
      {"/_admin/faults", {{"action", "drop"}, {"times", 0}}, 400, "times"},
      {"/_admin/outage", {}, 400, "on"},
      {"/_admin/outage", {{"on", "yes"}}, 400, "on"},
      {"/_admin/clock/advance", {{"seconds", -1}}, 400, "seconds"},
      {"/_admin/seed", {{"external_id", kExternalId}, {"regions", {"x"}}}, 400, "regions"},
      {"/_admin/nothing", {}, 404, "path"},
  };
  for (const Case& c : cases) {
    const HttpResponse response = AdminPost(c.path, c.body);
    EXPECT_EQ(response.status, c.status) << c.path << json::serialize(c.body) << response.body;
    EXPECT_THAT(response.body, testing::HasSubstr(c.field)) << c.path;
  }
  EXPECT_EQ(json::serialize(AdminGet("/_admin/state")), before);
}

TEST_F(AdminTest, OnlyLoopbackPeersWithJsonMayUseIt) {
  HttpRequest request{
      .method = "POST", .target = "/_admin/outage", .path = "/_admin/outage", .body = R"({"on":true})", .peer_address = "192.0.2.1"};
  request.headers = {{"content-type", "application/json"}};
  EXPECT_EQ(emulator_->Handle(request).status, 403);
  request.peer_address = "127.0.0.1";
  request.headers = {{"content-type", "text/plain"}};
  EXPECT_EQ(emulator_->Handle(request).status, 415);
  request.headers = {{"content-type", "application/json"}};
  request.body = R"({"on":true,"on":false})";
  EXPECT_EQ(emulator_->Handle(request).status, 400);
  request.method = "GET";
  EXPECT_EQ(emulator_->Handle(request).status, 405);
  EXPECT_EQ(AdminGet("/_admin/health").at("outage"), false);
}

TEST_F(AdminTest, TheClockCanBeMovedUnderKeysAndSessionsButNotUnderSignatures) {
  const TestIdentity role = AsRole();
  Admin("/_admin/keys/schedule-deletion", {{"key", owner_key_}, {"days", 7}});
  Admin("/_admin/clock/advance", {{"seconds", 8 * 86'400}});
  EXPECT_EQ(Kms(AsRole(), "DescribeKey", {{"KeyId", owner_key_}}).type(), "NotFoundException");
  EXPECT_EQ(Kms(role, "DescribeKey", {{"KeyId", second_key_}}).type(), "ExpiredTokenException");
}

TEST(EmulatorServerTest, ServesOnAPortWithDelaysDropsAndTheAdminClient) {
  LK_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Emulator> made, Emulator::Create({}));
  LK_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<EmulatorServer> server, EmulatorServer::Start({}, std::move(made)));
  const EmulatorAdminClient admin(server->url());
  LK_ASSERT_OK_AND_ASSIGN(const json::object seed, admin.Seed("external", {"us-east-1"}));
  const std::string key(seed.at("regions").as_object().at("us-east-1").as_object().at("escrow_key").as_string());
  const TestIdentity who{std::string(seed.at("access_key_id").as_string()), std::string(seed.at("secret_access_key").as_string()), ""};
  // On a kept connection libcurl itself tries again when it just ends; here each call is to be one.
  const HttpClient http{{.fresh_connection = true}};
  const auto describe = [&] {
    HttpRequest request{.method = "POST", .body = json::serialize(json::object{{"KeyId", key}})};
    request.headers = {
        {"host", server->url().substr(7)}, {"content-type", "application/x-amz-json-1.1"}, {"x-amz-target", "TrentService.DescribeKey"}};
    SignForTest(request, who, "kms", "us-east-1", absl::Now());
    return http.Send(server->url() + "/", request);
  };
  absl::StatusOr<HttpResponse> answer = describe();
  LK_ASSERT_OK(answer);
  EXPECT_EQ(answer->status, 200) << answer->body;
  EXPECT_EQ(answer->headers.at("x-amzn-requestid").size(), 36U);

  LK_ASSERT_OK(admin.DisableKey("latchkey-escrow"));
  LK_ASSERT_OK(admin.EnableKey(key));
  EXPECT_THAT(admin.DisableKey("none"), StatusIs(absl::StatusCode::kNotFound, testing::HasSubstr("key: ")));
  EXPECT_THAT(admin.CancelDeletion(key), StatusIs(absl::StatusCode::kFailedPrecondition));
  LK_ASSERT_OK(admin.Deny(std::string(seed.at("user").as_string()), key));
  EXPECT_THAT(describe()->body, testing::HasSubstr("explicit deny"));
  LK_ASSERT_OK(admin.Undeny(std::string(seed.at("user").as_string()), key));

  LK_ASSERT_OK(admin.Delay("DescribeKey", absl::Milliseconds(200), 1));
  const auto before = std::chrono::steady_clock::now();
  answer = describe();
  LK_ASSERT_OK(answer);
  EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(200));

  LK_ASSERT_OK(admin.Drop("DescribeKey", 1));
  EXPECT_THAT(describe(), StatusIs(absl::StatusCode::kUnavailable));
  LK_ASSERT_OK(admin.Outage(true));
  EXPECT_THAT(describe(), StatusIs(absl::StatusCode::kUnavailable));
  LK_ASSERT_OK(admin.ClearFaults());
  answer = describe();
  LK_ASSERT_OK(answer);
  EXPECT_EQ(answer->status, 200);
  LK_ASSERT_OK_AND_ASSIGN(const json::object calls, admin.Calls(0));
  EXPECT_EQ(calls.at("calls").as_array().size(), 6U);
  server->Stop();
  EXPECT_THAT(admin.Health(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST(EmulatorServerTest, StoppingGivesUpAnswersThatStillWait) {
  LK_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Emulator> made, Emulator::Create({}));
  LK_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<EmulatorServer> server, EmulatorServer::Start({}, std::move(made)));
  const EmulatorAdminClient admin(server->url());
  LK_ASSERT_OK(admin.Delay("*", absl::Minutes(5), 1));
  const std::string url = server->url();
  absl::Status hanging;
  std::thread caller([&] {
    HttpRequest request{.method = "POST", .headers = {{"x-amz-target", "TrentService.ListKeys"}}, .body = "{}"};
    hanging = HttpClient{HttpClientOptions{}}.Send(url + "/", request, absl::Minutes(1)).status();
  });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  bool arrived = false;
  while (!arrived && std::chrono::steady_clock::now() < deadline) {
    const auto calls = admin.Calls(0);
    arrived = calls.ok() && !calls->at("calls").as_array().empty();
  }
  EXPECT_TRUE(arrived);
  server->Stop();
  caller.join();
  EXPECT_THAT(hanging, StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace latchkey
