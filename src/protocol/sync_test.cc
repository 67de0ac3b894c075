#include "protocol/sync.h"

#include <limits>

#include "base/json.h"
#include "base/testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

RootKey SomeRoot() { return {.type = "LOCAL", .uri = "local://escrow", .auth_principal = "", .external_id = "o-1"}; }

WrappedKek KekOfGeneration(int64_t generation) {
  WrappedKek kek;
  kek.id = std::string(32, static_cast<char>('0' + generation));
  kek.context = {.organization = "o-1", .cluster = "c-1", .region = "r-1", .generation = generation};
  kek.created_at = "2026-01-02T03:04:05Z";
  kek.root = SomeRoot();
  kek.ciphertext = "AQID";
  return kek;
}

DesiredNode SomeDesiredNode() {
  DesiredNode node;
  node.node_id = "n-1";
  node.node_name = "shop-r-1-1";
  node.organization = "o-1";
  node.cluster_id = "c-1";
  node.cluster_name = "shop";
  node.region = "r-1";
  node.volume_id = "v-1";
  node.engine = "postgresql";
  node.generation = 9;
  node.paused = true;
  node.revoked = true;
  node.revoked_by = "ada";
  node.revoked_at = "2026-01-02T03:04:05Z";
  node.deleted = true;
  node.root = SomeRoot();
  node.root_is_escrow = true;
  node.kek_generation = 2;
  node.wrapped_keks = {KekOfGeneration(1), KekOfGeneration(2)};
  node.dek_generation = 3;
  return node;
}

ObservedNode SomeObservedNode() {
  ObservedNode node;
  node.node_id = "n-1";
  node.volume_id = "v-1";
  node.applied_generation = 8;
  node.highest_generation = 9;
  node.revoked_mark = true;
  node.volume = VolumeState::kMissing;
  node.volume_revision = 4;
  node.deks = {{.id = "d-1", .generation = 1, .kek_id = "k-1", .current = false, .bytes = 4096},
               {.id = "d-2", .generation = 2, .kek_id = "k-2", .current = true, .bytes = -1}};
  node.lease_end = "2026-01-02T03:04:05Z";
  node.seal_reason = "KMS_REFUSED";
  node.engine = EngineState::kDataMissing;
  node.engine_message = "empty";
  node.host = "127.0.0.1";
  node.port = 5432;
  node.key = {.ok = false,
              .failure = FailureClass::kPendingDeletion,
              .message = "is pending deletion",
              .since = "2026-01-02T03:04:05Z",
              .last_success = "2026-01-01T03:04:05Z",
              .confirmed = true};
  node.minted = KekOfGeneration(2);
  node.problem = "VOLUME_MISSING: /x";
  node.stray = true;
  return node;
}

json::object Parsed(const json::object& object) { return ParseJsonObject(json::serialize(object)).value(); }

