// Locks on byte ranges of one file: readers share, writers exclude, ranges that do not meet run side by side.
//
// Waiters are served in the order of arrival, so a change of length (which takes everything) is never starved by a stream of readers.
// Thread-safe; a thread holds at most one range of one file.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>

namespace latchkey {

class RangeLock {
 public:
  enum class Mode { kShared, kExclusive };
  struct Entry {
    uint64_t begin, end;
    Mode mode;
  };

  class [[nodiscard]] Guard {
   public:
    Guard(RangeLock& lock, uint64_t begin, uint64_t end, Mode mode) : lock_(lock), entry_(lock.Acquire(begin, end, mode)) {}
    ~Guard() { lock_.Release(entry_); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    RangeLock& lock_;
    std::list<Entry>::iterator entry_;
  };

  // How many threads wait now.
  int waiting() const {
    std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  std::list<Entry>::iterator Acquire(uint64_t begin, uint64_t end, Mode mode);
  void Release(std::list<Entry>::iterator entry);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Entry> entries_;  // held and awaited, in the order of arrival
  int waiting_ = 0;
};

}  // namespace latchkey
