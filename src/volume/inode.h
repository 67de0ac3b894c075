// The files that the kernel knows of, the places where they lie in the lower folder, and a bounded pool of lower descriptors.
//
// The kernel names a file by the address of its Inode, which lives while the kernel holds lookups on it (or a child, an open handle, a
// running request does). There is exactly one Inode for a lower file, whatever its names: two would disagree about its length.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "volume/encrypted_file.h"

namespace latchkey {

class Inode;
class InodeTable;

struct LowerFd {
  explicit LowerFd(int f) : fd(f) {}
  ~LowerFd();
  LowerFd(const LowerFd&) = delete;
  LowerFd& operator=(const LowerFd&) = delete;
  const int fd;
};
// Whoever holds one may use the descriptor, also when the pool has let go of it.
using LowerRef = std::shared_ptr<const LowerFd>;

// At most `limit` descriptors; the one longest unused is closed first. Those of files without a name are kept beside the pool until they
// are closed: they could not be opened again. Thread-safe.
class FdPool {
 public:
  explicit FdPool(size_t limit) : limit_(limit) {}
  // nullptr when the inode has no descriptor now.
  LowerRef Find(Inode& inode);
  // Takes `fd`; when another thread was faster, closes it and returns the other's.
  LowerRef Put(Inode& inode, int fd);
  // The inode's descriptor leaves the pool and stays open until Drop.
  void Pin(Inode& inode);
  bool IsPinned(Inode& inode);
  void Drop(Inode& inode);
  size_t size() const;

 private:
  const size_t limit_;
  mutable std::mutex mutex_;
  std::list<Inode*> by_use_;  // the most recently used first
};

class Inode : public std::enable_shared_from_this<Inode> {
 public:
  Inode(InodeTable& table, FdPool& pool, ino_t lower_number, mode_t file_type)
      : number(lower_number), type(file_type), table_(table), pool_(pool) {}
  ~Inode();

  // The lower file's number, and its type (S_IFMT bits).
  const ino_t number;
  const mode_t type;

  // The content, once it was asked for. Set once.
  std::atomic<EncryptedFile*> file = nullptr;
  std::mutex file_mutex;

 private:
  friend class InodeTable;
  friend class FdPool;
  struct Link {
    std::shared_ptr<Inode> parent;
    std::string lower_name;
  };
  InodeTable& table_;
  FdPool& pool_;
  // Guarded by the table.
  uint64_t lookups_ = 0;
  int opens_ = 0, direct_opens_ = 0;  // all, and those that pass the page cache by
  bool written_directly_ = false;     // some handle did or could, since the kernel knows of the file
  std::vector<Link> links_;           // those names that were seen
  std::shared_ptr<Inode> held_by_kernel_;
  // Guarded by the pool.
  LowerRef fd_;
  std::list<Inode*>::iterator place_;
  bool in_pool_ = false;
};
using InodeRef = std::shared_ptr<Inode>;

// Thread-safe. Which names exist changes only with the file system's tree lock held; here is only the record of it.
class InodeTable {
 public:
  explicit InodeTable(FdPool& pool) : pool_(pool) {}

  // The inode of that lower file, made when it is not known, with a further name and one more lookup by the kernel.
  InodeRef Add(ino_t number, mode_t type, const InodeRef& parent, const std::string& lower_name);
  InodeRef Find(ino_t number) const;
  void Forget(Inode& inode, uint64_t lookups);
  // After the end of the connection, when the kernel sends no more.
  void ForgetAll();

  // What a new handle does with the kernel's page cache.
  struct Caching {
    bool direct;  // passes it by
    bool keep;    // what it holds of the file is still good
  };
  // `write_through`: the handle's writes are to be durable when they are answered, which one request can do that passes the cache by (else
  // the kernel asks for a sync after each write). Cached and direct handles are never opened beside one another, and once there was a
  // direct one, each cached one begins with an emptied cache: older kernels do not keep it coherent with direct writes.
  Caching Opened(Inode& inode, bool write_through);
  // The count that is left.
  int Closed(Inode& inode, bool direct);
  // Some handle is open, and this name is the only one known.
  bool NeedsPinWithout(const Inode& inode, const Inode& parent, const std::string& lower_name) const;

  void AddLink(Inode& inode, const InodeRef& parent, const std::string& lower_name);
  // `gone`: it was the last name on the disk, whose number may come back for another file.
  void DropLink(Inode& inode, const Inode& parent, const std::string& lower_name, bool gone);
  // A parent and a name under which the file lies; a null parent when none is known.
  std::pair<InodeRef, std::string> Place(const Inode& inode) const;

  // Every inode that the kernel may have pages of.
  std::vector<InodeRef> All() const;
  size_t size() const;

 private:
  friend class Inode;
  void Died(Inode& inode);

  FdPool& pool_;
  mutable std::mutex mutex_;
  std::unordered_map<ino_t, std::weak_ptr<Inode>> by_number_;  // without those whose last name is gone
  std::unordered_set<Inode*> alive_;
};

}  // namespace latchkey
