#include "volume/supervisor.h"

#include <absl/time/clock.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "base/status.h"
#include "volume/mount.h"
#include "volume/supervisor_messages.h"

namespace latchkey {
namespace {

constexpr absl::Duration kCleanUpTimeout = absl::Seconds(60);
constexpr absl::Duration kChildsEnd = absl::Seconds(5);

class Supervisor {
 public:
  explicit Supervisor(const SupervisorOptions& options) : options_(options) {}

  // False when the other half is gone.
  bool ServeOne(int socket) {
    SupervisorRequest request;
    const ssize_t n = recv(socket, &request, sizeof(request), 0);
    if (n < 0 && errno == EINTR) return true;
    if (n != sizeof(request)) return false;
    SupervisorAnswer answer{};
    FuseSession::Connection connection;
    const absl::Status status = Do(request, &answer, &connection);
    answer.code = static_cast<int32_t>(status.code());
    const size_t length = std::min(status.message().size(), sizeof(answer.message) - 1);
    std::copy_n(status.message().begin(), length, answer.message);
    Send(socket, answer, connection);
    return true;
  }

  void CleanUp() {
    if (!mounted_) return;
    const std::vector<pid_t> left = KillUsers(device_, engine_, kCleanUpTimeout);
    for (const pid_t pid : left) Log(LogLevel::kError, "a process that uses the volume could not be killed", {{"pid", pid}});
    if (!left.empty()) {
      // The mount stays: it is what shows that somebody still has pages of the volume.
      EndConnection(options_.mount_point);
      return;
    }
    const absl::Status status = Unmount(options_.mount_point);
    if (!status.ok()) Log(LogLevel::kError, "the volume cannot be unmounted", {{"error", std::string(status.message())}});
  }

 private:
  absl::Status Do(const SupervisorRequest& request, SupervisorAnswer* answer, FuseSession::Connection* connection) {
    switch (request.what) {
      case SupervisorRequest::kMount: {
        if (!MountsAt(options_.mount_point).empty()) return FailedPrecondition(options_.mount_point, " is a mount point already");
        ASSIGN_OR_RETURN(*connection, MountAsRoot(options_.mount_point, options_.user));
        const auto mounts = MountsAt(options_.mount_point);
        if (mounts.empty()) return Unavailable(options_.mount_point, " must be given as an absolute path without symbolic links");
        device_ = mounts.back().device;
        mounted_ = true;
        return absl::OkStatus();
      }
      case SupervisorRequest::kReadAhead:
        return mounted_ ? SetReadAhead(device_, kReadAheadKib) : absl::OkStatus();
      case SupervisorRequest::kEngine:
        return SetEngine({request.engine_pid, request.engine_start_ticks});
      case SupervisorRequest::kKill: {
        if (!mounted_) return absl::OkStatus();
        for (const pid_t pid : KillUsers(device_, engine_, absl::Nanoseconds(request.timeout_ns))) {
          if (answer->pids_count < kMostPids) answer->pids[answer->pids_count++] = pid;
        }
        return absl::OkStatus();
      }
      case SupervisorRequest::kUnmount:
        RETURN_IF_ERROR(Unmount(options_.mount_point));
        mounted_ = false;
        return absl::OkStatus();
      case SupervisorRequest::kEndConnection:
        if (mounted_) EndConnection(options_.mount_point);
        return absl::OkStatus();
    }
    return InvalidArgument("unknown request");
  }

  // The other half has fewer rights: it may name only processes of its own user.
  absl::Status SetEngine(const ProcessId& engine) {
    if (engine.valid()) {
      struct stat st;
      if (stat(absl::StrCat("/proc/", engine.pid).c_str(), &st) != 0) return NotFound("no process ", engine.pid);
      if (st.st_uid != options_.user.uid) return PermissionDenied("process ", engine.pid, " is not one of the volume's user");
    }
    engine_ = engine;
    return absl::OkStatus();
  }

  static void Send(int socket, SupervisorAnswer& answer, const FuseSession::Connection& connection) {
    std::vector<int> fds;
    if (connection.main.valid()) fds.push_back(connection.main.get());
    for (const UniqueFd& clone : connection.clones) fds.push_back(clone.get());
    iovec part{&answer, sizeof(answer)};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kFuseThreads)];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
      std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
    }
    sendmsg(socket, &message, MSG_NOSIGNAL);
  }

  const SupervisorOptions options_;
  bool mounted_ = false;
  dev_t device_ = 0;
  ProcessId engine_;
};

class SupervisedMountHost : public MountHost {
 public:
  explicit SupervisedMountHost(UniqueFd socket) : socket_(std::move(socket)) {}

