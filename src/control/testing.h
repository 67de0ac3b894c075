// A host for tests: joins, syncs, and does what it is told as a perfect agent would, except for what a test scripts. No KMS and no volume
// are behind it; its keys are random text in the right form.
//
//   FakeAgent host(*control, "us-east-1", "h1");
//   host.Join();
//   auto cluster = control->clusters().Create(...);
//   host.Settle();                  // creates the volume, mints the KEK, "runs"
//   host.StartPolling();            // a thread with long polls, so that key tests are answered
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/encoding.h"
#include "base/status.h"
#include "control/services.h"
#include "crypto/certificate.h"

namespace latchkey {

class FakeAgent {
 public:
  FakeAgent(Control& control, std::string region, std::string hostname)
      : control_(control), region_(std::move(region)), hostname_(std::move(hostname)), boot_id_(NewUuid(Random::System())) {}
  ~FakeAgent() { StopPolling(); }
  FakeAgent(const FakeAgent&) = delete;
  FakeAgent& operator=(const FakeAgent&) = delete;

  absl::Status Join() {
    ASSIGN_OR_RETURN(const JoinToken token, control_.agents().CreateJoinToken({.api_key_id = "local", .name = "", .remote = ""}));
    ASSIGN_OR_RETURN(const KeyPair key, NewKeyPair());
    ASSIGN_OR_RETURN(const std::string request, NewRequest(key.private_key_pem, hostname_));
    JoinRequest join{.token_id = token.id,
                     .token_secret = token.secret,
                     .request_pem = request,
                     .region = region_,
                     .hostname = hostname_,
                     .advertise_host = hostname_ + ".example"};
    ASSIGN_OR_RETURN(const JoinResponse response, control_.agents().Join(join, "10.0.0.1"));
    agent_id_ = response.agent_id;
    ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(response.certificate_pem));
    serial_ = facts.serial_hex;
    return Sync().status();
  }

  // One sync with everything that is observed; what comes back is kept in `desired`. Waits for the answer.
  absl::StatusOr<SyncResponse> Sync(int64_t wait_ms = 0) {
    struct Answer {
      std::mutex mutex;
      std::condition_variable there;
      std::optional<absl::StatusOr<SyncResponse>> response;
    };
    const auto answer = std::make_shared<Answer>();
    control_.agents().Sync(agent_id_, serial_, MakeRequest(wait_ms), [answer](absl::StatusOr<SyncResponse> response) {
      {
        std::lock_guard lock(answer->mutex);
        answer->response = std::move(response);
      }
      answer->there.notify_all();
    });
    std::unique_lock lock(answer->mutex);
    if (!answer->there.wait_for(lock, std::chrono::seconds(60), [&] { return answer->response.has_value(); })) {
      return absl::DeadlineExceededError("the sync was never answered");
    }
    if (answer->response->ok()) Keep(**answer->response);
    return *answer->response;
  }

  // Syncs and obeys until the server has nothing new to say.
  absl::Status Settle() {
    for (int round = 0; round < 20; ++round) {
      const int64_t before = seen_version_;
      RETURN_IF_ERROR(Sync().status());
      const bool moved = Obey();
      if (!moved && before == seen_version_) return absl::OkStatus();
    }
    return absl::DeadlineExceededError("the fake host never came to rest");
  }

  // Takes every step towards `desired`; true when something moved.
  bool Obey() {
    std::lock_guard lock(mutex_);
    bool moved = false;
    for (const auto& [id, node] : desired_) {
      ObservedNode& seen = observed_[id];
      const std::string before = boost::json::serialize(seen.ToJson());
      seen.node_id = id;
      if (obedient) ObeyNode(node, seen);
      if (tweak) tweak(seen);
      moved |= boost::json::serialize(seen.ToJson()) != before;
    }
    return moved;
  }

  // Long polls in a thread: obeys and answers key tests until StopPolling.
  void StartPolling() {
    polling_ = true;
    thread_ = std::thread([this] {
      while (polling_) {
        if (!Sync(Obey() ? 0 : 100).ok()) return;
      }
    });
  }
  void StopPolling() {
    polling_ = false;
    if (thread_.joinable()) thread_.join();
  }

  // What a test scripts; set before StartPolling.
  bool obedient = true;                      // false: hears and does nothing
  std::function<void(ObservedNode&)> tweak;  // after each step: what really happened
  std::function<std::optional<KeyVerdict>(const KeyTest&)> on_key_test = [](const KeyTest& test) {
    return std::optional<KeyVerdict>({.test_id = test.id, .ok = true, .failure = std::nullopt, .message = ""});
  };

  const std::string& agent_id() const { return agent_id_; }
  const std::string& serial() const { return serial_; }
  void set_serial(const std::string& serial) { serial_ = serial; }
  void Restart() {
    std::lock_guard lock(mutex_);
    boot_id_ = NewUuid(Random::System());
    sequence_ = 0;
    seen_version_ = 0;
  }
  std::map<std::string, DesiredNode> desired() const {
    std::lock_guard lock(mutex_);
    return desired_;
  }
  std::map<std::string, ObservedNode> observed() const {
    std::lock_guard lock(mutex_);
    return observed_;
  }
  void Observe(const ObservedNode& node) {
    std::lock_guard lock(mutex_);
    observed_[node.node_id] = node;
  }
  // The node of a host that has one.
  ObservedNode only() const { return observed().begin()->second; }
  DesiredNode only_desired() const { return desired().begin()->second; }
  int64_t seen_version() const { return seen_version_; }
  void set_seen_version(int64_t version) { seen_version_ = version; }
  std::vector<KeyTest> key_tests() const {
    std::lock_guard lock(mutex_);
    return tests_;
  }

