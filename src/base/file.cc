#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "base/status.h"

namespace latchkey {
namespace {

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status WriteAll(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t n = write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "cannot write " + path);
    content.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

// Fills an existing temporary file and puts it in the place of `path`.
absl::Status FillAndRename(int fd, const std::string& temporary, const std::string& path, std::string_view content, mode_t mode) {
  // fchmod and not open's mode, which the umask would cut.
  if (fchmod(fd, mode) != 0) return ErrnoStatus(errno, "cannot set the mode of " + temporary);
  RETURN_IF_ERROR(WriteAll(fd, content, temporary));
  if (fsync(fd) != 0) return ErrnoStatus(errno, "cannot sync " + temporary);
  if (rename(temporary.c_str(), path.c_str()) != 0) return ErrnoStatus(errno, "cannot replace " + path);
  return absl::OkStatus();
}

absl::Status MakeOneFolder(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) {
    if (chmod(path.c_str(), mode) != 0) return ErrnoStatus(errno, "cannot set the mode of " + path);
    return absl::OkStatus();
  }
  const int error = errno;
  struct stat st{};
  if (stat(path.c_str(), &st) == 0) {
    if (S_ISDIR(st.st_mode)) return absl::OkStatus();
    return FailedPrecondition(path, " exists and is no folder");
  }
  return ErrnoStatus(error, "cannot make the folder " + path);
}

struct CloseFolder {
  void operator()(DIR* dir) const { closedir(dir); }
};

// Removes `name`, an entry of the open folder `parent`; `shown` is its path for messages. Works on descriptors, so that a link put in
// place of a folder meanwhile is not followed.
absl::Status RemoveEntry(int parent, const char* name, const std::string& shown) {
  struct statx sx{};
  if (statx(parent, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &sx) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return ErrnoStatus(errno, "cannot inspect " + shown);
  }
  if ((sx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) return FailedPrecondition(shown, " is a mount point and is not removed");
  if (!S_ISDIR(sx.stx_mode)) {
    if (unlinkat(parent, name, 0) != 0 && errno != ENOENT) return ErrnoStatus(errno, "cannot remove " + shown);
    return absl::OkStatus();
  }
  UniqueFd fd(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "cannot open " + shown);
  const std::unique_ptr<DIR, CloseFolder> dir(fdopendir(fd.get()));
  if (dir == nullptr) return ErrnoStatus(errno, "cannot read " + shown);
  const int folder = fd.Release();  // owned by `dir` from here on
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(dir.get());
    if (entry == nullptr) {
      if (errno != 0) return ErrnoStatus(errno, "cannot read " + shown);
      break;
    }
    const std::string_view child(entry->d_name);
    if (child == "." || child == "..") continue;
    RETURN_IF_ERROR(RemoveEntry(folder, entry->d_name, shown + "/" + std::string(child)));
  }
  if (unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) return ErrnoStatus(errno, "cannot remove " + shown);
  return absl::OkStatus();
}

}  // namespace

void UniqueFd::Reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t limit) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) return ErrnoStatus(errno, "cannot open " + path);
  struct stat st{};
  if (fstat(fd.get(), &st) != 0) return ErrnoStatus(errno, "cannot inspect " + path);
  std::string out;
  // One allocation for an ordinary file: growing would leave copies of its content behind.
  if (S_ISREG(st.st_mode) && st.st_size > 0) out.reserve(std::min(static_cast<size_t>(st.st_size), limit) + 1);
  size_t done = 0;
  for (;;) {
    if (done == out.size()) out.resize(std::max(out.capacity(), done + 4096));
    const ssize_t n = read(fd.get(), out.data() + done, out.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "cannot read " + path);
    if (n == 0) break;
    done += static_cast<size_t>(n);
    if (done > limit) return absl::OutOfRangeError(absl::StrCat(path, " is longer than ", limit, " bytes"));
  }
  out.resize(done);
  return out;
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view content, mode_t mode) {
  std::string temporary = path + ".new-XXXXXX";
  UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "cannot make a new file beside " + path);
  if (absl::Status status = FillAndRename(fd.get(), temporary, path, content, mode); !status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return SyncFolder(FolderOf(path));
}

absl::Status MakeFolders(const std::string& path, mode_t mode) {
  if (path.empty()) return InvalidArgument("the path of a folder is empty");
  for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    if (path[at - 1] == '/') continue;
    RETURN_IF_ERROR(MakeOneFolder(path.substr(0, at), mode));
  }
  return path.back() == '/' ? absl::OkStatus() : MakeOneFolder(path, mode);
}

absl::Status SyncFolder(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "cannot open the folder " + path);
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, "cannot sync the folder " + path);
  return absl::OkStatus();
}

bool PathExists(const std::string& path) {
  struct stat st{};
  return lstat(path.c_str(), &st) == 0;
}

absl::Status RemoveTree(const std::string& path) {
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  if (trimmed.empty() || trimmed == "/") return InvalidArgument("refusing to remove \"", path, "\"");
  return RemoveEntry(AT_FDCWD, trimmed.c_str(), trimmed);
}

absl::StatusOr<UniqueFd> LockFile(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return ErrnoStatus(errno, "cannot open " + path);
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (fcntl(fd.get(), F_OFD_SETLK, &lock) != 0) {
    if (errno == EAGAIN || errno == EACCES) return FailedPrecondition(path, " is in use by another process");
    return ErrnoStatus(errno, "cannot lock " + path);
  }
  return fd;
}

}  // namespace latchkey
