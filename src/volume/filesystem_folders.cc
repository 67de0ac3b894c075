#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "volume/filesystem.h"

namespace latchkey {
namespace {

// An open folder: its own stream over the lower folder. The kernel may read one handle from several threads.
struct FolderHandle {
  DIR* stream = nullptr;
  std::mutex mutex;
  off_t at = 0;
  ~FolderHandle() {
    if (stream != nullptr) closedir(stream);
  }
};

FolderHandle* HandleOf(fuse_file_info* fi) { return reinterpret_cast<FolderHandle*>(static_cast<uintptr_t>(fi->fh)); }

}  // namespace

void Filesystem::OpenFolder(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
  LowerRef folder;
  if (const int error = Descriptor(Node(ino), &folder); error != 0) {
    fuse_reply_err(req, error);
    return;
  }
  UniqueFd fd(openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto handle = std::make_unique<FolderHandle>();
  if (fd.valid()) handle->stream = fdopendir(fd.get());
  if (handle->stream == nullptr) {
    fuse_reply_err(req, errno);
    return;
  }
  fd.Release();
  fi->fh = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(handle.get()));
  if (fuse_reply_open(req, fi) == 0) handle.release();
}

void Filesystem::ReleaseFolder(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
  FolderHandle* handle = HandleOf(fi);
  // Whoever read last let go of it before answering, and the kernel closes only after the answer. A second line of defence.
  {
    const std::lock_guard lock(handle->mutex);
  }
  delete handle;
  fuse_reply_err(req, 0);
}

void Filesystem::ReadFolder(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi) {
  FillFolder(req, ino, size, offset, fi, false);
}

void Filesystem::ReadFolderPlus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi) {
  FillFolder(req, ino, size, offset, fi, true);
}

void Filesystem::FillFolder(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi, bool plus) {
  std::vector<char> out(size);
  size_t used = 0;
  // With the answer the program may close the folder, and another thread frees the handle: it is not touched after this.
  const int error = ListFolder(req, ino, offset, fi, plus, out, &used);
  if (error != 0 && used == 0) {
    fuse_reply_err(req, error);
  } else {
    fuse_reply_buf(req, out.data(), used);
  }
}

int Filesystem::ListFolder(fuse_req_t req, fuse_ino_t ino, off_t offset, fuse_file_info* fi, bool plus, std::vector<char>& out,
                           size_t* filled) {
  FolderHandle& handle = *HandleOf(fi);
  size_t& used = *filled;
  const size_t size = out.size();
  const std::lock_guard handle_lock(handle.mutex);
  if (offset != handle.at) {
    seekdir(handle.stream, offset);
    handle.at = offset;
  }
  for (;;) {
    errno = 0;
    const dirent* found = readdir(handle.stream);
    if (found == nullptr) return errno;
    const bool is_dots = std::strcmp(found->d_name, ".") == 0 || std::strcmp(found->d_name, "..") == 0;
    const std::optional<std::string> name = is_dots ? std::string(found->d_name) : names_.Decode(found->d_name);
    if (!name) {
      if (!saw_strange_name_.exchange(true))
        Log(LogLevel::kWarning, "the data folder holds names that are not of this volume; they are not shown");
      handle.at = found->d_off;
      continue;
    }
    fuse_entry_param entry{};
    entry.attr.st_ino = found->d_ino;
    entry.attr.st_mode = DTTOIF(found->d_type);
    if (plus && !is_dots) {
      std::shared_lock lock(tree_);
      LowerRef folder;
      if (DescriptorLocked(Node(ino), &folder) != 0 || MadeEntryLocked(Node(ino), folder, found->d_name, &entry) != 0) {
        handle.at = found->d_off;
        continue;  // removed meanwhile
      }
    }
    const size_t needed = plus ? fuse_add_direntry_plus(req, &out[used], size - used, name->c_str(), &entry, found->d_off)
                               : fuse_add_direntry(req, &out[used], size - used, name->c_str(), &entry.attr, found->d_off);
    if (needed > size - used) {
      if (entry.ino != 0) table_.Forget(Node(entry.ino), 1);
      seekdir(handle.stream, handle.at);
      break;
    }
    used += needed;
    handle.at = found->d_off;
    if (used == size) break;
  }
  return 0;
}

void Filesystem::FsyncFolder(fuse_req_t req, fuse_ino_t ino, int data_only, fuse_file_info*) {
  LowerRef folder;
  int error = Descriptor(Node(ino), &folder);
  if (error == 0 && (data_only != 0 ? fdatasync(folder->fd) : fsync(folder->fd)) != 0) error = errno;
  fuse_reply_err(req, error);
}

}  // namespace latchkey
