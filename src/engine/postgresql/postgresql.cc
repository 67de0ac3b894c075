#include <unistd.h>

#include <csignal>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/status.h"
#include "engine/credentials.h"
#include "engine/engine.h"
#include "engine/postgresql/settings.h"
#include "engine/process_record.h"
#include "engine/user_file.h"

namespace latchkey {
namespace {

// sun_path holds 108 bytes with its NUL; the longest name in the folder is ".s.PGSQL.65535.lock".
constexpr size_t kMostRunFolder = 107 - sizeof("/.s.PGSQL.65535.lock");

class Postgresql : public Engine {
 public:
  explicit Postgresql(PostgresqlOptions options) : options_(std::move(options)), layout_(options_.layout) {}

  std::string_view name() const override { return "postgresql"; }

  EngineEndpoint endpoint() const override {
    return {.host = layout_.host,
            .port = layout_.port,
            .socket_folder = layout_.run_folder,
            .database = kPostgresqlDatabase,
            .username = kPostgresqlSuperuser};
  }

  absl::StatusOr<bool> HasData() override { return Holds("-f", PostgresqlDataFolder(layout_) + "/PG_VERSION"); }

  absl::Status Initialise() override {
    RETURN_IF_ERROR(CheckLayout());
    ASSIGN_OR_RETURN(const bool has_data, HasData());
    if (has_data) return absl::AlreadyExistsError("the volume holds a PostgreSQL data folder already");
    ASSIGN_OR_RETURN(const EngineCredentials credentials,
                     ReadOrMakeEngineCredentials(layout_.state_folder, kPostgresqlSuperuser, kPostgresqlDatabase, Random::System()));
    const std::string password_file = layout_.run_folder + "/initdb.password";
    RETURN_IF_ERROR(WriteFileAs(layout_.user, password_file, std::string(credentials.password.RevealText(SecretAccess{})) + "\n"));
    const absl::Status made = MakeDataFolder(password_file);
    const auto removed = RunAs(layout_.user, {"/bin/rm", "-f", "--", password_file}, absl::Seconds(10));
    RETURN_IF_ERROR(made);
    RETURN_IF_ERROR(removed.status());
    return absl::OkStatus();
  }

  absl::StatusOr<ProcessId> Start() override {
    RETURN_IF_ERROR(CheckLayout());
    if (Find(true)) return FailedPrecondition("PostgreSQL runs already");
    ASSIGN_OR_RETURN(const bool has_data, HasData());
    if (!has_data) return FailedPrecondition("the volume holds no PostgreSQL data folder");
    RETURN_IF_ERROR(RemoveLeftOvers());
    RETURN_IF_ERROR(WriteFileAs(layout_.user, InRun(kHbaFile), PostgresqlHba()));
    RETURN_IF_ERROR(WriteFileAs(layout_.user, InRun(kIdentFile), "# No maps.\n"));
    const bool tls = PathExists(InRun(kTlsKeyFile)) && PathExists(InRun(kTlsCertificateFile));

    SpawnOptions spawn;
    spawn.argv = PostgresqlCommand(options_.bin_folder, layout_, tls);
    spawn.env = {{"PATH", "/usr/bin:/bin"}, {"LC_ALL", "C.UTF-8"}, {"TZ", "UTC"}};
    spawn.user = layout_.user;
    spawn.output_file = StartLog();
    // Only the latest start is of interest, and a crash loop must not fill the disk.
    unlink(StartLog().c_str());
    ASSIGN_OR_RETURN(const ProcessId id, Spawn(spawn));
    if (const absl::Status written = WriteProcessRecord(RecordPath(), id); !written.ok()) {
      // Nobody would find it again after a restart of the agent.
      return Prefixed(written, StopProcessTree(id, {}).ok() ? "started and stopped again" : "started, and could not be stopped");
    }
    return id;
  }

  std::optional<ProcessId> Find(bool in_volume) override {
    if (auto recorded = FindRecordedProcess(RecordPath())) return recorded;
    return in_volume ? FindByLockFile() : std::nullopt;
  }

