// Who joined, what was changed, and what of it stays in the audit trail.
#include <gtest/gtest.h>

#include "base/json.h"
#include "control/control_testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class AuditTest : public ControlTest {};

TEST_F(AuditTest, AJoinTokenWorksOnceWithinAnHour) {
  const JoinToken token = Token();
  LK_ASSERT_OK(JoinToken::Parse(token.ToString()));
  EXPECT_EQ(token.ca_sha256, ReadCertificate(control_->agents().ca_pem())->sha256_hex);
  JoinRequest wrong = Request(token);
  wrong.token_secret[5] ^= 1;
  EXPECT_THAT(control_->agents().Join(wrong, "r"), StatusIs(absl::StatusCode::kUnauthenticated));
  const auto joined = control_->agents().Join(Request(token), "192.0.2.9");
  LK_ASSERT_OK(joined);
  EXPECT_EQ(joined->organization, control_->organization_id());
  EXPECT_EQ(ReadCertificate(joined->certificate_pem)->common_name, joined->agent_id);
  EXPECT_THAT(control_->agents().Join(Request(token), "r"), StatusIs(absl::StatusCode::kUnauthenticated));
  const JoinToken late = Token();
  clock_.Advance(absl::Hours(1));
  EXPECT_THAT(control_->agents().Join(Request(late), "r"), StatusIs(absl::StatusCode::kUnauthenticated));
  const auto joins = AuditOf("AGENT_JOIN");
  ASSERT_THAT(joins, SizeIs(3));
  EXPECT_NE(joins[0].error, "");
  EXPECT_EQ(joins[1].error, "");
  EXPECT_EQ(joins[1].remote, "192.0.2.9");
  EXPECT_NE(joins[2].error, "");
  EXPECT_THAT(joins[2].payload, HasSubstr(R"("refused":2)")) << "the token that was used before is counted";
}

