// Stray nodes: those that a host has and the server does not name there. Nothing is deleted by silence, so a host leaves them as they are
// and reports them with the others; here they are only remembered, for people to look at.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "protocol/node.h"
#include "store/agents.h"

namespace latchkey {

// Those of one report. What a host sends is bounded here: kMostStrays ids (the first in order, whatever order they come in) of at most 64
// bytes of printable ASCII.
class Strays {
 public:
  // `observed` is a node that the server does not name on this host. It counts if there is anything of it.
  void Add(const ObservedNode& observed);
  // Puts them in the place of what the row had. Logged is when a host begins and ceases to have some.
  void Keep(AgentRow& agent) const;

 private:
  std::set<std::string> ids_;
};

// The ids that the row has, in order.
std::vector<std::string> StraysOf(const AgentRow& row);

// One sentence for people about so many.
std::string StraysWarning(size_t count);

}  // namespace latchkey
