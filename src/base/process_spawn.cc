#include <absl/time/clock.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <mutex>
#include <vector>

#include "base/file.h"
#include "base/pidfd.h"
#include "base/process.h"
#include "base/status.h"

namespace latchkey {
namespace {

constexpr size_t kLongestOutput = 64 << 10;
// From SIGKILL to a child's end.
constexpr absl::Duration kLongestDying = absl::Seconds(5);

// Descriptors 0 to 2 of the child.
struct Stdio {
  int in = -1, out = -1;
};

// Made before the fork: between fork and exec nothing may allocate or take a lock, since another thread may hold it for ever.
struct Plan {
  std::vector<char*> argv, env;
  std::string cwd;
  Stdio stdio;
  bool change_user = false;
  UserIds user;
  std::vector<int> keep_fds;  // sorted, all above 2
  bool detached = false, own_group = false, die_with_parent = false;
  pid_t parent = 0;
  int report = -1;  // messages to the parent
  int go = -1;      // one byte from the parent: identified, go on
};

// What the child says through the pipe. Both fit into PIPE_BUF, so that they arrive whole.
struct Message {
  enum Kind : int32_t { kPid, kFailure } kind;
  int32_t value;  // pid or errno
  char step[24];
};

void Report(int fd, Message::Kind kind, int value, const char* step) {
  Message m{};
  m.kind = kind;
  m.value = value;
  for (size_t i = 0; i + 1 < sizeof m.step && step[i] != '\0'; ++i) m.step[i] = step[i];
  while (write(fd, &m, sizeof m) < 0 && errno == EINTR) {
  }
}

[[noreturn]] void Fail(const Plan& plan, const char* step) {
  Report(plan.report, Message::kFailure, errno, step);
  _exit(127);
}

void CloseOnExec(unsigned first, unsigned last) {
  if (first > last) return;
  if (close_range(first, last, CLOSE_RANGE_CLOEXEC) == 0) return;
  // A kernel before 5.11.
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  for (unsigned fd = first; fd <= last && fd < files.rlim_cur; ++fd) fcntl(static_cast<int>(fd), F_SETFD, FD_CLOEXEC);
}

[[noreturn]] void BecomeProgram(const Plan& plan) {
  if (plan.own_group && setpgid(0, 0) != 0) Fail(plan, "setpgid");
  char go = 0;
  ssize_t n = 0;
  while ((n = read(plan.go, &go, 1)) < 0 && errno == EINTR) {
  }
  if (n != 1) _exit(127);  // nobody waits for this program any more

  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  for (int s = 1; s < NSIG; ++s) sigaction(s, &standard, nullptr);  // the unchangeable ones fail, as they may
  if (dup2(plan.stdio.in, 0) < 0 || dup2(plan.stdio.out, 1) < 0 || dup2(plan.stdio.out, 2) < 0) Fail(plan, "dup2");
  unsigned next = 3;
  for (const int fd : plan.keep_fds) {
    CloseOnExec(next, static_cast<unsigned>(fd) - 1);
    const int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC) != 0) Fail(plan, "keep_fds");
    next = static_cast<unsigned>(fd) + 1;
  }
  CloseOnExec(next, UINT_MAX);
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) Fail(plan, "setrlimit");
  if (plan.change_user) {
    if (setgroups(0, nullptr) != 0) Fail(plan, "setgroups");
    if (setresgid(plan.user.gid, plan.user.gid, plan.user.gid) != 0) Fail(plan, "setresgid");
    if (setresuid(plan.user.uid, plan.user.uid, plan.user.uid) != 0) Fail(plan, "setresuid");
  }
  if (plan.die_with_parent) {
    // After the change of user, which clears it; and the parent may have died before.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) Fail(plan, "prctl");
    if (getppid() != plan.parent) _exit(127);
  }
  if (chdir(plan.cwd.c_str()) != 0) Fail(plan, "chdir");
  sigset_t nothing;
  sigemptyset(&nothing);
  sigprocmask(SIG_SETMASK, &nothing, nullptr);
  execve(plan.argv[0], plan.argv.data(), plan.env.data());
  Fail(plan, "exec");
}

[[noreturn]] void RunChild(const Plan& plan) {
  if (plan.detached) {
    if (setsid() < 0) Fail(plan, "setsid");
    const pid_t grandchild = fork();
    if (grandchild < 0) Fail(plan, "fork");
    if (grandchild > 0) {
      Report(plan.report, Message::kPid, grandchild, "");
      _exit(0);
    }
  } else {
    Report(plan.report, Message::kPid, getpid(), "");
  }
  BecomeProgram(plan);
}

