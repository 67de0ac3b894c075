#include "agent/key_desk.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/status.h"
#include "base/utf8.h"

namespace latchkey {
namespace {

struct Waiter {
  std::function<void(absl::StatusOr<FreshKek>)> done;
};

// One KEK: its keeper is touched by the thread that has set `busy`, or under the lock while it is not busy.
struct Desk {
  Desk(WrappedKek k, RootKey r, const LeasePolicy& policy, Clock& clock, Random& random)
      : kek(std::move(k)), root(std::move(r)), keeper(policy, clock, random) {}
  const WrappedKek kek;
  const RootKey root;
  LeaseKeeper keeper;
  bool busy = false;
  KeyReport report;
  std::map<std::string, LeaseWatch> watches;
  std::vector<Waiter> waiters;
  std::optional<FreshKek> fresh;  // of the last answer, while it is given out
  // Of the thread that has set `busy`.
  absl::Duration facts_due;
  LeaseKeeper::Outcome::Kind last_kind = LeaseKeeper::Outcome::kNothing;
};

absl::StatusOr<FreshKek> CopyOf(const Kek& kek, absl::Duration asked_at) {
  ASSIGN_OR_RETURN(Kek copy, Kek::FromBytes(kek.bytes().Clone(), kek.context()));
  return FreshKek{std::move(copy), asked_at};
}

std::string TimeText(const std::optional<absl::Time>& time) { return time ? latchkey::FormatTime(*time) : ""; }

RootKeyFacts FactsOf(const KeyDescription& description, const std::string& wrapped_version, absl::Time now) {
  return {.read_at = latchkey::FormatTime(now),
          .state = CutUtf8(description.state, 64),
          .version = CutUtf8(description.key_version, 128),
          .unusable_because = description.usable ? "" : CutUtf8(description.unusable_because, 256),
          .wrapped_version = wrapped_version,
          .protection_level = CutUtf8(description.protection_level, 64),
          .deletion_date = TimeText(description.deletion_date),
          .expires_at = TimeText(description.expires_at),
          .next_rotation = TimeText(description.next_rotation),
          .rotation_enabled = description.rotation_enabled,
          .purge_protected = description.purge_protected};
}

class PooledKeyDesk : public KeyDesk {
 public:
  explicit PooledKeyDesk(Options options) : options_(std::move(options)) {
    for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { Work(); });
  }
  ~PooledKeyDesk() override { Stop(); }

  void Stop() override {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    const std::lock_guard lock(mutex_);
    for (const auto& [id, desk] : desks_) desk->fresh.reset();
  }

  void Watch(const std::string& node_id, LeaseWatch watch) override {
    {
      const std::lock_guard lock(mutex_);
      const std::string id = watch.kek.id;
      LeaveOthers(node_id, id);
      DeskFor(watch.kek, watch.root).watches[node_id] = std::move(watch);
    }
    wake_.notify_one();
  }

  void Unwatch(const std::string& node_id) override {
    const std::lock_guard lock(mutex_);
    LeaveOthers(node_id, "");
  }

  void Fetch(const WrappedKek& kek, const RootKey& root, std::function<void(absl::StatusOr<FreshKek>)> done) override {
    {
      const std::lock_guard lock(mutex_);
      Desk& desk = DeskFor(kek, root);
      DropOld(desk, options_.clock->BootTime());
      // What another record, or another root key, gave is not what this one gives.
      if (!(desk.kek == kek && desk.root == root)) desk.fresh.reset();
      desk.waiters.push_back({std::move(done)});
      if (!desk.fresh) HurryFor(desk);
    }
    wake_.notify_one();
  }

  void Mint(const RootKey& root, const KekContext& context, std::optional<Kek> previous,
            std::function<void(absl::StatusOr<WrappedKek>)> done) override {
    // std::function wants to be copyable; a Kek is not.
    auto kek = std::make_shared<std::optional<Kek>>(std::move(previous));
    Post([this, root, context, kek, done = std::move(done)] {
      auto minted = MintKek(*options_.kms, root, context, kek->has_value() ? &**kek : nullptr, *options_.random, *options_.clock);
      kek->reset();
      done(std::move(minted));
    });
  }

