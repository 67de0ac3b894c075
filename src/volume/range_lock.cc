#include "volume/range_lock.h"

namespace latchkey {

std::list<RangeLock::Entry>::iterator RangeLock::Acquire(uint64_t begin, uint64_t end, Mode mode) {
  std::list<Entry> made{{begin, end, mode}};  // allocated outside the lock
  std::unique_lock lock(mutex_);
  entries_.splice(entries_.end(), made);
  const auto mine = std::prev(entries_.end());
  const auto free = [&] {
    for (auto it = entries_.begin(); it != mine; ++it) {
      const bool meet = it->begin < end && begin < it->end;
      if (meet && (it->mode == Mode::kExclusive || mode == Mode::kExclusive)) return false;
    }
    return true;
  };
  if (!free()) {
    ++waiting_;
    changed_.wait(lock, free);
    --waiting_;
  }
  return mine;
}

void RangeLock::Release(std::list<Entry>::iterator entry) {
  std::list<Entry> freed;
  std::lock_guard lock(mutex_);
  freed.splice(freed.end(), entries_, entry);
  if (waiting_ > 0) changed_.notify_all();
}

}  // namespace latchkey
