#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/file.h"
#include "base/process_internal.h"
#include "base/process_testing.h"
#include "base/testing.h"

namespace latchkey {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr absl::Duration kSoon = absl::Seconds(20);

SpawnOptions Shell(const std::string& script) { return {.argv = {"/bin/sh", "-c", script}, .env = {{"PATH", "/usr/bin:/bin"}}}; }

// Kills what a test started, also when the test fails.
class Killer {
 public:
  explicit Killer(const ProcessId& id) : id_(id) {}
  ~Killer() { KillTree(id_, kSoon).IgnoreError(); }
  Killer(const Killer&) = delete;
  Killer& operator=(const Killer&) = delete;

 private:
  ProcessId id_;
};

std::string OutputOf(const std::string& script) {
  const absl::StatusOr<RunResult> result = latchkey::Run(Shell(script), kSoon);
  EXPECT_THAT(result, IsOk());
  return result.ok() ? result->output : "";
}

TEST(IdentifyTest, KnowsThisProcessAndNotAnAbsentOne) {
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId self, Identify(getpid()));
  EXPECT_EQ(self.pid, getpid());
  EXPECT_GT(self.start_ticks, 0u);
  EXPECT_TRUE(IsRunning(self));
  EXPECT_FALSE(IsRunning({self.pid, self.start_ticks + 1}));
  EXPECT_FALSE(IsRunning({}));
  EXPECT_THAT(Identify(0x3fffffff), StatusIs(absl::StatusCode::kNotFound));
}

TEST(IdentifyTest, ReadsPastANameWithSpacesAndParentheses) {
  ReadyPipe ready;
  SpawnOptions options = Shell("printf 'a) R 1 (b' > /proc/self/comm; echo >/proc/self/fd/$FD; sleep 1000");
  // The shell itself: /proc/self is the process that opens it.
  ready.GiveTo(options);
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId id, Spawn(options));
  const Killer killer(id);
  ASSERT_TRUE(ready.Wait(kSoon));
  EXPECT_THAT(*ReadFile("/proc/" + std::to_string(id.pid) + "/stat"), HasSubstr("(a) R 1 (b)"));
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId again, Identify(id.pid));
  EXPECT_EQ(again, id);
}

TEST(IdentifyTest, CountsAZombieAsGone) {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);  // it has ended and is not reaped
  EXPECT_THAT(Identify(pid), StatusIs(absl::StatusCode::kNotFound));
  waitpid(pid, nullptr, 0);
}

TEST(IdentifyTest, CountsAProcessWhoseFirstThreadHasEndedAsRunning) {
  ReadyPipe ready;
  const pid_t pid = fork();
  if (pid == 0) {
    std::thread([fd = ready.writer()] {
      // Says so when the first thread is a zombie.
      for (;;) {
        const absl::StatusOr<std::string> stat = ReadFile("/proc/self/stat");
        if (stat.ok() && stat->find(") Z ") != std::string::npos) break;
        std::this_thread::yield();
      }
      [[maybe_unused]] const ssize_t n = write(fd, "x", 1);
      for (;;) pause();
    }).detach();
    syscall(SYS_exit, 0);  // this thread only
  }
  ASSERT_TRUE(ready.Wait(kSoon));
  const absl::StatusOr<ProcessId> id = Identify(pid);
  kill(pid, SIGKILL);
  LK_ASSERT_OK(id);
  EXPECT_TRUE(WaitForExit(*id, kSoon));
}