TEST(SyncTest, ARequestComesBackFromJsonAsItWas) {
  SyncRequest request;
  request.boot_id = "b-1";
  request.sequence = 12;
  request.seen_version = 3;
  request.wait_ms = kMaxSyncWaitMs;
  request.hostname = "db1";
  request.advertise_host = "10.0.0.1";
  request.region = "r-1";
  request.agent_version = "0.1";
  request.warnings = {"swap is on and not encrypted", ""};
  request.nodes = {SomeObservedNode(), ObservedNode{.node_id = "n-2"}};
  request.verdicts = {
      {.test_id = "t-1",
       .ok = false,
       .failure = FailureClass::kDenied,
       .message = "no",
       .steps = {{.name = "form", .ok = true, .microseconds = 3}, {.name = "wrap", .ok = false, .microseconds = 20'500, .found = "arn:…"}}},
      {.test_id = "t-2", .ok = true}};

  LK_ASSERT_OK_AND_ASSIGN(const SyncRequest again, SyncRequest::FromJson(Parsed(request.ToJson())));
  EXPECT_EQ(json::serialize(again.ToJson()), json::serialize(request.ToJson()));
  EXPECT_EQ(again.sequence, 12);
  EXPECT_EQ(again.warnings, request.warnings);
  ASSERT_EQ(again.nodes.size(), 2U);
  EXPECT_EQ(again.nodes[0].volume, VolumeState::kMissing);
  EXPECT_EQ(again.nodes[0].engine, EngineState::kDataMissing);
  EXPECT_EQ(again.nodes[0].deks, request.nodes[0].deks);
  EXPECT_EQ(again.nodes[0].key, request.nodes[0].key);
  EXPECT_EQ(again.nodes[0].minted, request.nodes[0].minted);
  EXPECT_EQ(again.nodes[1].minted, std::nullopt);
  EXPECT_EQ(again.nodes[1].key.failure, std::nullopt);
  EXPECT_EQ(again.verdicts[0].failure, FailureClass::kDenied);
  EXPECT_EQ(again.verdicts[0].steps, request.verdicts[0].steps);
}

TEST(KeyVerdictTest, AnAgentThatTellsNoStepsIsUnderstood) {
  LK_ASSERT_OK_AND_ASSIGN(const KeyVerdict verdict, KeyVerdict::FromJson({{"test_id", "t"}, {"ok", true}}, "verdicts[0]"));
  EXPECT_TRUE(verdict.ok);
  EXPECT_TRUE(verdict.steps.empty());
}

TEST(KeyVerdictTest, StepsWithoutEndAreCutOff) {
  KeyVerdict verdict{.test_id = "t", .ok = false, .failure = std::nullopt, .message = std::string(9000, 'm')};
  const KeyVerdictStep step{
      .name = std::string(900, 'n'), .ok = true, .microseconds = std::numeric_limits<int64_t>::max(), .found = std::string(9000, 'f')};
  verdict.steps.assign(500, step);
  LK_ASSERT_OK_AND_ASSIGN(const KeyVerdict read, KeyVerdict::FromJson(Parsed(verdict.ToJson()), "verdicts[0]"));
  EXPECT_EQ(read.message.size(), KeyVerdict::kLongestMessage);
  ASSERT_EQ(read.steps.size(), KeyVerdict::kMostSteps);
  EXPECT_EQ(read.steps[0].name.size(), KeyVerdict::kLongestName);
  EXPECT_EQ(read.steps[0].found.size(), KeyVerdict::kLongestText);
  EXPECT_LE(read.steps[0].microseconds, 3'600'000'000);
}

TEST(KeyVerdictTest, AFaultInAStepIsNamed) {
  const json::object object = {{"test_id", "t"}, {"steps", json::array{json::object{{"step", 3}}}}};
  EXPECT_THAT(KeyVerdict::FromJson(object, "verdicts[0]"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("verdicts[0].steps[0].step")));
}

TEST(SyncTest, AResponseComesBackFromJsonAsItWas) {
  SyncResponse response;
  response.version = 77;
  response.nodes = {SomeDesiredNode()};
  response.key_tests = {{.id = "t-1", .cluster_id = "c-1", .region = "r-1", .root = SomeRoot(), .answer_within = absl::Seconds(45)}};
  LK_ASSERT_OK_AND_ASSIGN(const SyncResponse again, SyncResponse::FromJson(Parsed(response.ToJson())));
  EXPECT_EQ(json::serialize(again.ToJson()), json::serialize(response.ToJson()));
  ASSERT_EQ(again.nodes.size(), 1U);
  EXPECT_TRUE(again.nodes[0].revoked && again.nodes[0].paused && again.nodes[0].deleted && again.nodes[0].root_is_escrow);
  EXPECT_EQ(again.nodes[0].wrapped_keks, response.nodes[0].wrapped_keks);
}

TEST(KeyTestTest, TheTimeForAnAnswerIsTheServersWithinReason) {
  json::object object = KeyTest{.id = "t", .root = SomeRoot(), .answer_within = absl::Seconds(45)}.ToJson();
  const auto read = [&] { return KeyTest::FromJson(Parsed(object), "key_tests[0]")->answer_within; };
  EXPECT_EQ(read(), absl::Seconds(45));
  object["answer_within_ms"] = -1;
  EXPECT_EQ(read(), absl::ZeroDuration());
  object["answer_within_ms"] = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(read(), absl::Hours(1));
  object.erase("answer_within_ms");  // a server that does not say
  EXPECT_EQ(read(), absl::Seconds(20));
}

TEST(SyncTest, UnknownFieldsOfANewerPeerAreLeftAlone) {
  json::object object = SyncResponse{.version = 1, .nodes = {SomeDesiredNode()}}.ToJson();
  object["later"] = true;
  object["nodes"].as_array()[0].as_object()["later"] = json::object{{"a", 1}};
  LK_EXPECT_OK(SyncResponse::FromJson(Parsed(object)));
}

TEST(SyncTest, AFaultIsNamedWithItsWholePath) {
  json::object request = SyncRequest{.boot_id = "b", .nodes = {SomeObservedNode()}}.ToJson();
  request["nodes"].as_array()[0].as_object()["deks"].as_array()[1].as_object()["generation"] = "two";
  EXPECT_THAT(SyncRequest::FromJson(request), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nodes[0].deks[1].generation")));

  request = SyncRequest{.boot_id = "b", .nodes = {SomeObservedNode()}}.ToJson();
  request["nodes"].as_array()[0].as_object()["volume"] = "AJAR";
  EXPECT_THAT(SyncRequest::FromJson(request), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nodes[0].volume")));

  request["nodes"].as_array()[0] = 5;
  EXPECT_THAT(SyncRequest::FromJson(request), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nodes[0]")));
  request["nodes"] = "none";
  EXPECT_THAT(SyncRequest::FromJson(request), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nodes")));

  request = SyncRequest{.boot_id = "b"}.ToJson();
  request["warnings"] = json::array{1};
  EXPECT_THAT(SyncRequest::FromJson(request), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("warnings[0]")));
}

TEST(SyncTest, NumbersOutOfRangeAreRefused) {
  json::object request = SyncRequest{.boot_id = "b", .nodes = {SomeObservedNode()}}.ToJson();
  request["wait_ms"] = kMaxSyncWaitMs + 1;
  EXPECT_THAT(SyncRequest::FromJson(request), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("wait_ms")));
  request["wait_ms"] = 0;
  request["nodes"].as_array()[0].as_object()["port"] = 70000;
  EXPECT_THAT(SyncRequest::FromJson(request), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nodes[0].port")));
  EXPECT_THAT(SyncResponse::FromJson({}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("version")));
}

TEST(DesiredNodeTest, FindsItsKeks) {
  const DesiredNode node = SomeDesiredNode();
  ASSERT_NE(node.CurrentKek(), nullptr);
  EXPECT_EQ(node.CurrentKek()->context.generation, 2);
  EXPECT_EQ(node.FindKek(std::string(32, '1'))->context.generation, 1);
  EXPECT_EQ(node.FindKek("x"), nullptr);
  DesiredNode unminted = node;
  unminted.kek_generation = 3;
  EXPECT_EQ(unminted.CurrentKek(), nullptr);
}

TEST(DesiredNodeTest, RefusesKeksThatDoNotRise) {
  DesiredNode node = SomeDesiredNode();
  node.wrapped_keks = {KekOfGeneration(2), KekOfGeneration(2)};
  EXPECT_THAT(DesiredNode::FromJson(node.ToJson(), "node"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("node.wrapped_keks[1].generation")));
}

TEST(NodeStatesTest, AreNamedAsPeopleSeeThem) {
  EXPECT_EQ(VolumeStateName(VolumeState::kMissing), "VOLUME_MISSING");
  EXPECT_EQ(VolumeStateName(VolumeState::kDeleted), "DELETED");
  EXPECT_EQ(EngineStateName(EngineState::kDataMissing), "ENGINE_DATA_MISSING");
  EXPECT_EQ(EngineStateName(EngineState::kFailed), "FAILED");
}

TEST(JoinTest, ATokenIsReadBackOrRefusedWithoutQuotingIt) {
  const JoinToken token{.id = "0123456789abcdef", .secret = std::string(43, 'A'), .ca_sha256 = std::string(64, 'f')};
  LK_ASSERT_OK_AND_ASSIGN(const JoinToken again, JoinToken::Parse(token.ToString()));
  EXPECT_EQ(again.ToString(), token.ToString());
  for (const std::string& bad : {std::string(), std::string("a.b"), "0123456789abcde." + token.secret + "." + token.ca_sha256,
                                 "0123456789abcdef.secretsecret." + token.ca_sha256, token.ToString() + ".x", token.ToString() + "0"}) {
    const auto parsed = JoinToken::Parse(bad);
    EXPECT_THAT(parsed, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(std::string(parsed.status().message()), testing::Not(HasSubstr("secretsecret")));
  }
}

TEST(JoinTest, RequestAndResponseComeBackFromJson) {
  const JoinRequest request{
      .token_id = "i", .token_secret = "s", .request_pem = "p", .region = "r", .hostname = "h", .advertise_host = "a"};
  LK_ASSERT_OK_AND_ASSIGN(const JoinRequest read, JoinRequest::FromJson(request.ToJson()));
  EXPECT_EQ(json::serialize(read.ToJson()), json::serialize(request.ToJson()));
  EXPECT_THAT(JoinRequest::FromJson({{"token_id", "i"}}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("token_secret")));

  const JoinResponse response{.agent_id = "i", .organization = "o", .certificate_pem = "c", .ca_pem = "a"};
  LK_ASSERT_OK_AND_ASSIGN(const JoinResponse answer, JoinResponse::FromJson(response.ToJson()));
  EXPECT_EQ(json::serialize(answer.ToJson()), json::serialize(response.ToJson()));
}

}  // namespace
}  // namespace latchkey
