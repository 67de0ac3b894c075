#include "volume/inode.h"

#include <unistd.h>

#include <algorithm>

namespace latchkey {

LowerFd::~LowerFd() { close(fd); }

LowerRef FdPool::Find(Inode& inode) {
  std::lock_guard lock(mutex_);
  if (inode.in_pool_) by_use_.splice(by_use_.begin(), by_use_, inode.place_);
  return inode.fd_;
}

LowerRef FdPool::Put(Inode& inode, int fd) {
  LowerRef made = std::make_shared<LowerFd>(fd);
  LowerRef dropped;  // closed outside the lock
  std::lock_guard lock(mutex_);
  if (inode.fd_ != nullptr) return inode.fd_;
  inode.fd_ = made;
  by_use_.push_front(&inode);
  inode.place_ = by_use_.begin();
  inode.in_pool_ = true;
  if (by_use_.size() > limit_) {
    Inode* last = by_use_.back();
    by_use_.pop_back();
    last->in_pool_ = false;
    dropped = std::move(last->fd_);
  }
  return made;
}

void FdPool::Pin(Inode& inode) {
  std::lock_guard lock(mutex_);
  if (!inode.in_pool_) return;
  by_use_.erase(inode.place_);
  inode.in_pool_ = false;
}

bool FdPool::IsPinned(Inode& inode) {
  std::lock_guard lock(mutex_);
  return inode.fd_ != nullptr && !inode.in_pool_;
}

void FdPool::Drop(Inode& inode) {
  LowerRef dropped;
  std::lock_guard lock(mutex_);
  if (inode.in_pool_) by_use_.erase(inode.place_);
  inode.in_pool_ = false;
  dropped = std::move(inode.fd_);
}

size_t FdPool::size() const {
  std::lock_guard lock(mutex_);
  return by_use_.size();
}

Inode::~Inode() {
  pool_.Drop(*this);
  table_.Died(*this);
  delete file.load();
}

InodeRef InodeTable::Add(ino_t number, mode_t type, const InodeRef& parent, const std::string& lower_name) {
  std::lock_guard lock(mutex_);
  std::weak_ptr<Inode>& slot = by_number_[number];
  InodeRef inode = slot.lock();
  if (inode == nullptr) {
    inode = std::make_shared<Inode>(*this, pool_, number, type);
    slot = inode;
    alive_.insert(inode.get());
  }
  const bool known = std::any_of(inode->links_.begin(), inode->links_.end(),
                                 [&](const Inode::Link& link) { return link.parent == parent && link.lower_name == lower_name; });
  if (!known && parent != nullptr) inode->links_.push_back({parent, lower_name});
  if (inode->lookups_++ == 0) inode->held_by_kernel_ = inode;
  return inode;
}

InodeRef InodeTable::Find(ino_t number) const {
  std::lock_guard lock(mutex_);
  const auto found = by_number_.find(number);
  return found == by_number_.end() ? nullptr : found->second.lock();
}

void InodeTable::Forget(Inode& inode, uint64_t lookups) {
  InodeRef released;  // may be the last reference: dropped outside the lock
  std::lock_guard lock(mutex_);
  inode.lookups_ -= std::min(lookups, inode.lookups_);
  if (inode.lookups_ == 0) released = std::move(inode.held_by_kernel_);
}

void InodeTable::ForgetAll() {
  std::vector<InodeRef> released;  // dropped outside the lock
  std::lock_guard lock(mutex_);
  for (Inode* inode : alive_) {
    inode->lookups_ = 0;
    if (inode->held_by_kernel_ != nullptr) released.push_back(std::move(inode->held_by_kernel_));
  }
}

InodeTable::Caching InodeTable::Opened(Inode& inode, bool write_through) {
  std::lock_guard lock(mutex_);
  const bool direct = inode.direct_opens_ > 0 || (write_through && inode.opens_ == 0);
  ++inode.opens_;
  if (direct) {
    ++inode.direct_opens_;
    inode.written_directly_ = true;
  }
  return {.direct = direct, .keep = !inode.written_directly_};
}

int InodeTable::Closed(Inode& inode, bool direct) {
  std::lock_guard lock(mutex_);
  if (direct) --inode.direct_opens_;
  return --inode.opens_;
}

bool InodeTable::NeedsPinWithout(const Inode& inode, const Inode& parent, const std::string& lower_name) const {
  std::lock_guard lock(mutex_);
  return inode.opens_ > 0 && std::all_of(inode.links_.begin(), inode.links_.end(), [&](const Inode::Link& link) {
           return link.parent.get() == &parent && link.lower_name == lower_name;
         });
}

void InodeTable::AddLink(Inode& inode, const InodeRef& parent, const std::string& lower_name) {
  std::lock_guard lock(mutex_);
  inode.links_.push_back({parent, lower_name});
}

void InodeTable::DropLink(Inode& inode, const Inode& parent, const std::string& lower_name, bool gone) {
  std::vector<Inode::Link> dropped;
  std::lock_guard lock(mutex_);
  const auto is_it = [&](const Inode::Link& link) { return link.parent.get() == &parent && link.lower_name == lower_name; };
  for (auto it = inode.links_.begin(); it != inode.links_.end();) {
    if (is_it(*it)) {
      dropped.push_back(std::move(*it));
      it = inode.links_.erase(it);
    } else {
      ++it;
    }
  }
  if (!gone) return;
  const auto found = by_number_.find(inode.number);
  if (found != by_number_.end() && found->second.lock().get() == &inode) by_number_.erase(found);
}

std::pair<InodeRef, std::string> InodeTable::Place(const Inode& inode) const {
  std::lock_guard lock(mutex_);
  if (inode.links_.empty()) return {};
  return {inode.links_.front().parent, inode.links_.front().lower_name};
}

std::vector<InodeRef> InodeTable::All() const {
  std::lock_guard lock(mutex_);
  std::vector<InodeRef> all;
  for (Inode* inode : alive_) {
    // Null for one that is being destroyed at this moment and waits for our lock.
    if (InodeRef ref = inode->weak_from_this().lock(); ref != nullptr) all.push_back(std::move(ref));
  }
  return all;
}

size_t InodeTable::size() const {
  std::lock_guard lock(mutex_);
  return alive_.size();
}

void InodeTable::Died(Inode& inode) {
  std::lock_guard lock(mutex_);
  alive_.erase(&inode);
  const auto found = by_number_.find(inode.number);
  if (found != by_number_.end() && found->second.expired()) by_number_.erase(found);
}

}  // namespace latchkey