TEST(SpawnTest, StartsADetachedProcessInASessionOfItsOwnThatIsNoChildOfOurs) {
  ReadyPipe ready;
  SpawnOptions options = Shell("echo >/proc/self/fd/$FD; sleep 1000");
  ready.GiveTo(options);
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId id, Spawn(options));
  const Killer killer(id);
  ASSERT_TRUE(ready.Wait(kSoon));
  EXPECT_TRUE(IsRunning(id));
  EXPECT_NE(getsid(id.pid), getsid(0));
  EXPECT_EQ(waitpid(id.pid, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(SpawnTest, ReportsAProgramThatCannotBeStarted) {
  for (bool detached : {true, false}) {
    SpawnOptions options{.argv = {"/nonexistent/program"}, .detached = detached};
    EXPECT_THAT(Spawn(options), StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/program (exec)")));
    options.argv = {"/etc/passwd"};
    EXPECT_THAT(Spawn(options), StatusIs(absl::StatusCode::kPermissionDenied));
    options.argv = {"/bin/true"};
    options.cwd = "/nonexistent";
    EXPECT_THAT(Spawn(options), StatusIs(absl::StatusCode::kNotFound, HasSubstr("chdir")));
  }
  EXPECT_THAT(Spawn({}), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a failed start left a zombie";
}

TEST(SpawnTest, KnowsAProcessThatEndsAtOnce) {
  for (int i = 0; i < 20; ++i) {
    LK_ASSERT_OK_AND_ASSIGN(const ProcessId id, Spawn({.argv = {"/bin/true"}}));
    EXPECT_GT(id.start_ticks, 0u);
    EXPECT_TRUE(WaitForExit(id, kSoon));
    EXPECT_FALSE(IsRunning(id));
  }
}

TEST(SpawnTest, GivesExactlyTheEnvironmentTheFolderAndTheOutputFile) {
  TempFolder folder;
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId id,
                          Spawn({.argv = {"/usr/bin/env"}, .env = {{"ONE", "1"}, {"TWO", "2"}}, .output_file = folder / "out"}));
  ASSERT_TRUE(WaitForExit(id, kSoon));
  EXPECT_EQ(*ReadFile(folder / "out"), "ONE=1\nTWO=2\n");
  SpawnOptions pwd = Shell("pwd; echo err >&2");
  pwd.cwd = folder.path();
  pwd.output_file = folder / "out";
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId second, Spawn(pwd));
  ASSERT_TRUE(WaitForExit(second, kSoon));
  EXPECT_EQ(*ReadFile(folder / "out"), "ONE=1\nTWO=2\n" + folder.path() + "\nerr\n");
}

TEST(SpawnTest, LeavesOpenOnlyWhatItIsToldTo) {
  // The one to be lost has a high number, so that the program's own descriptors do not take it.
  const UniqueFd kept(open("/dev/null", O_RDONLY | O_CLOEXEC)), low(open("/dev/null", O_RDONLY)), lost(fcntl(low.get(), F_DUPFD, 500));
  ASSERT_TRUE(lost.valid());
  SpawnOptions options = Shell("ls /proc/self/fd");
  options.keep_fds = {kept.get()};
  LK_ASSERT_OK_AND_ASSIGN(const RunResult result, latchkey::Run(options, kSoon));
  // ls opens one more, the lowest free one.
  std::set<int> fds;
  std::istringstream in(result.output);
  for (int fd; in >> fd;) fds.insert(fd);
  EXPECT_THAT(fds, Contains(kept.get()));
  EXPECT_THAT(fds, Not(Contains(lost.get())));
  EXPECT_LE(fds.size(), 5u) << result.output;
  options.keep_fds = {999};
  EXPECT_THAT(latchkey::Run(options, kSoon), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("keep_fds")));
}

TEST(SpawnTest, ResetsSignalsAndForbidsCores) {
  signal(SIGTERM, SIG_IGN);
  sigset_t set, before;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, &before);
  const std::string status = OutputOf("cat /proc/self/status /proc/self/limits");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  signal(SIGTERM, SIG_DFL);
  EXPECT_THAT(status, HasSubstr("SigBlk:\t0000000000000000"));
  EXPECT_THAT(status, HasSubstr("SigIgn:\t0000000000000000"));
  EXPECT_THAT(status, testing::ContainsRegex("Max core file size +0 +0 "));
}

TEST(SpawnTest, ChangesTheUserCompletely) {
  // Somebody else than this test.
  const absl::StatusOr<UserIds> other = FindUser(geteuid() == 0 ? "nobody" : "root");
  LK_ASSERT_OK(other);
  SpawnOptions options = Shell("grep -E '^(Uid|Gid|Groups)' /proc/self/status");
  options.user = *other;
  const absl::StatusOr<RunResult> result = latchkey::Run(options, kSoon);
  if (geteuid() != 0) {
    // Only root may.
    EXPECT_THAT(result, StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("setgroups")));
    return;
  }
  LK_ASSERT_OK(result);
  const std::string u = std::to_string(other->uid), g = std::to_string(other->gid);
  EXPECT_THAT(result->output, HasSubstr("Uid:\t" + u + "\t" + u + "\t" + u + "\t" + u + "\n"));
  EXPECT_THAT(result->output, HasSubstr("Gid:\t" + g + "\t" + g + "\t" + g + "\t" + g + "\n"));
  EXPECT_THAT(result->output, testing::ContainsRegex("Groups:[ \t]*\n"));
}