  void Test(const KeyTest& test, std::function<void(KeyVerdict)> done) override {
    Post([this, test, done = std::move(done), since = options_.clock->BootTime()] {
      absl::Status status = options_.allowed ? options_.allowed(test.root) : absl::OkStatus();
      KeyVerdict verdict{.test_id = test.id};
      KmsContext context = {{"latchkey:purpose", "key test"}, {"latchkey:region", test.region}};
      if (!test.cluster_id.empty()) context["latchkey:cluster"] = test.cluster_id;
      // As for KEKs: an owner's policy may ask for it.
      if (!test.root.external_id.empty()) context["latchkey:organization"] = test.root.external_id;
      if (!status.ok()) {
        verdict.failure = FailureClass::kUnsuitable;
        verdict.steps.push_back({.name = "pins", .ok = false});
      } else {
        std::vector<KeyTestStep> steps;
        // The time that it waited for its turn is gone, and the last step may take its full time; the answer has to travel, too.
        const absl::Duration waited = options_.clock->BootTime() - since;
        const KeyTestLimit limit{.begin_within = std::max(test.answer_within - absl::Seconds(11) - waited, absl::Seconds(1)),
                                 .clock = options_.clock};
        status = TestKey(*options_.kms, test.root, context, &steps, limit);
        for (const KeyTestStep& step : steps) {
          verdict.steps.push_back({.name = step.name,
                                   .ok = step.ok,
                                   .microseconds = absl::ToInt64Microseconds(step.took),
                                   .found = CutUtf8(step.found, KeyVerdict::kLongestText)});
        }
        if (!status.ok()) verdict.failure = FailureClassOf(status).value_or(FailureClass::kUnsuitable);
      }
      verdict.ok = status.ok();
      verdict.message = std::string(FromAbsl(status.message()));
      done(std::move(verdict));
    });
  }

  KeyReport Report(const std::string& kek_id) const override {
    const std::lock_guard lock(mutex_);
    const auto it = desks_.find(kek_id);
    return it == desks_.end() ? KeyReport{} : it->second->report;
  }

  KeyDeskCounters counters() const override {
    const std::lock_guard lock(mutex_);
    return counters_;
  }

 private:
  // All below but Work and Ask: with the lock held.
  Desk& DeskFor(const WrappedKek& kek, const RootKey& root) {
    auto& desk = desks_[kek.id];
    if (!desk) desk = std::make_shared<Desk>(kek, root, options_.policy, *options_.clock, *options_.random);
    return *desk;
  }

  void LeaveOthers(const std::string& node_id, const std::string& but) {
    for (auto it = desks_.begin(); it != desks_.end();) {
      if (it->first != but) it->second->watches.erase(node_id);
      // Nobody is left: a revoked or closed volume leaves no key behind.
      if (it->first != but && !Wanted(*it->second)) it->second->fresh.reset();
      it = Idle(*it->second) && it->first != but ? desks_.erase(it) : std::next(it);
    }
  }

  static bool Wanted(const Desk& desk) { return !desk.watches.empty() || !desk.waiters.empty(); }
  static bool Idle(const Desk& desk) { return !Wanted(desk) && !desk.busy && !desk.fresh; }

  // Asking sooner than the keeper wants to would be no confirmation of a refusal, and no kindness to a KMS in trouble.
  static void HurryFor(Desk& desk) {
    if (!desk.waiters.empty() && !desk.busy && desk.report.health.ok) desk.keeper.Hurry();
  }

  void DropOld(Desk& desk, absl::Duration now) const {
    if (!desk.fresh || now - desk.fresh->asked_at <= options_.keep_fresh) return;
    desk.fresh.reset();
    HurryFor(desk);
  }

