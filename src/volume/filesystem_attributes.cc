#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "volume/filesystem.h"

namespace latchkey {
namespace {

// ACLs name users and groups only, so they pass as they are. Everything else would put plaintext (or the kernel's labels) on the disk.
bool IsAcl(const char* name) {
  return std::strcmp(name, "system.posix_acl_access") == 0 || std::strcmp(name, "system.posix_acl_default") == 0;
}

}  // namespace

void Filesystem::GetAttributes(fuse_req_t req, fuse_ino_t ino, fuse_file_info*) {
  struct stat st;
  int error;
  {
    std::shared_lock lock(tree_);
    error = StatLocked(Node(ino), &st);
  }
  if (error != 0) {
    fuse_reply_err(req, error);
  } else {
    fuse_reply_attr(req, &st, 86'400);
  }
}

void Filesystem::SetAttributes(fuse_req_t req, fuse_ino_t ino, struct stat* attributes, int valid, fuse_file_info*) {
  Inode& inode = Node(ino);
  struct stat st;
  int error = 0;
  if ((valid & FUSE_SET_ATTR_SIZE) != 0) {
    LowerRef fd;
    EncryptedFile* file = nullptr;
    error = OpenFile(inode, &fd, &file);
    if (error == 0) {
      LowerDescriptor lower(fd->fd);
      error = attributes->st_size < 0 ? EINVAL : file->Truncate(lower, static_cast<uint64_t>(attributes->st_size));
    }
  }
  if (error == 0) {
    std::shared_lock lock(tree_);
    error = ApplyAttributes(inode, *attributes, valid);
    if (error == 0) error = StatLocked(inode, &st);
  }
  if (error != 0) {
    fuse_reply_err(req, error);
  } else {
    fuse_reply_attr(req, &st, 86'400);
  }
}

// Owner, mode and times. The tree is held.
int Filesystem::ApplyAttributes(Inode& inode, const struct stat& attributes, int valid) {
  // By descriptor where there is one (the root, files without a name), else by name.
  const LowerRef self = pool_.Find(inode);
  Place place;
  if (self == nullptr) {
    if (const int error = PlaceOfLocked(inode, &place); error != 0) return error;
  }
  const int folder = self != nullptr ? self->fd : place.folder->fd;
  const char* name = self != nullptr ? "" : place.name.c_str();
  if ((valid & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0) {
    const uid_t uid = (valid & FUSE_SET_ATTR_UID) != 0 ? attributes.st_uid : static_cast<uid_t>(-1);
    const gid_t gid = (valid & FUSE_SET_ATTR_GID) != 0 ? attributes.st_gid : static_cast<gid_t>(-1);
    if (fchownat(folder, name, uid, gid, AT_SYMLINK_NOFOLLOW | (self != nullptr ? AT_EMPTY_PATH : 0)) != 0) return errno;
  }
  if ((valid & FUSE_SET_ATTR_MODE) != 0) {
    if (S_ISLNK(inode.type)) return EOPNOTSUPP;
    const mode_t mode = attributes.st_mode & 07777;
    if ((self != nullptr ? fchmod(folder, mode) : fchmodat(folder, name, mode, 0)) != 0) return errno;
  }
  if ((valid & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)) != 0) {
    timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    if ((valid & FUSE_SET_ATTR_ATIME_NOW) != 0) {
      times[0].tv_nsec = UTIME_NOW;
    } else if ((valid & FUSE_SET_ATTR_ATIME) != 0) {
      times[0] = attributes.st_atim;
    }
    if ((valid & FUSE_SET_ATTR_MTIME_NOW) != 0) {
      times[1].tv_nsec = UTIME_NOW;
    } else if ((valid & FUSE_SET_ATTR_MTIME) != 0) {
      times[1] = attributes.st_mtim;
    }
    if ((self != nullptr ? futimens(folder, times) : utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW)) != 0) return errno;
  }
  return 0;
}

void Filesystem::SetXattr(fuse_req_t req, fuse_ino_t ino, const char* name, const char* value, size_t size, int flags) {
  LowerRef fd;
  int error = IsAcl(name) && !S_ISLNK(Node(ino).type) ? Descriptor(Node(ino), &fd) : EOPNOTSUPP;
  if (error == 0 && fsetxattr(fd->fd, name, value, size, flags) != 0) error = errno;
  fuse_reply_err(req, error);
}

void Filesystem::RemoveXattr(fuse_req_t req, fuse_ino_t ino, const char* name) {
  LowerRef fd;
  int error = IsAcl(name) && !S_ISLNK(Node(ino).type) ? Descriptor(Node(ino), &fd) : EOPNOTSUPP;
  if (error == 0 && fremovexattr(fd->fd, name) != 0) error = errno;
  fuse_reply_err(req, error);
}

void Filesystem::GetXattr(fuse_req_t req, fuse_ino_t ino, const char* name, size_t size) {
  LowerRef fd;
  const mode_t type = Node(ino).type;
  int error = IsAcl(name) && (S_ISREG(type) || S_ISDIR(type)) ? Descriptor(Node(ino), &fd) : EOPNOTSUPP;
  std::vector<char> value(size);
  ssize_t n = -1;
  if (error == 0 && (n = fgetxattr(fd->fd, name, value.data(), size)) < 0) error = errno;
  if (error != 0) {
    fuse_reply_err(req, error);
  } else if (size == 0) {
    fuse_reply_xattr(req, static_cast<size_t>(n));
  } else {
    fuse_reply_buf(req, value.data(), static_cast<size_t>(n));
  }
}

void Filesystem::ListXattrs(fuse_req_t req, fuse_ino_t ino, size_t size) {
  LowerRef fd;
  std::string shown;
  int error = 0;
  const mode_t type = Node(ino).type;
  if (S_ISREG(type) || S_ISDIR(type)) {
    error = Descriptor(Node(ino), &fd);
    std::string list(65'536, '\0');
    if (error == 0) {
      const ssize_t n = flistxattr(fd->fd, list.data(), list.size());
      if (n < 0) error = errno == EOPNOTSUPP ? 0 : errno;
      for (ssize_t at = 0; at < n; at += static_cast<ssize_t>(std::strlen(&list[static_cast<size_t>(at)])) + 1) {
        const char* name = &list[static_cast<size_t>(at)];
        if (IsAcl(name)) shown.append(name, std::strlen(name) + 1);
      }
    }
  }
  if (error == 0 && size > 0 && shown.size() > size) error = ERANGE;
  if (error != 0) {
    fuse_reply_err(req, error);
  } else if (size == 0) {
    fuse_reply_xattr(req, shown.size());
  } else {
    fuse_reply_buf(req, shown.data(), shown.size());
  }
}

void Filesystem::StatFs(fuse_req_t req, fuse_ino_t) {
  const LowerRef root = pool_.Find(*root_);
  struct statvfs st;
  if (fstatvfs(root->fd, &st) != 0) {
    fuse_reply_err(req, errno);
    return;
  }
  st.f_namemax = kMaxName;
  fuse_reply_statfs(req, &st);
}

}  // namespace latchkey
