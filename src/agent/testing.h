// A host in memory for the tests of this room: a volume that keeps real keys and no files, an engine that is a few flags, and a fixture
// that plays the server's part. For tests only.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>

#include "agent/key_desk.h"
#include "agent/node_runner.h"
#include "base/file.h"
#include "base/status.h"
#include "base/testing.h"
#include "keys/dek.h"
#include "keys/testing.h"
#include "keys/volume_file.h"

namespace latchkey {

inline constexpr char kTestNode[] = "11111111-1111-4111-8111-111111111111";
inline constexpr char kTestCluster[] = "44444444-4444-4444-8444-444444444444";
inline constexpr char kTestOrganization[] = "55555555-5555-4555-8555-555555555555";

// What lies on the host and outlives an agent.
struct HostInMemory {
  std::mutex mutex;
  // The disk.
  std::optional<VolumeFile> file;
  bool disk_mounted = true, remove_fails = false;
  bool data = false;
  // The volume daemon.
  bool daemon = false, mount = false, daemon_silent = false;
  bool mounted_at_last = true;  // false: the mount goes between a look and what follows it
  std::vector<Dek> deks;
  std::optional<absl::Duration> lease_end;
  ProcessId engine_to_kill;
  // The engine.
  bool engine_running = false, engine_ready = true;
  // Counts of what was done.
  int looked_in_vain = 0;  // into a volume that was not there to be looked into
  int looks = 0;
  int opened = 0, created = 0, rewrapped = 0, cleaned = 0, erased = 0, removed = 0, initialised = 0, started = 0, stopped = 0;
  std::vector<std::string> sealed;

  // With the lock held.
  bool hidden() const { return !daemon || !mount || daemon_silent; }

  void KillDaemon() {
    const std::lock_guard lock(mutex);
    daemon = false;
    deks.clear();
  }
  void KillEngine() {
    const std::lock_guard lock(mutex);
    engine_running = false;
  }
  template <typename T>
  T Get(T HostInMemory::* field) {
    const std::lock_guard lock(mutex);
    return this->*field;
  }
};

class VolumeInMemory : public NodeVolume {
 public:
  explicit VolumeInMemory(std::shared_ptr<HostInMemory> host) : host_(std::move(host)) {}

  VolumeFacts Look() override {
    const std::lock_guard lock(host_->mutex);
    EndLease();
    ++host_->looks;
    VolumeFacts facts;
    facts.daemon = facts.open = host_->daemon;
    facts.mounted = host_->mount;
    facts.silent = host_->daemon && host_->daemon_silent;
    facts.lease_end = host_->lease_end;
    if (!host_->file || !host_->disk_mounted) return facts;
    facts.file = VolumeFacts::File::kThere;
    facts.volume_id = host_->file->volume_id;
    facts.revision = host_->file->revision;
    for (const VolumeDek& dek : host_->file->deks) {
      for (const WrappedDek& wrapped : dek.wrapped) {
        facts.deks.push_back(
            {.id = dek.id, .generation = dek.generation, .kek_id = wrapped.kek_id, .current = dek.id == host_->file->current_dek});
      }
    }
    return facts;
  }

  absl::StatusOr<VolumeStatus> Open(const VolumeOpenRequest& request) override {
    const std::lock_guard lock(host_->mutex);
    if (host_->daemon) return FailedPrecondition("open already");
    if (host_->mount) return FailedPrecondition("a dead mount is in the way");
    if (!request.create_volume_id.empty()) {
      if (host_->file) return absl::AlreadyExistsError("volume.json is there");
      ASSIGN_OR_RETURN(NewVolume made, MakeVolume(request.create_volume_id, *request.kek, *request.kek_record, request.dek_generation,
                                                  Random::System(), Clock::Real()));
      host_->file = std::move(made.file);
      ++host_->created;
    }
    ASSIGN_OR_RETURN(host_->deks, OpenDeks(*host_->file, *request.kek));
    host_->daemon = host_->mount = true;
    host_->lease_end = request.asked_at ? std::optional(*request.asked_at + request.grace) : std::nullopt;
    ++host_->opened;
    return StatusNow();
  }

  absl::StatusOr<VolumeStatus> Rewrap(const VolumeRewrapRequest& request) override {
    const std::lock_guard lock(host_->mutex);
    if (!host_->daemon) return Unavailable("no daemon");
    std::optional<Dek> added;
    if (request.new_dek_generation > 0) added = Dek::Generate(host_->file->volume_id, request.new_dek_generation, Random::System());
    ASSIGN_OR_RETURN(host_->file, latchkey::Rewrap(*host_->file, host_->deks, *request.from, *request.to, *request.to_record,
                                                   added ? &*added : nullptr, Random::System(), Clock::Real()));
    if (added) host_->deks.push_back(*std::move(added));
    host_->lease_end = request.asked_at ? std::optional(*request.asked_at + request.grace) : std::nullopt;
    ++host_->rewrapped;
    return StatusNow();
  }

