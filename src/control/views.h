// The answers of the services, built from a model.
#pragma once

#include "control/core.h"

namespace latchkey {

CmekView MakeCmekView(const Core& core, const ClusterModel& model);
ClusterView MakeClusterView(const Core& core, const ClusterModel& model);
std::vector<NodeView> MakeNodeViews(const Core& core, const ClusterModel& model, const std::string& region);

}  // namespace latchkey
