#include "base/process.h"

#include <absl/time/clock.h>
#include <dirent.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>

#include "base/file.h"
#include "base/pidfd.h"
#include "base/process_internal.h"
#include "base/status.h"

namespace latchkey {
namespace internal {

std::optional<ProcessStat> ReadProcessStat(pid_t pid) {
  const absl::StatusOr<std::string> text = ReadFile(absl::StrCat("/proc/", pid, "/stat"), 64 << 10);
  if (!text.ok()) return std::nullopt;
  // "pid (comm) state ppid …": comm may hold spaces and parentheses, so count from the last one.
  const size_t close = text->rfind(')');
  if (close == std::string::npos) return std::nullopt;
  std::vector<std::string_view> fields;
  std::string_view rest = std::string_view(*text).substr(close + 1);
  while (!rest.empty()) {
    const size_t begin = rest.find_first_not_of(" \n");
    if (begin == std::string_view::npos) break;
    rest.remove_prefix(begin);
    const size_t end = std::min(rest.find_first_of(" \n"), rest.size());
    fields.push_back(rest.substr(0, end));
    rest.remove_prefix(end);
  }
  // proc(5) counts from 1 with pid and comm first; `fields` starts at its field 3.
  constexpr size_t kState = 0, kParent = 1, kThreads = 17, kStart = 19;
  if (fields.size() <= kStart) return std::nullopt;
  ProcessStat out;
  long threads = 0;
  const auto number = [](std::string_view s, auto& to) { return std::from_chars(s.data(), s.data() + s.size(), to).ec == std::errc(); };
  if (!number(fields[kParent], out.parent) || !number(fields[kThreads], threads) || !number(fields[kStart], out.id.start_ticks)) {
    return std::nullopt;
  }
  out.id.pid = pid;
  // A process whose first thread has ended shows as a zombie while its other threads run on, with all its memory and files.
  const char state = fields[kState].front();
  out.running = (state != 'Z' && state != 'X') || threads > 1;
  return out;
}

std::vector<pid_t> NumericEntries(const std::string& folder) {
  std::vector<pid_t> out;
  struct Close {
    void operator()(DIR* dir) const { closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> dir(opendir(folder.c_str()));
  if (dir == nullptr) return out;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string_view name(entry->d_name);
    pid_t n = 0;
    const auto [end, ec] = std::from_chars(name.data(), name.data() + name.size(), n);
    if (ec == std::errc() && end == name.data() + name.size()) out.push_back(n);
  }
  return out;
}

std::vector<pid_t> AllPids() { return NumericEntries("/proc"); }

}  // namespace internal

namespace {

using internal::ProcessStat;
using internal::ReadProcessStat;

// A pidfd of that very process; invalid when it is gone (also when the pid belongs to another by now) or, with `error` set, on failure.
UniqueFd OpenProcess(const ProcessId& id, int& error) {
  error = 0;
  if (!id.valid()) return UniqueFd();
  UniqueFd fd(pidfd_open(id.pid, 0));
  if (!fd.valid()) {
    if (errno != ESRCH && errno != EINVAL) error = errno;
    return UniqueFd();
  }
  // Compared after the open: the descriptor pins the process, so what /proc says now is about it.
  const std::optional<ProcessStat> stat = ReadProcessStat(id.pid);
  if (!stat || stat->id != id) return UniqueFd();
  return fd;
}

void ReapIfOurChild(int pidfd) {
  siginfo_t info{};
  waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG);
}

int PollMilliseconds(absl::Time deadline) {
  const absl::Duration left = deadline - absl::Now();
  if (left <= absl::ZeroDuration()) return 0;
  return static_cast<int>(std::min<int64_t>(absl::ToInt64Milliseconds(left) + 1, 3'600'000));
}

// All running descendants of the processes in `roots`, the roots first, parents before children.
std::vector<ProcessId> Descendants(const std::vector<ProcessId>& roots) {
  std::map<pid_t, std::vector<ProcessId>> children;
  std::vector<ProcessId> out;
  for (const pid_t pid : internal::AllPids()) {
    const std::optional<ProcessStat> stat = ReadProcessStat(pid);
    if (!stat) continue;
    children[stat->parent].push_back(stat->id);
    if (stat->running && std::find(roots.begin(), roots.end(), stat->id) != roots.end()) out.push_back(stat->id);
  }
  for (size_t i = 0; i < out.size(); ++i) {
    const std::vector<ProcessId> below = children[out[i].pid];
    for (const ProcessId& child : below) {
      if (std::find(out.begin(), out.end(), child) == out.end()) out.push_back(child);
    }
  }
  std::erase_if(out, [](const ProcessId& id) { return !IsRunning(id); });
  return out;
}

}  // namespace

absl::StatusOr<ProcessId> Identify(pid_t pid) {
  const std::optional<ProcessStat> stat = ReadProcessStat(pid);
  if (!stat || !stat->running) return NotFound("no process ", pid);
  return stat->id;
}

bool IsRunning(const ProcessId& id) {
  if (!id.valid()) return false;
  const std::optional<ProcessStat> stat = ReadProcessStat(id.pid);
  return stat && stat->running && stat->id == id;
}

absl::StatusOr<UserIds> FindUser(const std::string& name) {
  std::vector<char> buffer(1024);
  passwd entry{};
  passwd* found = nullptr;
  int error = 0;
  while ((error = getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found)) == ERANGE && buffer.size() < (1u << 20)) {
    buffer.resize(buffer.size() * 2);
  }
  if (found == nullptr) {
    if (error != 0 && error != ENOENT && error != ESRCH) return ErrnoStatus(error, "cannot look up the user " + name);
    return NotFound("no user ", name, " on this system");
  }
  return UserIds{entry.pw_uid, entry.pw_gid};
}

