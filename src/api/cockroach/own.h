// Latchkey's own additions to the dialect, on the wire: hosts, join tokens, API keys.
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "control/services.h"

namespace latchkey::cockroach {

boost::json::object AgentJson(const AgentView& agent);
boost::json::object ApiKeyJson(const ApiKeyView& key);
// With the secret: the one time that it is shown.
boost::json::object NewApiKeyJson(const NewApiKey& key, const std::string& name);
boost::json::object JoinTokenJson(const JoinToken& token);

// {"name": …}, 1–100 characters.
absl::StatusOr<std::string> ParseApiKeyName(std::string_view body);
// Nothing, or an object without fields.
absl::Status ParseEmptyBody(std::string_view body);

}  // namespace latchkey::cockroach