TEST_F(AuditTest, RefusedJoinsDoNotFillTheAuditTrail) {
  JoinRequest wrong = Request(Token());
  wrong.token_secret[5] ^= 1;
  for (int i = 0; i < 50; ++i) EXPECT_THAT(control_->agents().Join(wrong, "r"), StatusIs(absl::StatusCode::kUnauthenticated));
  wrong.region = "Mars 1";
  EXPECT_THAT(control_->agents().Join(wrong, "r"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(AuditOf("AGENT_JOIN"), SizeIs(1));
  clock_.Advance(absl::Minutes(1));
  EXPECT_THAT(control_->agents().Join(wrong, "r"), StatusIs(absl::StatusCode::kInvalidArgument));
  ASSERT_THAT(AuditOf("AGENT_JOIN"), SizeIs(2));
  EXPECT_THAT(AuditOf("AGENT_JOIN")[1].payload, HasSubstr(R"("refused":51)"));
}

TEST_F(AuditTest, WhatIsNoTokenIdIsRefusedWithoutATrace) {
  JoinRequest odd = Request(Token());
  for (const std::string& id :
       {std::string(), std::string(17, 'a'), std::string("0123456789ABCDEF"), std::string("012345678901234\xc3\xbc")}) {
    odd.token_id = id;
    EXPECT_THAT(control_->agents().Join(odd, "r"), StatusIs(absl::StatusCode::kUnauthenticated));
  }
  EXPECT_THAT(AuditOf("AGENT_JOIN"), IsEmpty());
}

TEST_F(AuditTest, TheAuditTrailIsTextThatCanBeReadBackWhateverWasSent) {
  EXPECT_THAT(control_->cmek().Revoke(caller_, "\xff\xfe"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(control_->cmek().Revoke(caller_, std::string(63, 'x') + "\xc3\xbc"), StatusIs(absl::StatusCode::kNotFound));
  const auto entries = AuditOf("CMEK_REVOKE");
  ASSERT_THAT(entries, SizeIs(2));
  EXPECT_EQ(entries[0].cluster_id, "??");
  EXPECT_EQ(entries[1].cluster_id, std::string(63, 'x'));
  for (const AuditEntry& entry : entries) LK_EXPECT_OK(ParseJson(json::serialize(json::value(entry.error))));
}

TEST_F(AuditTest, WhatHostsBringAboutIsAudited) {
  const auto host = Host();
  const std::string id = Running(*host);
  const std::string volume = host->only().volume_id;
  LK_ASSERT_OK(control_->clusters().Delete(caller_, id));
  LK_ASSERT_OK(host->Settle());
  for (const char* action : {"KEK_STORED", "VOLUME_BOUND", "NODE_DELETED"}) {
    const auto entries = AuditOf(action);
    ASSERT_THAT(entries, SizeIs(1)) << action;
    EXPECT_EQ(entries[0].source, "INTERNAL");
    EXPECT_EQ(entries[0].actor, "agent " + host->agent_id());
    EXPECT_EQ(entries[0].cluster_id, id);
    EXPECT_THAT(entries[0].payload, HasSubstr(host->agent_id()));
  }
  EXPECT_THAT(AuditOf("VOLUME_BOUND")[0].payload, HasSubstr(volume));
}

TEST_F(AuditTest, EveryOtherChangeHasItsEntryToo) {
  const auto host = Host("h1");
  const std::string id = Running(*host);
  const auto other = Host("h2");  // after the cluster was placed: it must have no node
  const auto key = control_->api_keys().Create(caller_, "laptop");
  LK_ASSERT_OK(key);
  LK_ASSERT_OK(control_->api_keys().Delete(caller_, key->id));
  const std::string first = other->serial();
  const auto renewed = control_->agents().Renew(other->agent_id(), first, Request(Token()).request_pem);
  LK_ASSERT_OK(renewed);
  const std::string second = ReadCertificate(*renewed)->serial_hex;
  EXPECT_THAT(AuditOf("AGENT_CERTIFICATE_ENDED"), IsEmpty()) << "both are good until the new one is used";
  other->set_serial(second);
  for (int i = 0; i < 2; ++i) LK_ASSERT_OK(other->Sync());
  LK_ASSERT_OK(control_->agents().Remove(caller_, other->agent_id()));
  ObservedNode seen = host->only();
  seen.highest_generation += 10;
  host->Observe(seen);
  LK_ASSERT_OK(host->Sync());

  const std::string ann = "ann (LKEY1_test)", h1 = "agent " + host->agent_id(), h2 = "agent " + other->agent_id();
  const struct {
    std::string action, source, actor, cluster;
    std::vector<std::string> what;
  } kEntries[] = {
      {"API_KEY_CREATE", "API", ann, "", {key->id, "laptop"}},
      {"API_KEY_DELETE", "API", ann, "", {key->id}},
      {"AGENT_RENEW", "INTERNAL", h2, "", {second}},
      {"AGENT_CERTIFICATE_ENDED", "INTERNAL", h2, "", {first, second}},
      {"AGENT_REMOVE", "API", ann, "", {other->agent_id(), "h2"}},
      {"GENERATION_RAISED", "INTERNAL", h1, id, {"us-east-1", "h1", std::to_string(seen.highest_generation)}},
  };
  for (const auto& expected : kEntries) {
    const auto entries = AuditOf(expected.action);
    ASSERT_THAT(entries, SizeIs(1)) << expected.action;
    EXPECT_EQ(entries[0].error, "") << expected.action;
    EXPECT_EQ(entries[0].source, expected.source) << expected.action;
    EXPECT_EQ(entries[0].actor, expected.actor) << expected.action;
    EXPECT_EQ(entries[0].remote, expected.source == "API" ? caller_.remote : "") << expected.action;
    EXPECT_EQ(entries[0].cluster_id, expected.cluster) << expected.action;
    EXPECT_EQ(entries[0].created_at, clock_.Now()) << expected.action;
    for (const std::string& what : expected.what) EXPECT_THAT(entries[0].payload, HasSubstr(what)) << expected.action;
    EXPECT_THAT(entries[0].payload, Not(HasSubstr(std::string(key->secret.RevealText(SecretAccess{}))))) << expected.action;
  }
}

TEST_F(AuditTest, TheSourceOfAnEntryIsNoMatterOfNames) {
  const Caller sly{.api_key_id = "LKEY1_x", .name = "agent 00000000", .remote = ""};
  LK_ASSERT_OK(control_->agents().CreateJoinToken(sly));
  const Caller local{.api_key_id = "local", .name = "anything", .remote = "local"};
  LK_ASSERT_OK(control_->agents().CreateJoinToken(local));
  const auto entries = AuditOf("JOIN_TOKEN_CREATE");
  ASSERT_THAT(entries, SizeIs(2));
  EXPECT_EQ(entries[0].source, "API");
  EXPECT_EQ(entries[1].source, "CLI");
  EXPECT_THAT(entries[1].actor, testing::MatchesRegex("local:.+"));
}

}  // namespace
}  // namespace latchkey