  absl::Status Renew(const Kek& kek, absl::Duration asked_at, absl::Duration grace) override {
    const std::lock_guard lock(host_->mutex);
    if (!host_->daemon) return Unavailable("no daemon");
    RETURN_IF_ERROR(OpenDeks(*host_->file, kek).status());
    host_->lease_end = std::max(host_->lease_end.value_or(absl::ZeroDuration()), asked_at + grace);
    return absl::OkStatus();
  }

  absl::Status SetEngine(const ProcessId& engine) override {
    const std::lock_guard lock(host_->mutex);
    host_->engine_to_kill = engine;
    return absl::OkStatus();
  }

  absl::Status Seal(const std::string& reason, const ProcessId&) override {
    const std::lock_guard lock(host_->mutex);
    host_->sealed.push_back(reason);
    Close();
    return absl::OkStatus();
  }
  absl::Status CleanUp(const ProcessId&) override {
    const std::lock_guard lock(host_->mutex);
    ++host_->cleaned;
    Close();
    return absl::OkStatus();
  }
  bool Mounted() override { return host_->Get(&HostInMemory::mount) && host_->Get(&HostInMemory::mounted_at_last); }
  absl::Status EraseKeys(const std::string& volume_id) override {
    const std::lock_guard lock(host_->mutex);
    ++host_->erased;
    if (!host_->disk_mounted) return NotFound("no folder of a volume; is its disk mounted?");
    if (host_->file && host_->file->volume_id != volume_id) return FailedPrecondition("another volume");
    host_->file.reset();
    return absl::OkStatus();
  }
  absl::Status Remove() override {
    const std::lock_guard lock(host_->mutex);
    ++host_->removed;
    if (host_->file) return FailedPrecondition("its keys were not erased");
    if (host_->remove_fails) return Unavailable("busy");
    host_->data = false;
    return absl::OkStatus();
  }

 private:
  // All with the lock held.
  void Close() {
    host_->daemon = host_->mount = host_->engine_running = false;
    host_->deks.clear();
    host_->lease_end.reset();
  }
  // The daemon seals by itself, whoever is alive.
  void EndLease() {
    if (!host_->daemon || !host_->lease_end || Clock::Real().BootTime() < *host_->lease_end) return;
    host_->sealed.push_back("by itself");
    Close();
  }
  VolumeStatus StatusNow() const {
    VolumeStatus status;
    status.volume_id = host_->file->volume_id;
    status.state = VolumeState::kOpen;
    for (const VolumeDek& dek : host_->file->deks) {
      for (const WrappedDek& wrapped : dek.wrapped) {
        status.deks.push_back(
            {.id = dek.id, .generation = dek.generation, .kek_id = wrapped.kek_id, .current = dek.id == host_->file->current_dek});
      }
    }
    return status;
  }
  const std::shared_ptr<HostInMemory> host_;
};

class EngineInMemory : public Engine {
 public:
  explicit EngineInMemory(std::shared_ptr<HostInMemory> host) : host_(std::move(host)) {}
  std::string_view name() const override { return "in memory"; }
  EngineEndpoint endpoint() const override { return {}; }
  absl::StatusOr<bool> HasData() override {
    const std::lock_guard lock(host_->mutex);
    if (host_->hidden()) ++host_->looked_in_vain;
    return host_->data;
  }
  absl::Status Initialise() override {
    const std::lock_guard lock(host_->mutex);
    if (host_->data) return absl::AlreadyExistsError("data");
    host_->data = true;
    ++host_->initialised;
    return absl::OkStatus();
  }
  absl::StatusOr<ProcessId> Start() override {
    const std::lock_guard lock(host_->mutex);
    if (!host_->mount) return FailedPrecondition("no volume");
    host_->engine_running = true;
    ++host_->started;
    return ProcessId{1'000'000 + host_->started, 1};
  }
  std::optional<ProcessId> Find(bool in_volume) override {
    const std::lock_guard lock(host_->mutex);
    if (in_volume && host_->hidden()) ++host_->looked_in_vain;
    if (!host_->engine_running) return std::nullopt;
    return ProcessId{1'000'000 + host_->started, 1};
  }
  absl::Status Probe(absl::Duration) override {
    const std::lock_guard lock(host_->mutex);
    return host_->engine_running && host_->engine_ready ? absl::OkStatus() : Unavailable("not ready");
  }
  absl::Status Stop() override {
    const std::lock_guard lock(host_->mutex);
    host_->engine_running = false;
    ++host_->stopped;
    return absl::OkStatus();
  }
  absl::Status Kill() override {
    const std::lock_guard lock(host_->mutex);
    host_->engine_running = false;
    return absl::OkStatus();
  }

