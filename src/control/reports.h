// What a host's report of one node changes in the store.
#pragma once

#include <string>

#include "control/core.h"
#include "control/model.h"
#include "protocol/node.h"

namespace latchkey {

// The report as it is stored and compared: without the minted KEK (a record of its own), and with texts cut to 2,048 bytes.
std::string StoredForm(ObservedNode observed);

// Whether this report says anything that the store does not have yet. Nothing is written for one that does not.
bool IsNews(const ClusterModel& cluster, const RegionModel& region, const NodeModel& node, const ObservedNode& observed);

// Whether the report says that nothing is left of a deleted cluster's node on its host.
bool IsGone(const ClusterModel& cluster, const RegionModel& region, const NodeModel& node, const ObservedNode& observed);

// Applies it inside the transaction that loaded the model:
// - the volume's id, once and for all;
// - the first KEK minted for the generation and root key that are desired; any other is ignored and logged;
// - a host that accepted higher generations than the server's raises the server's, and its revoked mark revokes here (a server restored
// from an old copy must
//   not undo a revocation);
// - a deleted volume of a deleted cluster: the node is gone.
// `region` and `node` are parts of `cluster`.
absl::Status ApplyReport(Core& core, Transaction& tx, ClusterModel& cluster, RegionModel& region, NodeModel& node,
                         const ObservedNode& observed, const AgentRow& agent);

}  // namespace latchkey
