#include "emulator/vault/policy.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "base/status.h"
#include "emulator/arn.h"

namespace latchkey::emulator::vault {
namespace json = boost::json;
namespace {

constexpr std::array<std::string_view, 8> kCapabilities = {"create", "read", "update", "delete", "list", "patch", "sudo", "deny"};

absl::Status CheckPattern(std::string_view path) {
  if (path.empty() || path.size() > 512 || path.front() == '/' || Quotable(path, 512) != path)
    return InvalidArgument("rules: a path is 1 to 512 printable characters and does not begin with /");
  const size_t star = path.find('*');
  if (star != std::string_view::npos && star + 1 != path.size()) return InvalidArgument("rules: * stands at the end of a path only");
  return absl::OkStatus();
}

// The vendor's order of particularity: the later the first wildcard the better, no "*" before one, fewer "+", then length and text.
auto Rank(const std::string& pattern) {
  const size_t plus = pattern.find("+");
  const size_t star = pattern.find('*');
  const bool open = star != std::string::npos;
  return std::tuple(std::min(plus, star), !open, -std::count(pattern.begin(), pattern.end(), '+'), pattern.size(), pattern);
}

}  // namespace

absl::StatusOr<PathPolicy> PathPolicy::Parse(const json::object& rules) {
  PathPolicy policy;
  if (rules.size() > kMostRules) return InvalidArgument("rules: at most ", kMostRules, " paths");
  for (const auto& [key, list] : rules) {
    const std::string path(key.data(), key.size());
    RETURN_IF_ERROR(CheckPattern(path));
    if (!list.is_array()) return InvalidArgument("rules: ", path, ": must be a list of capabilities");
    Capabilities& capabilities = policy.rules_[path];
    for (const json::value& item : list.get_array()) {
      const std::string word = item.is_string() ? std::string(item.get_string()) : "";
      if (std::find(kCapabilities.begin(), kCapabilities.end(), word) == kCapabilities.end())
        return InvalidArgument("rules: ", path, ": create, read, update, delete, list, patch, sudo or deny");
      capabilities.insert(word);
    }
  }
  return policy;
}

json::object PathPolicy::ToJson() const {
  json::object out;
  for (const auto& [path, capabilities] : rules_) out[path] = json::array(capabilities.begin(), capabilities.end());
  return out;
}

absl::Status PathPolicy::Deny(const std::string& path) {
  RETURN_IF_ERROR(CheckPattern(path));
  if (denied_.size() >= kMostRules) return absl::ResourceExhaustedError("path: too many are denied");
  denied_.insert(path);
  return absl::OkStatus();
}

bool PathPolicy::Undeny(const std::string& path) { return denied_.erase(path) > 0; }

bool PathMatches(std::string_view pattern, std::string_view path) {
  const bool open = !pattern.empty() && pattern.back() == '*';
  if (open) pattern.remove_suffix(1);
  while (!pattern.empty()) {
    if (pattern.front() == '+') {
      const size_t segment = std::min(path.find('/'), path.size());
      if (segment == 0) return false;
      path.remove_prefix(segment);
    } else {
      if (path.empty() || path.front() != pattern.front()) return false;
      path.remove_prefix(1);
    }
    pattern.remove_prefix(1);
  }
  return open || path.empty();
}

Capabilities CapabilitiesOn(std::string_view path, const std::vector<const PathPolicy*>& policies) {
  const std::string* best = nullptr;
  for (const PathPolicy* policy : policies) {
    for (const std::string& denied : policy->denied()) {
      if (PathMatches(denied, path)) return {"deny"};
    }
    for (const auto& [pattern, capabilities] : policy->rules()) {
      if (PathMatches(pattern, path) && (best == nullptr || Rank(*best) < Rank(pattern))) best = &pattern;
    }
  }
  Capabilities all;
  if (best == nullptr) return all;
  for (const PathPolicy* policy : policies) {
    const auto found = policy->rules().find(*best);
    if (found != policy->rules().end()) all.insert(found->second.begin(), found->second.end());
  }
  return all.contains("deny") ? Capabilities{"deny"} : all;
}

}  // namespace latchkey::emulator::vault
