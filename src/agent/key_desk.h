// The key desk: every question of this host to a KMS passes here. It drives one lease keeper a KEK, renews all volumes under it, and tells
// their nodes when the answer was no. A small pool of threads asks, so that one slow KMS delays nobody else; nodes never wait for a KMS on
// their own thread.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "keys/kek.h"
#include "keys/lease_keeper.h"
#include "kms/kms.h"
#include "protocol/sync.h"

namespace latchkey {

struct FreshKek {
  Kek kek;
  absl::Duration asked_at;  // boot clock, before the KMS call
};

// What a node wants of the desk while its volume is, or shall be, open.
struct LeaseWatch {
  WrappedKek kek;
  RootKey root;                         // which must be the one that the record names
  std::optional<absl::Duration> grace;  // unset: the volume has no lease; the KMS is asked all the same
  // Called on a desk thread after each success; not called without grace.
  std::function<absl::Status(const Kek& kek, absl::Duration asked_at, absl::Duration grace)> renew;
  // Called on a desk thread when health() may have changed.
  std::function<void()> changed;
};

struct KeyReport {
  KeyHealth health;
  RootKeyFacts facts;
  bool asked = false;
  bool refused = false;  // confirmed: seal
};

struct KeyDeskCounters {
  uint64_t successes = 0, refusals = 0, outages = 0, corrupt = 0, failed_renewals = 0;
};

// Thread-safe. Callbacks run on desk threads and must be quick; none runs after Stop().
class KeyDesk {
 public:
  struct Options {
    const KmsSet* kms = nullptr;
    LeasePolicy policy;
    Clock* clock = &Clock::Real();
    Random* random = &Random::System();
    int threads = 6;
    // Checks under way at one time for one root key; the rest of the pool is left to others.
    int most_per_root = 2;
    // How often the KMS is asked about a key beside being asked to unwrap; reads are scarce at some of them.
    absl::Duration facts_interval = absl::Hours(1);
    // How long after a call that somebody fetched its KEK may still be given to others who do, so that a host which opens its volumes one
    // after another asks once. Far below the check interval: no volume opens that a lease would not have kept open. Wiped then, at the
    // first failure, and when nobody watches it any more.
    absl::Duration keep_fresh = absl::Seconds(5);
    // Pins of this host, applied to keys that the server wants tested.
    std::function<absl::Status(const RootKey&)> allowed;
  };
  static std::unique_ptr<KeyDesk> Start(Options options);
  virtual ~KeyDesk() = default;
  virtual void Stop() = 0;

  // One watch a node; a second call replaces the first. An equal KEK keeps its keeper, and so the count of refusals.
  virtual void Watch(const std::string& node_id, LeaseWatch watch) = 0;
  virtual void Unwatch(const std::string& node_id) = 0;
  // The next answer about this KEK: at once while it is healthy or was never asked about, otherwise when the keeper asks next (asking more
  // often would not be a confirmation). The KEK was unwrapped just now, or not longer than keep_fresh ago.
  virtual void Fetch(const WrappedKek& kek, const RootKey& root, std::function<void(absl::StatusOr<FreshKek>)> done) = 0;
  // Makes a KEK under `root`; `previous` from generation 2.
  virtual void Mint(const RootKey& root, const KekContext& context, std::optional<Kek> previous,
                    std::function<void(absl::StatusOr<WrappedKek>)> done) = 0;
  virtual void Test(const KeyTest& test, std::function<void(KeyVerdict)> done) = 0;
  virtual KeyReport Report(const std::string& kek_id) const = 0;
  virtual KeyDeskCounters counters() const = 0;
};

}  // namespace latchkey