  SyncRequest MakeRequest(int64_t wait_ms) {
    std::lock_guard lock(mutex_);
    SyncRequest request;
    request.boot_id = boot_id_;
    request.sequence = ++sequence_;
    request.seen_version = seen_version_;
    request.wait_ms = wait_ms;
    request.hostname = hostname_;
    request.advertise_host = hostname_ + ".example";
    request.region = region_;
    request.agent_version = "0.1.0";
    for (const auto& [id, node] : observed_) request.nodes.push_back(node);
    request.verdicts = std::move(verdicts_);
    verdicts_.clear();
    return request;
  }

  // A KEK in the right form for the desired generation, chained to the last one.
  static WrappedKek Mint(const DesiredNode& node) {
    Random& random = Random::System();
    WrappedKek kek;
    kek.id = RandomHex(random, 16);
    kek.context = {node.organization, node.cluster_id, node.region, node.kek_generation};
    kek.created_at = "2026-01-01T00:00:00.000000Z";
    kek.root = node.root;
    kek.ciphertext = Base64Encode(random.Bytes(48));
    if (!node.wrapped_keks.empty()) {
      kek.previous = WrappedKek::Previous{node.wrapped_keks.back().id, Base64Encode(random.Bytes(12)), Base64Encode(random.Bytes(48))};
      kek.link = RandomHex(random, 32);
    }
    return kek;
  }

 private:
  void Keep(const SyncResponse& response) {
    std::lock_guard lock(mutex_);
    seen_version_ = response.version;
    desired_.clear();
    for (const DesiredNode& node : response.nodes) desired_[node.node_id] = node;
    tests_ = response.key_tests;
    for (const KeyTest& test : response.key_tests) {
      if (auto verdict = on_key_test(test)) verdicts_.push_back(*std::move(verdict));
    }
  }

  static void ObeyNode(const DesiredNode& node, ObservedNode& seen) {
    if (node.generation < seen.highest_generation) return;
    seen.highest_generation = node.generation;
    seen.revoked_mark = node.revoked;
    if (node.deleted) {
      if (seen.volume_id.empty() || seen.volume_id == node.volume_id) {
        seen.volume = seen.volume_id.empty() ? VolumeState::kNone : VolumeState::kDeleted;
        seen.engine = EngineState::kNone;
        seen.applied_generation = node.generation;
      }
      return;
    }
    if (node.revoked || node.paused) {
      if (!seen.volume_id.empty()) seen.volume = VolumeState::kSealed;
      seen.engine = seen.volume_id.empty() ? EngineState::kNone : EngineState::kStopped;
      seen.seal_reason = node.revoked ? "REVOKED" : "PAUSED";
      seen.applied_generation = node.generation;
      return;
    }
    const WrappedKek* kek = node.CurrentKek();
    if (kek == nullptr) {
      // As in keys/: a KEK is minted with the one of the generation before it.
      const int64_t last = node.wrapped_keks.empty() ? 0 : node.wrapped_keks.back().context.generation;
      if (last + 1 != node.kek_generation) {
        seen.problem = "KEK_MISSING: desired state lacks the KEK before it";
        return;
      }
      if (!seen.minted || seen.minted->context.generation != node.kek_generation || seen.minted->root != node.root)
        seen.minted = Mint(node);
      return;
    }
    seen.problem.clear();
    seen.minted.reset();
    if (seen.volume_id.empty()) {
      seen.volume_id = NewUuid(Random::System());
      seen.deks = {
          {.id = RandomHex(Random::System(), 16), .generation = node.dek_generation, .kek_id = kek->id, .current = true, .bytes = 0}};
    }
    for (ObservedDek& dek : seen.deks) dek.kek_id = kek->id;
    if (seen.deks.back().generation < node.dek_generation) {
      seen.deks.back().current = false;
      seen.deks.push_back(
          {.id = RandomHex(Random::System(), 16), .generation = node.dek_generation, .kek_id = kek->id, .current = true, .bytes = 0});
    }
    seen.volume = VolumeState::kOpen;
    seen.engine = EngineState::kRunning;
    seen.seal_reason.clear();
    seen.port = 5432;
    seen.host = "";
    seen.key.ok = true;
    seen.key.failure.reset();
    seen.applied_generation = node.generation;
  }

  Control& control_;
  const std::string region_, hostname_;
  std::string agent_id_, serial_;
  mutable std::mutex mutex_;
  std::string boot_id_;
  int64_t sequence_ = 0;
  std::atomic<int64_t> seen_version_ = 0;
  std::map<std::string, DesiredNode> desired_;
  std::map<std::string, ObservedNode> observed_;
  std::vector<KeyVerdict> verdicts_;
  std::vector<KeyTest> tests_;
  std::thread thread_;
  std::atomic<bool> polling_ = false;
};

}  // namespace latchkey