  absl::Status Probe(absl::Duration timeout) override {
    if (!FindRecordedProcess(RecordPath())) return Unavailable("PostgreSQL does not run", StartMessage());
    ASSIGN_OR_RETURN(const EngineCredentials credentials, ReadEngineCredentials(layout_.state_folder));
    SpawnOptions psql;
    psql.argv = {options_.bin_folder + "/psql",
                 "-X",
                 "-A",
                 "-t",
                 "-q",
                 "-w",
                 "-h",
                 layout_.run_folder,
                 "-p",
                 absl::StrCat(layout_.port),
                 "-U",
                 credentials.username,
                 "-d",
                 credentials.database,
                 "-c",
                 "SELECT 1"};
    // The environment of a process can be read by its own user and root only.
    psql.env = {{"PATH", "/usr/bin:/bin"},
                {"LC_ALL", "C.UTF-8"},
                {"PGCONNECT_TIMEOUT", "5"},
                {"PGPASSWORD", std::string(credentials.password.RevealText(SecretAccess{}))}};
    psql.user = layout_.user;
    psql.detached = false;
    psql.die_with_parent = true;
    const auto result = Run(psql, timeout);
    Wipe(psql.env["PGPASSWORD"]);
    RETURN_IF_ERROR(result.status());
    if (result->exit_code == 0 && result->output == "1\n") return absl::OkStatus();
    return Unavailable("PostgreSQL does not answer yet: ", FirstLine(result->output));
  }

  absl::Status Stop() override {
    const auto id = Find(false);
    if (!id) return absl::OkStatus();
    // Fast shutdown, then immediate (PostgreSQL 15 manual, section 19.5).
    return StopProcessTree(*id, {{SIGINT, options_.fast_stop}, {SIGQUIT, options_.immediate_stop}});
  }

  absl::Status Kill() override {
    const auto id = Find(false);
    if (!id) return absl::OkStatus();
    return StopProcessTree(*id, {});
  }

 private:
  std::string InRun(const std::string& name) const { return layout_.run_folder + "/" + name; }
  std::string RecordPath() const { return layout_.state_folder + "/engine.json"; }
  std::string StartLog() const { return layout_.state_folder + "/engine-start.log"; }

  static std::string FirstLine(const std::string& text) { return text.substr(0, std::min<size_t>(text.find('\n'), 300)); }

  // What the last start said before it opened its log in the volume: settings and ports, no rows.
  std::string StartMessage() const {
    const auto text = ReadFile(StartLog(), 64 << 10);
    if (!text.ok()) return "";
    const size_t at = text->find("FATAL:");
    return at == std::string::npos ? "" : ": " + FirstLine(text->substr(at));
  }

  absl::Status CheckLayout() const {
    if (layout_.run_folder.size() > kMostRunFolder) {
      return InvalidArgument("run folder: a socket's path would be longer than 107 bytes: ", layout_.run_folder);
    }
    if (layout_.port <= 0 || layout_.port > 65535) return InvalidArgument("port: ", layout_.port, " is not a port");
    return absl::OkStatus();
  }

  // `test -x`-like question about the mount, asked by a child that may see it. A "no" counts only when the mount itself is visible.
  absl::StatusOr<bool> Holds(const std::string& question, const std::string& path) {
    ASSIGN_OR_RETURN(const RunResult answer, RunAs(layout_.user, {"/usr/bin/test", question, path}, absl::Seconds(10)));
    if (answer.exit_code == 0) return true;
    ASSIGN_OR_RETURN(const RunResult mount, RunAs(layout_.user, {"/bin/ls", "-A", "--", layout_.mount_point}, absl::Seconds(10)));
    if (mount.exit_code != 0) return Unavailable("the volume's mount point cannot be read");
    return false;
  }

