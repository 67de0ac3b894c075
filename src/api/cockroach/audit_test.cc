#include "api/cockroach/audit.h"

#include "api/cockroach/api_fixture.h"

namespace latchkey::cockroach {
namespace {

constexpr int64_t kStart = 1'700'000'000;

class AuditTest : public ApiTest {
 protected:
  // One entry a second; ids have gaps, as after refused transactions.
  void Fill(int count) {
    for (int i = 0; i < count; ++i) Add(absl::FromUnixSeconds(kStart + i));
  }
  void Add(absl::Time at) {
    AuditEntry entry;
    entry.id = control_.audit.empty() ? 3 : control_.audit.back().id + 2;
    entry.created_at = at;
    entry.action = "CMEK_REVOKE";
    entry.source = "API";
    entry.actor = "ci";
    entry.remote = "192.0.2.1";
    control_.audit.push_back(entry);
  }
  // Follows the cursor to the end; the ids in the order of reading.
  std::vector<std::string> ReadAll(const std::string& order, int limit, int most_pages = 1000) {
    std::vector<std::string> ids;
    std::string from;
    for (int page = 0; page < most_pages; ++page) {
      const json::object body =
          Body(Ask("GET", "/auditlogevents?sort_order=" + order + "&limit=" + std::to_string(limit) + "&starting_from=" + from));
      for (const json::value& entry : body.at("entries").as_array()) ids.emplace_back(entry.at("id").as_string().c_str());
      if (body.at("entries").as_array().empty() || body.at("next_starting_from").is_null()) break;
      from = body.at("next_starting_from").as_string().c_str();
    }
    return ids;
  }
  std::vector<std::string> Ids() const {
    std::vector<std::string> ids;
    for (const AuditEntry& entry : control_.audit) ids.push_back(std::to_string(entry.id));
    return ids;
  }
};

TEST_F(AuditTest, FollowingTheCursorReadsEveryEntryOnceInEitherOrder) {
  Fill(523);
  std::vector<std::string> expected = Ids();
  EXPECT_EQ(ReadAll("ASC", 100), expected);
  std::reverse(expected.begin(), expected.end());
  EXPECT_EQ(ReadAll("DESC", 100), expected);
}

TEST_F(AuditTest, EntriesOfOneMomentStayTogether) {
  for (int i = 0; i < 5; ++i) Add(absl::FromUnixSeconds(kStart));
  Fill(3);
  std::vector<std::string> expected = Ids();
  EXPECT_EQ(ReadAll("ASC", 2), expected);
  std::reverse(expected.begin(), expected.end());
  EXPECT_EQ(ReadAll("DESC", 1), expected);
}

TEST_F(AuditTest, AscendingKeepsACursorAtTheEndAndDescendingDoesNot) {
  Fill(2);
  const json::object ascending = Body(Ask("GET", "/auditlogevents?starting_from=2030-01-01T00:00:00Z"));
  EXPECT_EQ(ascending.at("entries").as_array().size(), 0u);
  EXPECT_EQ(ascending.at("next_starting_from").as_string(), "2030-01-01T00:00:00.000000Z");
  EXPECT_TRUE(Body(Ask("GET", "/auditlogevents?sort_order=DESC")).at("next_starting_from").is_null());
}

TEST_F(AuditTest, AnEmptyLogIsAnEmptyList) {
  EXPECT_EQ(Ask("GET", "/auditlogevents").body, R"({"entries":[],"next_starting_from":null})");
  EXPECT_EQ(Ask("GET", "/auditlogevents?sort_order=DESC").body, R"({"entries":[],"next_starting_from":null})");
}

TEST_F(AuditTest, ActionsHaveTheWordsOfTheOriginal) {
  Fill(1);
  const json::object body = Body(Ask("GET", "/auditlogevents"));
  const json::value& entry = body.at("entries").at(0);
  EXPECT_EQ(entry.at("action").as_string(), "AUDIT_LOG_ACTION_REVOKE_CMEK");
  EXPECT_EQ(entry.at("source").as_string(), "AUDIT_LOG_SOURCE_CC_API");
  EXPECT_EQ(entry.at("metadata").at("ip_address").as_string(), "192.0.2.1");
  EXPECT_EQ(entry.at("created_at").as_string(), "2023-11-14T22:13:20.000000Z");
}

TEST_F(AuditTest, NoNameOfAKeyLooksLikeAHostOrACommandOfTheServer) {
  Fill(5);
  control_.audit[0].actor = "local";
  control_.audit[1].actor = "agent 7";
  control_.audit[2].source = "CLI";
  control_.audit[2].actor = "local:root";
  control_.audit[3].source = "INTERNAL";
  const std::vector<std::string> expected = {"CC_API", "CC_API", "CLI", "INTERNAL", "CC_API"};
  for (const char* path : {"/auditlogevents", "/latchkey/audit"}) {
    const json::object body = Body(Ask("GET", path));
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(body.at("entries").at(i).at("source").as_string(), "AUDIT_LOG_SOURCE_" + expected[i]) << path << i;
    }
  }
}

TEST_F(AuditTest, OurOwnListGoesByNumber) {
  Fill(5);
  const json::object body = Body(Ask("GET", "/latchkey/audit?after_id=5&limit=2"));
  EXPECT_EQ(body.at("entries").at(0).at("id").as_string(), "7");
  EXPECT_EQ(body.at("next_after_id").as_int64(), 9);
  EXPECT_EQ(Body(Ask("GET", "/latchkey/audit?after_id=11")).at("next_after_id").as_int64(), 11);
}

}  // namespace
}  // namespace latchkey::cockroach
