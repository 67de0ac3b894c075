#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <cerrno>

#include "volume/filesystem.h"

namespace latchkey {

bool Filesystem::IsWriteThrough(int flags) { return (flags & O_DSYNC) != 0 && (flags & O_ACCMODE) != O_RDONLY; }

void Filesystem::UseCache(InodeTable::Caching caching, fuse_file_info* fi) {
  fi->keep_cache = caching.keep ? 1 : 0;
  fi->direct_io = caching.direct ? 1 : 0;
  fi->fh = caching.direct ? kDirect : 0;
}

void Filesystem::Open(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
  // Kept past the answer: one that does not arrive must be undone, and by then the kernel may have forgotten the file.
  const InodeRef held = Node(ino).shared_from_this();
  Inode& inode = *held;
  LowerRef fd;
  EncryptedFile* file = nullptr;
  InodeTable::Caching caching{};
  int error;
  {
    // Counted and opened in one: a removal sees either no handle, or one whose descriptor it can keep.
    std::shared_lock lock(tree_);
    error = S_ISREG(inode.type) ? DescriptorLocked(inode, &fd) : EINVAL;
    if (error == 0) caching = table_.Opened(inode, IsWriteThrough(fi->flags));
  }
  if (error != 0) {
    fuse_reply_err(req, error);
    return;
  }
  error = File(inode, fd, &file);
  if (error == 0 && (fi->flags & O_TRUNC) != 0) {
    LowerDescriptor lower(fd->fd);
    error = file->Truncate(lower, 0);
  }
  UseCache(caching, fi);
  if (error != 0) {
    fuse_reply_err(req, error);
  } else if (fuse_reply_open(req, fi) == 0) {
    return;
  }
  if (table_.Closed(inode, caching.direct) == 0 && pool_.IsPinned(inode)) pool_.Drop(inode);
}

void Filesystem::Release(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
  Inode& inode = Node(ino);
  if (table_.Closed(inode, fi->fh == kDirect) == 0 && pool_.IsPinned(inode)) pool_.Drop(inode);
  fuse_reply_err(req, 0);
}

void Filesystem::Read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info*) {
  LowerRef fd;
  EncryptedFile* file = nullptr;
  int error = OpenFile(Node(ino), &fd, &file);
  std::span<const uint8_t> bytes;
  if (error == 0) {
    LowerDescriptor lower(fd->fd);
    error = file->Read(lower, static_cast<uint64_t>(offset), size, ReadScratch(), &bytes);
  }
  if (error != 0) {
    fuse_reply_err(req, error);
  } else {
    fuse_reply_buf(req, reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
}

void Filesystem::Write(fuse_req_t req, fuse_ino_t ino, const char* bytes, size_t size, off_t offset, fuse_file_info* fi) {
  LowerRef fd;
  EncryptedFile* file = nullptr;
  int error = OpenFile(Node(ino), &fd, &file);
  if (error == 0) {
    LowerDescriptor lower(fd->fd);
    error = file->Write(lower, static_cast<uint64_t>(offset), {reinterpret_cast<const uint8_t*>(bytes), size}, ThreadScratch());
    // A direct write is the kernel's last word: it asks for no sync of its own. Through the cache it does.
    if (error == 0 && fi->fh == kDirect && (fi->flags & O_DSYNC) != 0) error = file->Sync(lower, (fi->flags & O_SYNC) != O_SYNC);
  }
  if (error != 0) {
    fuse_reply_err(req, error);
  } else {
    fuse_reply_write(req, size);
  }
}

void Filesystem::Fsync(fuse_req_t req, fuse_ino_t ino, int data_only, fuse_file_info*) {
  LowerRef fd;
  EncryptedFile* file = nullptr;
  int error = OpenFile(Node(ino), &fd, &file);
  if (error == 0) {
    LowerDescriptor lower(fd->fd);
    error = file->Sync(lower, data_only != 0);
  }
  fuse_reply_err(req, error);
}

void Filesystem::Allocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t size, fuse_file_info*) {
  const bool keep_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  const int what = mode & ~FALLOC_FL_KEEP_SIZE;
  // Collapsing and inserting ranges, sharing and unsharing would move ciphertext to another place.
  if ((what != 0 && what != FALLOC_FL_PUNCH_HOLE && what != FALLOC_FL_ZERO_RANGE) || (what == FALLOC_FL_PUNCH_HOLE && !keep_size)) {
    fuse_reply_err(req, EOPNOTSUPP);
    return;
  }
  LowerRef fd;
  EncryptedFile* file = nullptr;
  int error = OpenFile(Node(ino), &fd, &file);
  if (error == 0) {
    LowerDescriptor lower(fd->fd);
    const auto from = static_cast<uint64_t>(offset), length = static_cast<uint64_t>(size);
    error = what == 0 ? file->Preallocate(lower, from, length, keep_size)
                      : file->Zero(lower, from, length, keep_size, what == FALLOC_FL_PUNCH_HOLE);
  }
  fuse_reply_err(req, error);
}

}  // namespace latchkey
