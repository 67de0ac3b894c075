// AgentService over Core.
#pragma once

#include <memory>

#include "control/core.h"

namespace latchkey {

// What Control needs of it beyond the interface.
class FlushableAgentService : public AgentService {
 public:
  // Writes down when each host was heard of last.
  virtual void Flush() = 0;
};

// `core` outlives it.
std::unique_ptr<FlushableAgentService> MakeAgentService(Core& core);

}  // namespace latchkey
