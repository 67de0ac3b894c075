// The encrypted file system: libfuse's low-level requests on one side, a folder of encrypted files on the other.
//
// Owner, mode and times are those of the lower files; what programs may do is checked by the kernel (default_permissions). Names are
// encrypted (name_codec.h), content too (encrypted_file.h). Advisory locks, SEEK_HOLE and copy_file_range are left to the kernel, which
// does them on its own page cache: a copy by ciphertext would move it to another key and place.
//
// Threads: requests run concurrently. `tree_` is held shared by whatever resolves a place in the lower folder, and exclusively by what
// removes or moves names. Every request first asks the keyring; what is refused answers EIO and touches nothing.
#pragma once

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse_lowlevel.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <shared_mutex>
#include <string>

#include "base/file.h"
#include "base/random.h"
#include "volume/inode.h"
#include "volume/keyring.h"
#include "volume/name_codec.h"

namespace latchkey {

struct FilesystemLimits {
  size_t descriptors = 512;
  size_t ciphers = 768;
  size_t names = 8192;
};

class Filesystem {
 public:
  // `data`: the lower folder of the encrypted tree, open. `keyring` and `random` outlive the file system.
  static absl::StatusOr<std::unique_ptr<Filesystem>> Create(UniqueFd data, Keyring& keyring, Random& random,
                                                            const FilesystemLimits& limits);

  ~Filesystem();

  // The calling thread's reads are made in this memory from now on, until nullptr or the thread's end. It outlives them.
  static void UseForReads(Scratch* memory);

  // For fuse_session_new, with this object as user data.
  static const fuse_lowlevel_ops& Operations();

  // The numbers under which the kernel may hold pages or attributes of files.
  std::vector<fuse_ino_t> KernelNodes() const;
  // Files opened so far whose header was never synced.
  int64_t lost_headers() const { return lost_headers_; }
  // Forgets names and ciphers. Nothing may be running.
  void Clear();

 private:
  friend struct FilesystemOperations;
  struct Place {
    LowerRef folder;
    std::string name;  // lower form
  };
  // Set where a request makes a file: the process's mask is the requesting program's for that moment (each worker has a mask of its own).
  class CallerMask;

  Filesystem(UniqueFd data, Keyring& keyring, Random& random, const FilesystemLimits& limits);

  // filesystem.cc
  Inode& Node(fuse_ino_t number);
  fuse_ino_t NumberOf(const Inode& inode) const;
  int Descriptor(Inode& inode, LowerRef* out);
  int DescriptorLocked(Inode& inode, LowerRef* out);  // tree_ is held
  int File(Inode& inode, const LowerRef& fd, EncryptedFile** out);
  int OpenFile(Inode& inode, LowerRef* fd, EncryptedFile** file);
  int PlaceOfLocked(Inode& inode, Place* place);
  int StatLocked(Inode& inode, struct stat* st);
  void ShowPlain(Inode* inode, struct stat* st) const;
  // The form under which `name` stands in the folder, or ENOENT, with the current form in `lower`.
  int ResolveLocked(Inode& parent, const char* name, LowerRef* folder, std::string* lower, struct stat* st);
  // Like Resolve, but what is there is EEXIST and what is not there is fine.
  int FreeNameLocked(Inode& parent, const char* name, LowerRef* folder, std::string* lower);
  int EntryLocked(Inode& parent, const std::string& lower, struct stat& st, fuse_entry_param* entry);
  int MadeEntryLocked(Inode& parent, const LowerRef& folder, const std::string& lower, fuse_entry_param* entry);
  void ReplyEntry(fuse_req_t req, int error, const fuse_entry_param& entry);
  static Scratch& ThreadScratch();
  static Scratch& ReadScratch();

  // In fuse_file_info::fh, of a handle that passes the page cache by.
  static constexpr uint64_t kDirect = 1;
  // Each of the handle's writes is to be durable when it is answered.
  static bool IsWriteThrough(int flags);
  static void UseCache(InodeTable::Caching caching, fuse_file_info* fi);

  void Init(fuse_conn_info* connection);
  // filesystem_names.cc
  void Lookup(fuse_req_t req, fuse_ino_t parent, const char* name);
  void Forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups);
  void ForgetMany(fuse_req_t req, size_t count, fuse_forget_data* forgets);
  void MakeNode(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t device);
  void MakeFolder(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode);
  void Symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name);
  void Readlink(fuse_req_t req, fuse_ino_t ino);
  void Link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char* name);
  void CreateFile(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* fi);
  int CreateLocked(Inode& parent, const char* name, mode_t mode, fuse_file_info* fi, fuse_entry_param* entry);
  // filesystem_removal.cc
  void Unlink(fuse_req_t req, fuse_ino_t parent, const char* name);
  void RemoveFolder(fuse_req_t req, fuse_ino_t parent, const char* name);
  int Remove(Inode& parent, const char* name, int flags);
  void Rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent, const char* new_name, unsigned flags);
  int RenameLocked(const InodeRef& parent, const char* name, const InodeRef& new_parent, const char* new_name, unsigned flags);
  int PinBeforeRemovalLocked(Inode* inode, Inode& parent, const std::string& lower);
  // filesystem_content.cc
  void Open(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi);
  void Release(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi);
  void Read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi);
  void Write(fuse_req_t req, fuse_ino_t ino, const char* bytes, size_t size, off_t offset, fuse_file_info* fi);
  void Fsync(fuse_req_t req, fuse_ino_t ino, int data_only, fuse_file_info* fi);
  void Allocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t size, fuse_file_info* fi);
  // filesystem_folders.cc
  void OpenFolder(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi);
  void ReadFolder(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi);
  void ReadFolderPlus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi);
  void FillFolder(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi, bool plus);
  // Entries from `offset` on into `out`, whose first `filled` bytes they are then; an errno.
  int ListFolder(fuse_req_t req, fuse_ino_t ino, off_t offset, fuse_file_info* fi, bool plus, std::vector<char>& out, size_t* filled);
  void ReleaseFolder(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi);
  void FsyncFolder(fuse_req_t req, fuse_ino_t ino, int data_only, fuse_file_info* fi);
  // filesystem_attributes.cc
  void GetAttributes(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi);
  void SetAttributes(fuse_req_t req, fuse_ino_t ino, struct stat* attributes, int valid, fuse_file_info* fi);
  int ApplyAttributes(Inode& inode, const struct stat& attributes, int valid);
  void SetXattr(fuse_req_t req, fuse_ino_t ino, const char* name, const char* value, size_t size, int flags);
  void GetXattr(fuse_req_t req, fuse_ino_t ino, const char* name, size_t size);
  void ListXattrs(fuse_req_t req, fuse_ino_t ino, size_t size);
  void RemoveXattr(fuse_req_t req, fuse_ino_t ino, const char* name);
  void StatFs(fuse_req_t req, fuse_ino_t ino);

  Keyring& keyring_;
  CipherCache ciphers_;
  EncryptedFile::Keys file_keys_;
  NameCodec names_;
  FdPool pool_;
  InodeTable table_;
  InodeRef root_;
  dev_t device_ = 0;
  std::shared_mutex tree_;
  std::atomic<int64_t> lost_headers_ = 0;
  std::atomic<bool> saw_strange_name_ = false;
};

class Filesystem::CallerMask {
 public:
  explicit CallerMask(fuse_req_t req);
  ~CallerMask();
};

}  // namespace latchkey
