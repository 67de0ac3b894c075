// What the control plane can do, for its dialects: api/cockroach, api/agent and the command line of the server itself. One call is one
// change, made in one transaction with its audit entry. No HTTP, no SQL, no KMS here.
//
// Errors are absl statuses; a dialect maps the code: InvalidArgument (400: names the field; nothing was changed) · Unauthenticated (401) ·
// PermissionDenied (403) · NotFound (404) · AlreadyExists, Aborted (409) · FailedPrecondition (400: not in this
// state) · Unavailable (503: the cluster is busy, or no agent is in the
// region; try again) · Unimplemented (501) · ResourceExhausted (429) · Internal (500, the cause is logged and not told). Two faults of keys
// are told apart by KeyFaultOf(): a key that its KMS refuses (InvalidArgument; may pass when rights have propagated) and one that can never
// do (InvalidArgument, permanent: 422 with code 3). All services are thread-safe.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/secret_bytes.h"
#include "protocol/node.h"
#include "protocol/sync.h"

namespace latchkey {

enum class KeyFault { kRefused, kPermanent };
absl::Status WithKeyFault(absl::Status status, KeyFault fault);
std::optional<KeyFault> KeyFaultOf(const absl::Status& status);

// Who asks, for authorisation and audit. The kind of caller is in api_key_id, which nobody outside can choose; a name says nothing of it.
struct Caller {
  std::string api_key_id;  // "LKEY1_…"; "local": a command on the server's own host, audited with the user who gave it; "agent …"
  std::string name;        // of the API key
  std::string remote;      // address
};

// Status words of the CockroachDB Cloud API, kept as they are spelled there: DISABLED, ENABLING, ENABLED, ENABLE_FAILED, ROTATING,
// ROTATE_FAILED, REVOKING, REVOKED, REVOKE_FAILED, DISABLING, …
struct KeyView {
  RootKey spec;  // byte for byte as it was sent
  std::string status;
  std::string user_message;            // what is going on and what to do; empty when all is well
  std::string created_at, updated_at;  // stable from read to read
  // The worst health that the hosts of the region report of this key: our own `health` object beside the documented fields.
  KeyHealth health;
  std::string next_step;
  // What the KMS tells of the key in force (empty for former ones), and what lies ahead.
  RootKeyFacts facts;
  std::vector<KeyWarning> warnings;
};
struct CmekRegionView {
  std::string region;
  std::string status;
  std::vector<KeyView> keys;  // newest first
  // Re-encryption: file bytes under DEKs that a former root key could open, and all file bytes; −1 when not known yet.
  int64_t bytes_under_former_keys = 0, bytes_total = 0;
  // Hosts that have not reported sealed while REVOKING: "host (last heard …)".
  std::vector<std::string> waiting_for;
};
struct CmekView {
  std::string status;
  std::vector<CmekRegionView> regions;  // by name; empty when CMEK was never enabled
};

struct RegionNodes {
  std::string region;
  int node_count = 0;
};
struct ClusterView {
  std::string id, name, cloud_provider, plan, engine, engine_version;
  std::string state;             // CREATING, CREATED, CREATION_FAILED, DELETED, LOCKED (a change of keys is under way: some others wait)
  std::string operation_status;  // UNSPECIFIED, CRDB_CMEK_OPERATION_RUNNING, …
  std::string creator_id;
  absl::Time created_at, updated_at;
  std::optional<absl::Time> deleted_at;
  std::vector<RegionNodes> regions;  // by name
  std::map<std::string, std::string> labels;
  std::string delete_protection;  // ENABLED or DISABLED
  std::string network_visibility;
  std::string account_id;
};
struct NodeView {
  std::string id, name, region;
  std::string status;     // LIVE or NOT_READY
  std::string host_name;  // the agent's host
  std::string endpoint_host;
  int64_t endpoint_port = 0;
  std::string volume_state, engine_state, problem;  // words of protocol/node.h
  std::string lease_end, seal_reason;
  std::optional<absl::Time> last_heard;
};
struct RegionView {
  std::string name, provider, location;
};

struct CreateCluster {
  std::string name;      // 6–20 of [a-z0-9-], no dash at the ends
  std::string provider;  // AWS, GCP, AZURE: a label of the cluster; any region that a joined agent serves is allowed
  std::string plan = "ADVANCED";
  std::map<std::string, int64_t> region_nodes;
  std::map<std::string, std::string> labels;
  std::string delete_protection = "DISABLED";
  std::string network_visibility = "PRIVATE";
};
struct Page {
  std::string after;  // opaque cursor from ListPage::next; empty: from the start
  int limit = 500;    // 1–500
  bool descending = false;
};
struct ClusterPage {
  std::vector<ClusterView> clusters;  // by name
  std::string next;                   // empty on the last page
};
struct RegionKeySpec {
  std::string region;
  RootKey key;  // external_id is ignored: it is the organization's
};

// What a host of a region found when it tried a key.
struct KeyTestView {
  std::string host;
  bool ok = false;
  std::vector<KeyVerdictStep> steps;    // a failed one last; empty when the host's agent does not tell
  std::optional<FailureClass> failure;  // when not ok; unset when the host could not try it
  std::string message, next_step;       // empty when ok
};

class ClusterService {
 public:
  virtual ~ClusterService() = default;
  // PostgreSQL clusters have one node in one region: more is Unimplemented. InvalidArgument for a region that no joined host serves;
  // Unavailable when none of its hosts was heard of lately.
  virtual absl::StatusOr<ClusterView> Create(const Caller& caller, const CreateCluster& request) = 0;
  virtual absl::StatusOr<ClusterPage> List(const Page& page, bool show_inactive) = 0;
  virtual absl::StatusOr<ClusterView> Get(const std::string& id) = 0;
  // Never busy. FailedPrecondition when delete protection is on. Final.
  virtual absl::StatusOr<ClusterView> Delete(const Caller& caller, const std::string& id) = 0;
  // Sets delete protection. What is set already is OK and changes nothing. Turning it on is never busy. Lifting it is
  // Unavailable while a change of keys is under way (not while the cluster is being created: that may never be done); a sealed or revoked
  // cluster is not busy. NotFound for a deleted one.
  virtual absl::StatusOr<ClusterView> SetDeleteProtection(const Caller& caller, const std::string& id, bool enabled) = 0;
  // `region` may be empty: all. By region, then name. Of a deleted cluster: the nodes whose hosts have not said yet that nothing is left of
  // them; one whose host was removed never will, and its problem is HOST_REMOVED.
  virtual absl::StatusOr<std::vector<NodeView>> Nodes(const std::string& id, const std::string& region) = 0;
  // Those that a joined agent serves.
  virtual absl::StatusOr<std::vector<RegionView>> AvailableRegions(const std::string& provider) = 0;
};

class CmekService {
 public:
  virtual ~CmekService() = default;
  virtual absl::StatusOr<CmekView> Get(const std::string& cluster_id) = 0;
  // POST: every region of the cluster exactly once. Each key is tested by an agent of its region (up to 20 s) before anything changes.
  // Equal to what is desired: OK, nothing changes. Aborted when CMEK is enabled with other keys (use Update).
  virtual absl::StatusOr<CmekView> Enable(const Caller& caller, const std::string& cluster_id, const std::vector<RegionKeySpec>& specs) = 0;
  // PUT: the regions to change; enables where it was not. The same key again re-wraps under its newest version. May supersede an unfinished
  // or failed change; never lifts a revocation.
  virtual absl::StatusOr<CmekView> Update(const Caller& caller, const std::string& cluster_id, const std::vector<RegionKeySpec>& specs) = 0;
  // Never busy; a second one answers the same and changes nothing.
  virtual absl::StatusOr<CmekView> Revoke(const Caller& caller, const std::string& cluster_id) = 0;
  virtual absl::StatusOr<CmekView> Restore(const Caller& caller, const std::string& cluster_id) = 0;
  // Has the key tried by a host of its region, for no cluster: nothing changes, and it is audited. A key that fails is an answer, not an
  // error. Unavailable without a host, or without its answer in time. The operator's own key is refused as it is for a cluster: what
  // concerns it is nothing that an API key should find out.
  virtual absl::StatusOr<KeyTestView> Test(const Caller& caller, const RegionKeySpec& spec) = 0;
};

struct AgentView {
  std::string id, hostname, region, advertise_host;
  absl::Time joined_at;
  std::optional<absl::Time> last_heard;
  int node_count = 0;
  std::vector<std::string> warnings;  // the host's own, and one when there are strays
  // Ids of nodes that the host has and the server does not name there: left as they are. By id, each 64 bytes at most and kMostStrays of
  // them (none that could be a line or a command of a terminal); those of the last report, also when the host is silent by now.
  std::vector<std::string> strays;
  std::string version;
};
inline constexpr size_t kMostStrays = 100;

class AgentService {
 public:
  virtual ~AgentService() = default;
  // A token that works once, within an hour.
  virtual absl::StatusOr<JoinToken> CreateJoinToken(const Caller& caller) = 0;
  virtual absl::StatusOr<JoinResponse> Join(const JoinRequest& request, const std::string& remote) = 0;
  // `agent_id` and `serial_hex` are who the client certificate says. Answers through `done`, at once or later (long poll), from any thread,
  // exactly once; Unauthenticated when the agent was removed.
  virtual void Sync(const std::string& agent_id, const std::string& serial_hex, SyncRequest request,
                    std::function<void(absl::StatusOr<SyncResponse>)> done) = 0;
  virtual absl::StatusOr<std::string> Renew(const std::string& agent_id, const std::string& serial_hex, const std::string& request_pem) = 0;
  virtual absl::StatusOr<std::vector<AgentView>> List() = 0;
  // Revokes its certificate. FailedPrecondition while it has nodes that are not deleted.
  virtual absl::Status Remove(const Caller& caller, const std::string& agent_id) = 0;
  virtual std::string ca_pem() const = 0;
};

struct NewApiKey {
  std::string id;      // "LKEY1_" and 22 characters
  SecretBytes secret;  // id, "_" and 40 characters; shown once, stored as SHA-256
};
struct ApiKeyView {
  std::string id, name;
  absl::Time created_at;
};
class ApiKeyService {
 public:
  virtual ~ApiKeyService() = default;
  virtual absl::StatusOr<NewApiKey> Create(const Caller& caller, const std::string& name) = 0;
  virtual absl::StatusOr<std::vector<ApiKeyView>> List() = 0;
  virtual absl::Status Delete(const Caller& caller, const std::string& id) = 0;
  // Unauthenticated without saying why. Fast: positive answers are cached for at most 5 s.
  virtual absl::StatusOr<Caller> Authenticate(std::string_view bearer) = 0;
};

struct AuditEntry {
  int64_t id = 0;
  absl::Time created_at;
  std::string action;  // "CLUSTER_CREATE", "CMEK_ENABLE", "CMEK_ROTATE", "CMEK_REVOKE", "CMEK_RESTORE", "CLUSTER_DELETE", "AGENT_JOIN",
                       // "AGENT_RENEW", "AGENT_CERTIFICATE_ENDED" (the renewed one was used, so the one before opens nothing any more),
                       // "API_KEY_CREATE", "KEK_STORED", "VOLUME_BOUND", "NODE_DELETED", …
  std::string source;  // "API" (an API key), "CLI" (a command on the server's host) or "INTERNAL" (a host, or the server itself); of the
                       // kind of caller, so no name can forge it
  std::string actor, remote;
  std::string cluster_id, cluster_name;
  std::string payload;  // JSON: what was asked, without secrets
  std::string error;    // for refused changes; empty otherwise
};

struct ControlCounts {  // for /metrics
  std::map<std::string, int64_t> clusters_by_state, regions_by_cmek_status;
  int64_t agents = 0, agents_silent = 0;  // silent: not heard of for 60 s
  int64_t strays = 0;                     // of all hosts; of one host at most kMostStrays are counted
};

struct ControlOptions {
  std::string database;                 // path of the SQLite file, 0600
  RootKey escrow;                       // the operator's own key for clusters without CMEK; external_id is filled in
  std::string account_id = "latchkey";  // shown as the cloud account that owners should trust
  absl::Duration key_test_timeout = absl::Seconds(20);
  bool rewrap_new_versions = false;  // regions follow new versions of their owner's key by themselves; see control/rewraps.h
  std::vector<std::string> server_names = {"localhost", "127.0.0.1"};  // for the agent listener's certificate
  Clock* clock = &Clock::Real();
  Random* random = &Random::System();
};

class Control {
 public:
  // Opens or creates the database, runs migrations, makes organization, CA and agent listener certificate on first use. Two servers on one
  // SQLite file are refused (a lock is held).
  static absl::StatusOr<std::unique_ptr<Control>> Open(ControlOptions options);
  virtual ~Control() = default;
  virtual ClusterService& clusters() = 0;
  virtual CmekService& cmek() = 0;
  virtual AgentService& agents() = 0;
  virtual ApiKeyService& api_keys() = 0;
  virtual absl::StatusOr<std::vector<AuditEntry>> Audit(int64_t after_id, int limit) = 0;
  virtual std::string organization_id() const = 0;
  // PEM of the agent listener (chain, key) and the CA that signs agents.
  virtual std::string agent_listener_certificate_pem() const = 0;
  virtual std::string agent_listener_key_pem() const = 0;
  virtual absl::StatusOr<ControlCounts> Counts() = 0;
  virtual absl::Status Ready() = 0;  // the store answers
  virtual void Stop() = 0;           // answers all parked syncs
};

}  // namespace latchkey
