#include "agent/agent.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <set>

#include "agent/host_warnings.h"
#include "agent/identity.h"
#include "agent/key_desk.h"
#include "agent/metrics.h"
#include "agent/node_credentials.h"
#include "agent/node_parts.h"
#include "agent/node_runner.h"
#include "agent/syncer.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"

namespace latchkey {
namespace {

constexpr size_t kRememberedTests = 256;
constexpr size_t kMostNodes = 1000;

std::string Hostname(const AgentConfig& config) {
  if (!config.hostname.empty()) return config.hostname;
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

class HostAgent : public Agent {
 public:
  HostAgent(AgentConfig config, UniqueFd lock, std::optional<UserIds> user, KmsSet kms)
      : config_(std::move(config)), lock_(std::move(lock)), user_(user), kms_(std::move(kms)) {}
  ~HostAgent() override { Stop(); }

  absl::Status Begin(std::optional<Identity> identity) {
    KeyDesk::Options desk;
    desk.kms = &kms_;
    desk.policy = config_.clocks.Policy();
    desk.allowed = [this](const RootKey& root) { return CheckRootAllowed(config_, root); };
    desk_ = KeyDesk::Start(desk);
    RETURN_IF_ERROR(PickUpNodes());
    SyncerOptions sync;
    sync.config = config_;
    sync.identity = std::move(identity);
    sync.hostname = Hostname(config_);
    sync.observe = [this](SyncRequest& request) { Observe(request); };
    sync.apply = [this](const SyncRequest& sent, const SyncResponse& answer) { Apply(sent, answer); };
    auto syncer = Syncer::Start(std::move(sync));
    {
      const std::lock_guard lock(mutex_);
      syncer_ = std::move(syncer);
    }
    to_notify_ = syncer_.get();
    Changed();
    if (!config_.metrics_address.empty()) {
      ASSIGN_OR_RETURN(metrics_, ServeMetrics(config_.metrics_address, [this] { return Snapshot(); }));
    }
    return absl::OkStatus();
  }

  void Stop() override {
    if (metrics_) metrics_->Stop();
    if (syncer_) syncer_->Stop();
    for (auto& [id, runner] : runners_) runner->Stop();
    if (desk_) desk_->Stop();
  }

  int metrics_port() const override { return metrics_ ? metrics_->port() : 0; }

 private:
  absl::Status PickUpNodes() {
    ASSIGN_OR_RETURN(const std::vector<std::string> ids, ListNodeRecords(config_));
    for (const std::string& id : ids) {
      auto record = LoadNodeRecord(NodePaths(config_, id).record);
      if (record.ok() && record->node_id == id) {
        Run(*std::move(record));
      } else if (!absl::IsNotFound(record.status())) {
        // Never taken for a new node: its data may be there.
        broken_[id] =
            record.ok() ? "STATE_DAMAGED: the record names another node" : absl::StrCat("STATE_DAMAGED: ", record.status().message());
        Log(LogLevel::kError, "a node's record cannot be read; the node is left alone", {{"node", id}, {"error", broken_[id]}});
      }
    }
    return absl::OkStatus();
  }

  // Before the syncer starts, or with the lock held.
  NodeRunner& Run(NodeRecord record) {
    const std::string id = record.node_id;
    NodeRunnerOptions options;
    options.config = &config_;
    options.record_path = NodePaths(config_, id).record;
    options.volume = MakeNodeVolume(config_, user_, id);
    options.make_engine = [this](const DesiredNode& desired, int port) { return MakeNodeEngine(config_, user_, desired, port); };
    options.prepare_engine = [this](const DesiredNode& desired) { return PrepareEngine(config_, user_, desired, Clock::Real()); };
    options.desk = desk_.get();
    options.changed = [this] { Changed(); };
    return *runners_.insert_or_assign(id, NodeRunner::Start(std::move(options), std::move(record))).first->second;
  }

  void Changed() {
    if (Syncer* syncer = to_notify_) syncer->Notify();
  }

  void Observe(SyncRequest& request) {
    request.warnings = HostWarnings();
    const std::lock_guard lock(mutex_);
    for (const auto& [id, runner] : runners_) {
      ObservedNode observed = runner->Observed();
      // A tombstone that the server has let go of is our own affair.
      if (observed.stray && observed.volume == VolumeState::kDeleted) continue;
      request.nodes.push_back(std::move(observed));
    }
    for (const auto& [id, problem] : broken_) {
      ObservedNode observed;
      observed.node_id = id;
      observed.problem = problem;
      request.nodes.push_back(std::move(observed));
    }
    request.verdicts = verdicts_;
  }

  void Apply(const SyncRequest& sent, const SyncResponse& answer) {
    {
      const std::lock_guard lock(mutex_);
      std::erase_if(verdicts_, [&](const KeyVerdict& verdict) {
        return std::any_of(sent.verdicts.begin(), sent.verdicts.end(), [&](const KeyVerdict& s) { return s.test_id == verdict.test_id; });
      });
      std::set<std::string> named;
      for (const DesiredNode& desired : answer.nodes) {
        named.insert(desired.node_id);
        TakeDesired(desired);
      }
      for (const auto& [id, runner] : runners_) {
        if (!named.contains(id)) runner->SetStray();
      }
    }
    for (const KeyTest& test : answer.key_tests) TakeTest(test);
  }

  void TakeDesired(const DesiredNode& desired) {
    if (!IsUuid(desired.node_id)) {
      Log(LogLevel::kWarning, "a node without a UUID is ignored");
      return;
    }
    if (broken_.contains(desired.node_id)) return;
    auto it = runners_.find(desired.node_id);
    if (it == runners_.end()) {
      if (runners_.size() >= kMostNodes) return;
      const absl::Status begun = BeginNode(desired.node_id);
      if (!begun.ok()) {
        Log(LogLevel::kError, "a new node cannot be begun", {{"node", desired.node_id}, {"error", std::string(FromAbsl(begun.message()))}});
        return;
      }
      it = runners_.find(desired.node_id);
    }
    it->second->SetDesired(desired);
  }

  absl::Status BeginNode(const std::string& node_id) {
    std::vector<int> taken;
    for (const auto& [id, runner] : runners_) taken.push_back(runner->Record().port);
    NodeRecord record{.node_id = node_id};
    ASSIGN_OR_RETURN(record.port, PickPort(config_, taken));
    const NodePaths paths(config_, node_id);
    RETURN_IF_ERROR(MakeFolders(paths.state_folder, 0700));
    RETURN_IF_ERROR(StoreNodeRecord(paths.record, record));
    Run(std::move(record));
    return absl::OkStatus();
  }

  void TakeTest(const KeyTest& test) {
    {
      const std::lock_guard lock(mutex_);
      // The server repeats a test until it has the verdict.
      if (std::find(tests_.begin(), tests_.end(), test.id) != tests_.end()) return;
      tests_.push_back(test.id);
      if (tests_.size() > kRememberedTests) tests_.pop_front();
    }
    desk_->Test(test, [this](KeyVerdict verdict) {
      {
        const std::lock_guard lock(mutex_);
        verdicts_.push_back(std::move(verdict));
        if (verdicts_.size() > kRememberedTests) verdicts_.erase(verdicts_.begin());
      }
      Changed();
    });
  }

  AgentSnapshot Snapshot() {
    AgentSnapshot snapshot;
    snapshot.kms = desk_->counters();
    const std::lock_guard lock(mutex_);
    for (const auto& [id, runner] : runners_) {
      const NodeRecord record = runner->Record();
      snapshot.nodes.emplace_back(record.desired ? record.desired->node_name : id, runner->Observed());
    }
    if (syncer_) {
      snapshot.sync_failures = syncer_->failures();
      if (const auto last = syncer_->last_answer()) snapshot.since_last_sync = Clock::Real().BootTime() - *last;
    }
    return snapshot;
  }

  const AgentConfig config_;
  const UniqueFd lock_;
  const std::optional<UserIds> user_;
  const KmsSet kms_;
  std::unique_ptr<KeyDesk> desk_;

  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<NodeRunner>> runners_;
  std::map<std::string, std::string> broken_;  // node id → problem
  std::vector<KeyVerdict> verdicts_;           // not yet received by the server
  std::deque<std::string> tests_;
  std::unique_ptr<Syncer> syncer_;
  std::atomic<Syncer*> to_notify_ = nullptr;  // the threads that use it are joined in Stop(), before it goes
  std::unique_ptr<HttpServer> metrics_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Agent>> Agent::Start(AgentConfig config) {
  RETURN_IF_ERROR(CheckAgentConfig(config));
  RETURN_IF_ERROR(ForbidDumps());
  ASSIGN_OR_RETURN(const std::optional<UserIds> user, FindNodeUser(config));
  RETURN_IF_ERROR(PrepareHostFolders(config));
  auto lock = LockFile(config.state_dir + "/agent.lock");
  if (!lock.ok()) return Prefixed(lock.status(), "another agent runs on this state_dir");
  ASSIGN_OR_RETURN(const KmsConfig kms, KmsConfigOf(config));

  auto loaded = LoadIdentity(config);
  std::optional<Identity> identity;
  if (loaded.ok()) {
    identity = *std::move(loaded);
  } else if (absl::IsNotFound(loaded.status())) {
    if (config.join_token.empty()) return FailedPrecondition("join_token: this host has not joined yet and needs one");
    auto joined = Join(config, Hostname(config));
    if (joined.ok()) {
      identity = *std::move(joined);
    } else if (!absl::IsUnavailable(joined.status()) && !absl::IsDeadlineExceeded(joined.status())) {
      return Prefixed(joined.status(), "cannot join");
    }
    // An absent server is waited for in the background.
  } else {
    return loaded.status();
  }
  auto agent = std::make_unique<HostAgent>(std::move(config), *std::move(lock), user, BuildKmsSet(kms));
  RETURN_IF_ERROR(agent->Begin(std::move(identity)));
  return std::unique_ptr<Agent>(std::move(agent));
}

}  // namespace latchkey
