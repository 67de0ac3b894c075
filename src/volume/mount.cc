#include "volume/mount.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/file.h"
#include "base/status.h"
#include "volume/client.h"

namespace latchkey {
namespace {

constexpr char kDevice[] = "/dev/fuse";
constexpr absl::Duration kFusermountTimeout = absl::Seconds(20);

// mountinfo writes blank, tab, newline and backslash as \ooo.
std::string UnescapeOctal(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<UniqueFd> CloneFor(int main) {
  std::vector<UniqueFd> clones;
  for (int i = 1; i < kFuseThreads; ++i) {
    UniqueFd clone(open(kDevice, O_RDWR | O_CLOEXEC));
    uint32_t from = static_cast<uint32_t>(main);
    if (!clone.valid() || ioctl(clone.get(), FUSE_DEV_IOC_CLONE, &from) != 0) break;
    clones.push_back(std::move(clone));
  }
  return clones;
}

// An ordinary user may end the connection of a mount of his own, which is what MNT_FORCE does.
void AbortAsUser(dev_t device) {
  const std::string abort = absl::StrCat("/sys/fs/fuse/connections/", minor(device), "/abort");
  if (const UniqueFd fd(open(abort.c_str(), O_WRONLY | O_CLOEXEC)); fd.valid()) {
    [[maybe_unused]] const ssize_t n = write(fd.get(), "1", 1);
  }
}

std::string Fusermount() {
  for (const char* path : {"/usr/bin/fusermount3", "/bin/fusermount3", "/usr/local/bin/fusermount3"}) {
    if (PathExists(path)) return path;
  }
  return "";
}

// The descriptor that fusermount3 sends over the socket named by _FUSE_COMMFD.
absl::StatusOr<UniqueFd> ReceiveConnection(int socket) {
  char byte;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t n;
  do {
    n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  const cmsghdr* header = n > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return Unavailable("fusermount3 gave no connection");
  int fd;
  std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  return UniqueFd(fd);
}

}  // namespace

std::vector<MountEntry> MountsAt(const std::string& path) {
  std::vector<MountEntry> found;
  const auto text = ReadFile("/proc/self/mountinfo", size_t{64} << 20);
  if (!text.ok()) return found;
  // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw      (proc(5))
  for (const absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 6 || fields.end() - dash < 2 || UnescapeOctal(fields[4]) != path) continue;
    const std::vector<std::string> numbers = absl::StrSplit(fields[2], ':');
    unsigned major_number = 0, minor_number = 0;
    if (numbers.size() != 2 || !absl::SimpleAtoi(numbers[0], &major_number) || !absl::SimpleAtoi(numbers[1], &minor_number)) continue;
    found.push_back({makedev(major_number, minor_number), dash[1]});
  }
  return found;
}

bool IsMountPoint(const std::string& path) { return !MountsAt(path).empty(); }

absl::StatusOr<FuseSession::Connection> MountAsRoot(const std::string& mount_point, UserIds user) {
  FuseSession::Connection connection;
  connection.main = UniqueFd(open(kDevice, O_RDWR | O_CLOEXEC));
  if (!connection.main.valid()) return ErrnoStatus(errno, "cannot open /dev/fuse");
  const std::string options =
      absl::StrCat("fd=", connection.main.get(), ",rootmode=40000,user_id=", user.uid, ",group_id=", user.gid, ",default_permissions");
  if (mount("latchkey", mount_point.c_str(), kMountType, MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot mount at ", mount_point));
  }
  connection.clones = CloneFor(connection.main.get());
  return connection;
}

absl::StatusOr<FuseSession::Connection> MountAsUser(const std::string& mount_point) {
  if (geteuid() == 0) return MountAsRoot(mount_point, {0, 0});
  const std::string program = Fusermount();
  if (program.empty()) return FailedPrecondition("fusermount3 is not installed, and only root can mount without it");
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return ErrnoStatus(errno, "socketpair");
  const UniqueFd ours(sockets[0]);
  UniqueFd theirs(sockets[1]);
  SpawnOptions spawn;
  spawn.argv = {program, "-o", "rw,nosuid,nodev,default_permissions,fsname=latchkey,subtype=latchkey", "--", mount_point};
  spawn.env = {{"_FUSE_COMMFD", absl::StrCat(theirs.get())}, {"PATH", "/usr/bin:/bin"}};
  spawn.keep_fds = {theirs.get()};
  ASSIGN_OR_RETURN(const RunResult result, Run(spawn, kFusermountTimeout));
  theirs.Reset();
  if (result.exit_code != 0) return Unavailable("fusermount3 cannot mount at ", mount_point, ": ", result.output);
  FuseSession::Connection connection;
  ASSIGN_OR_RETURN(connection.main, ReceiveConnection(ours.get()));
  connection.clones = CloneFor(connection.main.get());
  return connection;
}

absl::Status SetReadAhead(dev_t device, int kib) {
  const std::string path = absl::StrCat("/sys/class/bdi/", major(device), ":", minor(device), "/read_ahead_kb");
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  const std::string text = absl::StrCat(kib);
  if (!fd.valid() || write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return ErrnoStatus(errno, path);
  return absl::OkStatus();
}

void EndConnection(const std::string& mount_point) {
  const auto mounts = MountsAt(mount_point);
  if (mounts.empty() || mounts.back().type != kMountType) return;
  if (geteuid() == 0) {
    umount2(mount_point.c_str(), MNT_FORCE | UMOUNT_NOFOLLOW);  // EBUSY, where it is in use, comes after the connection's end
  } else {
    AbortAsUser(mounts.back().device);
  }
}

absl::Status Unmount(const std::string& mount_point) {
  const auto mounts = MountsAt(mount_point);
  if (mounts.empty()) return absl::OkStatus();
  if (mounts.back().type != kMountType)
    return FailedPrecondition(mount_point, " is a mount of type ", mounts.back().type, ", not a volume's");
  if (geteuid() == 0) {
    if (umount2(mount_point.c_str(), MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == EINVAL) return absl::OkStatus();
    return ErrnoStatus(errno, absl::StrCat("cannot unmount ", mount_point));
  }
  AbortAsUser(mounts.back().device);
  SpawnOptions spawn;
  spawn.argv = {Fusermount(), "-u", "-z", "-q", "--", mount_point};
  spawn.env = {{"PATH", "/usr/bin:/bin"}};
  ASSIGN_OR_RETURN(const RunResult result, Run(spawn, kFusermountTimeout));
  if (result.exit_code != 0 && IsMountPoint(mount_point))
    return Unavailable("fusermount3 cannot unmount ", mount_point, ": ", result.output);
  return absl::OkStatus();
}

std::vector<pid_t> KillUsers(dev_t device, const ProcessId& engine, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  for (;;) {
    if (engine.valid()) KillTree(engine, std::max(absl::ZeroDuration(), deadline - absl::Now())).IgnoreError();
    const std::vector<ProcessId> users = ProcessesUsingDevice(device);
    if (users.empty()) return {};
    for (const ProcessId& user : users) SendSignal(user, SIGKILL).IgnoreError();
    for (const ProcessId& user : users)
      WaitForExit(user, std::min(absl::Seconds(1), std::max(absl::ZeroDuration(), deadline - absl::Now())));
    if (absl::Now() < deadline) continue;
    std::vector<pid_t> left;
    for (const ProcessId& user : ProcessesUsingDevice(device)) left.push_back(user.pid);
    return left;
  }
}

absl::Status CleanUpDeadMount(const std::string& mount_point, const ProcessId& engine, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  if (engine.valid()) RETURN_IF_ERROR(KillTree(engine, timeout));
  for (;;) {
    const auto mounts = MountsAt(mount_point);
    if (mounts.empty()) return absl::OkStatus();
    const std::vector<pid_t> left = KillUsers(mounts.back().device, engine, deadline - absl::Now());
    if (!left.empty()) {
      // The mount stays: it is what shows that somebody still has pages of the volume.
      EndConnection(mount_point);
      return absl::DeadlineExceededError(absl::StrCat("processes still use ", mount_point, ": ", absl::StrJoin(left, ", ")));
    }
    RETURN_IF_ERROR(Unmount(mount_point));
    if (absl::Now() > deadline) return absl::DeadlineExceededError(absl::StrCat("cannot unmount ", mount_point));
  }
}

}  // namespace latchkey