  // To those who wait for a KEK that may still be given out. What is kept too long goes. Unlocks for a while when there is somebody.
  bool GiveFresh(std::unique_lock<std::mutex>& lock) {
    const absl::Duration now = options_.clock->BootTime();
    std::vector<std::pair<Waiter, absl::StatusOr<FreshKek>>> served;
    for (auto it = desks_.begin(); it != desks_.end();) {
      Desk& desk = *it->second;
      DropOld(desk, now);
      if (desk.fresh) {
        for (Waiter& waiter : desk.waiters) served.emplace_back(std::move(waiter), CopyOf(desk.fresh->kek, desk.fresh->asked_at));
        desk.waiters.clear();
      }
      it = Idle(desk) ? desks_.erase(it) : std::next(it);
    }
    if (served.empty()) return false;
    lock.unlock();
    for (auto& [waiter, kek] : served) waiter.done(std::move(kek));
    served.clear();
    lock.lock();
    return true;
  }

  void Post(std::function<void()> job) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
  }

  // The due desk that has waited longest; `next` becomes the moment of the earliest one that is not due.
  std::shared_ptr<Desk> NextDue(absl::Duration now, absl::Duration& next) {
    std::shared_ptr<Desk> found;
    for (const auto& [id, desk] : desks_) {
      if (desk->busy || !Wanted(*desk)) continue;
      if (const auto busy = busy_roots_.find(desk->root.uri); busy != busy_roots_.end() && busy->second >= options_.most_per_root) continue;
      if (desk->keeper.Due() > now) {
        next = std::min(next, desk->keeper.Due());
      } else if (!found || desk->keeper.Due() < found->keeper.Due()) {
        found = desk;
      }
    }
    return found;
  }

