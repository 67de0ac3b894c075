// Vault's path policies: what a token may do is the union of its policies' rules for a path; a rule with "deny" wins.
// developer.hashicorp.com/vault/docs/concepts/policies (also OpenBao's).
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace latchkey::emulator::vault {

using Capabilities = std::set<std::string>;

// Path → capabilities. A path may end in "*" (any tail) and have "+" for one segment.
class PathPolicy {
 public:
  static constexpr size_t kMostRules = 200;
  // {"transit/decrypt/k": ["update"], …}. Errors: InvalidArgument that names the path.
  static absl::StatusOr<PathPolicy> Parse(const boost::json::object& rules);
  boost::json::object ToJson() const;

  // Refuses `path` whatever the rules say, until Undeny. ResourceExhausted past kMostRules.
  absl::Status Deny(const std::string& path);
  bool Undeny(const std::string& path);  // false: it was not denied

  const std::map<std::string, Capabilities>& rules() const { return rules_; }
  const std::set<std::string>& denied() const { return denied_; }

 private:
  std::map<std::string, Capabilities> rules_;
  std::set<std::string> denied_;
};

bool PathMatches(std::string_view pattern, std::string_view path);

// What the policies together allow on `path`: empty when nothing does, {"deny"} when a rule that counts says so. Of several patterns that
// match, the most particular counts, wherever it stands.
Capabilities CapabilitiesOn(std::string_view path, const std::vector<const PathPolicy*>& policies);

}  // namespace latchkey::emulator::vault