bool WaitForExit(const ProcessId& id, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  int error = 0;
  const UniqueFd fd = OpenProcess(id, error);
  if (!fd.valid()) return error == 0 || !IsRunning(id);
  for (;;) {
    pollfd p{fd.get(), POLLIN, 0};
    const int n = poll(&p, 1, PollMilliseconds(deadline));
    if (n > 0) {
      ReapIfOurChild(fd.get());
      return true;
    }
    if (n < 0 && errno != EINTR) return !IsRunning(id);
    if (absl::Now() >= deadline) return false;
  }
}

absl::Status SendSignal(const ProcessId& id, int signal) {
  int error = 0;
  const UniqueFd fd = OpenProcess(id, error);
  if (error != 0) return ErrnoStatus(error, absl::StrCat("cannot reach process ", id.pid));
  if (!fd.valid()) return absl::OkStatus();
  if (pidfd_send_signal(fd.get(), signal, nullptr, 0) != 0 && errno != ESRCH) {
    return ErrnoStatus(errno, absl::StrCat("cannot send signal ", signal, " to process ", id.pid));
  }
  return absl::OkStatus();
}

std::vector<ProcessId> ProcessTree(const ProcessId& root) { return Descendants({root}); }

absl::Status KillTree(const ProcessId& root, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  std::vector<ProcessId> known = {root};
  absl::Status refused;
  for (;;) {
    // Stop everything first, and look again until nothing new appears: a stopped process cannot fork away from the list, and a child whose
    // parent is killed before it was seen would be lost to another parent.
    for (;;) {
      const std::vector<ProcessId> now = Descendants(known);
      bool grew = false;
      for (const ProcessId& id : now) {
        if (std::find(known.begin(), known.end(), id) == known.end()) {
          known.push_back(id);
          grew = true;
        }
        if (absl::Status status = SendSignal(id, SIGSTOP); !status.ok()) refused = status;
      }
      if (!grew || absl::Now() >= deadline) break;
    }
    for (const ProcessId& id : known) {
      if (absl::Status status = SendSignal(id, SIGKILL); !status.ok()) refused = status;
    }
    const absl::Duration slice = std::min(deadline - absl::Now(), absl::Milliseconds(100));
    bool left = false;
    for (const ProcessId& id : known) left = !WaitForExit(id, std::max(slice, absl::ZeroDuration())) || left;
    if (!left && Descendants(known).empty()) return absl::OkStatus();
    if (absl::Now() >= deadline) break;
  }
  std::string pids;
  for (const ProcessId& id : known) {
    if (IsRunning(id)) absl::StrAppend(&pids, pids.empty() ? "" : ", ", id.pid);
  }
  if (pids.empty()) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("processes still run after SIGKILL: ", pids, refused.ok() ? "" : "; ", refused.ok() ? "" : refused.message()));
}

std::string BootId() {
  absl::StatusOr<std::string> id = ReadFile("/proc/sys/kernel/random/boot_id", 256);
  if (!id.ok()) return "";
  while (!id->empty() && id->back() == '\n') id->pop_back();
  return *std::move(id);
}

}  // namespace latchkey