// A pipe with both ends closed on exec and above 2, where dup2 in the child cannot hit them.
absl::Status MakePipe(UniqueFd& reader, UniqueFd& writer) {
  int raw[2];
  if (pipe2(raw, O_CLOEXEC) != 0) return ErrnoStatus(errno, "cannot make a pipe");
  UniqueFd ends[2] = {UniqueFd(raw[0]), UniqueFd(raw[1])};
  for (UniqueFd& end : ends) {
    if (end.get() > 2) continue;
    UniqueFd higher(fcntl(end.get(), F_DUPFD_CLOEXEC, 3));
    if (!higher.valid()) return ErrnoStatus(errno, "cannot make a pipe");
    end = std::move(higher);
  }
  reader = std::move(ends[0]);
  writer = std::move(ends[1]);
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> OpenAboveStdio(const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd.valid()) return ErrnoStatus(errno, "cannot open " + path);
  if (fd.get() > 2) return fd;
  UniqueFd higher(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  if (!higher.valid()) return ErrnoStatus(errno, "cannot open " + path);
  return higher;
}

bool ReadMessage(int fd, Message& m) {
  ssize_t n = 0;
  while ((n = read(fd, &m, sizeof m)) < 0 && errno == EINTR) {
  }
  return n == static_cast<ssize_t>(sizeof m);
}

void Reap(pid_t pid) {
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

// Children that were killed and may not have ended yet; reaped at the next opportunity, without waiting.
class Unreaped {
 public:
  static Unreaped& The() {
    static Unreaped& unreaped = *new Unreaped;
    return unreaped;
  }
  void Add(pid_t pid) {
    std::lock_guard lock(mutex_);
    pids_.push_back(pid);
  }
  void Reap() {
    std::lock_guard lock(mutex_);
    std::erase_if(pids_, [](pid_t pid) { return waitpid(pid, nullptr, WNOHANG) != 0; });
  }

 private:
  std::mutex mutex_;
  std::vector<pid_t> pids_;
};

// Keeps SIGPIPE from this thread while it lives, and swallows one that came.
class NoPipeSignal {
 public:
  NoPipeSignal() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~NoPipeSignal() {
    const timespec now{};
    sigtimedwait(&set_, nullptr, &now);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoPipeSignal(const NoPipeSignal&) = delete;
  NoPipeSignal& operator=(const NoPipeSignal&) = delete;

 private:
  sigset_t set_, before_;
};

// Forks with every signal blocked, so that no handler of ours runs in the child.
pid_t ForkChild(const Plan& plan) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = fork();
  if (pid == 0) RunChild(plan);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return pid;
}

absl::StatusOr<ProcessId> SpawnWith(const SpawnOptions& options, const Stdio& stdio, bool own_group) {
  if (options.argv.empty()) return InvalidArgument("no program to start");
  const std::string& program = options.argv.front();
  if (options.detached && options.die_with_parent) return InvalidArgument("a detached process cannot die with its parent");
  Plan plan;
  for (const std::string& arg : options.argv) plan.argv.push_back(const_cast<char*>(arg.c_str()));
  plan.argv.push_back(nullptr);
  std::vector<std::string> env;
  for (const auto& [name, value] : options.env) env.push_back(name + "=" + value);
  for (std::string& line : env) plan.env.push_back(line.data());
  plan.env.push_back(nullptr);
  plan.cwd = options.cwd;
  plan.stdio = stdio;
  if (options.user) {
    plan.user = *options.user;
    // An ordinary user may "change" to itself.
    plan.change_user = geteuid() == 0 || plan.user.uid != geteuid() || plan.user.gid != getegid();
  }
  for (const int fd : options.keep_fds) {
    if (fd > 2) plan.keep_fds.push_back(fd);
  }
  std::sort(plan.keep_fds.begin(), plan.keep_fds.end());
  plan.keep_fds.erase(std::unique(plan.keep_fds.begin(), plan.keep_fds.end()), plan.keep_fds.end());
  plan.detached = options.detached;
  plan.own_group = own_group;
  plan.die_with_parent = options.die_with_parent;
  plan.parent = getpid();
  UniqueFd report_reader, report_writer, go_reader, go_writer;
  RETURN_IF_ERROR(MakePipe(report_reader, report_writer));
  RETURN_IF_ERROR(MakePipe(go_reader, go_writer));
  plan.report = report_writer.get();
  plan.go = go_reader.get();

  const pid_t child = ForkChild(plan);
  if (child < 0) return ErrnoStatus(errno, "cannot start " + program);
  report_writer.Reset();
  go_reader.Reset();
  const auto failed = [&](absl::Status status) {
    go_writer.Reset();
    Reap(child);
    return status;
  };
  const auto describe = [&](const Message& m) { return ErrnoStatus(m.value, absl::StrCat("cannot start ", program, " (", m.step, ")")); };
  Message m{};
  if (!ReadMessage(report_reader.get(), m)) return failed(Internal("cannot start ", program, ": the child vanished"));
  if (m.kind == Message::kFailure) return failed(describe(m));
  // Until "go" the process waits, so that its start time can be read however short its life will be.
  const absl::StatusOr<ProcessId> id = Identify(m.value);
  if (!id.ok()) return failed(id.status());
  constexpr char kGo = 1;
  {
    const NoPipeSignal no_pipe_signal;  // the child may be dead
    while (write(go_writer.get(), &kGo, 1) < 0 && errno == EINTR) {
    }
  }
  if (ReadMessage(report_reader.get(), m) && m.kind == Message::kFailure) return failed(describe(m));
  if (plan.detached) Reap(child);
  return *id;
}

// Reads what is there; false at the end of the stream.
bool Drain(int fd, std::string& output) {
  char buffer[8192];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    output.append(buffer, std::min(static_cast<size_t>(n), kLongestOutput - output.size()));
  }
}

}  // namespace

