#include "store/database.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <thread>

#include "base/status.h"
#include "base/testing.h"
#include "store/migrations.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;

class DatabaseTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Database::Open({.path = folder_ / "store.db"});
    LK_ASSERT_OK(opened);
    database_ = *std::move(opened);
    LK_ASSERT_OK(Run("CREATE TABLE t (id BIGINT PRIMARY KEY, word TEXT UNIQUE, maybe TEXT)"));
  }
  absl::Status Run(std::string_view sql, std::initializer_list<SqlParameter> parameters = {}) {
    return database_->Write([&](Transaction& tx) { return tx.Execute(sql, parameters).status(); });
  }
  int64_t Count() {
    int64_t count = -1;
    LK_EXPECT_OK(database_->Read([&](Transaction& tx) -> absl::Status {
      ASSIGN_OR_RETURN(const auto row, tx.QueryOne("SELECT COUNT(*) AS n FROM t"));
      count = row->Int("n");
      return absl::OkStatus();
    }));
    return count;
  }
  TempFolder folder_;
  std::unique_ptr<Database> database_;
};

TEST_F(DatabaseTest, FileIsPrivate) {
  struct stat facts{};
  ASSERT_EQ(stat((folder_ / "store.db").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
  ASSERT_EQ(stat((folder_ / "store.db-wal").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
}

TEST_F(DatabaseTest, ValuesComeBackAsTheyWentIn) {
  const std::string text = std::string("a:b 'quoted' ü\n") + std::string(1 << 20, 'x');
  LK_ASSERT_OK(Run("INSERT INTO t (id, word, maybe) VALUES (:id, :word, :maybe)",
                   {{"id", int64_t{9'007'199'254'740'993}}, {"word", text}, {"maybe", std::monostate{}}}));
  LK_ASSERT_OK(database_->Read([&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const auto row, tx.QueryOne("SELECT id, word, maybe FROM t"));
    EXPECT_EQ(row->Int("id"), 9'007'199'254'740'993);
    EXPECT_EQ(row->Text("word"), text);
    EXPECT_TRUE(row->IsNull("maybe"));
    EXPECT_FALSE(row->IsNull("word"));
    return absl::OkStatus();
  }));
}

TEST_F(DatabaseTest, ATakenKeyIsAlreadyExistsWithoutTheValue) {
  LK_ASSERT_OK(Run("INSERT INTO t (id, word) VALUES (1, :word)", {{"word", "hush-hush"}}));
  const absl::Status status = Run("INSERT INTO t (id, word) VALUES (2, :word)", {{"word", "hush-hush"}});
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kAlreadyExists, Not(HasSubstr("hush-hush"))));
}

TEST_F(DatabaseTest, WrongSqlIsInternalWithoutTheStatement) {
  EXPECT_THAT(Run("SELEKT 'hush-hush'"), StatusIs(absl::StatusCode::kInternal, Not(HasSubstr("hush"))));
}

TEST_F(DatabaseTest, WhatIsNotCommittedIsNotThere) {
  EXPECT_THAT(database_->Write([](Transaction& tx) -> absl::Status {
    RETURN_IF_ERROR(tx.Execute("INSERT INTO t (id) VALUES (1)").status());
    return absl::CancelledError("changed my mind");
  }),
              StatusIs(absl::StatusCode::kCancelled));
  {
    LK_ASSERT_OK_AND_ASSIGN(Transaction tx, database_->Begin(Database::Mode::kWrite));
    LK_ASSERT_OK(tx.Execute("INSERT INTO t (id) VALUES (2)"));
  }
  EXPECT_EQ(Count(), 0);
}

TEST_F(DatabaseTest, ForeignKeysHold) {
  LK_ASSERT_OK(Run("CREATE TABLE child (parent BIGINT NOT NULL REFERENCES t (id))"));
  EXPECT_THAT(Run("INSERT INTO child (parent) VALUES (77)"), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(DatabaseTest, TransactionsThatReadAndThenWriteDoNotLoseUpdates) {
  LK_ASSERT_OK(Run("INSERT INTO t (id, word) VALUES (1, '0')"));
  std::vector<std::thread> threads;
  std::atomic<int> failed = 0;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 20; ++n) {
        const absl::Status status = database_->Write([](Transaction& tx) -> absl::Status {
          ASSIGN_OR_RETURN(const auto row, tx.QueryOne("SELECT word FROM t WHERE id = 1"));
          return tx.Execute("UPDATE t SET word = :word WHERE id = 1", {{"word", absl::StrCat(row->Int("word") + 1)}}).status();
        });
        if (!status.ok()) ++failed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  LK_ASSERT_OK(database_->Read([&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const auto row, tx.QueryOne("SELECT word FROM t WHERE id = 1"));
    EXPECT_EQ(row->Int("word"), 120);
    return absl::OkStatus();
  }));
}

TEST_F(DatabaseTest, WithoutAFreeConnectionTheAnswerIsUnavailable) {
  LK_ASSERT_OK_AND_ASSIGN(const auto narrow,
                          Database::Open({.path = folder_ / "narrow.db", .connections = 1, .patience = absl::Milliseconds(20)}));
  LK_ASSERT_OK_AND_ASSIGN(const Transaction held, narrow->Begin(Database::Mode::kRead));
  EXPECT_THAT(narrow->Begin(Database::Mode::kRead).status(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(DatabaseTest, ADamagedFileIsSaidToBeSo) {
  {
    std::FILE* file = std::fopen((folder_ / "broken.db").c_str(), "w");
    for (int i = 0; i < 1000; ++i) std::fputs("this is no database ", file);
    std::fclose(file);
  }
  EXPECT_THAT(Database::Open({.path = folder_ / "broken.db"}).status(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(MigrationsTest, RunOnceAndRefuseANewerSchema) {
  TempFolder folder;
  LK_ASSERT_OK_AND_ASSIGN(const auto database, Database::Open({.path = folder / "store.db"}));
  LK_ASSERT_OK(Migrate(*database, absl::Now()));
  LK_ASSERT_OK(Migrate(*database, absl::Now()));
  LK_ASSERT_OK(database->Write([](Transaction& tx) {
    return tx.Execute("INSERT INTO schema_versions (version, applied_at) VALUES (:version, 0)", {{"version", SchemaVersion() + 1}})
        .status();
  }));
  EXPECT_THAT(Migrate(*database, absl::Now()), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("newer")));
}

}  // namespace
}  // namespace latchkey
