#include "cli/deletion.h"

#include <absl/strings/numbers.h>

#include "base/status.h"

namespace latchkey {
namespace {

constexpr std::string_view kAction = "AUDIT_LOG_ACTION_";
// Entries carry what was asked for, so many of them would be more than the client accepts at once.
constexpr int kPage = 200;

int64_t NumberOf(const json::object& object, std::string_view name) {
  int64_t number = 0;
  return absl::SimpleAtoi(TextOf(object, name), &number) ? number : 0;
}

}  // namespace

absl::StatusOr<Deletion> Deletion::Expect(const ApiClient& client, const std::string& cluster_id) {
  Deletion deletion(cluster_id);
  // In this order: what happens between the two questions is read by the first look.
  ASSIGN_OR_RETURN(const json::object newest, client.Get("/api/v1/auditlogevents?sort_order=DESC&limit=1"));
  const absl::StatusOr<json::object> nodes = client.Get("/api/v1/latchkey/clusters/" + cluster_id + "/nodes");
  if (absl::IsNotFound(nodes.status())) return deletion;
  RETURN_IF_ERROR(nodes.status());
  for (const json::value& v : ArrayOf(newest, "entries")) {
    if (v.is_object()) deletion.seen_ = std::max(deletion.seen_, NumberOf(v.get_object(), "id"));
  }
  for (const json::value& v : ArrayOf(*nodes, "nodes")) {
    if (!v.is_object()) continue;
    const json::object& node = v.get_object();
    const json::object* volume = ObjectOf(node, "volume");
    // Without a volume there is nothing to remove; one that is made meanwhile is entered in the log.
    if (volume == nullptr || TextOf(*volume, "state") == "NONE") continue;
    deletion.left_[TextOf(node, "id")] = {TextOf(node, "name"), TextOf(node, "host"), ""};
  }
  return deletion;
}

void Deletion::Apply(const json::object& entry) {
  std::string_view action = "";
  const std::string word = TextOf(entry, "action");
  if (word.starts_with(kAction)) action = std::string_view(word).substr(kAction.size());
  // Refused attempts are entries, too.
  if (!TextOf(entry, "error").empty()) return;
  const auto payload = ParseJsonObject(TextOf(entry, "payload"));
  if (!payload.ok()) return;
  if (action == "AGENT_REMOVE") {
    const std::string agent = TextOf(*payload, "agent"), host = TextOf(*payload, "hostname");
    for (const auto& [id, node] : left_) {
      if (abandoned_.empty() && (node.agent.empty() ? node.host == host : node.agent == agent)) abandoned_ = node.name + " on " + host;
    }
    return;
  }
  if (TextOf(entry, "cluster_id") != cluster_id_) return;
  const std::string id = TextOf(*payload, "node");
  if (action == "VOLUME_BOUND") {
    Node& node = left_[id];
    if (node.name.empty()) node.name = "node " + id;
    node.agent = TextOf(*payload, "agent");
  } else if (action == "NODE_DELETED") {
    left_.erase(id);
  }
}

std::string Deletion::Waiting() const {
  std::string out;
  for (const auto& [id, node] : left_) {
    out += out.empty() ? "" : ", ";
    out += node.name + (node.host.empty() ? "" : " on " + node.host);
  }
  return out;
}

absl::StatusOr<bool> Deletion::Look(const ApiClient& client, std::string& progress) {
  // What the server forgot has no data that anybody knows of.
  const auto cluster = client.Get("/api/v1/clusters/" + cluster_id_);
  if (absl::IsNotFound(cluster.status())) return true;
  RETURN_IF_ERROR(cluster.status());
  const std::string state = TextOf(*cluster, "state");
  for (bool more = true; more;) {
    ASSIGN_OR_RETURN(const json::object page, client.Get(absl::StrCat("/api/v1/latchkey/audit?limit=", kPage, "&after_id=", seen_)));
    const int64_t next = NumberOf(page, "next_after_id");
    for (const json::value& v : ArrayOf(page, "entries")) {
      if (v.is_object()) Apply(v.get_object());
    }
    more = next > seen_;
    seen_ = std::max(seen_, next);
  }
  progress = state + (left_.empty() ? "" : ", data left: " + Waiting());
  if (left_.empty()) return state == "DELETED";
  if (abandoned_.empty()) return false;
  return FailedPrecondition("data may be left: the host of ", abandoned_, " was removed before it had reported the data as deleted");
}

}  // namespace latchkey