  absl::Status MakeDataFolder(const std::string& password_file) {
    // Made under another name and renamed when it is complete: a data folder that is there is a whole one.
    const std::string making = PostgresqlDataFolder(layout_) + ".new";
    ASSIGN_OR_RETURN(const RunResult cleared, RunAs(layout_.user, {"/bin/rm", "-rf", "--", making}, absl::Minutes(1)));
    if (cleared.exit_code != 0) return Unavailable("cannot remove an unfinished data folder");
    ASSIGN_OR_RETURN(const RunResult made,
                     RunAs(layout_.user,
                           {options_.bin_folder + "/initdb", "-D", making, "-U", kPostgresqlSuperuser, "-A", "scram-sha-256",
                            "--pwfile=" + password_file, "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums"},
                           absl::Minutes(5)));
    if (made.exit_code != 0) return Internal("initdb failed with exit code ", made.exit_code, ": ", LastLines(made.output));
    ASSIGN_OR_RETURN(const RunResult tuned, RunAs(layout_.user,
                                                  {"/bin/sh", "-c", R"(printf %s "$2" >> "$1" && sync -- "$1")", "sh",
                                                   making + "/postgresql.conf", PostgresqlTuning(UsableMemory())},
                                                  absl::Seconds(10)));
    if (tuned.exit_code != 0) return Unavailable("cannot write postgresql.conf");
    ASSIGN_OR_RETURN(const RunResult moved, RunAs(layout_.user,
                                                  {"/bin/sh", "-c", R"(mv -T -- "$1" "$2" && sync -- "$3")", "sh", making,
                                                   PostgresqlDataFolder(layout_), layout_.mount_point},
                                                  absl::Minutes(1)));
    if (moved.exit_code != 0) return Unavailable("cannot put the new data folder in place");
    return absl::OkStatus();
  }

  static std::string LastLines(const std::string& text) { return text.size() <= 400 ? text : text.substr(text.size() - 400); }

  // A postmaster whose record was lost: named by the lock file inside the volume, and at home in the data folder.
  std::optional<ProcessId> FindByLockFile() {
    const auto lock =
        RunAs(layout_.user, {"/usr/bin/head", "-n", "1", "--", PostgresqlDataFolder(layout_) + "/postmaster.pid"}, absl::Seconds(5));
    if (!lock.ok() || lock->exit_code != 0) return std::nullopt;
    const long pid = std::strtol(lock->output.c_str(), nullptr, 10);
    if (pid <= 1) return std::nullopt;
    const auto id = Identify(static_cast<pid_t>(pid));
    if (!id.ok()) return std::nullopt;
    char home[4096];
    const ssize_t n = readlink(absl::StrCat("/proc/", pid, "/cwd").c_str(), home, sizeof home);
    if (n < 0 || std::string_view(home, static_cast<size_t>(n)) != PostgresqlDataFolder(layout_)) return std::nullopt;
    if (!WriteProcessRecord(RecordPath(), *id).ok()) return std::nullopt;
    return *id;
  }

  // Lock files of a postmaster that was killed. PostgreSQL takes any living process with the same pid and user for the old one and refuses
  // to start; the volume daemon or another node's engine may well have got that pid. That none runs here is known from Find(true).
  absl::Status RemoveLeftOvers() {
    ASSIGN_OR_RETURN(const RunResult removed, RunAs(layout_.user,
                                                    {"/bin/sh", "-c", R"(rm -f -- "$1" "$2"/.s.PGSQL.*)", "sh",
                                                     PostgresqlDataFolder(layout_) + "/postmaster.pid", layout_.run_folder},
                                                    absl::Seconds(10)));
    if (removed.exit_code != 0) return Unavailable("cannot remove the lock files of an earlier run");
    return absl::OkStatus();
  }

  const PostgresqlOptions options_;
  const EngineLayout layout_;
};

}  // namespace

std::unique_ptr<Engine> NewPostgresql(PostgresqlOptions options) { return std::make_unique<Postgresql>(std::move(options)); }

}  // namespace latchkey
