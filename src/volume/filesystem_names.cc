#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "volume/filesystem.h"

namespace latchkey {

void Filesystem::Lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  fuse_entry_param entry{};
  int error;
  {
    std::shared_lock lock(tree_);
    LowerRef folder;
    std::string lower;
    struct stat st;
    error = ResolveLocked(Node(parent), name, &folder, &lower, &st);
    if (error == 0) {
      error = EntryLocked(Node(parent), lower, st, &entry);
    } else if (error == ENOENT) {
      // Number 0: "not there", and the kernel may remember that too.
      entry.entry_timeout = 86'400;
      error = 0;
    }
  }
  ReplyEntry(req, error, entry);
}

void Filesystem::Forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups) {
  if (ino != FUSE_ROOT_ID) table_.Forget(Node(ino), lookups);
  fuse_reply_none(req);
}

void Filesystem::ForgetMany(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  for (size_t i = 0; i < count; ++i) {
    if (forgets[i].ino != FUSE_ROOT_ID) table_.Forget(Node(forgets[i].ino), forgets[i].nlookup);
  }
  fuse_reply_none(req);
}

void Filesystem::MakeNode(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  fuse_entry_param entry{};
  const int error = [&] {
    std::shared_lock lock(tree_);
    LowerRef folder;
    std::string lower;
    if (const int taken = FreeNameLocked(Node(parent), name, &folder, &lower); taken != 0) return taken;
    {
      const CallerMask mask(req);
      if (mknodat(folder->fd, lower.c_str(), mode, device) != 0) return errno;
    }
    return MadeEntryLocked(Node(parent), folder, lower, &entry);
  }();
  ReplyEntry(req, error, entry);
}

void Filesystem::MakeFolder(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  fuse_entry_param entry{};
  const int error = [&] {
    std::shared_lock lock(tree_);
    LowerRef folder;
    std::string lower;
    if (const int taken = FreeNameLocked(Node(parent), name, &folder, &lower); taken != 0) return taken;
    {
      const CallerMask mask(req);
      if (mkdirat(folder->fd, lower.c_str(), mode) != 0) return errno;
    }
    return MadeEntryLocked(Node(parent), folder, lower, &entry);
  }();
  ReplyEntry(req, error, entry);
}

void Filesystem::Symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  fuse_entry_param entry{};
  const int error = [&] {
    std::string lower_target;
    if (const int fault = names_.EncodeTarget(target, &lower_target); fault != 0) return fault;
    std::shared_lock lock(tree_);
    LowerRef folder;
    std::string lower;
    if (const int taken = FreeNameLocked(Node(parent), name, &folder, &lower); taken != 0) return taken;
    if (symlinkat(lower_target.c_str(), folder->fd, lower.c_str()) != 0) return errno;
    return MadeEntryLocked(Node(parent), folder, lower, &entry);
  }();
  ReplyEntry(req, error, entry);
}

void Filesystem::Readlink(fuse_req_t req, fuse_ino_t ino) {
  std::string lower(4096, '\0');
  const int error = [&] {
    std::shared_lock lock(tree_);
    Place place;
    if (const int fault = PlaceOfLocked(Node(ino), &place); fault != 0) return fault;
    const ssize_t n = readlinkat(place.folder->fd, place.name.c_str(), lower.data(), lower.size());
    if (n < 0) return errno;
    lower.resize(static_cast<size_t>(n));
    return 0;
  }();
  if (error != 0) {
    fuse_reply_err(req, error);
    return;
  }
  const std::optional<std::string> target = names_.DecodeTarget(lower);
  if (target) {
    fuse_reply_readlink(req, target->c_str());
  } else {
    fuse_reply_err(req, EIO);
  }
}

void Filesystem::Link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char* name) {
  fuse_entry_param entry{};
  const int error = [&] {
    std::shared_lock lock(tree_);
    LowerRef folder;
    std::string lower;
    Place place;
    if (const int unknown = PlaceOfLocked(Node(ino), &place); unknown != 0) return unknown == ESTALE ? ENOENT : unknown;
    if (const int taken = FreeNameLocked(Node(parent), name, &folder, &lower); taken != 0) return taken;
    if (linkat(place.folder->fd, place.name.c_str(), folder->fd, lower.c_str(), 0) != 0) return errno;
    return MadeEntryLocked(Node(parent), folder, lower, &entry);
  }();
  ReplyEntry(req, error, entry);
}

void Filesystem::CreateFile(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* fi) {
  fuse_entry_param entry{};
  int error;
  {
    std::shared_lock lock(tree_);
    const CallerMask mask(req);
    error = CreateLocked(Node(parent), name, mode, fi, &entry);
  }
  if (error != 0) {
    fuse_reply_err(req, error);
    return;
  }
  if (fuse_reply_create(req, &entry, fi) == 0) return;
  Inode& inode = Node(entry.ino);
  table_.Closed(inode, fi->direct_io != 0);
  table_.Forget(inode, 1);
}

int Filesystem::CreateLocked(Inode& parent, const char* name, mode_t mode, fuse_file_info* fi, fuse_entry_param* entry) {
  const int flags = fi->flags;
  LowerRef folder, fd;
  std::string lower;
  struct stat st;
  const int found = ResolveLocked(parent, name, &folder, &lower, &st);
  if (found == 0 && (flags & O_EXCL) != 0) return EEXIST;
  if (found == 0 && !S_ISREG(st.st_mode)) return S_ISDIR(st.st_mode) ? EISDIR : ELOOP;
  if (found != 0 && found != ENOENT) return found;
  UniqueFd made;
  if (found == ENOENT) {
    made = UniqueFd(openat(folder->fd, lower.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & 07777));
    if (!made.valid()) return errno;
    if (fstat(made.get(), &st) != 0) return errno;
  }
  if (const int error = EntryLocked(parent, lower, st, entry); error != 0) return error;
  Inode& inode = Node(entry->ino);
  UseCache(table_.Opened(inode, IsWriteThrough(flags)), fi);
  int error = 0;
  if (made.valid()) {
    fd = pool_.Put(inode, made.Release());
  } else {
    error = DescriptorLocked(inode, &fd);
  }
  EncryptedFile* file = nullptr;
  if (error == 0) error = File(inode, fd, &file);
  if (error == 0 && (flags & O_TRUNC) != 0) {
    LowerDescriptor descriptor(fd->fd);
    error = file->Truncate(descriptor, 0);
    entry->attr.st_size = static_cast<off_t>(file->size());
  }
  if (error != 0) {
    table_.Closed(inode, fi->direct_io != 0);
    table_.Forget(inode, 1);
  }
  return error;
}

}  // namespace latchkey
