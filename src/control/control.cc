#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "base/log.h"
#include "base/status.h"
#include "control/agent_service.h"
#include "control/api_key_service.h"
#include "control/cluster_service.h"
#include "control/cmek_service.h"
#include "control/core.h"
#include "control/rewraps.h"
#include "control/strays.h"
#include "store/audit.h"
#include "store/migrations.h"
#include "store/settings.h"

namespace latchkey {
namespace {

constexpr absl::Duration kCaLife = absl::Hours(24 * 365 * 20);
// The listener's certificate lives as long as the CA that signs it, which is this server's own: it is looked at only when a server starts,
// and a server may run for years.
constexpr absl::Duration kRenewBefore = absl::Hours(24 * 90);

// Held as long as the server lives; the kernel lets go of it when the process ends, however it ends.
class FileLock {
 public:
  FileLock() = default;
  ~FileLock() {
    if (fd_ >= 0) close(fd_);
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  absl::Status Take(const std::string& path) {
    fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd_ < 0) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
    if (flock(fd_, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
    if (errno == EWOULDBLOCK) return FailedPrecondition("another latchkey server uses this database (", path, " is locked)");
    return ErrnoStatus(errno, absl::StrCat("cannot lock ", path));
  }

 private:
  int fd_ = -1;
};

bool IsAddress(const std::string& name) {
  in6_addr six;
  in_addr four;
  return inet_pton(AF_INET, name.c_str(), &four) == 1 || inet_pton(AF_INET6, name.c_str(), &six) == 1;
}

class ControlImpl : public Control {
 public:
  explicit ControlImpl(ControlOptions options) : core_(std::move(options)) {}
  ~ControlImpl() override { Stop(); }

  absl::Status SetUp() {
    RETURN_IF_ERROR(lock_.Take(core_.options.database + ".lock"));
    ASSIGN_OR_RETURN(core_.database, Database::Open({.path = core_.options.database}));
    RETURN_IF_ERROR(Migrate(*core_.database, core_.Now()));
    RETURN_IF_ERROR(core_.database->Write([&](Transaction& tx) { return LoadIdentity(tx); }));
    core_.escrow = core_.options.escrow;
    core_.escrow.external_id = core_.organization;
    core_.snapshots = std::make_unique<Snapshots>(*core_.database);
    RETURN_IF_ERROR(core_.directory.Load(*core_.database));
    clusters_ = MakeClusterService(core_);
    cmek_ = MakeCmekService(core_);
    agents_ = MakeAgentService(core_);
    api_keys_ = MakeApiKeyService(core_);
    if (core_.options.rewrap_new_versions) {
      rewraps_ = std::make_unique<Rewraps>(core_, *cmek_);
      core_.on_news = [this](const std::string& cluster_id) { rewraps_->Consider(cluster_id); };
    }
    return absl::OkStatus();
  }

  ClusterService& clusters() override { return *clusters_; }
  CmekService& cmek() override { return *cmek_; }
  AgentService& agents() override { return *agents_; }
  ApiKeyService& api_keys() override { return *api_keys_; }

  absl::StatusOr<std::vector<AuditEntry>> Audit(int64_t after_id, int limit) override {
    if (limit < 1 || limit > 1000) return InvalidArgument("limit: must be 1 to 1000");
    std::vector<AuditEntry> entries;
    if (const absl::Status done = core_.database->Read([&](Transaction& tx) -> absl::Status {
          ASSIGN_OR_RETURN(auto rows, AuditTrail(tx).List(after_id, limit));
          for (AuditRow& row : rows) {
            entries.push_back({.id = row.id,
                               .created_at = row.created_at,
                               .action = std::move(row.action),
                               .source = std::move(row.source),
                               .actor = std::move(row.actor),
                               .remote = std::move(row.remote),
                               .cluster_id = std::move(row.cluster_id),
                               .cluster_name = std::move(row.cluster_name),
                               .payload = std::move(row.payload),
                               .error = std::move(row.error)});
          }
          return absl::OkStatus();
        });
        !done.ok())
      return done;
    return entries;
  }

  std::string organization_id() const override { return core_.organization; }
  std::string agent_listener_certificate_pem() const override { return listener_.certificate_pem; }
  std::string agent_listener_key_pem() const override { return listener_.private_key_pem; }

  absl::StatusOr<ControlCounts> Counts() override {
    ControlCounts counts;
    std::vector<Clusters::Name> names;
    if (const absl::Status done = core_.database->Read([&](Transaction& tx) -> absl::Status {
          ASSIGN_OR_RETURN(names, Clusters(tx).Names("", "", false, false, 1'000'000));
          return absl::OkStatus();
        });
        !done.ok())
      return done;
    for (const Clusters::Name& name : names) {
      ASSIGN_OR_RETURN(const auto model, core_.snapshots->Get(name.id));
      const std::vector<RegionStatus> statuses = core_.Derive(*model);
      ++counts.clusters_by_state[DeriveCluster(*model, statuses).state];
      for (const RegionStatus& status : statuses) ++counts.regions_by_cmek_status[status.status];
    }
    for (const AgentRow& agent : core_.directory.List()) {
      ++counts.agents;
      if (!agent.last_heard || core_.Now() - *agent.last_heard > kSilentAfter) ++counts.agents_silent;
      counts.strays += static_cast<int64_t>(StraysOf(agent).size());
    }
    return counts;
  }

  absl::Status Ready() override {
    if (stopped_) return Unavailable("the server is stopping");
    return core_.database->Read([](Transaction& tx) { return tx.QueryOne("SELECT COUNT(*) AS n FROM settings").status(); });
  }

  void Stop() override {
    if (stopped_.exchange(true)) return;
    core_.key_tests.Stop();
    core_.hub.Stop();
    if (rewraps_ != nullptr) rewraps_->Stop();
    if (agents_ != nullptr) agents_->Flush();
  }

 private:
  absl::Status LoadIdentity(Transaction& tx) {
    Settings settings(tx);
    ASSIGN_OR_RETURN(auto organization, settings.Get("organization"));
    if (!organization) {
      organization = NewUuid(*core_.options.random);
      RETURN_IF_ERROR(settings.Put("organization", *organization));
    }
    core_.organization = *organization;
    ASSIGN_OR_RETURN(const auto ca_key, settings.Get("ca_key"));
    ASSIGN_OR_RETURN(const auto ca_certificate, settings.Get("ca_certificate"));
    if (ca_key && ca_certificate) {
      core_.ca = {*ca_key, *ca_certificate};
    } else {
      ASSIGN_OR_RETURN(core_.ca, NewCa("Latchkey CA " + core_.organization, core_.Now(), kCaLife));
      RETURN_IF_ERROR(settings.Put("ca_key", core_.ca.private_key_pem));
      RETURN_IF_ERROR(settings.Put("ca_certificate", core_.ca.certificate_pem));
    }
    return LoadListener(settings);
  }

  // The certificate of the agents' listener: kept while it names what it should and is good for a while.
  absl::Status LoadListener(Settings& settings) {
    LeafOptions leaf{.common_name = "latchkey server", .for_server = true, .now = core_.Now(), .valid = {}};
    ASSIGN_OR_RETURN(const CertificateFacts ca, ReadCertificate(core_.ca.certificate_pem));
    leaf.valid = ca.not_after - core_.Now();
    std::string wanted;
    for (const std::string& name : core_.options.server_names) {
      (IsAddress(name) ? leaf.ip_addresses : leaf.dns_names).push_back(name);
      absl::StrAppend(&wanted, name, "\n");
    }
    ASSIGN_OR_RETURN(const auto names, settings.Get("listener_names"));
    ASSIGN_OR_RETURN(const auto key, settings.Get("listener_key"));
    ASSIGN_OR_RETURN(const auto certificate, settings.Get("listener_certificate"));
    if (names && key && certificate && *names == wanted) {
      const auto facts = ReadCertificate(*certificate);
      if (facts.ok() && facts->not_after - core_.Now() > kRenewBefore) {
        listener_ = {*key, *certificate};
        return absl::OkStatus();
      }
    }
    ASSIGN_OR_RETURN(listener_, IssueNew(core_.ca, leaf));
    RETURN_IF_ERROR(settings.Put("listener_names", wanted));
    RETURN_IF_ERROR(settings.Put("listener_key", listener_.private_key_pem));
    return settings.Put("listener_certificate", listener_.certificate_pem);
  }

  FileLock lock_;
  Core core_;
  CertifiedKey listener_;
  std::unique_ptr<ClusterService> clusters_;
  std::unique_ptr<CmekService> cmek_;
  std::unique_ptr<FlushableAgentService> agents_;
  std::unique_ptr<ApiKeyService> api_keys_;
  std::unique_ptr<Rewraps> rewraps_;  // where the policy is on
  std::atomic<bool> stopped_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Control>> Control::Open(ControlOptions options) {
  auto control = std::make_unique<ControlImpl>(std::move(options));
  RETURN_IF_ERROR(control->SetUp());
  return std::unique_ptr<Control>(std::move(control));
}

}  // namespace latchkey
