#include "volume/dek_count.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "base/file.h"
#include "base/status.h"

namespace latchkey {
namespace {

struct Close {
  void operator()(DIR* stream) const { closedir(stream); }
};
using Folder = std::unique_ptr<DIR, Close>;

// Removed or replaced since its folder was read: nothing of it is left to be counted here.
bool IsGone(int error) { return error == ENOENT || error == ENOTDIR || error == ELOOP; }

// An errno.
int OpenFolder(int parent, const char* name, int flags, Folder* folder) {
  UniqueFd fd(openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags));
  if (!fd.valid()) return errno;
  folder->reset(fdopendir(fd.get()));
  if (*folder == nullptr) return errno;
  fd.Release();
  return 0;
}

unsigned char TypeOf(int folder, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type;
  struct stat st;
  if (fstatat(folder, entry.d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) return DT_UNKNOWN;
  return S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
}

absl::Status CountFile(int folder, const char* name, std::map<DekIdBytes, int64_t>* bytes) {
  const UniqueFd fd(openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid() && IsGone(errno)) return absl::OkStatus();
  struct stat st;
  if (!fd.valid() || fstat(fd.get(), &st) != 0) return ErrnoStatus(errno, "a file of the volume cannot be opened");
  if (st.st_size <= static_cast<off_t>(kHeaderSize)) return absl::OkStatus();
  std::array<uint8_t, kHeaderBytes> text;
  const ssize_t n = pread(fd.get(), text.data(), text.size(), 0);
  if (n < 0) return ErrnoStatus(errno, "a header cannot be read");
  FileHeader header;
  HeaderMac mac;
  if (n != static_cast<ssize_t>(text.size())) return absl::OkStatus();
  if (ParseHeader(text, static_cast<uint64_t>(st.st_size), &header, &mac) != HeaderForm::kPresent) return absl::OkStatus();
  (*bytes)[header.dek_id] += st.st_size - static_cast<off_t>(kHeaderSize);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::map<DekIdBytes, int64_t>> CountBytesByDek(const std::string& data_folder, const std::atomic<bool>& stop) {
  std::map<DekIdBytes, int64_t> bytes;
  std::vector<Folder> path;  // from the data folder down to the one that is being read
  Folder next;
  if (const int error = OpenFolder(AT_FDCWD, data_folder.c_str(), 0, &next); error != 0)
    return ErrnoStatus(error, "the data folder cannot be opened");
  path.push_back(std::move(next));
  while (!path.empty()) {
    if (stop) return absl::AbortedError("counting was stopped");
    const int folder = dirfd(path.back().get());
    errno = 0;
    const dirent* entry = readdir(path.back().get());
    if (entry == nullptr) {
      // A folder that vanishes while it is read ends here; its neighbours are still to come.
      if (errno != 0 && !IsGone(errno)) return ErrnoStatus(errno, "walking the data folder");
      path.pop_back();
      continue;
    }
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    const unsigned char type = TypeOf(folder, *entry);
    if (type == DT_REG) {
      RETURN_IF_ERROR(CountFile(folder, entry->d_name, &bytes));
    } else if (type == DT_DIR) {
      const int error = OpenFolder(folder, entry->d_name, O_NOFOLLOW, &next);
      if (error == 0) path.push_back(std::move(next));
      if (error != 0 && !IsGone(error)) return ErrnoStatus(error, "a folder of the volume cannot be opened");
    }
  }
  return bytes;
}

}  // namespace latchkey
