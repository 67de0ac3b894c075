#include "control/strays.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <iterator>

#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "control/services.h"

namespace latchkey {
namespace {

constexpr size_t kMostId = 64;

// The server lets go of a node once it is deleted, or when it was never made; what cannot be read (a problem) may be anything.
bool IsThere(const ObservedNode& observed) {
  return observed.volume != VolumeState::kDeleted && (observed.volume != VolumeState::kNone || !observed.problem.empty());
}

// Shown to people as it is, on terminals too.
std::string ShownId(std::string_view id) {
  std::string text = CutUtf8(id, kMostId);
  std::replace_if(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return text;
}

}  // namespace

void Strays::Add(const ObservedNode& observed) {
  if (!IsThere(observed)) return;
  ids_.insert(ShownId(observed.node_id));
  if (ids_.size() > kMostStrays) ids_.erase(std::prev(ids_.end()));
}

void Strays::Keep(AgentRow& agent) const {
  std::string text = json::serialize(json::array(ids_.begin(), ids_.end()));
  if (text == agent.strays) return;
  const bool had_some = !StraysOf(agent).empty(), has_some = !ids_.empty();
  agent.strays = std::move(text);
  // Not each change: a host could send others every time.
  if (has_some == had_some) return;
  Log(has_some ? LogLevel::kWarning : LogLevel::kInfo, has_some ? "a host has stray nodes" : "a host has no stray nodes any more",
      {{"host", agent.hostname}, {"agent", agent.id}, {"nodes", agent.strays}});
}

std::vector<std::string> StraysOf(const AgentRow& row) {
  std::vector<std::string> strays;
  const auto list = ParseJson(row.strays);
  if (!list.ok() || !list->is_array()) return strays;
  for (const json::value& id : list->get_array()) {
    if (const json::string* text = id.if_string()) strays.emplace_back(*text);
  }
  return strays;
}

std::string StraysWarning(size_t count) {
  return absl::StrCat(
      count, count >= kMostStrays ? " or more" : "", count == 1 ? " node" : " nodes",
      " on this host that the server does not name (strays): left as found, and never deleted. Look where they come from (a "
      "host that joined again, a server's lost store, a copied disk), and remove them by hand once nobody needs them");
}

}  // namespace latchkey
