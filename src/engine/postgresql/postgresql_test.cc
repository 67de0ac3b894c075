#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/testing.h"
#include "engine/credentials.h"
#include "engine/engine.h"
#include "engine/engine_fixture.h"
#include "engine/postgresql/settings.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;

int FreePort() {
  const UniqueFd s(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(bind(s.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(getsockname(s.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  return ntohs(address.sin_port);
}

// A PostgreSQL of its own, ended with the test whatever happens in it.
class PostgresqlTest : public testing::Test {
 protected:
  PostgresqlTest() : layout_(folders_.Layout(FreePort())), engine_(NewPostgresql({.layout = layout_})) {}
  ~PostgresqlTest() override { EXPECT_THAT(engine_->Kill(), IsOk()); }

  absl::Status ProbeUntilReady() {
    const absl::Time deadline = absl::Now() + absl::Seconds(60);
    absl::Status status;
    do {
      status = engine_->Probe(absl::Seconds(5));
    } while (!status.ok() && absl::Now() < deadline);
    return status;
  }

  // psql as a client of the machine; `host` is a folder for the socket.
  RunResult Sql(const std::string& connection, const std::string& sql) {
    const auto credentials = ReadEngineCredentials(layout_.state_folder);
    EXPECT_THAT(credentials, IsOk());
    return SqlWith(connection, std::string(credentials->password.RevealText(SecretAccess{})), sql);
  }
  RunResult SqlWith(const std::string& connection, const std::string& password, const std::string& sql) {
    SpawnOptions psql;
    psql.argv = {"/usr/lib/postgresql/15/bin/psql",
                 "-X",
                 "-A",
                 "-t",
                 "-q",
                 "-w",
                 absl::StrCat("port=", layout_.port, " user=latchkey dbname=postgres ", connection),
                 "-c",
                 sql};
    psql.env = {{"PGPASSWORD", password}, {"LC_ALL", "C.UTF-8"}};
    psql.user = layout_.user;
    psql.detached = false;
    const auto result = latchkey::Run(psql, absl::Seconds(20));
    EXPECT_THAT(result, IsOk());
    return result.ok() ? *result : RunResult{.exit_code = -1};
  }
  std::string OnSocket() const { return "host=" + layout_.run_folder; }

  void WriteCertificate() {
    SpawnOptions openssl;
    openssl.argv = {"/usr/bin/openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                    "-nodes",
                    "-days",
                    "1",
                    "-subj",
                    "/CN=localhost",
                    "-keyout",
                    layout_.run_folder + "/server.key",
                    "-out",
                    layout_.run_folder + "/server.crt"};
    openssl.env = {{"PATH", "/usr/bin:/bin"}};
    openssl.user = layout_.user;
    openssl.detached = false;
    const auto made = latchkey::Run(openssl, absl::Seconds(20));
    ASSERT_THAT(made, IsOk());
    ASSERT_EQ(made->exit_code, 0) << made->output;
  }

  EngineFolders folders_;
  EngineLayout layout_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(PostgresqlTest, IsInitialisedOnceStartsAnswersAndStops) {
  LK_ASSERT_OK_AND_ASSIGN(const bool before, engine_->HasData());
  EXPECT_FALSE(before);
  EXPECT_THAT(engine_->Start(), StatusIs(absl::StatusCode::kFailedPrecondition));
  LK_ASSERT_OK(engine_->Initialise());
  LK_ASSERT_OK_AND_ASSIGN(const bool after, engine_->HasData());
  EXPECT_TRUE(after);
  EXPECT_THAT(engine_->Initialise(), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_FALSE(PathExists(layout_.run_folder + "/initdb.password"));

  EXPECT_THAT(engine_->Probe(absl::Seconds(5)), StatusIs(absl::StatusCode::kUnavailable));
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId id, engine_->Start());
  EXPECT_THAT(engine_->Start(), StatusIs(absl::StatusCode::kFailedPrecondition));
  LK_ASSERT_OK(ProbeUntilReady());
  EXPECT_EQ(Sql(OnSocket(), "SELECT 40 + 2").output, "42\n");
  EXPECT_EQ(Sql(OnSocket(), "SHOW data_checksums").output, "on\n");

  // After a restart of the agent another object finds the same process.
  const auto again = NewPostgresql({.layout = layout_});
  EXPECT_EQ(again->Find(true), id);
  const std::vector<ProcessId> tree = ProcessTree(id);
  EXPECT_GT(tree.size(), 3u);
  LK_ASSERT_OK(again->Stop());
  for (const ProcessId& process : tree) EXPECT_FALSE(IsRunning(process));
  EXPECT_EQ(again->Find(true), std::nullopt);
  LK_EXPECT_OK(again->Stop());
}

TEST_F(PostgresqlTest, IsFoundEvenWhenItsRecordIsLost) {
  LK_ASSERT_OK(engine_->Initialise());
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId id, engine_->Start());
  LK_ASSERT_OK(ProbeUntilReady());
  std::filesystem::remove(layout_.state_folder + "/engine.json");
  EXPECT_EQ(engine_->Find(false), std::nullopt) << "without a look into the volume";
  EXPECT_EQ(engine_->Find(true), id);
  EXPECT_EQ(engine_->Find(false), id) << "it is written down again";
}

TEST_F(PostgresqlTest, StartsAgainAfterAKillWhoseLockFileNamesAnotherLivingProcess) {
  LK_ASSERT_OK(engine_->Initialise());
  LK_ASSERT_OK(engine_->Start());
  LK_ASSERT_OK(ProbeUntilReady());
  LK_ASSERT_OK(engine_->Kill());
  SpawnOptions bystander;
  bystander.argv = {"/bin/sleep", "600"};
  bystander.user = layout_.user;
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId other, Spawn(bystander));
  std::string lock = *ReadFile(layout_.mount_point + "/pgdata/postmaster.pid");
  lock.replace(0, lock.find('\n'), absl::StrCat(other.pid));
  LK_ASSERT_OK(WriteFileAs(layout_.user, layout_.mount_point + "/pgdata/postmaster.pid", lock));
  LK_ASSERT_OK(engine_->Start());
  LK_EXPECT_OK(ProbeUntilReady());
  EXPECT_TRUE(IsRunning(other)) << "a process that is not ours was touched";
  LK_EXPECT_OK(SendSignal(other, SIGKILL));
}

TEST_F(PostgresqlTest, WithoutACertificateItDoesNotListenOnTcp) {
  LK_ASSERT_OK(engine_->Initialise());
  LK_ASSERT_OK(engine_->Start());
  LK_ASSERT_OK(ProbeUntilReady());
  EXPECT_THAT(Sql("host=127.0.0.1", "SELECT 1").output, HasSubstr("refused"));
}

TEST_F(PostgresqlTest, OnTcpItWantsTlsAndThePassword) {
  ASSERT_NO_FATAL_FAILURE(WriteCertificate());
  LK_ASSERT_OK(engine_->Initialise());
  LK_ASSERT_OK(engine_->Start());
  LK_ASSERT_OK(ProbeUntilReady());
  EXPECT_EQ(Sql("host=127.0.0.1 sslmode=require", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").output, "t\n");
  EXPECT_THAT(Sql("host=127.0.0.1 sslmode=disable", "SELECT 1").output, HasSubstr("no encryption"));
  EXPECT_THAT(SqlWith("host=127.0.0.1 sslmode=require", "wrong", "SELECT 1").output, HasSubstr("password authentication failed"));
  EXPECT_THAT(SqlWith(OnSocket(), "wrong", "SELECT 1").output, HasSubstr("password authentication failed"));
}

TEST_F(PostgresqlTest, WritesRowsNowhereOutsideItsVolume) {
  LK_ASSERT_OK(engine_->Initialise());
  LK_ASSERT_OK(engine_->Start());
  LK_ASSERT_OK(ProbeUntilReady());
  Sql(OnSocket(), "CREATE TABLE t (x text); INSERT INTO t VALUES ('planted-marker')");
  Sql(OnSocket(), "SELECT 'planted-marker'::int");  // the error in the log quotes it
  EXPECT_THAT(Sql(OnSocket(), "SHOW log_directory").output, HasSubstr("log"));
  LK_ASSERT_OK(engine_->Stop());
  size_t files = 0;
  for (const std::string& folder : {layout_.run_folder, layout_.state_folder}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file()) continue;
      ++files;
      const auto text = ReadFile(entry.path().string());
      ASSERT_THAT(text, IsOk());
      EXPECT_THAT(*text, Not(HasSubstr("planted-marker"))) << entry.path();
    }
  }
  EXPECT_GE(files, 3u);
}

TEST_F(PostgresqlTest, SaysWhyItDidNotStart) {
  LK_ASSERT_OK(engine_->Initialise());
  LK_ASSERT_OK(WriteFileAs(layout_.user, layout_.mount_point + "/pgdata/postgresql.conf", "max_connections = many\n"));
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId id, engine_->Start());
  EXPECT_TRUE(WaitForExit(id, absl::Seconds(20)));
  EXPECT_THAT(engine_->Probe(absl::Seconds(5)), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("postgresql.conf")));
}

TEST_F(PostgresqlTest, AnUnfinishedInitialisationIsNoDataAndIsRepeated) {
  LK_ASSERT_OK(RunAs(layout_.user, {"/bin/mkdir", "-p", layout_.mount_point + "/pgdata.new/base"}, absl::Seconds(5)));
  LK_ASSERT_OK(WriteFileAs(layout_.user, layout_.mount_point + "/pgdata.new/PG_VERSION", "15\n"));
  LK_ASSERT_OK_AND_ASSIGN(const bool has_data, engine_->HasData());
  EXPECT_FALSE(has_data);
  LK_EXPECT_OK(engine_->Initialise());
}

TEST_F(PostgresqlTest, DoesNotCallAnUnreadableMountEmpty) {
  std::filesystem::remove(layout_.mount_point);
  EXPECT_THAT(engine_->HasData(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST(PostgresqlSettingsTest, BuffersAreAShareOfTheMemoryWithinBounds) {
  EXPECT_THAT(PostgresqlTuning(uint64_t{8} << 30), HasSubstr("\nshared_buffers = 256MB\n"));
  EXPECT_THAT(PostgresqlTuning(uint64_t{256} << 20), HasSubstr("\nshared_buffers = 128MB\n"));
  EXPECT_THAT(PostgresqlTuning(uint64_t{1} << 40), HasSubstr("\nshared_buffers = 512MB\n"));
}

TEST(PostgresqlSettingsTest, NeverTrustsAnybody) {
  EXPECT_THAT(PostgresqlHba(), Not(HasSubstr("trust")));
  EXPECT_THAT(PostgresqlHba(), Not(HasSubstr("host ")));
}

TEST(PostgresqlSettingsTest, RefusesARunFolderWhoseSocketPathWouldBeCut) {
  const auto engine = NewPostgresql({.layout = {.run_folder = "/" + std::string(100, 'x'), .port = 5432}});
  EXPECT_THAT(engine->Start(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("run folder")));
}

TEST(EngineTest, OneThatIsNotBuiltInIsNotFound) {
  EXPECT_THAT(NewEngine("oracle", {}), StatusIs(absl::StatusCode::kNotFound, HasSubstr("engine")));
}

}  // namespace
}  // namespace latchkey
