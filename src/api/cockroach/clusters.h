// Clusters, nodes and regions on the wire.
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "control/services.h"

namespace latchkey::cockroach {

// CreateClusterRequest. Fields that official clients send and that have no meaning here are accepted and left alone (hardware is kept and
// given back, see clusters.cc). What would be a promise that nobody keeps is Unimplemented: plans other than ADVANCED, spec.serverless,
// spec.customer_cloud_account, restrict_egress_traffic: true. `plan` may stand at the top or in `spec`. InvalidArgument with the field's
// path.
absl::StatusOr<CreateCluster> ParseCreateCluster(std::string_view body);

// UpdateClusterSpecification, of which {"delete_protection": "ENABLED" or "DISABLED"} is built: true for ENABLED. Unimplemented, with the
// field's name, for anything else that a cluster of the original can be changed in, and for nothing at all.
absl::StatusOr<bool> ParseDeleteProtection(std::string_view body);

// Cluster. `nodes` fill the DNS names; without them these are empty.
boost::json::object ClusterJson(const ClusterView& cluster, const std::vector<NodeView>& nodes = {});

boost::json::object NodeJson(const NodeView& node);
// Our own, with what the host reports of the volume, the engine and the lease.
boost::json::object NodeDetailsJson(const NodeView& node);
boost::json::object RegionJson(const RegionView& region);

// 36 characters of lower or upper-case hex and dashes, as cluster ids are.
bool IsUuid(std::string_view text);

}  // namespace latchkey::cockroach
