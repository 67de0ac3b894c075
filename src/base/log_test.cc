#include "base/log.h"

#include <sys/stat.h>

#include <cmath>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"

namespace latchkey {
namespace {

class LogTest : public testing::Test {
 protected:
  void SetUp() override { LK_ASSERT_OK(SetUpLog({.component = "agent", .file = folder_ / "log"})); }
  void TearDown() override { LK_ASSERT_OK(SetUpLog({})); }

  std::vector<json::object> Lines() const {
    std::vector<json::object> out;
    const std::string text = *ReadFile(folder_ / "log");
    EXPECT_TRUE(text.empty() || text.back() == '\n');
    size_t at = 0;
    while (at < text.size()) {
      const size_t end = text.find('\n', at);
      absl::StatusOr<json::object> line = ParseJsonObject(std::string_view(text).substr(at, end - at));
      EXPECT_THAT(line, IsOk()) << text.substr(at, end - at);
      if (line.ok()) out.push_back(*std::move(line));
      at = end + 1;
    }
    return out;
  }
  json::object Only() const {
    const auto lines = Lines();
    EXPECT_EQ(lines.size(), 1u);
    return lines.empty() ? json::object() : lines[0];
  }

  TempFolder folder_;
};

TEST_F(LogTest, WritesOneJsonObjectALine) {
  const std::string id = "n1";
  Log(LogLevel::kInfo, "volume opened", {{"node", id}, {"revision", 7}, {"ok", true}, {"view", std::string_view("v")}});
  const json::object line = Only();
  EXPECT_THAT(std::string(line.at("ts").as_string()), testing::MatchesRegex("[0-9-]{10}T[0-9:]{8}\\.[0-9]{6}Z"));
  EXPECT_EQ(line.at("level").as_string(), "info");
  EXPECT_EQ(line.at("component").as_string(), "agent");
  EXPECT_EQ(line.at("msg").as_string(), "volume opened");
  EXPECT_EQ(line.at("node").as_string(), "n1");
  EXPECT_EQ(line.at("revision").as_int64(), 7);
  EXPECT_EQ(line.at("ok"), json::value(true));
  EXPECT_EQ(line.at("view").as_string(), "v");
  struct stat st{};
  ASSERT_EQ(stat((folder_ / "log").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST_F(LogTest, LeavesOutWhatIsBelowTheLevel) {
  Log(LogLevel::kDebug, "unseen");
  Log(LogLevel::kWarning, "seen");
  EXPECT_EQ(Only().at("level").as_string(), "warning");
}

TEST_F(LogTest, EscapesSoThatNoValueCanForgeALine) {
  Log(LogLevel::kError, "a\n{\"level\":\"info\"}", {{"v", "\"}\n{\"x\":1}"}});
  EXPECT_EQ(Only().at("v").as_string(), "\"}\n{\"x\":1}");
}

TEST_F(LogTest, CutsLongValuesAndMarksThem) {
  Log(LogLevel::kInfo, std::string(5000, 'm'), {{"v", std::string(2049, 'v')}, {"short", std::string(2048, 's')}});
  const json::object line = Only();
  EXPECT_LT(line.at("msg").as_string().size(), 2100u);
  EXPECT_TRUE(std::string_view(line.at("v").as_string()).ends_with("[cut]"));
  EXPECT_EQ(line.at("short").as_string().size(), 2048u);
}

TEST_F(LogTest, CutsBetweenCharactersAndReplacesWhatIsNoText) {
  std::string e;
  for (int i = 0; i < 2000; ++i) e += "\xe2\x82\xac";  // three bytes each
  Log(LogLevel::kInfo, "m", {{"euros", e}, {"bytes", std::string("a\xff\xc0\x80\xed\xa0\x80z")}});
  const json::object line = Only();
  EXPECT_THAT(std::string(line.at("bytes").as_string()), testing::StartsWith("a\xef\xbf\xbd"));
}

TEST_F(LogTest, LetsNoFieldReplaceItsOwn) {
  Log(LogLevel::kInfo, "the message", {{"msg", "another"}, {"level", "error"}});
  EXPECT_EQ(Only().at("msg").as_string(), "the message");
  EXPECT_EQ(Only().at("level").as_string(), "info");
}

TEST_F(LogTest, TakesAnAbseilViewAsText) {
  const absl::Status status = absl::InternalError("went wrong");
  Log(LogLevel::kInfo, "m", {{"error", status.message()}});
  EXPECT_EQ(Only().at("error").as_string(), "went wrong");
}

TEST_F(LogTest, KeepsLinesWholeWhenManyThreadsLog) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 200; ++i) Log(LogLevel::kInfo, "line", {{"t", t}, {"i", i}});
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(Lines().size(), 800u);
}

TEST(SetUpLogTest, SaysWhenTheFileCannotBeOpened) {
  EXPECT_THAT(SetUpLog({.component = "x", .file = "/nonexistent/log"}),
              StatusIs(absl::StatusCode::kNotFound, testing::HasSubstr("/nonexistent/log")));
}

}  // namespace
}  // namespace latchkey
