// What the services share: the store, what is kept in memory of it, and the one way in which a cluster is changed.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "control/agent_directory.h"
#include "control/hub.h"
#include "control/key_tests.h"
#include "control/model.h"
#include "control/services.h"
#include "control/snapshots.h"
#include "control/status.h"
#include "crypto/certificate.h"
#include "store/database.h"

namespace latchkey {

struct Core {
  explicit Core(ControlOptions with) : options(std::move(with)) {}

  ControlOptions options;
  std::string organization;
  RootKey escrow;  // with external_id filled in
  CertifiedKey ca;
  std::unique_ptr<Database> database;
  std::unique_ptr<Snapshots> snapshots;
  AgentDirectory directory;
  KeyTests key_tests;
  Hub hub;
  // Called after a report of one of the cluster's hosts changed what is known of it; on the thread of that host's sync, so it must be
  // quick.
  std::function<void(const std::string& cluster_id)> on_news = [](const std::string&) {};

  absl::Time Now() const { return options.clock->Now(); }

  // Loads the cluster, lets `body` change the model's region rows (and the store, for what is not a region row), settles what reports have
  // fulfilled, and commits all of it together. Afterwards the agents concerned hear of it. NotFound when there is no such cluster.
  absl::Status ChangeCluster(const std::string& cluster_id, const std::function<absl::Status(Transaction&, ClusterModel&)>& body);

  // The same for a cluster that `body` makes: it returns the new model's id.
  absl::Status CreateCluster(const std::function<absl::StatusOr<std::string>(Transaction&)>& body);

  // One entry in the transaction of the change that it tells of.
  absl::Status Audit(Transaction& tx, const Caller& caller, std::string_view action, const ClusterRow* cluster,
                     const json::object& payload);
  // An entry of its own for a change that was refused with `status`. What cannot be written is logged: the refusal stands anyway.
  void AuditRefusal(const Caller& caller, std::string_view action, const std::string& cluster_id, const json::object& payload,
                    const absl::Status& status);

  // In the order of model.regions.
  std::vector<RegionStatus> Derive(const ClusterModel& model) const;

 private:
  using Versions = std::map<std::string, int64_t>;  // by agent id
  absl::Status Save(Transaction& tx, ClusterModel& model, Versions& raised);
  void Announce(const std::string& cluster_id, const Versions& raised);
};

// The caller as the audit trail names it: "name (id)", or "local:<user>" for a command on this host.
std::string ActorName(const Caller& caller);
Caller AgentCaller(const std::string& agent_id);

// The refusal of a change that has to wait for the one under way.
absl::Status Busy(const ClusterStatus& status);

// A cluster that is there and not deleted; NotFound otherwise.
absl::StatusOr<std::shared_ptr<const ClusterModel>> LiveCluster(Core& core, const std::string& id);

}  // namespace latchkey
