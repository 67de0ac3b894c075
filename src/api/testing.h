// A control plane that is told what to answer and remembers what it was asked, for tests of the dialects.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "control/services.h"
#include "crypto/certificate.h"

namespace latchkey {

inline constexpr std::string_view kTestKey = "LKEY1_0123456789abcdefghijkl_0123456789012345678901234567890123456789";
inline constexpr std::string_view kTestCluster = "01234567-89ab-4cde-8f01-23456789abcd";
inline constexpr std::string_view kOtherCluster = "11234567-89ab-4cde-8f01-23456789abcd";

// What changed, in order: "clusters.create", …; empty as long as nothing did. Thread-safe.
class Changes {
 public:
  void Add(std::string what) {
    const std::lock_guard lock(mutex_);
    all_.push_back(std::move(what));
  }
  std::vector<std::string> all() const {
    const std::lock_guard lock(mutex_);
    return all_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> all_;
};

inline ClusterView SampleCluster() {
  ClusterView cluster;
  cluster.id = kTestCluster;
  cluster.name = "orders-db";
  cluster.cloud_provider = "AWS";
  cluster.plan = "ADVANCED";
  cluster.engine = "PostgreSQL";
  cluster.engine_version = "15";
  cluster.state = "CREATED";
  cluster.operation_status = "UNSPECIFIED";
  cluster.creator_id = "LKEY1_0123456789abcdefghijkl";
  cluster.created_at = cluster.updated_at = absl::FromUnixMicros(1'700'000'000'123'456);
  cluster.regions = {{"us-east-1", 1}};
  cluster.delete_protection = "DISABLED";
  cluster.network_visibility = "PRIVATE";
  cluster.account_id = "latchkey";
  return cluster;
}

inline NodeView SampleNode() {
  NodeView node;
  node.id = "node-1";
  node.name = "orders-db-us-east-1-1";
  node.region = "us-east-1";
  node.status = "LIVE";
  node.host_name = "db1";
  node.endpoint_host = "db1.example.com";
  node.endpoint_port = 5432;
  node.volume_state = "OPEN";
  node.engine_state = "RUNNING";
  node.lease_end = "2026-01-02T04:04:05.000006Z";
  return node;
}

class FakeClusters : public ClusterService {
 public:
  explicit FakeClusters(Changes* changes) : changes_(changes) {}
  std::vector<ClusterView> clusters = {SampleCluster()};
  std::vector<NodeView> nodes = {SampleNode()};
  std::vector<RegionView> regions = {{"us-east-1", "AWS", "db1"}};
  absl::Status failure;        // returned by every change when not OK
  CreateCluster last_created;  // what Create was given
  Page last_page;
  bool last_show_inactive = false;

  absl::StatusOr<ClusterView> Create(const Caller&, const CreateCluster& request) override {
    RETURN_IF_ERROR(failure);
    changes_->Add("clusters.create");
    last_created = request;
    ClusterView cluster = SampleCluster();
    cluster.name = request.name;
    cluster.labels = request.labels;
    cluster.state = "CREATING";
    return cluster;
  }
  absl::StatusOr<ClusterPage> List(const Page& page, bool show_inactive) override {
    last_page = page;
    last_show_inactive = show_inactive;
    return ClusterPage{clusters, ""};
  }
  absl::StatusOr<ClusterView> Get(const std::string& id) override {
    for (const ClusterView& cluster : clusters) {
      if (cluster.id == id) return cluster;
    }
    return NotFound("cluster '", id, "' not found");
  }
  absl::StatusOr<ClusterView> Delete(const Caller&, const std::string& id) override {
    RETURN_IF_ERROR(failure);
    ASSIGN_OR_RETURN(ClusterView cluster, Get(id));
    changes_->Add("clusters.delete");
    cluster.state = "DELETED";
    return cluster;
  }
  absl::StatusOr<ClusterView> SetDeleteProtection(const Caller&, const std::string& id, bool enabled) override {
    RETURN_IF_ERROR(failure);
    RETURN_IF_ERROR(Get(id).status());
    changes_->Add(enabled ? "clusters.protect" : "clusters.unprotect");
    clusters[0].delete_protection = enabled ? "ENABLED" : "DISABLED";
    return Get(id);
  }
  absl::StatusOr<std::vector<NodeView>> Nodes(const std::string& id, const std::string& region) override {
    RETURN_IF_ERROR(Get(id).status());
    std::vector<NodeView> found;
    for (const NodeView& node : nodes) {
      if (region.empty() || node.region == region) found.push_back(node);
    }
    return found;
  }
  absl::StatusOr<std::vector<RegionView>> AvailableRegions(const std::string& provider) override {
    std::vector<RegionView> found;
    for (const RegionView& region : regions) {
      if (provider.empty() || region.provider == provider) found.push_back(region);
    }
    return found;
  }

 private:
  Changes* const changes_;
};

class FakeCmek : public CmekService {
 public:
  explicit FakeCmek(Changes* changes) : changes_(changes) { view.status = "DISABLED"; }
  CmekView view;
  absl::Status failure;             // returned by every change when not OK
  std::function<void()> on_change;  // runs inside Enable and Update, before they answer
  std::vector<RegionKeySpec> last_specs;
  absl::StatusOr<KeyTestView> test = KeyTestView{};  // what Test answers

  absl::StatusOr<CmekView> Get(const std::string& id) override {
    if (id != kTestCluster) return NotFound("cluster '", id, "' not found");
    return view;
  }
  absl::StatusOr<CmekView> Enable(const Caller&, const std::string& id, const std::vector<RegionKeySpec>& specs) override {
    return Take("cmek.enable", id, specs);
  }
  absl::StatusOr<CmekView> Update(const Caller&, const std::string& id, const std::vector<RegionKeySpec>& specs) override {
    return Take("cmek.update", id, specs);
  }
  absl::StatusOr<CmekView> Revoke(const Caller&, const std::string& id) override { return Patch("cmek.revoke", id); }
  absl::StatusOr<CmekView> Restore(const Caller&, const std::string& id) override { return Patch("cmek.restore", id); }
  absl::StatusOr<KeyTestView> Test(const Caller&, const RegionKeySpec& spec) override {
    last_specs = {spec};
    return test;
  }

 private:
  absl::StatusOr<CmekView> Take(const std::string& what, const std::string& id, const std::vector<RegionKeySpec>& specs) {
    if (on_change) on_change();
    RETURN_IF_ERROR(failure);
    last_specs = specs;
    return Patch(what, id);
  }
  absl::StatusOr<CmekView> Patch(const std::string& what, const std::string& id) {
    RETURN_IF_ERROR(failure);
    if (id != kTestCluster) return NotFound("cluster '", id, "' not found");
    changes_->Add(what);
    return view;
  }
  Changes* const changes_;
};

class FakeAgents : public AgentService {
 public:
  explicit FakeAgents(Changes* changes) : changes_(changes) {}
  std::string ca;  // PEM
  absl::Status failure;
  std::vector<AgentView> agents;
  JoinRequest last_join;
  std::string last_agent, last_serial;
  // A sync with wait_ms > 0 stays parked until AnswerParked.
  using Done = std::function<void(absl::StatusOr<SyncResponse>)>;

  absl::StatusOr<JoinToken> CreateJoinToken(const Caller&) override {
    changes_->Add("join-tokens.create");
    return JoinToken{"0123456789abcdef", std::string(43, 'A'), std::string(64, 'a')};
  }
  absl::StatusOr<JoinResponse> Join(const JoinRequest& request, const std::string&) override {
    RETURN_IF_ERROR(failure);
    changes_->Add("agents.join");
    last_join = request;
    return JoinResponse{"agent-1", "organization-1", "certificate", ca};
  }
  void Sync(const std::string& agent_id, const std::string& serial_hex, SyncRequest request, Done done) override {
    {
      const std::lock_guard lock(mutex_);
      last_agent = agent_id;
      last_serial = serial_hex;
      if (failure.ok() && request.wait_ms > 0) {
        parked_.push_back(std::move(done));
        return;
      }
    }
    if (!failure.ok()) return done(failure);
    done(SyncResponse{.version = request.seen_version + 1});
  }
  // Answers every parked sync with `version`; returns how many there were.
  size_t AnswerParked(int64_t version) {
    std::vector<Done> parked;
    {
      const std::lock_guard lock(mutex_);
      parked.swap(parked_);
    }
    for (const Done& done : parked) done(SyncResponse{.version = version});
    return parked.size();
  }
  absl::StatusOr<std::string> Renew(const std::string& agent_id, const std::string&, const std::string&) override {
    RETURN_IF_ERROR(failure);
    changes_->Add("agents.renew");
    return "renewed for " + agent_id;
  }
  absl::StatusOr<std::vector<AgentView>> List() override { return agents; }
  absl::Status Remove(const Caller&, const std::string& agent_id) override {
    RETURN_IF_ERROR(failure);
    changes_->Add("agents.remove " + agent_id);
    return absl::OkStatus();
  }
  std::string ca_pem() const override { return ca; }

 private:
  Changes* const changes_;
  std::mutex mutex_;
  std::vector<Done> parked_;
};

class FakeApiKeys : public ApiKeyService {
 public:
  explicit FakeApiKeys(Changes* changes) : changes_(changes) {}
  absl::StatusOr<NewApiKey> Create(const Caller&, const std::string&) override {
    changes_->Add("api-keys.create");
    return NewApiKey{"LKEY1_new", SecretBytes::CopyOf(std::string_view("LKEY1_new_secret"))};
  }
  absl::StatusOr<std::vector<ApiKeyView>> List() override { return std::vector<ApiKeyView>{{"LKEY1_a", "ci", absl::UnixEpoch()}}; }
  absl::Status Delete(const Caller&, const std::string& id) override {
    if (id != "LKEY1_a") return NotFound("no such API key");
    changes_->Add("api-keys.delete");
    return absl::OkStatus();
  }
  absl::StatusOr<Caller> Authenticate(std::string_view bearer) override {
    if (bearer != kTestKey) return absl::UnauthenticatedError("the secret does not match");
    return Caller{std::string(kTestKey.substr(0, 28)), "ci", ""};
  }

 private:
  Changes* const changes_;
};

class FakeControl : public Control {
 public:
  // With a CA and a listener certificate of its own when `with_certificates` (needed to listen and for /organization).
  explicit FakeControl(bool with_certificates = false) {
    if (!with_certificates) return;
    ca_ = NewCa("latchkey test", absl::Now(), absl::Hours(1)).value();
    LeafOptions leaf{
        .common_name = "server", .ip_addresses = {"127.0.0.1"}, .for_server = true, .now = absl::Now(), .valid = absl::Hours(1)};
    leaf.dns_names = {"localhost"};
    listener_ = IssueNew(ca_, leaf).value();
    fake_agents.ca = ca_.certificate_pem;
  }
  // A certificate that an agent of this name would have.
  CertifiedKey AgentCertificate(const std::string& name) {
    return IssueNew(ca_, {.common_name = name, .for_client = true, .now = absl::Now(), .valid = absl::Hours(1)}).value();
  }

  Changes changes;
  FakeClusters fake_clusters{&changes};
  FakeCmek fake_cmek{&changes};
  FakeAgents fake_agents{&changes};
  FakeApiKeys fake_api_keys{&changes};
  std::vector<AuditEntry> audit;  // by rising id

  ClusterService& clusters() override { return fake_clusters; }
  CmekService& cmek() override { return fake_cmek; }
  AgentService& agents() override { return fake_agents; }
  ApiKeyService& api_keys() override { return fake_api_keys; }
  absl::StatusOr<std::vector<AuditEntry>> Audit(int64_t after_id, int limit) override {
    std::vector<AuditEntry> found;
    for (const AuditEntry& entry : audit) {
      if (entry.id > after_id && found.size() < static_cast<size_t>(limit)) found.push_back(entry);
    }
    return found;
  }
  std::string organization_id() const override { return "22234567-89ab-4cde-8f01-23456789abcd"; }
  std::string agent_listener_certificate_pem() const override { return listener_.certificate_pem; }
  std::string agent_listener_key_pem() const override { return listener_.private_key_pem; }
  absl::StatusOr<ControlCounts> Counts() override { return ControlCounts{{{"CREATED", 3}}, {{"ENABLED", 2}}, 1, 0, 3}; }
  absl::Status Ready() override {
    const std::lock_guard lock(ready_mutex_);
    return store_answers_ ? absl::OkStatus() : absl::UnavailableError("disk I/O error at /var/lib");
  }
  void SetStoreAnswers(bool answers) {
    const std::lock_guard lock(ready_mutex_);
    store_answers_ = answers;
  }
  void Stop() override { fake_agents.AnswerParked(0); }

 private:
  std::mutex ready_mutex_;
  bool store_answers_ = true;
  CertifiedKey ca_, listener_;
};

}  // namespace latchkey
