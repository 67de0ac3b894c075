// Who uses a file system, asked without asking that file system: the caller is its FUSE daemon, which answers no more.
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <set>

#include "base/file.h"
#include "base/process.h"
#include "base/process_internal.h"

namespace latchkey {
namespace {

constexpr size_t kLongestProcFile = 64 << 20;

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string_view Word(std::string_view line, size_t index) {
  for (size_t i = 0;; ++i) {
    const size_t begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) return {};
    line.remove_prefix(begin);
    const size_t end = std::min(line.find(' '), line.size());
    if (i == index) return line.substr(0, end);
    line.remove_prefix(end);
  }
}

class DeviceSearch {
 public:
  explicit DeviceSearch(dev_t device) : device_(device) {
    const std::string number = std::to_string(major(device)) + ":" + std::to_string(minor(device));
    const absl::StatusOr<std::string> mounts = ReadFile("/proc/self/mountinfo", kLongestProcFile);
    if (!mounts.ok()) return;
    for (const std::string_view line : Lines(*mounts)) {
      if (Word(line, 2) == number) mounts_.emplace(Word(line, 0));
    }
  }

  bool UsedBy(pid_t pid) const {
    const std::string process = "/proc/" + std::to_string(pid);
    if (LinkPointsThere(process + "/exe")) return true;
    // Threads may have tables of files and folders of their own, and the first thread may be gone before the others.
    pid_t first = 0;
    for (const pid_t thread : internal::NumericEntries(process + "/task")) {
      const std::string task = process + "/task/" + std::to_string(thread);
      if (LinkPointsThere(task + "/cwd") || LinkPointsThere(task + "/root")) return true;
      const bool same_files = first != 0 && syscall(SYS_kcmp, first, thread, KCMP_FILES, 0, 0) == 0;
      if (!same_files && FilesAreThere(task)) return true;
      if (MappingsAreThere(task)) return true;
      if (first == 0) first = thread;
    }
    return false;
  }

 private:
  // The device behind a magic link. With an empty mask and AT_STATX_DONT_SYNC the kernel answers from what it has; FUSE sends no request
  // (fuse_getattr, fuse_update_get_attr in fs/fuse/dir.c).
  bool LinkPointsThere(const std::string& link) const {
    struct statx sx{};
    if (statx(AT_FDCWD, link.c_str(), AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &sx) != 0) return false;
    return makedev(sx.stx_dev_major, sx.stx_dev_minor) == device_;
  }

  bool FilesAreThere(const std::string& task) const {
    for (const int fd : internal::NumericEntries(task + "/fd")) {
      if (LinkPointsThere(task + "/fd/" + std::to_string(fd))) return true;
      if (mounts_.empty()) continue;
      // An inode that the kernel has marked bad answers EIO above; its mount is still known.
      const absl::StatusOr<std::string> info = ReadFile(task + "/fdinfo/" + std::to_string(fd), kLongestProcFile);
      if (!info.ok()) continue;
      for (std::string_view line : Lines(*info)) {
        constexpr std::string_view kLabel = "mnt_id:";
        if (!line.starts_with(kLabel)) continue;
        line.remove_prefix(kLabel.size());
        const size_t begin = line.find_first_not_of(" \t");
        if (begin != std::string_view::npos && mounts_.contains(std::string(line.substr(begin)))) return true;
        break;
      }
    }
    return false;
  }

  bool MappingsAreThere(const std::string& task) const {
    const absl::StatusOr<std::string> maps = ReadFile(task + "/maps", kLongestProcFile);
    if (!maps.ok()) return false;
    char number[32];
    std::snprintf(number, sizeof number, "%02x:%02x", major(device_), minor(device_));
    // "start-end perms offset dev inode path"; inode 0 is no file.
    for (const std::string_view line : Lines(*maps)) {
      if (Word(line, 3) == number && Word(line, 4) != "0") return true;
    }
    return false;
  }

  dev_t device_;
  std::set<std::string> mounts_;  // mount ids, decimal
};

}  // namespace

std::vector<ProcessId> ProcessesUsingDevice(dev_t device) {
  const DeviceSearch search(device);
  const pid_t self = getpid();
  std::vector<ProcessId> out;
  for (const pid_t pid : internal::AllPids()) {
    if (pid == self) continue;
    // Identified before the look: a pid that changes hands meanwhile must not get the blame.
    const std::optional<internal::ProcessStat> stat = internal::ReadProcessStat(pid);
    if (stat && stat->running && search.UsedBy(pid)) out.push_back(stat->id);
  }
  return out;
}

}  // namespace latchkey
