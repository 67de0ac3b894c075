// The process `latchkey volume-daemon`: its arguments, its rights, its halves, and its end.
#include <absl/strings/numbers.h>
#include <grp.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <latch>

#include "base/log.h"
#include "base/status.h"
#include "volume/daemon.h"
#include "volume/fuse_slots.h"
#include "volume/supervisor.h"

namespace latchkey {
namespace {

// Room for the DEKs, some thousand key schedules and OpenSSL's own memory, under the 8 MiB that a user may lock.
constexpr size_t kArenaBytes = size_t{6} << 20;

struct Arguments {
  std::string lower, mount, control, log;
  std::optional<UserIds> user;
  absl::Duration lease_poll = absl::Milliseconds(200);
  absl::Duration seal_patience = absl::Seconds(10);
  bool io_uring = true;
};

absl::StatusOr<Arguments> Parse(int argc, char** argv) {
  Arguments arguments;
  UserIds user;
  bool has_uid = false, has_gid = false;
  int at = 0;
  while (at < argc && std::strncmp(argv[at], "--", 2) != 0) ++at;
  for (; at < argc; at += 2) {
    const std::string name = argv[at];
    if (at + 1 == argc) return InvalidArgument(name, ": needs a value");
    const std::string value = argv[at + 1];
    int64_t number = 0;
    const bool is_number = absl::SimpleAtoi(value, &number) && number >= 0 && number <= INT32_MAX;
    if (name == "--lower") {
      arguments.lower = value;
    } else if (name == "--mount") {
      arguments.mount = value;
    } else if (name == "--control") {
      arguments.control = value;
    } else if (name == "--log") {
      arguments.log = value;
    } else if (name == "--uid" && is_number) {
      user.uid = static_cast<uid_t>(number);
      has_uid = true;
    } else if (name == "--gid" && is_number) {
      user.gid = static_cast<gid_t>(number);
      has_gid = true;
    } else if (name == "--lease-poll-ms" && is_number) {
      arguments.lease_poll = absl::Milliseconds(std::max<int64_t>(number, 1));
    } else if (name == "--seal-patience-ms" && is_number) {
      arguments.seal_patience = absl::Milliseconds(std::max<int64_t>(number, 1));
    } else if (name == "--fuse-io-uring" && (value == "yes" || value == "no")) {
      arguments.io_uring = value == "yes";
    } else {
      return InvalidArgument(name, ": is unknown or has a bad value");
    }
  }
  for (const auto& [name, value] :
       {std::pair{"--lower", &arguments.lower}, {"--mount", &arguments.mount}, {"--control", &arguments.control}}) {
    if (value->empty()) return InvalidArgument(name, ": is missing");
  }
  if (has_uid != has_gid) return InvalidArgument("--uid and --gid: both or none");
  if (has_uid) arguments.user = user;
  return arguments;
}

size_t RaiseDescriptorLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<size_t>(limit.rlim_cur);
}

// A database waits for this daemon at every commit: behind other busy processes that wait would be longer than the work. A short slice lets
// a thread that wakes up go first (Linux 6.12, sched(7); older kernels take it for nothing), for ordinary users too; a higher priority
// needs root. Linux keeps both for each thread, which takes them from the one that started it: so they are set before there is a second
// one.
void GoFirst(bool privileged) {
  struct {
    uint32_t size = 48;
    uint32_t policy = 0;  // SCHED_OTHER
    uint64_t flags = 0;
    int32_t nice = 0;
    uint32_t priority = 0;
    uint64_t slice_ns = 100'000;
    uint64_t deadline = 0, period = 0;
  } attributes;
  static_assert(sizeof(attributes) == 48);
  if (privileged) attributes.nice = -19;
  if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) {
    Log(LogLevel::kWarning, "the daemon runs at ordinary priority", {{"error", std::string(strerror(errno))}});
  }
}

absl::Status BecomeUser(UserIds user) {
  if (setgroups(0, nullptr) != 0) return ErrnoStatus(errno, "setgroups");
  if (setresgid(user.gid, user.gid, user.gid) != 0) return ErrnoStatus(errno, "setresgid");
  if (setresuid(user.uid, user.uid, user.uid) != 0) return ErrnoStatus(errno, "setresuid");
  return absl::OkStatus();
}

