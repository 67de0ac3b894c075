#include "control/agent_service.h"

#include <absl/cleanup/cleanup.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "base/status.h"
#include "base/utf8.h"
#include "control/desired.h"
#include "control/reports.h"
#include "control/strays.h"
#include "crypto/digest.h"

namespace latchkey {
namespace {

constexpr absl::Duration kTokenLife = absl::Hours(1);
constexpr absl::Duration kCertificateLife = absl::Hours(24 * 365);
// The store learns when a host was heard of at most this often: polls come twice a minute from every host, and each write is an fsync.
constexpr absl::Duration kHeardEvery = absl::Seconds(30);
// A refused join is anybody's to cause, and an audit entry stays for ever: at most one entry this often, which counts the others.
constexpr absl::Duration kRefusedJoinsEvery = absl::Minutes(1);
constexpr size_t kPastBoots = 8;
constexpr size_t kMostWarnings = 20;
constexpr int64_t kMostVersion = int64_t{1} << 53;

// One answer for everything that is wrong with a token, so that guessing teaches nothing.
absl::Status BadToken() { return absl::UnauthenticatedError("the join token is unknown, was used or has expired"); }
absl::Status NotAnAgent() { return absl::UnauthenticatedError("this certificate belongs to no agent that has joined, or it was removed"); }

absl::Status CheckJoin(const JoinRequest& request) {
  const auto fits = [](std::string_view text, size_t most, bool dots) {
    return !text.empty() && text.size() <= most && std::all_of(text.begin(), text.end(), [&](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
             (dots && ((c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == ':'));
    });
  };
  if (!fits(request.region, 64, false)) return InvalidArgument("region: must be 1 to 64 lower-case letters, digits and dashes");
  if (!fits(request.hostname, 255, true)) return InvalidArgument("hostname: must be a host name");
  if (!request.advertise_host.empty() && !fits(request.advertise_host, 255, true))
    return InvalidArgument("advertise_host: must be a host name or an address");
  return absl::OkStatus();
}

bool IsTokenId(std::string_view id) {
  return id.size() == 16 && std::all_of(id.begin(), id.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string Sha256Hex(std::string_view text) { return HexEncode(Sha256(text)); }

// Takes the report's place in the agent's series of boots and numbers. False for one that was overtaken.
bool TakesItsTurn(const SyncRequest& request, AgentRow& agent) {
  if (request.boot_id.empty() || request.boot_id.size() > 64 || request.boot_id.find(' ') != std::string::npos) return false;
  if (request.boot_id == agent.boot_id) {
    if (request.sequence <= agent.sequence) return false;
    agent.sequence = request.sequence;
    return true;
  }
  std::vector<std::string> past = absl::StrSplit(agent.past_boots, ' ', absl::SkipEmpty());
  if (std::find(past.begin(), past.end(), request.boot_id) != past.end()) return false;
  if (!agent.boot_id.empty()) past.insert(past.begin(), agent.boot_id);
  if (past.size() > kPastBoots) past.resize(kPastBoots);
  agent.past_boots = absl::StrJoin(past, " ");
  agent.boot_id = request.boot_id;
  agent.sequence = request.sequence;
  return true;
}

std::string WarningsText(const std::vector<std::string>& warnings) {
  json::array list;
  for (const std::string& warning : warnings) {
    if (list.size() >= kMostWarnings) break;
    list.emplace_back(CutUtf8(warning, 500));
  }
  return json::serialize(list);
}

class Service : public FlushableAgentService {
 public:
  explicit Service(Core& core) : core_(core) {}

  absl::StatusOr<JoinToken> CreateJoinToken(const Caller& caller) override {
    ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(core_.ca.certificate_pem));
    JoinToken token{.id = RandomHex(*core_.options.random, 8),
                    .secret = Base64UrlEncode(core_.options.random->Bytes(32)),
                    .ca_sha256 = facts.sha256_hex};
    const absl::Time now = core_.Now();
    if (const absl::Status done = core_.database->Write([&](Transaction& tx) -> absl::Status {
          JoinTokens tokens(tx);
          RETURN_IF_ERROR(tokens.DeleteExpired(now));
          RETURN_IF_ERROR(tokens.Insert({token.id, Sha256Hex(token.secret), ActorName(caller), now, now + kTokenLife, std::nullopt}));
          return core_.Audit(tx, caller, "JOIN_TOKEN_CREATE", nullptr, {{"token", token.id}});
        });
        !done.ok())
      return done;
    return token;
  }

  absl::StatusOr<JoinResponse> Join(const JoinRequest& request, const std::string& remote) override {
    if (!IsTokenId(request.token_id)) return BadToken();
    auto response = TryJoin(request, remote);
    if (!response.ok()) RefusedJoin(request, remote, response.status());
    return response;
  }

  void Sync(const std::string& agent_id, const std::string& serial_hex, SyncRequest request,
            std::function<void(absl::StatusOr<SyncResponse>)> done) override {
    if (const absl::Status status = Admit(agent_id, serial_hex); !status.ok()) return done(status);
    const uint64_t ticket = core_.hub.Ticket(agent_id);
    if (const absl::Status status = Take(agent_id, request); !status.ok()) return done(status);
    const bool news = core_.directory.Version(agent_id) > request.seen_version || core_.key_tests.Due(agent_id);
    if (news || request.wait_ms <= 0) return done(MakeAnswer(agent_id));
    core_.hub.Park(agent_id, ticket, absl::Milliseconds(std::min(request.wait_ms, kMaxSyncWaitMs)),
                   [this, agent_id, done = std::move(done)] { done(MakeAnswer(agent_id)); });
  }

  absl::StatusOr<std::string> Renew(const std::string& agent_id, const std::string& serial_hex, const std::string& request_pem) override {
    RETURN_IF_ERROR(Admit(agent_id, serial_hex));
    ASSIGN_OR_RETURN(const auto issued, Issue(agent_id, request_pem));
    std::lock_guard lock(serials_mutex_);
    // Looked at again under the lock: what settled meanwhile must not come back as a previous one.
    const auto agent = core_.directory.Find(agent_id);
    if (!agent || agent->removed_at || (serial_hex != agent->serial && serial_hex != agent->previous_serial)) return NotAnAgent();
    if (const absl::Status done = core_.database->Write([&](Transaction& tx) -> absl::Status {
          RETURN_IF_ERROR(Agents(tx).UpdateSerials(agent_id, issued.second, serial_hex));
          return core_.Audit(tx, AgentCaller(agent_id), "AGENT_RENEW", nullptr, {{"serial", issued.second}});
        });
        !done.ok())
      return done;
    core_.directory.SetSerials(agent_id, issued.second, serial_hex);
    return issued.first;
  }

  absl::StatusOr<std::vector<AgentView>> List() override {
    std::vector<AgentView> views;
    std::vector<AgentRow> rows = core_.directory.List();
    if (const absl::Status done = core_.database->Read([&](Transaction& tx) -> absl::Status {
          for (const AgentRow& row : rows) {
            AgentView& view = views.emplace_back();
            view.id = row.id;
            view.hostname = row.hostname;
            view.region = row.region;
            view.advertise_host = row.advertise_host;
            view.joined_at = row.joined_at;
            view.last_heard = row.last_heard;
            view.version = row.version;
            ASSIGN_OR_RETURN(const int64_t count, Nodes(tx).CountOfAgent(row.id));
            view.node_count = static_cast<int>(count);
            view.strays = StraysOf(row);
            if (!view.strays.empty()) view.warnings.push_back(StraysWarning(view.strays.size()));
            const auto warnings = ParseJson(row.warnings);
            if (!warnings.ok() || !warnings->is_array()) continue;
            for (const json::value& warning : warnings->get_array()) {
              if (const json::string* text = warning.if_string()) view.warnings.emplace_back(*text);
            }
          }
          return absl::OkStatus();
        });
        !done.ok())
      return done;
    return views;
  }

  absl::Status Remove(const Caller& caller, const std::string& agent_id) override {
    const absl::Time now = core_.Now();
    const absl::Status status = core_.database->Write([&](Transaction& tx) -> absl::Status {
      ASSIGN_OR_RETURN(const auto agent, Agents(tx).Find(agent_id));
      if (!agent || agent->removed_at) return NotFound("agent '", CutUtf8(agent_id, 64), "' not found");
      ASSIGN_OR_RETURN(const int64_t live, Nodes(tx).CountLiveOfAgent(agent_id));
      if (live > 0) return FailedPrecondition("host ", agent->hostname, " still has ", live, " nodes; delete their clusters first");
      RETURN_IF_ERROR(Nodes(tx).SetAllGone(agent_id));
      RETURN_IF_ERROR(Agents(tx).Remove(agent_id, now));
      return core_.Audit(tx, caller, "AGENT_REMOVE", nullptr, {{"agent", agent_id}, {"hostname", agent->hostname}});
    });
    if (!status.ok()) {
      core_.AuditRefusal(caller, "AGENT_REMOVE", "", {{"agent", CutUtf8(agent_id, 64)}}, status);
      return status;
    }
    core_.directory.SetRemoved(agent_id, now);
    core_.hub.Notify(agent_id);  // a parked poll of it ends with a refusal
    return absl::OkStatus();
  }

  std::string ca_pem() const override { return core_.ca.certificate_pem; }

  void Flush() override {
    const absl::Status status = core_.database->Write([&](Transaction& tx) -> absl::Status {
      for (const AgentRow& row : core_.directory.List()) RETURN_IF_ERROR(Agents(tx).UpdateHeard(row));
      return absl::OkStatus();
    });
    if (!status.ok())
      Log(LogLevel::kWarning, "when hosts were heard of could not be written down", {{"error", std::string(status.message())}});
  }

 private:
  static Caller JoinCaller(const JoinRequest& request, const std::string& remote) {
    return {.api_key_id = absl::StrCat("join token ", request.token_id), .name = "", .remote = remote};
  }

  void RefusedJoin(const JoinRequest& request, const std::string& remote, const absl::Status& status) {
    int64_t refused = 0;
    {
      std::lock_guard lock(refused_mutex_);
      ++refused_joins_;
      const absl::Time now = core_.Now();
      if (now >= refused_noted_ && now - refused_noted_ < kRefusedJoinsEvery) return;
      refused_noted_ = now;
      refused = std::exchange(refused_joins_, 0);
    }
    // The count is of all since the entry before, this one with them.
    const json::object payload = {
        {"hostname", CutUtf8(request.hostname, 255)}, {"region", CutUtf8(request.region, 64)}, {"refused", refused}};
    Log(LogLevel::kWarning, "joins were refused", {{"remote", remote}, {"refused", refused}});
    core_.AuditRefusal(JoinCaller(request, remote), "AGENT_JOIN", "", payload, status);
  }

  // Certificate and serial.
  absl::StatusOr<std::pair<std::string, std::string>> Issue(const std::string& agent_id, const std::string& request_pem) {
    auto pem = IssueFromRequest(core_.ca, request_pem,
                                {.common_name = agent_id, .for_client = true, .now = core_.Now(), .valid = kCertificateLife});
    if (!pem.ok()) return Prefixed(pem.status(), "request_pem");
    ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(*pem));
    return std::make_pair(*std::move(pem), facts.serial_hex);
  }

  absl::StatusOr<JoinResponse> TryJoin(const JoinRequest& request, const std::string& remote) {
    RETURN_IF_ERROR(CheckJoin(request));
    const absl::Time now = core_.Now();
    AgentRow agent{.id = NewUuid(*core_.options.random),
                   .hostname = request.hostname,
                   .region = request.region,
                   .advertise_host = request.advertise_host.empty() ? request.hostname : request.advertise_host,
                   .joined_at = now};
    JoinResponse response{.agent_id = agent.id, .organization = core_.organization, .ca_pem = core_.ca.certificate_pem};
    if (const absl::Status done = core_.database->Write([&](Transaction& tx) -> absl::Status {
          JoinTokens tokens(tx);
          ASSIGN_OR_RETURN(const auto token, tokens.Find(request.token_id));
          const std::string given = Sha256Hex(request.token_secret);
          if (!token || !EqualInConstantTime(AsBytes(token->secret_sha256), AsBytes(given))) return BadToken();
          ASSIGN_OR_RETURN(const bool used, tokens.Use(token->id, now));
          if (!used) return BadToken();
          ASSIGN_OR_RETURN(auto issued, Issue(agent.id, request.request_pem));
          response.certificate_pem = issued.first;
          agent.serial = issued.second;
          RETURN_IF_ERROR(Agents(tx).Insert(agent));
          return core_.Audit(tx, JoinCaller(request, remote), "AGENT_JOIN", nullptr,
                             {{"agent", agent.id}, {"hostname", agent.hostname}, {"region", agent.region}});
        });
        !done.ok())
      return done;
    core_.directory.Put(agent);
    return response;
  }

  absl::Status Admit(const std::string& agent_id, const std::string& serial_hex) {
    const auto agent = core_.directory.Find(agent_id);
    if (!agent || agent->removed_at || serial_hex.empty()) return NotAnAgent();
    if (serial_hex == agent->serial) return agent->previous_serial.empty() ? absl::OkStatus() : Settle(agent_id, serial_hex);
    if (serial_hex == agent->previous_serial) return absl::OkStatus();
    return NotAnAgent();
  }

  // The host has its new certificate: the one before opens nothing any more.
  absl::Status Settle(const std::string& agent_id, const std::string& serial_hex) {
    std::lock_guard lock(serials_mutex_);
    const auto agent = core_.directory.Find(agent_id);
    if (!agent || agent->removed_at || agent->serial != serial_hex) return NotAnAgent();
    if (agent->previous_serial.empty()) return absl::OkStatus();
    const absl::Status done = core_.database->Write([&](Transaction& tx) -> absl::Status {
      RETURN_IF_ERROR(Agents(tx).UpdateSerials(agent_id, serial_hex, ""));
      return core_.Audit(tx, AgentCaller(agent_id), "AGENT_CERTIFICATE_ENDED", nullptr,
                         {{"serial", agent->previous_serial}, {"renewed", serial_hex}});
    });
    if (done.ok()) core_.directory.SetSerials(agent_id, serial_hex, "");
    return done;
  }

  // Everything that the request says, before anything is answered.
  absl::Status Take(const std::string& agent_id, const SyncRequest& request) {
    const auto turn = core_.directory.SyncTurn(agent_id);
    const absl::Cleanup leave = [&] { --turn->inside; };
    if (++turn->inside > 2) return Unavailable("another sync of this host is being worked on and a second one waits; try again");
    std::lock_guard lock(turn->mutex);
    if (request.seen_version < 0 || request.seen_version > kMostVersion) return InvalidArgument("seen_version: must be 0 to 2^53");
    for (const KeyVerdict& verdict : request.verdicts) core_.key_tests.Deliver(agent_id, verdict);
    std::optional<AgentRow> agent = core_.directory.Find(agent_id);
    if (!agent) return NotAnAgent();
    // First of all: what the reports change must end above what the host has seen.
    if (request.seen_version > agent->desired_version) RETURN_IF_ERROR(CatchUpVersion(*agent, request.seen_version));
    const AgentRow before = *agent;
    const bool in_turn = TakesItsTurn(request, *agent);
    std::vector<std::string> changed;  // clusters
    agent->last_heard = core_.Now();
    if (in_turn) {
      if (!request.hostname.empty()) agent->hostname = CutUtf8(request.hostname, 255);
      if (!request.advertise_host.empty()) agent->advertise_host = CutUtf8(request.advertise_host, 255);
      agent->version = CutUtf8(request.agent_version, 64);
      agent->warnings = WarningsText(request.warnings);
      RETURN_IF_ERROR(TakeReports(*agent, request, changed));
    }
    RETURN_IF_ERROR(StoreHeard(before, *agent));
    core_.directory.SetHeard(*agent);
    for (const std::string& cluster_id : changed) core_.on_news(cluster_id);
    return absl::OkStatus();
  }

  absl::Status TakeReports(AgentRow& agent, const SyncRequest& request, std::vector<std::string>& changed) {
    std::map<std::string, std::string> places;  // node → cluster
    if (const absl::Status done = core_.database->Read([&](Transaction& tx) -> absl::Status {
          ASSIGN_OR_RETURN(const auto own, Nodes(tx).OfAgent(agent.id));
          for (const Nodes::Place& place : own) places[place.node_id] = place.cluster_id;
          return absl::OkStatus();
        });
        !done.ok())
      return done;
    std::map<std::string, std::vector<const ObservedNode*>> news;  // by cluster
    Strays strays;
    for (const ObservedNode& observed : request.nodes) {
      const auto place = places.find(observed.node_id);
      if (place == places.end()) {
        strays.Add(observed);
        continue;
      }
      ASSIGN_OR_RETURN(const auto snapshot, core_.snapshots->Get(place->second));
      auto* model = const_cast<ClusterModel*>(snapshot.get());  // only to find the parts; nothing is changed
      const auto found = model->FindNode(observed.node_id);
      if (found.node != nullptr && IsNews(*model, *found.region, *found.node, observed)) news[place->second].push_back(&observed);
    }
    strays.Keep(agent);
    for (const auto& [cluster_id, reports] : news) {
      const absl::Status status = core_.ChangeCluster(cluster_id, [&](Transaction& tx, ClusterModel& model) -> absl::Status {
        for (const ObservedNode* observed : reports) {
          const auto found = model.FindNode(observed->node_id);
          if (found.node == nullptr || found.node->row.agent_id != agent.id) continue;
          RETURN_IF_ERROR(ApplyReport(core_, tx, model, *found.region, *found.node, *observed, agent));
        }
        return absl::OkStatus();
      });
      if (!status.ok()) return status;
      changed.push_back(cluster_id);
    }
    return absl::OkStatus();
  }

  absl::Status StoreHeard(const AgentRow& before, const AgentRow& now) {
    const bool changed = before.boot_id != now.boot_id || before.hostname != now.hostname || before.advertise_host != now.advertise_host ||
                         before.warnings != now.warnings || before.strays != now.strays || before.version != now.version;
    {
      std::lock_guard lock(heard_mutex_);
      absl::Time& stored = heard_stored_.try_emplace(now.id, absl::InfinitePast()).first->second;
      if (!changed && *now.last_heard - stored < kHeardEvery && *now.last_heard >= stored) return absl::OkStatus();
      stored = *now.last_heard;
    }
    return core_.database->Write([&](Transaction& tx) { return Agents(tx).UpdateHeard(now); });
  }

  // The host has seen a higher version than ours: the store is an old copy. Versions must rise for it all the same, or it would sleep
  // through changes.
  absl::Status CatchUpVersion(const AgentRow& agent, int64_t seen) {
    int64_t version = 0;
    if (const absl::Status done = core_.database->Write([&](Transaction& tx) -> absl::Status {
          ASSIGN_OR_RETURN(version, Agents(tx).RaiseVersion(agent.id, seen + 1));
          return absl::OkStatus();
        });
        !done.ok())
      return done;
    core_.directory.RaiseVersion(agent.id, version);
    return absl::OkStatus();
  }

  absl::StatusOr<SyncResponse> MakeAnswer(const std::string& agent_id) {
    // That a host was told to open is written down before it is told, or a revocation could forget to wait for it. What was written is read
    // again: the cluster may have been revoked or deleted in between.
    for (int round = 0; round < 10; ++round) {
      const auto agent = core_.directory.Find(agent_id);
      if (!agent || agent->removed_at) return NotAnAgent();
      SyncResponse response;
      response.version = agent->desired_version;  // before the nodes: what is newer than it is sent again
      std::vector<Nodes::Place> first_time;
      RETURN_IF_ERROR(AddNodes(agent_id, response, first_time));
      if (first_time.empty()) {
        response.key_tests = core_.key_tests.Hand(agent_id);
        return response;
      }
      if (const absl::Status done = core_.database->Write([&](Transaction& tx) -> absl::Status {
            for (const Nodes::Place& place : first_time) RETURN_IF_ERROR(Nodes(tx).SetToldOpen(place.node_id));
            return absl::OkStatus();
          });
          !done.ok())
        return done;
      for (const Nodes::Place& place : first_time) core_.snapshots->Invalidate(place.cluster_id);
    }
    return Unavailable("the state of this host changes too fast; try again");
  }

  absl::Status AddNodes(const std::string& agent_id, SyncResponse& response, std::vector<Nodes::Place>& first_time) {
    std::vector<Nodes::Place> places;
    if (const absl::Status done = core_.database->Read([&](Transaction& tx) -> absl::Status {
          ASSIGN_OR_RETURN(places, Nodes(tx).OfAgent(agent_id));
          return absl::OkStatus();
        });
        !done.ok())
      return done;
    for (const Nodes::Place& place : places) {
      ASSIGN_OR_RETURN(const auto snapshot, core_.snapshots->Get(place.cluster_id));
      for (const RegionModel& region : snapshot->regions) {
        for (const NodeModel& node : region.nodes) {
          if (node.row.id != place.node_id || node.row.gone) continue;
          DesiredNode desired = BuildDesired(*snapshot, region, node, core_.organization);
          if (LetsOpen(desired) && !node.row.told_open) first_time.push_back(place);
          response.nodes.push_back(std::move(desired));
        }
      }
    }
    return absl::OkStatus();
  }

  Core& core_;
  std::mutex serials_mutex_;
  std::mutex refused_mutex_;
  int64_t refused_joins_ = 0;  // that no entry counts yet
  absl::Time refused_noted_ = absl::InfinitePast();
  std::mutex heard_mutex_;
  std::map<std::string, absl::Time> heard_stored_;
};

}  // namespace

std::unique_ptr<FlushableAgentService> MakeAgentService(Core& core) { return std::make_unique<Service>(core); }

}  // namespace latchkey