  absl::StatusOr<FuseSession::Connection> Mount() override {
    FuseSession::Connection connection;
    SupervisorAnswer answer;
    RETURN_IF_ERROR(Ask({SupervisorRequest::kMount, 0, 0, 0}, &answer, &connection));
    if (!connection.main.valid()) return Internal("the supervisor sent no connection");
    return connection;
  }
  void ReadAheadFar() override {
    SupervisorAnswer answer;
    const absl::Status status = Ask({SupervisorRequest::kReadAhead, 0, 0, 0}, &answer, nullptr);
    if (!status.ok()) Log(LogLevel::kWarning, "the kernel's read-ahead stays short", {{"error", std::string(status.message())}});
  }
  void SetEngine(const ProcessId& engine) override {
    SupervisorAnswer answer;
    const absl::Status status = Ask({SupervisorRequest::kEngine, engine.pid, engine.start_ticks, 0}, &answer, nullptr);
    if (!status.ok()) Log(LogLevel::kWarning, "the engine is not known to the supervisor", {{"error", std::string(status.message())}});
  }
  std::vector<pid_t> KillUsers(absl::Duration timeout) override {
    SupervisorAnswer answer{};
    Ask({SupervisorRequest::kKill, 0, 0, absl::ToInt64Nanoseconds(timeout)}, &answer, nullptr).IgnoreError();
    return {answer.pids, answer.pids + std::clamp(answer.pids_count, 0, kMostPids)};
  }
  absl::Status Unmount() override {
    SupervisorAnswer answer;
    return Ask({SupervisorRequest::kUnmount, 0, 0, 0}, &answer, nullptr);
  }
  void EndConnection() override {
    SupervisorAnswer answer;
    Ask({SupervisorRequest::kEndConnection, 0, 0, 0}, &answer, nullptr).IgnoreError();
  }
  // A thread in the lower disk's driver may keep this process, and its end of the socket, from going: the supervisor must not wait for
  // that.
  void Leave() override { shutdown(socket_.get(), SHUT_RDWR); }

 private:
  absl::Status Ask(const SupervisorRequest& request, SupervisorAnswer* answer, FuseSession::Connection* connection) {
    std::lock_guard lock(mutex_);
    *answer = {};
    if (send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request))
      return ErrnoStatus(errno, "the supervisor is gone");
    iovec part{answer, sizeof(*answer)};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kFuseThreads)];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    ssize_t n;
    do {
      n = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n != sizeof(*answer)) return Unavailable("the supervisor is gone");
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
        UniqueFd owned(fd);
        if (connection == nullptr) continue;
        if (!connection->main.valid()) {
          connection->main = std::move(owned);
        } else {
          connection->clones.push_back(std::move(owned));
        }
      }
    }
    answer->message[sizeof(answer->message) - 1] = '\0';
    return absl::Status(static_cast<absl::StatusCode>(answer->code), answer->message);
  }

  std::mutex mutex_;
  UniqueFd socket_;
};

}  // namespace

int RunSupervisor(const SupervisorOptions& options, UniqueFd socket, pid_t child) {
  Supervisor supervisor(options);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGHUP, SIG_IGN);
  const UniqueFd orders(signalfd(-1, &signals, SFD_CLOEXEC));
  const UniqueFd death(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  pollfd polled[3] = {{socket.get(), POLLIN, 0}, {death.get(), POLLIN, 0}, {orders.get(), POLLIN, 0}};
  for (;;) {
    if (poll(polled, 3, -1) < 0 && errno != EINTR) break;
    if (polled[2].revents != 0) {
      signalfd_siginfo order;
      // The serving half seals and ends; then so do we.
      if (read(orders.get(), &order, sizeof(order)) == sizeof(order)) kill(child, SIGTERM);
    }
    if (polled[0].revents != 0 && supervisor.ServeOne(socket.get())) continue;
    if (polled[0].revents != 0 || polled[1].revents != 0) break;
  }
  // A closed socket without a death must not leave half a daemon behind.
  kill(child, SIGKILL);
  // Not for ever: a thread in the driver of a dead disk ends when the disk answers.
  pollfd gone{death.get(), POLLIN, 0};
  const absl::Time deadline = absl::Now() + kChildsEnd;
  while (poll(&gone, 1, static_cast<int>(std::max<int64_t>(0, absl::ToInt64Milliseconds(deadline - absl::Now())))) < 0 && errno == EINTR) {
  }
  int status = 1 << 8;
  while (waitpid(child, &status, WNOHANG) < 0 && errno == EINTR) {
  }
  supervisor.CleanUp();
  unlink(options.control_socket.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::unique_ptr<MountHost> NewSupervisedMountHost(UniqueFd socket) { return std::make_unique<SupervisedMountHost>(std::move(socket)); }

}  // namespace latchkey
