// What a host is told about its nodes.
#pragma once

#include <string>

#include "control/model.h"

namespace latchkey {

// `region` and `node` are parts of `cluster`. The KEKs are those that the node may still need: from the oldest that its last report names
// (all of them when it reported none that is known) up to the newest, and at least the last two.
DesiredNode BuildDesired(const ClusterModel& cluster, const RegionModel& region, const NodeModel& node, const std::string& organization);

// Whether this desired state lets a volume open, if the KMS agrees.
bool LetsOpen(const DesiredNode& desired);

}  // namespace latchkey