absl::StatusOr<ProcessId> Spawn(const SpawnOptions& options) {
  ASSIGN_OR_RETURN(const UniqueFd in, OpenAboveStdio("/dev/null", O_RDONLY, 0));
  ASSIGN_OR_RETURN(const UniqueFd out, options.output_file.empty()
                                           ? OpenAboveStdio("/dev/null", O_WRONLY, 0)
                                           : OpenAboveStdio(options.output_file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600));
  return SpawnWith(options, {in.get(), out.get()}, /*own_group=*/false);
}

absl::StatusOr<RunResult> Run(const SpawnOptions& options, absl::Duration timeout, const std::string& input) {
  const absl::Time deadline = absl::Now() + timeout;
  Unreaped::The().Reap();
  UniqueFd in_reader, in_writer, out_reader, out_writer;
  RETURN_IF_ERROR(MakePipe(in_reader, in_writer));
  RETURN_IF_ERROR(MakePipe(out_reader, out_writer));
  SpawnOptions attached = options;
  attached.detached = false;
  ASSIGN_OR_RETURN(const ProcessId id, SpawnWith(attached, {in_reader.get(), out_writer.get()}, /*own_group=*/true));
  in_reader.Reset();
  out_writer.Reset();
  fcntl(in_writer.get(), F_SETFL, O_NONBLOCK);
  fcntl(out_reader.get(), F_SETFL, O_NONBLOCK);
  const UniqueFd process(pidfd_open(id.pid, 0));
  const NoPipeSignal no_pipe_signal;
  RunResult result;
  size_t sent = 0;
  bool ended = false;
  while (!ended && process.valid()) {
    if (sent == input.size()) in_writer.Reset();
    // poll() leaves negative descriptors out.
    pollfd polls[3] = {{process.get(), POLLIN, 0}, {out_reader.get(), POLLIN, 0}, {in_writer.get(), POLLOUT, 0}};
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0) break;
    if (poll(polls, 3, static_cast<int>(std::min<int64_t>(left, 3'600'000))) < 0 && errno != EINTR) break;
    if (polls[2].revents != 0) {
      const ssize_t n = write(in_writer.get(), input.data() + sent, input.size() - sent);
      if (n > 0) sent += static_cast<size_t>(n);
      if (n < 0 && errno != EAGAIN && errno != EINTR) sent = input.size();  // it does not want to read
    }
    if (polls[1].revents != 0 && !Drain(out_reader.get(), result.output)) out_reader.Reset();
    ended = polls[0].revents != 0;
  }
  if (!ended) {
    KillTree(id, absl::Seconds(5)).IgnoreError();
    kill(-id.pid, SIGKILL);  // what has left the tree but not the group
    // Not for ever: one that sleeps in a dead file system ends only when that answers.
    WaitForExit(id, kLongestDying);
    Unreaped::The().Add(id.pid);
    Unreaped::The().Reap();
    return absl::DeadlineExceededError(absl::StrCat(options.argv.front(), " did not end within ", absl::FormatDuration(timeout)));
  }
  // Not until the end of the stream: a daemon that the program started may hold it for ever.
  if (out_reader.valid()) Drain(out_reader.get(), result.output);
  int status = 0;
  while (waitpid(id.pid, &status, 0) < 0 && errno == EINTR) {
  }
  result.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

}  // namespace latchkey
