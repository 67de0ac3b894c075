// The table of requests: each first asks the keyring, and becomes EIO when it may not use keys.
#include "volume/filesystem.h"

namespace latchkey {

struct FilesystemOperations {
  static Filesystem& Self(fuse_req_t req) { return *static_cast<Filesystem*>(fuse_req_userdata(req)); }

  template <auto Method, typename... Args>
  static void Admitted(fuse_req_t req, Args... args) {
    Filesystem& self = Self(req);
    const Keyring::Admission admission = self.keyring_.Admit(Keyring::Use::kRequest);
    if (!admission) {
      fuse_reply_err(req, EIO);
      return;
    }
    (self.*Method)(req, args...);
  }
  // Bookkeeping that uses no key and must happen also while sealing.
  template <auto Method, typename... Args>
  static void Always(fuse_req_t req, Args... args) {
    (Self(req).*Method)(req, args...);
  }
  static void Write(fuse_req_t req, fuse_ino_t ino, const char* bytes, size_t size, off_t offset, fuse_file_info* fi) {
    Filesystem& self = Self(req);
    const Keyring::Admission admission = self.keyring_.Admit(fi->writepage ? Keyring::Use::kWriteback : Keyring::Use::kRequest);
    if (!admission) {
      fuse_reply_err(req, EIO);
      return;
    }
    self.Write(req, ino, bytes, size, offset, fi);
  }
  static void Init(void* userdata, fuse_conn_info* connection) { static_cast<Filesystem*>(userdata)->Init(connection); }

  static fuse_lowlevel_ops Make() {
    fuse_lowlevel_ops ops{};
    ops.init = Init;
    ops.lookup = Admitted<&Filesystem::Lookup>;
    ops.forget = Always<&Filesystem::Forget>;
    ops.forget_multi = Always<&Filesystem::ForgetMany>;
    ops.getattr = Admitted<&Filesystem::GetAttributes>;
    ops.setattr = Admitted<&Filesystem::SetAttributes>;
    ops.readlink = Admitted<&Filesystem::Readlink>;
    ops.mknod = Admitted<&Filesystem::MakeNode>;
    ops.mkdir = Admitted<&Filesystem::MakeFolder>;
    ops.unlink = Admitted<&Filesystem::Unlink>;
    ops.rmdir = Admitted<&Filesystem::RemoveFolder>;
    ops.symlink = [](fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
      Admitted<&Filesystem::Symlink>(req, target, parent, name);
    };
    ops.rename = Admitted<&Filesystem::Rename>;
    ops.link = Admitted<&Filesystem::Link>;
    ops.open = Admitted<&Filesystem::Open>;
    ops.read = Admitted<&Filesystem::Read>;
    ops.write = Write;
    ops.release = Always<&Filesystem::Release>;
    ops.fsync = Admitted<&Filesystem::Fsync>;
    ops.opendir = Admitted<&Filesystem::OpenFolder>;
    ops.readdir = Admitted<&Filesystem::ReadFolder>;
    ops.readdirplus = Admitted<&Filesystem::ReadFolderPlus>;
    ops.releasedir = Always<&Filesystem::ReleaseFolder>;
    ops.fsyncdir = Admitted<&Filesystem::FsyncFolder>;
    ops.statfs = Admitted<&Filesystem::StatFs>;
    ops.setxattr = Admitted<&Filesystem::SetXattr>;
    ops.getxattr = Admitted<&Filesystem::GetXattr>;
    ops.listxattr = Admitted<&Filesystem::ListXattrs>;
    ops.removexattr = Admitted<&Filesystem::RemoveXattr>;
    ops.create = Admitted<&Filesystem::CreateFile>;
    ops.fallocate = Admitted<&Filesystem::Allocate>;
    // flush, getlk, setlk, flock, lseek and copy_file_range stay unset: the kernel then does them itself and never asks again.
    return ops;
  }
};

const fuse_lowlevel_ops& Filesystem::Operations() {
  static const fuse_lowlevel_ops ops = FilesystemOperations::Make();
  return ops;
}

void Filesystem::Init(fuse_conn_info* connection) {
  const auto want = [&](unsigned capability, bool wanted) {
    connection->want = wanted ? connection->want | (connection->capable & capability) : connection->want & ~capability;
  };
  // No writeback cache: a database writes and syncs at once, and with that cache the kernel puts a SETATTR for its own times between the
  // two, a third round trip for every commit. Written through, times are the lower file system's, exact, and nothing dirty is left in the
  // kernel at sealing but mapped pages.
  want(FUSE_CAP_WRITEBACK_CACHE, false);
  want(FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO, true);
  want(FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_CACHE_SYMLINKS, true);
  // ACLs are checked by the kernel and kept by the lower file system, which also applies the default ones: so masks come to us.
  want(FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK, true);
  // Replies come from our own memory; we are the only writer.
  want(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_IOCTL_DIR, false);
  connection->max_write = kMaxIo;
  connection->max_readahead = 4 << 20;
  connection->max_background = 64;
  connection->congestion_threshold = 48;
  connection->time_gran = 1;
}

}  // namespace latchkey
