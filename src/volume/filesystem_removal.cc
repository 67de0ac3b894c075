// Names that go or move. The tree is held exclusively: nobody else resolves a place meanwhile.
#include <fcntl.h>
#include <linux/fs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "volume/filesystem.h"

namespace latchkey {

// A file that is still open loses its last known name: its descriptor must be there first, since it cannot be opened again.
int Filesystem::PinBeforeRemovalLocked(Inode* inode, Inode& parent, const std::string& lower) {
  if (inode == nullptr || !S_ISREG(inode->type) || !table_.NeedsPinWithout(*inode, parent, lower)) return 0;
  LowerRef fd;
  if (const int error = DescriptorLocked(*inode, &fd); error != 0) return error;
  // Between the two, another thread may make the pool close it: then it is still in `fd`, and goes back.
  while (!pool_.IsPinned(*inode)) {
    if (pool_.Find(*inode) == nullptr) pool_.Put(*inode, fcntl(fd->fd, F_DUPFD_CLOEXEC, 3));
    pool_.Pin(*inode);
  }
  return 0;
}

int Filesystem::Remove(Inode& parent, const char* name, int flags) {
  InodeRef inode;
  std::unique_lock lock(tree_);
  LowerRef folder;
  std::string lower;
  struct stat st;
  if (const int error = ResolveLocked(parent, name, &folder, &lower, &st); error != 0) return error;
  inode = table_.Find(st.st_ino);
  if (const int error = PinBeforeRemovalLocked(inode.get(), parent, lower); error != 0) return error;
  if (unlinkat(folder->fd, lower.c_str(), flags) != 0) return errno;
  if (inode == nullptr) return 0;
  table_.DropLink(*inode, parent, lower, flags == AT_REMOVEDIR || st.st_nlink == 1);
  lock.unlock();
  // Closing the last descriptor of a large file takes a while: not under the lock.
  if (!pool_.IsPinned(*inode)) pool_.Drop(*inode);
  return 0;
}

void Filesystem::Unlink(fuse_req_t req, fuse_ino_t parent, const char* name) { fuse_reply_err(req, Remove(Node(parent), name, 0)); }

void Filesystem::RemoveFolder(fuse_req_t req, fuse_ino_t parent, const char* name) {
  fuse_reply_err(req, Remove(Node(parent), name, AT_REMOVEDIR));
}

void Filesystem::Rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent, const char* new_name, unsigned flags) {
  fuse_reply_err(req, RenameLocked(Node(parent).shared_from_this(), name, Node(new_parent).shared_from_this(), new_name, flags));
}

int Filesystem::RenameLocked(const InodeRef& parent, const char* name, const InodeRef& new_parent, const char* new_name, unsigned flags) {
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0) return EINVAL;
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  InodeRef moved, replaced;
  std::unique_lock lock(tree_);
  LowerRef folder, new_folder;
  std::string lower, new_lower;
  struct stat st, new_st;
  if (const int error = ResolveLocked(*parent, name, &folder, &lower, &st); error != 0) return error;
  // An older form that is there is the one to be replaced, so that it happens at once.
  const int there = ResolveLocked(*new_parent, new_name, &new_folder, &new_lower, &new_st);
  if (there != 0 && (there != ENOENT || exchange)) return there;
  if (there == 0 && (flags & RENAME_NOREPLACE) != 0) return EEXIST;
  moved = table_.Find(st.st_ino);
  if (there == 0) replaced = table_.Find(new_st.st_ino);
  if (there == 0 && !exchange && new_st.st_ino != st.st_ino) {
    if (const int error = PinBeforeRemovalLocked(replaced.get(), *new_parent, new_lower); error != 0) return error;
  }
  if (renameat2(folder->fd, lower.c_str(), new_folder->fd, new_lower.c_str(), flags) != 0) return errno;
  // Two names of one file: the system does nothing then.
  if (there == 0 && new_st.st_ino == st.st_ino) return 0;
  if (moved != nullptr) {
    table_.DropLink(*moved, *parent, lower, false);
    table_.AddLink(*moved, new_parent, new_lower);
  }
  if (replaced == nullptr) return 0;
  if (exchange) {
    table_.DropLink(*replaced, *new_parent, new_lower, false);
    table_.AddLink(*replaced, parent, lower);
    return 0;
  }
  table_.DropLink(*replaced, *new_parent, new_lower, S_ISDIR(new_st.st_mode) || new_st.st_nlink == 1);
  lock.unlock();
  if (!pool_.IsPinned(*replaced)) pool_.Drop(*replaced);
  return 0;
}

}  // namespace latchkey
