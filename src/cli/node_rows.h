// A node of the API's answer as a row for people.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace latchkey {

std::vector<std::string> NodeHeader();
// `node`: an element of GET /api/v1/latchkey/clusters/{id}/nodes.
std::vector<std::string> NodeRow(const json::object& node);
// "<name>: volume OPENING, engine NONE: <problem>", for progress lines.
std::string NodeProgress(const json::object& node);

}  // namespace latchkey
