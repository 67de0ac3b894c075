// Whether the data of a deleted cluster is gone.
//
// A cluster is DELETED in the API's answers as soon as the order stands, and its nodes cannot be asked for any more; its hosts then stop
// the databases and remove the data, each when it hears of it. The audit log says when: VOLUME_BOUND once a node has a volume, NODE_DELETED
// once the host has reported that nothing of it is left.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <string>

#include "cli/api_client.h"

namespace latchkey {

// Not thread-safe.
class Deletion {
 public:
  // Called before the order. Of a cluster that is deleted already the whole audit log is read, otherwise what comes from now on.
  static absl::StatusOr<Deletion> Expect(const ApiClient& client, const std::string& cluster_id);

  // True when no host has data of the cluster any more; `progress` names the nodes that still do. FailedPrecondition when a host was
  // removed that never said so: nobody will. Reads what came to the audit log since the last look.
  absl::StatusOr<bool> Look(const ApiClient& client, std::string& progress);

 private:
  struct Node {
    std::string name, host, agent;  // the agent's id, or "" while only the host's name is known
  };
  explicit Deletion(std::string cluster_id) : cluster_id_(std::move(cluster_id)) {}
  void Apply(const json::object& entry);
  std::string Waiting() const;

  std::string cluster_id_;
  std::map<std::string, Node> left_;  // by id
  std::string abandoned_;             // the first node whose host was removed
  int64_t seen_ = 0;                  // number of the last audit entry that was read
};

}  // namespace latchkey
