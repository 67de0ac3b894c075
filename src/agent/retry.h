// Back-off by name, for one thread: when may this be tried again after it failed.
#pragma once

#include <absl/time/time.h>

#include <algorithm>
#include <map>
#include <string>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/random.h"

namespace latchkey {

class Retries {
 public:
  Retries(Clock& clock, Random& random) : clock_(clock), random_(random) {}

  bool Due(const std::string& what) const {
    const auto it = entries_.find(what);
    return it == entries_.end() || clock_.BootTime() >= it->second.due;
  }
  // The first failure sets the back-off's base and bound.
  void Failed(const std::string& what, absl::Duration base, absl::Duration most) {
    Entry& entry = entries_.try_emplace(what, Entry{Backoff(base, most, random_), absl::ZeroDuration()}).first->second;
    entry.due = clock_.BootTime() + entry.backoff.Next();
  }
  // Until the first of those that are not due yet is; infinite when there is none.
  absl::Duration UntilNext() const {
    const absl::Duration now = clock_.BootTime();
    absl::Duration next = absl::InfiniteDuration();
    for (const auto& [what, entry] : entries_) {
      if (entry.due > now) next = std::min(next, entry.due - now);
    }
    return next;
  }
  void Succeeded(const std::string& what) { entries_.erase(what); }
  void Clear() { entries_.clear(); }

 private:
  struct Entry {
    Backoff backoff;
    absl::Duration due;
  };
  Clock& clock_;
  Random& random_;
  std::map<std::string, Entry> entries_;
};

}  // namespace latchkey
