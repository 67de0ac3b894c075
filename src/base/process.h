// Processes: start, find again after a restart, wait, end. Linux only; every function is thread-safe.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace latchkey {

// A process's identity that survives reuse of pids: the pid with its start time (field 22 of /proc/PID/stat, clock ticks since boot).
struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;
  bool operator==(const ProcessId&) const = default;
  bool valid() const { return pid > 0; }
};

// The identity of a running pid; NotFound when there is none (a zombie counts as gone).
absl::StatusOr<ProcessId> Identify(pid_t pid);
// True while that very process runs; a zombie does not run.
bool IsRunning(const ProcessId& id);

struct UserIds {
  uid_t uid = 0;
  gid_t gid = 0;
};
// Looks a system user up; NotFound with the name.
absl::StatusOr<UserIds> FindUser(const std::string& name);

struct SpawnOptions {
  std::vector<std::string> argv;           // argv[0] is a path
  std::map<std::string, std::string> env;  // the whole environment of the child; nothing is inherited
  std::optional<UserIds> user;             // setgroups({}), setgid, setuid (all of real, effective, saved)
  std::string cwd = "/";
  std::string output_file;       // stdout and stderr appended there (0600); empty: /dev/null
  std::vector<int> keep_fds;     // stay open in the child under the same number; all others above 2 are closed
  bool detached = true;          // double fork and setsid: outlives us and needs no reaping by us
  bool die_with_parent = false;  // PR_SET_PDEATHSIG SIGKILL, when the *thread* that spawned it ends; only with detached = false
};
// Starts a program with RLIMIT_CORE 0 and all signals at their defaults. An exec that fails is reported here, with errno. With detached =
// false the caller reaps (WaitForExit reaps its own children).
absl::StatusOr<ProcessId> Spawn(const SpawnOptions& options);

struct RunResult {
  int exit_code = 0;   // 128 + signal when killed
  std::string output;  // stdout and stderr together, at most 64 KiB
};
// Runs a program to its end; DeadlineExceeded after `timeout`, when it (and its process group) has been killed. `input` goes to its stdin.
absl::StatusOr<RunResult> Run(const SpawnOptions& options, absl::Duration timeout, const std::string& input = "");

// True when it ended by then. Uses a pidfd; reaps it if it is our child.
bool WaitForExit(const ProcessId& id, absl::Duration timeout);
// Sends a signal to that very process (through a pidfd); OK when it is gone already.
absl::Status SendSignal(const ProcessId& id, int signal);
// The process and all its descendants as they are now, parents first.
std::vector<ProcessId> ProcessTree(const ProcessId& root);
// SIGKILL to the whole tree, again until none is left or `timeout` passes (then DeadlineExceeded names the pids).
absl::Status KillTree(const ProcessId& root, absl::Duration timeout);

// Processes (not this one) with an open file, a mapping, a root, an executable or a working directory on the file system with this device
// number (st_dev). Only processes that we may inspect (own user, or CAP_SYS_PTRACE) can be seen.
std::vector<ProcessId> ProcessesUsingDevice(dev_t device);

// This boot of the machine: /proc/sys/kernel/random/boot_id.
std::string BootId();

}  // namespace latchkey