 private:
  const std::shared_ptr<HostInMemory> host_;
};

// One node on one host, with the test as its server. Clocks are short and real.
class NodeTest : public testing::Test {
 protected:
  NodeTest() {
    config_.server = "https://127.0.0.1:1";
    config_.region = "us-east-1";
    config_.clocks.check_interval = absl::Milliseconds(50);
    config_.clocks.confirm_after = {absl::Milliseconds(10), absl::Milliseconds(20)};
    config_.clocks.retry_base = absl::Milliseconds(20);
    config_.clocks.probe_interval = absl::Milliseconds(50);
    kms_set_ = SetOf(std::make_unique<FakeKms>("LOCAL"), &kms_);
    escrow_ = {.type = "LOCAL", .uri = "local://escrow", .auth_principal = "", .external_id = ""};
    owner_ = {.type = "LOCAL", .uri = "local://owner", .auth_principal = "", .external_id = ""};
    desired_.node_id = kTestNode;
    desired_.node_name = "c1-us-east-1-1";
    desired_.organization = kTestOrganization;
    desired_.cluster_id = kTestCluster;
    desired_.cluster_name = "c1";
    desired_.region = "us-east-1";
    desired_.engine = "postgresql";
    desired_.generation = 1;
    desired_.root = escrow_;
    desired_.root_is_escrow = true;
  }
  ~NodeTest() override { StopAgent(); }

  std::string RecordPath() const { return folder_ / "node.json"; }

  void StartAgent() {
    KeyDesk::Options desk;
    desk.kms = &kms_set_;
    desk.policy = config_.clocks.Policy();
    desk.keep_fresh = absl::ZeroDuration();  // what a test does to the KMS counts at once
    desk.allowed = [this](const RootKey& root) { return CheckRootAllowed(config_, root); };
    desk_ = KeyDesk::Start(desk);
    NodeRunnerOptions options;
    options.config = &config_;
    options.record_path = RecordPath();
    options.volume = std::make_shared<VolumeInMemory>(host_);
    options.make_engine = [this](const DesiredNode&, int) { return std::unique_ptr<Engine>(std::make_unique<EngineInMemory>(host_)); };
    options.prepare_engine = [](const DesiredNode&) { return absl::OkStatus(); };
    options.desk = desk_.get();
    options.changed = [this] {
      {
        const std::lock_guard lock(mutex_);
        ++changes_;
      }
      changed_.notify_all();
    };
    auto record = LoadNodeRecord(RecordPath());
    if (!record.ok()) {
      record = NodeRecord{};
      record->node_id = kTestNode;
    }
    runner_ = NodeRunner::Start(std::move(options), *std::move(record));
  }
  void StopAgent() {
    if (runner_) runner_->Stop();
    if (desk_) desk_->Stop();
    runner_.reset();
    desk_.reset();
  }

  // Waits for a report of which `reached` is true.
  bool Reach(const std::function<bool(const ObservedNode&)>& reached, absl::Duration timeout = absl::Seconds(20)) {
    std::unique_lock lock(mutex_);
    const absl::Time deadline = absl::Now() + timeout;
    for (;;) {
      lock.unlock();
      const bool now = reached(runner_->Observed());
      lock.lock();
      if (now) return true;
      if (absl::Now() > deadline) return false;
      // Facts of the host in memory change without a report, so none is waited for longer than this.
      changed_.wait_for(lock, std::chrono::milliseconds(20));
    }
  }
  bool ReachRunning() {
    return Reach(
        [this](const ObservedNode& o) { return o.engine == EngineState::kRunning && o.applied_generation == desired_.generation; });
  }
  bool ReachSealed(const std::string& reason) {
    return Reach([&](const ObservedNode& o) { return o.volume == VolumeState::kSealed && o.seal_reason == reason; });
  }
  std::string Seen() const { return boost::json::serialize(runner_->Observed().ToJson()); }

  // The server's part: a change raises the generation; a minted KEK is named; a reported volume id is kept.
  void Change() {
    ++desired_.generation;
    runner_->SetDesired(desired_);
  }
  void NameMinted() {
    ASSERT_TRUE(Reach([this](const ObservedNode& o) { return o.minted && o.minted->context.generation == desired_.kek_generation; }))
        << Seen();
    desired_.wrapped_keks.push_back(*runner_->Observed().minted);
    Change();
  }
  void MakeRunningNode() {
    StartAgent();
    runner_->SetDesired(desired_);
    ASSERT_NO_FATAL_FAILURE(NameMinted());
    ASSERT_TRUE(ReachRunning()) << Seen();
    desired_.volume_id = runner_->Observed().volume_id;
    Change();
    ASSERT_TRUE(ReachRunning()) << Seen();
  }
  void EnableOwnerKey() {
    ++desired_.kek_generation;
    ++desired_.dek_generation;
    desired_.root = owner_;
    desired_.root_is_escrow = false;
    Change();
    ASSERT_NO_FATAL_FAILURE(NameMinted());
    ASSERT_TRUE(ReachRunning()) << Seen();
  }

  const TempFolder folder_;
  AgentConfig config_;
  FakeKms* kms_ = nullptr;
  KmsSet kms_set_;
  RootKey escrow_, owner_;
  DesiredNode desired_;
  const std::shared_ptr<HostInMemory> host_ = std::make_shared<HostInMemory>();
  std::unique_ptr<KeyDesk> desk_;
  std::unique_ptr<NodeRunner> runner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int changes_ = 0;
};

}  // namespace latchkey