TEST(SpawnTest, EndsAChildWithItsParentWhenAsked) {
  ReadyPipe ready;
  int report[2];
  ASSERT_EQ(pipe2(report, O_CLOEXEC), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    SpawnOptions options = Shell("echo >/proc/self/fd/$FD; sleep 1000");
    ready.GiveTo(options);
    options.detached = false;
    options.die_with_parent = true;
    const absl::StatusOr<ProcessId> id = Spawn(options);
    const ProcessId out = id.ok() ? *id : ProcessId{};
    [[maybe_unused]] const ssize_t n = write(report[1], &out, sizeof out);
    for (;;) pause();
  }
  ProcessId child;
  ASSERT_EQ(read(report[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  close(report[0]);
  close(report[1]);
  const Killer killer(child);
  ASSERT_TRUE(child.valid());
  ASSERT_TRUE(ready.Wait(kSoon));
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  EXPECT_TRUE(WaitForExit(child, kSoon));
  EXPECT_THAT(Spawn({.argv = {"/bin/true"}, .detached = true, .die_with_parent = true}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(RunTest, GivesOutputAndExitCode) {
  LK_ASSERT_OK_AND_ASSIGN(const RunResult result, latchkey::Run(Shell("echo out; echo err >&2; exit 3"), kSoon));
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.output, "out\nerr\n");
  LK_ASSERT_OK_AND_ASSIGN(const RunResult killed, latchkey::Run(Shell("kill -TERM $$"), kSoon));
  EXPECT_EQ(killed.exit_code, 128 + SIGTERM);
}

TEST(RunTest, SendsInputOfAnyLengthAndBoundsTheOutput) {
  const std::string input(1 << 20, 'x');
  LK_ASSERT_OK_AND_ASSIGN(const RunResult counted, latchkey::Run(Shell("wc -c"), kSoon, input));
  EXPECT_EQ(counted.output, "1048576\n");
  LK_ASSERT_OK_AND_ASSIGN(const RunResult echoed, latchkey::Run(Shell("cat"), kSoon, input));
  EXPECT_EQ(echoed.output, std::string(64 << 10, 'x'));
  // A program that does not read costs nobody a SIGPIPE.
  LK_ASSERT_OK_AND_ASSIGN(const RunResult deaf, latchkey::Run(Shell("exec 0<&-; exit 0"), kSoon, input));
  EXPECT_EQ(deaf.exit_code, 0);
}

TEST(RunTest, KillsTheWholeGroupAfterTheTimeout) {
  TempFolder folder;
  SpawnOptions options = Shell("sleep 1000 & echo $! > " + (folder / "pid") + "; sleep 1000");
  EXPECT_THAT(latchkey::Run(options, absl::Milliseconds(300)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("/bin/sh did not end within 300ms")));
  const int background = std::stoi(*ReadFile(folder / "pid"));
  const absl::StatusOr<ProcessId> left = Identify(background);
  EXPECT_TRUE(!left.ok() || WaitForExit(*left, kSoon));
}

// A tracer keeps a killed child from its parent, as a dead file system does: waitpid() would wait for it.
TEST(RunTest, DoesNotWaitForAChildThatCannotBeReapedAndReapsItLater) {
  int told[2], release[2];
  ASSERT_EQ(pipe(told), 0);
  ASSERT_EQ(pipe(release), 0);
  const pid_t tracer = fork();
  if (tracer == 0) {
    close(release[1]);
    char text[32] = {};
    if (read(told[0], text, sizeof text - 1) <= 0 || ptrace(PTRACE_SEIZE, std::atoi(text), nullptr, nullptr) != 0) _exit(2);
    pollfd p{release[0], POLLIN, 0};
    _exit(poll(&p, 1, 60'000) == 1 ? 0 : 3);
  }
  const UniqueFd told_reader(told[0]), told_writer(told[1]), release_reader(release[0]);
  UniqueFd hold(release[1]);
  const TempFolder folder;
  SpawnOptions options = Shell("echo $$ >" + folder / "pid" + "; echo $$ >/proc/self/fd/$FD; exec sleep 1000");
  options.keep_fds = {told_writer.get()};
  options.env["FD"] = std::to_string(told_writer.get());
  EXPECT_THAT(latchkey::Run(options, absl::Seconds(3)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  const pid_t child = std::stoi(*ReadFile(folder / "pid"));
  EXPECT_EQ(kill(child, 0), 0);  // killed, and still there
  hold.Reset();
  int status = 0;
  ASSERT_EQ(waitpid(tracer, &status, 0), tracer);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  LK_EXPECT_OK(latchkey::Run(Shell("true"), kSoon));
  EXPECT_EQ(kill(child, 0), -1);
}

TEST(RunTest, DoesNotWaitForADaemonThatKeepsTheOutputOpen) {
  LK_ASSERT_OK_AND_ASSIGN(const RunResult result, latchkey::Run(Shell("sleep 1000 & echo $!"), kSoon));
  const absl::StatusOr<ProcessId> daemon = Identify(std::stoi(result.output));
  LK_ASSERT_OK(daemon);
  LK_EXPECT_OK(KillTree(*daemon, kSoon));
}

TEST(WaitForExitTest, WaitsUntilTheTimeoutAndNoLonger) {
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId id, Spawn({.argv = {"/bin/sleep", "1000"}}));
  const Killer killer(id);
  EXPECT_FALSE(WaitForExit(id, absl::Milliseconds(20)));
  EXPECT_FALSE(WaitForExit(id, absl::ZeroDuration()));
  LK_ASSERT_OK(SendSignal(id, SIGTERM));
  EXPECT_TRUE(WaitForExit(id, kSoon));
  EXPECT_TRUE(WaitForExit(id, absl::ZeroDuration()));
  LK_EXPECT_OK(SendSignal(id, SIGTERM));
}

TEST(WaitForExitTest, ReapsAChild) {
  SpawnOptions options = Shell("exit 0");
  options.detached = false;
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId id, Spawn(options));
  EXPECT_TRUE(WaitForExit(id, kSoon));
  EXPECT_EQ(waitpid(id.pid, nullptr, WNOHANG), -1);
}

TEST(SendSignalTest, DoesNotReachAnotherProcessWithTheSamePid) {
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId id, Spawn({.argv = {"/bin/sleep", "1000"}}));
  const Killer killer(id);
  const ProcessId former{id.pid, id.start_ticks - 1};
  LK_EXPECT_OK(SendSignal(former, SIGKILL));
  LK_EXPECT_OK(KillTree(former, absl::ZeroDuration()));
  EXPECT_TRUE(WaitForExit(former, absl::ZeroDuration()));
  EXPECT_TRUE(IsRunning(id));
}

TEST(KillTreeTest, KillsParentsChildrenAndThoseThatIgnoreSignals) {
  ReadyPipe ready;
  // The one in a session of its own comes first, so that all are there when the last one says so.
  SpawnOptions options =
      Shell("trap '' TERM INT HUP; setsid sleep 1000 & (trap '' TERM; sh -c 'echo >/proc/self/fd/$FD; sleep 1000; :') & sleep 1000; :");
  ready.GiveTo(options);
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId id, Spawn(options));
  ASSERT_TRUE(ready.Wait(kSoon));
  const std::vector<ProcessId> tree = ProcessTree(id);
  ASSERT_GE(tree.size(), 3u);
  EXPECT_EQ(tree.front(), id);
  LK_ASSERT_OK(KillTree(id, kSoon));
  for (const ProcessId& each : tree) EXPECT_FALSE(IsRunning(each)) << each.pid;
  EXPECT_THAT(ProcessTree(id), testing::IsEmpty());
}

// The processes whose command line names this text.
std::vector<ProcessId> Naming(const std::string& text) {
  std::vector<ProcessId> out;
  for (const pid_t pid : internal::AllPids()) {
    const absl::StatusOr<ProcessId> id = Identify(pid);
    const absl::StatusOr<std::string> line = ReadFile("/proc/" + std::to_string(pid) + "/cmdline");
    if (id.ok() && line.ok() && line->find(text) != std::string::npos) out.push_back(*id);
  }
  return out;
}

TEST(KillTreeTest, OutrunsATreeThatForksAllTheTime) {
  TempFolder folder;
  const std::string script = folder / "fork.sh";
  // Its children would live on if they were lost to another parent.
  LK_ASSERT_OK(WriteFileAtomically(script, "while :; do tail -f " + script + " & sleep 0.003; done\n", 0700));
  for (int round = 0; round < 3; ++round) {
    ReadyPipe ready;
    SpawnOptions options = Shell("for i in 1 2 3 4; do sh " + script + " & done; sleep 0.1; echo >/proc/self/fd/$FD; wait");
    ready.GiveTo(options);
    LK_ASSERT_OK_AND_ASSIGN(const ProcessId id, Spawn(options));
    ASSERT_TRUE(ready.Wait(kSoon));
    LK_ASSERT_OK(KillTree(id, kSoon));
    const std::vector<ProcessId> left = Naming(script);
    for (const ProcessId& each : left) LK_EXPECT_OK(SendSignal(each, SIGKILL));
    ASSERT_EQ(left.size(), 0u);
  }
}

TEST(FindUserTest, FindsRootAndNamesWhoIsAbsent) {
  LK_ASSERT_OK_AND_ASSIGN(const UserIds root, FindUser("root"));
  EXPECT_EQ(root.uid, 0u);
  EXPECT_THAT(FindUser("no-such-user"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("no-such-user")));
}

TEST(BootIdTest, IsAUuidThatStays) {
  EXPECT_EQ(BootId().size(), 36u);
  EXPECT_EQ(BootId(), BootId());
}

}  // namespace
}  // namespace latchkey
