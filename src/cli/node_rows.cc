#include "cli/node_rows.h"

#include "cli/api_client.h"

namespace latchkey {
namespace {

std::string Inner(const json::object& node, std::string_view object, std::string_view name) {
  const json::object* inner = ObjectOf(node, object);
  return inner == nullptr ? "" : TextOf(*inner, name);
}

}  // namespace

std::vector<std::string> NodeHeader() {
  return {"NAME", "REGION", "STATUS", "HOST", "ENDPOINT", "VOLUME", "ENGINE", "LEASE UNTIL", "PROBLEM"};
}

std::vector<std::string> NodeRow(const json::object& node) {
  const std::string host = Inner(node, "endpoint", "host");
  return {TextOf(node, "name"),
          TextOf(node, "region_name"),
          TextOf(node, "status"),
          TextOf(node, "host"),
          host.empty() ? "" : host + ":" + Inner(node, "endpoint", "port"),
          Inner(node, "volume", "state"),
          Inner(node, "engine", "state"),
          TextOf(node, "lease_end"),
          TextOf(node, "problem")};
}

std::string NodeProgress(const json::object& node) {
  std::string out = TextOf(node, "name") + ": volume " + Inner(node, "volume", "state") + ", engine " + Inner(node, "engine", "state");
  if (const std::string problem = TextOf(node, "problem"); !problem.empty()) out += ": " + problem;
  return out;
}

}  // namespace latchkey