// SIGTERM and SIGINT seal. Blocked in every thread, taken by one.
void SealOnSignals(VolumeDaemon& daemon, const sigset_t& signals) {
  std::thread([&daemon, signals] {
    int which = 0;
    while (sigwait(&signals, &which) != 0) {
    }
    daemon.RequestSeal("TERMINATED");
  }).detach();
}

// `parent`: the supervisor, or 0. Does not return.
[[noreturn]] void Serve(const Arguments& arguments, std::unique_ptr<MountHost> host, pid_t parent) {
  const auto fail = [](const absl::Status& status) {
    Log(LogLevel::kError, "the volume daemon cannot start", {{"error", std::string(status.message())}});
    _exit(1);
  };
  GoFirst(arguments.user.has_value());
  // Few arenas: each thread's would keep memory of its own.
  mallopt(M_ARENA_MAX, 2);
  umask(0);
  const size_t descriptors = RaiseDescriptorLimit();
  if (absl::Status status = SecretArena::Reserve(kArenaBytes); !status.ok()) fail(status);
  if (absl::Status status = SecretArena::HoldOpenSsl(); !status.ok()) fail(status);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);

  VolumeDaemon::Options options{.lower_folder = arguments.lower,
                                .mount_point = arguments.mount,
                                .lease_poll = arguments.lease_poll,
                                .seal_patience = arguments.seal_patience,
                                .limits = {},
                                .ring_queues = arguments.io_uring ? FuseSlots(ReadFuseSlotFacts()) : std::vector<uint16_t>{}};
  // The rest is for folders that programs hold open, files without a name, and the connection itself.
  options.limits.descriptors = std::clamp<size_t>(descriptors / 2, 64, 4096);
  auto* daemon = new VolumeDaemon(std::move(options), std::move(host), Clock::Real(), Random::System());
  // Before the change of user: the socket's file is then root's, and the engine, which runs as the same user, cannot speak to us.
  // Nothing is done for anybody before we are that user: what it makes must be the user's.
  std::latch ready(1);
  auto server = ControlServer::Start({.path = arguments.control, .allowed_uids = {}, .handler = [daemon, &ready](ControlMessage request) {
                                        ready.wait();
                                        return daemon->Handle(std::move(request));
                                      }});
  if (!server.ok()) fail(server.status());
  if (arguments.user) {
    if (absl::Status status = BecomeUser(*arguments.user); !status.ok()) fail(status);
  }
  if (parent != 0) {
    // The change of user clears it; and the supervisor may be gone already.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
  }
  if (absl::Status status = ForbidDumps(); !status.ok()) fail(status);
  SealOnSignals(*daemon, signals);
  ready.count_down();
  daemon->Run();
  // Waits until everybody who asked for the seal has been answered.
  server->reset();
  SecretArena::WipeAll();
  _exit(0);
}

}  // namespace

int RunVolumeDaemon(int argc, char** argv) {
  const absl::StatusOr<Arguments> arguments = Parse(argc, argv);
  if (!arguments.ok()) {
    std::fprintf(stderr, "latchkey volume-daemon: %s\n", std::string(arguments.status().message()).c_str());
    return 2;
  }
  const auto fail = [](const absl::Status& status) {
    Log(LogLevel::kError, "the volume daemon cannot start", {{"error", std::string(status.message())}});
    return 1;
  };
  if (absl::Status status = SetUpLog({.component = "volume", .file = arguments->log}); !status.ok()) return fail(status);
  if (arguments->io_uring && geteuid() == 0) AllowFuseRings();
  // Both halves hold the lock: nobody opens the volume before the supervisor has cleaned up.
  absl::StatusOr<UniqueFd> lock = LockFile(arguments->lower + "/" + kVolumeLockName);
  if (!lock.ok()) return fail(lock.status());
  if (!arguments->user) Serve(*arguments, NewDirectMountHost(arguments->mount), 0);
  if (fchown(lock->get(), arguments->user->uid, arguments->user->gid) != 0) return fail(ErrnoStatus(errno, "volume.lock"));
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) return fail(ErrnoStatus(errno, "socketpair"));
  UniqueFd upper(sockets[0]), lower(sockets[1]);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return fail(ErrnoStatus(errno, "fork"));
  if (child == 0) {
    upper.Reset();
    Serve(*arguments, NewSupervisedMountHost(std::move(lower)), parent);
  }
  lower.Reset();
  return RunSupervisor({.mount_point = arguments->mount, .control_socket = arguments->control, .user = *arguments->user}, std::move(upper),
                       child);
}

}  // namespace latchkey
