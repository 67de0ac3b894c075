// The keys of an open volume, and the right to use them.
//
// Every request asks Admit() before it touches a key: the lease is compared with CLOCK_BOOTTIME each time (the clock is read without a
// system call), so no request is served after the lease's end, whoever is still alive. Sealing goes through two steps that only ever go
// forward:
//
//   kServing  → everything, while the lease lasts
//   kDraining → what the kernel writes back from its page cache, and nothing else: acknowledged write()s reach the disk. Only while the
//               lease lasts: after its end no key is used any more, and dirty pages that were never fsynced are lost
//   kRefusing → nothing
//
// Thread-safe.
#pragma once

#include <absl/time/time.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <vector>

#include "base/clock.h"
#include "volume/volume_key.h"

namespace latchkey {

class Keyring {
 public:
  enum class Use {
    kRequest,    // a program's request
    kWriteback,  // the kernel flushing its cache
  };

  explicit Keyring(Clock& clock) : clock_(clock) {}

  // Counted while a request runs, so that sealing can wait for the last one.
  class Admission {
   public:
    explicit Admission(Keyring* keyring) : keyring_(keyring) {}
    Admission(Admission&& other) noexcept : keyring_(other.keyring_) { other.keyring_ = nullptr; }
    ~Admission() {
      if (keyring_ != nullptr) keyring_->Leave();
    }
    explicit operator bool() const { return keyring_ != nullptr; }

   private:
    Keyring* keyring_;
  };
  // False when the request must be answered with EIO.
  Admission Admit(Use use);

  // The keys by rising generation; the last is current. Replaces what is there.
  void SetKeys(std::vector<std::shared_ptr<const VolumeKey>> keys);
  void AddCurrent(std::shared_ptr<const VolumeKey> key);
  // nullptr when there is none.
  std::shared_ptr<const VolumeKey> Current() const;
  std::shared_ptr<const VolumeKey> Find(const DekIdBytes& id) const;
  // The current one first, then the others by falling generation.
  std::vector<std::shared_ptr<const VolumeKey>> All() const;
  // More than one DEK: names may stand in an older form.
  bool HasOlder() const { return count_.load(std::memory_order_acquire) > 1; }

  // The moment (boot clock) at which the lease ends; nullopt: no lease.
  void SetLease(std::optional<absl::Duration> end);
  // Never shortens; nothing happens to a volume without a lease. False when the lease has ended already: it cannot come back.
  bool ExtendLease(absl::Duration end);
  // Like SetLease, which may also shorten or take away; false when the lease has ended already.
  bool ReplaceLease(std::optional<absl::Duration> end);
  std::optional<absl::Duration> lease_end() const;
  bool LeaseEnded() const;

  void Serve();
  void Drain();
  void Refuse();
  // True when no admitted request is running any more.
  bool WaitUntilIdle(absl::Duration timeout);
  // Forgets the keys: their memory is wiped, also where a file still refers to them. Nothing may be running.
  void Clear();

 private:
  enum class Mode { kClosed, kServing, kDraining, kRefusing };
  void Leave();

  Clock& clock_;
  std::atomic<Mode> mode_ = Mode::kClosed;
  std::atomic<int64_t> lease_end_ns_ = 0;
  std::atomic<int64_t> active_ = 0;
  std::atomic<size_t> count_ = 0;
  std::mutex idle_mutex_, lease_mutex_;
  std::condition_variable idle_;
  mutable std::shared_mutex keys_mutex_;
  std::vector<std::shared_ptr<const VolumeKey>> keys_;
};

}  // namespace latchkey