  void Work() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (GiveFresh(lock)) continue;
      if (!jobs_.empty() && running_jobs_ < std::max(1, options_.threads / 3)) {
        const std::function<void()> job = std::move(jobs_.front());
        jobs_.pop_front();
        ++running_jobs_;
        lock.unlock();
        wake_.notify_one();  // leases may be due meanwhile
        job();
        lock.lock();
        --running_jobs_;
        continue;
      }
      const absl::Duration now = options_.clock->BootTime();
      // A test's clock moves without telling anybody, so no wait is longer than this.
      absl::Duration next = now + absl::Milliseconds(500);
      const std::shared_ptr<Desk> desk = NextDue(now, next);
      if (!desk) {
        wake_.wait_for(lock, absl::ToChronoNanoseconds(std::max(next - now, absl::Milliseconds(1))));
        continue;
      }
      desk->busy = true;
      ++busy_roots_[desk->root.uri];
      lock.unlock();
      wake_.notify_one();  // there may be more that is due
      Ask(*desk);
      lock.lock();
      desk->busy = false;
      // Who came after the answer was given out, and what was kept has gone meanwhile.
      if (!desk->fresh) HurryFor(*desk);
      if (--busy_roots_[desk->root.uri] == 0) busy_roots_.erase(desk->root.uri);
      if (const auto it = desks_.find(desk->kek.id); it != desks_.end() && it->second == desk && Idle(*desk)) desks_.erase(it);
    }
  }

  absl::StatusOr<FreshKek> Kept(const LeaseKeeper::Outcome& outcome) const {
    if (outcome.kind != LeaseKeeper::Outcome::kRenew || options_.keep_fresh <= absl::ZeroDuration()) return Unavailable("none");
    return CopyOf(*outcome.kek, outcome.asked_at);
  }

  void Ask(Desk& desk) {
    LeaseKeeper::Outcome outcome =
        desk.keeper.Check([&](const KmsCall& call) { return UnwrapKek(*options_.kms, desk.kek, desk.root, call); });
    std::map<std::string, LeaseWatch> watches;
    std::vector<Waiter> waiters;
    {
      const std::lock_guard lock(mutex_);
      const KeyHealth before = desk.report.health;
      desk.report = {.health = desk.keeper.health(),
                     .facts = desk.report.facts,
                     .asked = true,
                     .refused = outcome.kind == LeaseKeeper::Outcome::kSeal || desk.keeper.health().confirmed};
      watches = desk.watches;
      waiters.swap(desk.waiters);
      desk.fresh.reset();
      // Only where volumes are being opened: a check of those that are open leaves nothing behind.
      if (auto copy = Kept(outcome); !waiters.empty() && copy.ok()) desk.fresh = *std::move(copy);
      Count(outcome);
      if (before.ok != desk.report.health.ok || before.failure != desk.report.health.failure) {
        Log(desk.report.health.ok ? LogLevel::kInfo : LogLevel::kWarning,
            desk.report.health.ok ? "the KMS answers" : "the KMS does not unwrap",
            {{"key", desk.root.uri},
             {"class", desk.report.health.failure ? std::string(FailureClassName(*desk.report.health.failure)) : "OK"},
             {"message", desk.report.health.message}});
      }
    }
    if (outcome.kind == LeaseKeeper::Outcome::kRenew) {
      for (const auto& [node_id, watch] : watches) {
        if (!watch.grace || !watch.renew) continue;
        const absl::Status renewed = watch.renew(*outcome.kek, outcome.asked_at, *watch.grace);
        // A volume that is not open yet, or no more, has nothing to renew.
        if (renewed.ok() || absl::IsUnavailable(renewed) || absl::IsFailedPrecondition(renewed)) continue;
        Log(LogLevel::kError, "a lease was not renewed", {{"node", node_id}, {"error", std::string(FromAbsl(renewed.message()))}});
        const std::lock_guard lock(mutex_);
        ++counters_.failed_renewals;
      }
    }
    for (Waiter& waiter : waiters) {
      waiter.done(outcome.kind == LeaseKeeper::Outcome::kRenew ? CopyOf(*outcome.kek, outcome.asked_at) : outcome.status);
    }
    for (const auto& [node_id, watch] : watches) {
      if (watch.changed) watch.changed();
    }
    const bool changed_class = outcome.kind != desk.last_kind;
    desk.last_kind = outcome.kind;
    // A KEK that nobody watches is only being fetched.
    if (!watches.empty() && (changed_class || options_.clock->BootTime() >= desk.facts_due)) ReadFacts(desk);
  }

  // What it says is for people; that it says nothing changes nothing.
  void ReadFacts(Desk& desk) {
    desk.facts_due = options_.clock->BootTime() + options_.facts_interval;
    const auto provider = options_.kms->For(desk.root);
    if (!provider.ok()) return;
    const auto description = (*provider)->Describe(desk.root, {});
    if (!description.ok()) {
      Log(LogLevel::kDebug, "the KMS does not describe the key",
          {{"key", desk.root.uri}, {"error", std::string(FromAbsl(description.status().message()))}});
      return;
    }
    std::map<std::string, LeaseWatch> watches;
    {
      const std::lock_guard lock(mutex_);
      desk.report.facts = FactsOf(*description, desk.kek.key_version, options_.clock->Now());
      watches = desk.watches;
    }
    for (const auto& [node_id, watch] : watches) {
      if (watch.changed) watch.changed();
    }
  }

  void Count(const LeaseKeeper::Outcome& outcome) {
    if (outcome.kind == LeaseKeeper::Outcome::kRenew) {
      ++counters_.successes;
      return;
    }
    const auto failure = FailureClassOf(outcome.status);
    if (failure && IsRefusal(*failure)) {
      ++counters_.refusals;
    } else if (failure && IsOutage(*failure)) {
      ++counters_.outages;
    } else {
      ++counters_.corrupt;
    }
  }

  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, std::shared_ptr<Desk>> desks_;
  std::map<std::string, int> busy_roots_;
  std::deque<std::function<void()>> jobs_;  // tests and minting; most of the pool is kept from them, for the leases
  int running_jobs_ = 0;
  KeyDeskCounters counters_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<KeyDesk> KeyDesk::Start(Options options) { return std::make_unique<PooledKeyDesk>(std::move(options)); }

}  // namespace latchkey
