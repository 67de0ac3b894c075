#include "agent/node_runner.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "agent/node_hands.h"
#include "agent/node_mailbox.h"
#include "agent/retry.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"

namespace latchkey {
namespace {

constexpr absl::Duration kTick = absl::Seconds(1);
constexpr absl::Duration kQuickTick = absl::Milliseconds(200);  // while a database starts
constexpr absl::Duration kFreshFor = absl::Seconds(30);         // a KEK that was fetched and not used by then is fetched again
constexpr absl::Duration kProbeTimeout = absl::Seconds(2);

std::string Text(const absl::Status& status) { return std::string(FromAbsl(status.message())); }

class ThreadedNodeRunner : public NodeRunner {
 public:
  ThreadedNodeRunner(NodeRunnerOptions options, NodeRecord record)
      : options_(std::move(options)),
        record_(std::move(record)),
        hands_(
            *options_.config, record_, options_.volume, [this] { return Store(); }, options_.prepare_engine, *options_.random),
        retries_(*options_.clock, *options_.random) {
    shared_record_ = record_;
    observed_.node_id = record_.node_id;
    thread_ = std::thread([this] { Loop(); });
  }
  ~ThreadedNodeRunner() override { Stop(); }

  void SetDesired(DesiredNode desired) override {
    {
      const std::lock_guard lock(mailbox_->mutex);
      mailbox_->mail.desired = std::move(desired);
      mailbox_->mail.stray = false;
    }
    mailbox_->Wake();
  }
  void SetStray() override {
    {
      const std::lock_guard lock(mailbox_->mutex);
      mailbox_->mail.stray = true;
      mailbox_->mail.desired.reset();
    }
    mailbox_->Wake();
  }
  ObservedNode Observed() const override {
    const std::lock_guard lock(shared_mutex_);
    return observed_;
  }
  NodeRecord Record() const override {
    const std::lock_guard lock(shared_mutex_);
    return shared_record_;
  }
  void Stop() override {
    {
      const std::lock_guard lock(mailbox_->mutex);
      mailbox_->stopping = true;
    }
    mailbox_->wake.notify_all();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void Loop() {
    for (;;) {
      NodeMail mail;
      {
        std::unique_lock lock(mailbox_->mutex);
        mailbox_->wake.wait_for(lock, absl::ToChronoNanoseconds(wait_), [this] { return mailbox_->awake || mailbox_->stopping; });
        if (mailbox_->stopping) return;
        mailbox_->awake = false;
        mail = std::move(mailbox_->mail);
        mailbox_->mail = {};
        mailbox_->mail.stray = mail.stray;  // stays until the server names the node again
      }
      Read(std::move(mail));
      Inputs in = Look();
      Decision decision = Reconcile(in);
      Watch(decision);
      Publish(in, decision, Action::kNone);
      wait_ = in.engine.running && !in.engine.answers ? kQuickTick : kTick;
      if (Act(in, decision)) {
        wait_ = absl::ZeroDuration();
      } else {
        Background(in, decision);
      }
      ForgetUnused(decision);
      wait_ = std::min(wait_, retries_.UntilNext());
    }
  }

  // ---- What came in ----

  void Read(NodeMail mail) {
    stray_ = mail.stray;
    if (mail.desired) Take(*mail.desired);
    for (auto& [id, kek] : mail.keks) {
      fetching_.erase(id);
      if (kek.ok()) {
        fetched_.insert_or_assign(id, *std::move(kek));
      } else {
        retries_.Failed("fetch " + id, kQuickTick, options_.config->clocks.retry_base);
      }
    }
    // The answer to an order that has been overtaken says nothing of the one in force.
    if (const auto minted = mail.minted.find(mint_order_); minted != mail.minted.end()) TakeMinted(std::move(minted->second));
    if (store_failed_) Store();
  }

  void Take(const DesiredNode& desired) {
    if (record_.desired && desired.ToJson() == record_.desired->ToJson()) {
      heard_ = true;
      refused_.clear();
      return;
    }
    const bool other_mint =
        record_.desired && (record_.desired->root != desired.root || record_.desired->kek_generation != desired.kek_generation);
    const absl::Status accepted = Accept(desired, record_);
    refused_ = accepted.ok() ? "" : Text(accepted);
    if (!accepted.ok()) {
      Log(LogLevel::kWarning, "desired state refused", {{"node", record_.node_id}, {"reason", refused_}});
      return;
    }
    heard_ = true;
    // New orders are carried out at once, whatever failed before.
    retries_.Clear();
    if (other_mint) {
      ++mint_order_;
      minting_ = mint_failed_ = false;
      mint_health_ = {};
    }
    hands_.LearnEscrow();
    Store();
  }

  void TakeMinted(absl::StatusOr<WrappedKek> minted) {
    minting_ = false;
    if (!minted.ok()) {
      retries_.Failed("mint", options_.config->clocks.retry_base, options_.config->clocks.check_interval);
      if (mint_health_.since.empty() || mint_health_.failure != FailureClassOf(minted.status()))
        mint_health_.since = latchkey::FormatTime(options_.clock->Now());
      mint_health_.failure = FailureClassOf(minted.status());
      mint_health_.message = Text(minted.status());
      mint_failed_ = true;
      return;
    }
    retries_.Succeeded("mint");
    mint_failed_ = false;
    mint_health_ = {};
    const DesiredNode& desired = *record_.desired;
    // Overtaken by another order: only a KEK that is still wanted is reported.
    if (desired.CurrentKek() != nullptr || minted->context.generation != desired.kek_generation || minted->root != desired.root) return;
    record_.minted = *std::move(minted);
    Store();
  }

  // Durable before anything is done about it. When the disk refuses, only what closes a door goes on.
  bool Store() {
    const absl::Status stored = StoreNodeRecord(options_.record_path, record_);
    store_failed_ = !stored.ok();
    if (store_failed_) Log(LogLevel::kError, "the node's record was not written", {{"node", record_.node_id}, {"error", Text(stored)}});
    const std::lock_guard lock(shared_mutex_);
    shared_record_ = record_;
    return stored.ok();
  }

  // ---- What is there ----

  Inputs Look() {
    Inputs in;
    in.volume = options_.volume->Look();
    LearnFromVolume(in.volume);
    if (record_.desired && !hands_.engine) {
      auto made = options_.make_engine(*record_.desired, record_.port);
      if (made.ok()) {
        hands_.engine = *std::move(made);
      } else {
        engine_message_ = Text(made.status());
      }
    }
    if (hands_.engine) LookAtEngine(in);
    in.record = record_;
    in.stray = stray_;
    in.unheard = !heard_;
    in.key.refused = options_.desk->Report(watched_kek_).refused;
    in.key.root_problem = hands_.RootProblem();
    in.key.lease_missing = in.volume.open && !in.volume.lease_end && record_.desired && hands_.GraceFor(record_.desired->root);
    in.now = options_.clock->BootTime();
    in.stop_before_lease_end = options_.config->clocks.StopBeforeLeaseEnd(watched_grace_.value_or(options_.config->clocks.outage_grace));
    return in;
  }

  void LearnFromVolume(const VolumeFacts& volume) {
    bool changed = false;
    if (volume.file == VolumeFacts::File::kThere && !record_.volume_id.empty() && volume.volume_id == record_.volume_id) {
      changed = !record_.volume_created || volume.revision > record_.volume_revision;
      record_.volume_created = true;
      record_.volume_revision = std::max(record_.volume_revision, volume.revision);
      hands_.LearnOwnerKey(volume.deks);
    }
    if (volume.open) {
      last_lease_end_ = volume.lease_end;
      if (!record_.seal_reason.empty()) {
        record_.seal_reason.clear();
        changed = true;
      }
    } else if (was_open_ && record_.seal_reason.empty()) {
      // It went down by itself.
      record_.seal_reason = last_lease_end_ && options_.clock->BootTime() >= *last_lease_end_ ? "LEASE_ENDED" : "DAEMON_DIED";
      changed = true;
      Log(LogLevel::kWarning, "the volume is no longer open", {{"node", record_.node_id}, {"reason", record_.seal_reason}});
    }
    was_open_ = volume.open;
    if (changed) Store();
  }

  void LookAtEngine(Inputs& in) {
    const std::optional<ProcessId> found = hands_.engine->Find(in.volume.usable());
    in.engine.running = found.has_value();
    if (found) {
      hands_.engine_id = *found;
      in.engine.known_to_volume = hands_.told == *found;
      const absl::Duration now = options_.clock->BootTime();
      if (in.volume.usable() && (!answers_ || now >= next_probe_)) {
        const absl::Status probed = hands_.engine->Probe(kProbeTimeout);
        answers_ = probed.ok();
        engine_message_ = Text(probed);
        next_probe_ = now + options_.config->clocks.probe_interval;
        if (answers_) {
          hands_.unproven_start = false;
          retries_.Succeeded("start engine");
        }
      }
      in.engine.answers = answers_ && in.volume.open;
    } else {
      answers_ = false;
      if (hands_.unproven_start) {
        hands_.unproven_start = false;
        engine_message_ = Text(hands_.engine->Probe(kProbeTimeout));
        retries_.Failed("start engine", absl::Seconds(1), absl::Minutes(1));
      }
      if (in.volume.usable()) {
        const auto has_data = hands_.engine->HasData();
        if (has_data.ok()) {
          in.engine.has_data = *has_data;
        } else {
          engine_message_ = Text(has_data.status());
        }
      }
    }
    in.engine.message = engine_message_;
  }

  // ---- Keys ----

  void Watch(Decision& decision) {
    if (decision.lease && !CheckRootAllowed(*options_.config, decision.lease->root).ok()) {
      if (decision.problem.empty()) decision.problem = Text(CheckRootAllowed(*options_.config, decision.lease->root));
      decision.lease.reset();
    }
    if (!decision.lease) {
      if (!watched_kek_.empty()) options_.desk->Unwatch(record_.node_id);
      watched_kek_.clear();
      return;
    }
    const auto grace = hands_.GraceFor(decision.lease->root);
    if (watched_kek_ == decision.lease->id && watched_grace_ == grace) return;
    watched_kek_ = decision.lease->id;
    watched_grace_ = grace;
    options_.desk->Watch(record_.node_id,
                         {.kek = *decision.lease,
                          .root = decision.lease->root,
                          .grace = grace,
                          .renew = [volume = options_.volume](const Kek& kek, absl::Duration asked_at,
                                                              absl::Duration g) { return volume->Renew(kek, asked_at, g); },
                          .changed = [mailbox = mailbox_] { mailbox->Wake(); }});
  }

  // The KEK, freshly unwrapped; nullptr while it is being fetched.
  const FreshKek* Fetched(const WrappedKek& kek) {
    const auto it = fetched_.find(kek.id);
    if (it != fetched_.end() && options_.clock->BootTime() - it->second.asked_at < kFreshFor) return &it->second;
    if (it != fetched_.end()) fetched_.erase(it);
    if (!CheckRootAllowed(*options_.config, kek.root).ok() || !retries_.Due("fetch " + kek.id)) return nullptr;
    if (fetching_.insert(kek.id).second) {
      options_.desk->Fetch(kek, kek.root, [mailbox = mailbox_, id = kek.id](absl::StatusOr<FreshKek> fresh) {
        {
          const std::lock_guard lock(mailbox->mutex);
          mailbox->mail.keks.insert_or_assign(id, std::move(fresh));
        }
        mailbox->Wake();
      });
    }
    return nullptr;
  }

  // A KEK in memory lives for the length of one use.
  void ForgetUnused(const Decision& decision) {
    const WrappedKek* current = record_.desired ? record_.desired->CurrentKek() : nullptr;
    std::erase_if(fetched_, [&](const auto& entry) {
      const bool wanted =
          ((decision.action == Action::kOpenVolume || decision.action == Action::kCreateVolume) && decision.kek->id == entry.first) ||
          (decision.mint && decision.previous && decision.previous->id == entry.first) ||
          (decision.rewrap && (decision.from->id == entry.first || (current != nullptr && current->id == entry.first)));
      return !wanted || options_.clock->BootTime() - entry.second.asked_at >= kFreshFor;
    });
  }

  // ---- Acting ----

  // True when something was done, so that the next look follows at once.
  bool Act(const Inputs& in, const Decision& decision) {
    const Action action = decision.action;
    if (action == Action::kNone) return false;
    const bool closes = action == Action::kStopEngine || action == Action::kSeal || action == Action::kCleanUpDeadMount;
    if (store_failed_ && !closes) return false;
    const std::string name(ActionName(action));
    if (!retries_.Due(name)) {
      return false;
    }
    if ((action == Action::kCreateVolume || action == Action::kOpenVolume) && Fetched(*decision.kek) == nullptr) return false;
    Publish(in, decision, action);
    Log(LogLevel::kInfo, name, {{"node", record_.node_id}, {"reason", decision.seal_reason}});
    const FreshKek* fresh = action == Action::kCreateVolume || action == Action::kOpenVolume ? Fetched(*decision.kek) : nullptr;
    const absl::Status done = hands_.Do(action, decision, fresh);
    fetched_.clear();
    if (!done.ok()) {
      action_problem_ = absl::StrCat(name, ": ", done.message());
      retries_.Failed(name, absl::Milliseconds(500), closes ? absl::Seconds(5) : absl::Seconds(30));
      Log(LogLevel::kWarning, "an action failed", {{"node", record_.node_id}, {"action", name}, {"error", Text(done)}});
      return false;
    }
    action_problem_.clear();
    // An engine's start has succeeded when it answers.
    if (action != Action::kStartEngine) retries_.Succeeded(name);
    return true;
  }

  // ---- Beside the database ----

  void Background(const Inputs& in, const Decision& decision) {
    if (store_failed_) return;
    if (decision.mint && !minting_ && retries_.Due("mint")) Mint(decision);
    if (decision.rewrap && retries_.Due("rewrap")) Rewrap(in, decision);
    if (!decision.rewrap) rewrap_problem_.clear();
  }

  void Mint(const Decision& decision) {
    const DesiredNode& desired = *record_.desired;
    std::optional<Kek> previous;
    if (decision.previous) {
      const FreshKek* fresh = Fetched(*decision.previous);
      if (fresh == nullptr) return;
      auto copy = Kek::FromBytes(fresh->kek.bytes().Clone(), fresh->kek.context());
      if (!copy.ok()) return;
      previous = *std::move(copy);
    }
    minting_ = true;
    const KekContext context{.organization = desired.organization,
                             .cluster = desired.cluster_id,
                             .region = desired.region,
                             .generation = desired.kek_generation};
    options_.desk->Mint(desired.root, context, std::move(previous),
                        [mailbox = mailbox_, order = mint_order_](absl::StatusOr<WrappedKek> minted) {
                          {
                            const std::lock_guard lock(mailbox->mutex);
                            mailbox->mail.minted.insert_or_assign(order, std::move(minted));
                          }
                          mailbox->Wake();
                        });
  }

  void Rewrap(const Inputs& in, const Decision& decision) {
    const WrappedKek& current = *record_.desired->CurrentKek();
    // Both are asked for before either is waited for.
    const FreshKek* to = Fetched(current);
    const FreshKek* from = decision.from->id == current.id ? to : Fetched(*decision.from);
    if (to == nullptr || from == nullptr) return;
    const absl::Status done = hands_.Rewrap(*from, *to, decision.new_dek_generation);
    fetched_.clear();
    if (!done.ok()) {
      rewrap_problem_ = absl::StrCat("REWRAP_FAILED: ", done.message());
      retries_.Failed("rewrap", absl::Seconds(1), absl::Seconds(30));
      Log(LogLevel::kWarning, "re-wrap failed", {{"node", record_.node_id}, {"error", Text(done)}});
      return;
    }
    Log(LogLevel::kInfo, "re-wrapped", {{"node", record_.node_id}, {"kek", current.id}, {"revision_before", in.volume.revision}});
    rewrap_problem_.clear();
    retries_.Succeeded("rewrap");
    wait_ = absl::ZeroDuration();
  }

  // ---- Reporting ----

  KeyHealth Health() {
    if (mint_failed_) {
      KeyHealth health = mint_health_;
      health.last_success = last_health_.last_success;
      return health;
    }
    if (const KeyReport report = options_.desk->Report(watched_kek_); !watched_kek_.empty() && report.asked) {
      last_health_ = report.health;
      last_facts_ = report.facts;
    }
    return last_health_;
  }

  std::string Problem(const Decision& decision) const {
    if (!refused_.empty()) return refused_;
    if (!decision.problem.empty()) return decision.problem;
    if (store_failed_) return "STATE_UNWRITABLE: this host cannot write its record of the node";
    if (!rewrap_problem_.empty()) return rewrap_problem_;
    return action_problem_;
  }

  void Publish(const Inputs& in, const Decision& decision, Action under_way) {
    ObservedNode observed;
    observed.node_id = record_.node_id;
    // Told only when the database is complete as well: from then on the server's word makes a missing one a loss, not a beginning.
    if (record_.engine_initialised && !store_failed_) observed.volume_id = record_.volume_id;
    // Nothing counts as done that a crash would undo: a database that was called revoked would be opened again by the order before. What
    // was heard is told even so: a server that was restored from an old copy must not issue less.
    if (decision.applied && refused_.empty() && !store_failed_) applied_generation_ = record_.highest_generation;
    observed.applied_generation = applied_generation_;
    observed.highest_generation = record_.highest_generation;
    observed.revoked_mark = record_.revoked_mark;
    observed.volume = VolumeStateOf(in, under_way);
    observed.volume_revision = in.volume.revision;
    observed.deks = in.volume.deks;
    if (in.volume.lease_end) observed.lease_end = latchkey::FormatTime(options_.clock->Now() + (*in.volume.lease_end - in.now));
    if (!in.volume.open) observed.seal_reason = record_.seal_reason;
    observed.engine = EngineStateOf(in, under_way);
    observed.engine_message = in.engine.answers ? "" : in.engine.message;
    observed.host = options_.config->advertise_host;
    observed.port = record_.port;
    observed.key = Health();
    observed.key_facts = last_facts_;
    observed.minted = record_.minted;
    observed.problem = Problem(decision);
    observed.stray = stray_;

    ObservedNode noise_free = observed;
    noise_free.lease_end.clear();
    noise_free.key.last_success.clear();
    for (ObservedDek& dek : noise_free.deks) dek.bytes = 0;
    std::string fingerprint = boost::json::serialize(noise_free.ToJson());
    {
      const std::lock_guard lock(shared_mutex_);
      observed_ = std::move(observed);
    }
    if (fingerprint == fingerprint_) return;
    fingerprint_ = std::move(fingerprint);
    if (options_.changed) options_.changed();
  }

  NodeRunnerOptions options_;
  const std::shared_ptr<NodeMailbox> mailbox_ = std::make_shared<NodeMailbox>();

  // The node's thread only.
  NodeRecord record_;
  NodeHands hands_;
  Retries retries_;
  absl::Duration wait_ = absl::ZeroDuration();
  bool heard_ = false;  // of desired state that holds, since the start
  bool stray_ = false, store_failed_ = false, minting_ = false, mint_failed_ = false, was_open_ = false, answers_ = false;
  std::string refused_, action_problem_, rewrap_problem_, engine_message_, fingerprint_;
  std::string watched_kek_;
  std::optional<absl::Duration> watched_grace_, last_lease_end_;
  std::map<std::string, FreshKek> fetched_;
  std::set<std::string> fetching_;
  KeyHealth last_health_, mint_health_;
  RootKeyFacts last_facts_;
  absl::Duration next_probe_;
  int64_t applied_generation_ = 0, mint_order_ = 0;

  mutable std::mutex shared_mutex_;
  ObservedNode observed_;
  NodeRecord shared_record_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<NodeRunner> NodeRunner::Start(NodeRunnerOptions options, NodeRecord record) {
  return std::make_unique<ThreadedNodeRunner>(std::move(options), std::move(record));
}

}  // namespace latchkey
