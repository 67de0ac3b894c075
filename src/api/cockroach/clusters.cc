#include "api/cockroach/clusters.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "base/clock.h"
#include "base/json.h"
#include "base/status.h"
#include "base/utf8.h"
#include "protocol/fields.h"

namespace latchkey::cockroach {
namespace {

constexpr size_t kMostLabels = 64;
constexpr size_t kMostRegions = 100;
constexpr size_t kLongestText = 256;
constexpr size_t kLongestName = 64;

// Declarative clients compare what they read with what they wrote and fail when a machine size comes back as zero. Latchkey does not size
// machines, so it keeps these figures with the cluster, as a label that is not shown, and gives them back as they came.
constexpr std::string_view kHardwareLabel = "latchkey-hardware";

void CheckWord(JsonReader& reader, std::string_view name, const std::string& value, std::initializer_list<std::string_view> words) {
  std::string list;
  for (const std::string_view word : words) {
    if (value == word) return;
    absl::StrAppend(&list, list.empty() ? "" : ", ", ToAbsl(word));
  }
  reader.Fault(name, absl::StrCat("must be one of ", list));
}

bool AsksForNothing(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return true;
    case json::kind::bool_:
      return !value.get_bool();
    case json::kind::int64:
      return value.get_int64() == 0;
    case json::kind::uint64:
      return value.get_uint64() == 0;
    case json::kind::double_:
      return value.get_double() == 0;
    case json::kind::string:
      return value.get_string().empty();
    case json::kind::array:
      return std::all_of(value.get_array().begin(), value.get_array().end(), AsksForNothing);
    case json::kind::object:
      return std::all_of(value.get_object().begin(), value.get_object().end(),
                         [](const auto& entry) { return AsksForNothing(entry.value()); });
  }
  return false;
}

// Clients of newer versions send fields that are not known here, mostly with a value that asks for nothing; those are left alone. Another
// value asks for something (or is a misspelt field that does): answering as if it were done would be a lie.
absl::Status RefuseUnknownWishes(const json::object& object, const std::string& path, std::initializer_list<std::string_view> known) {
  for (const auto& entry : object) {
    const std::string_view name(entry.key().data(), entry.key().size());
    if (std::find(known.begin(), known.end(), name) != known.end() || AsksForNothing(entry.value())) continue;
    return absl::UnimplementedError(absl::StrCat(path, path.empty() ? "" : ".", CutUtf8(name, kLongestName),
                                                 ": is not a known field, so what it asks for cannot be done"));
  }
  return absl::OkStatus();
}

int64_t SmallInt(JsonReader& reader, std::string_view name) {
  const int64_t n = reader.OptionalInt(name, 0);
  if (n < 0 || n > std::numeric_limits<int32_t>::max()) reader.Fault(name, "must be 0 to 2147483647");
  return n;
}

// "<storage_gib>/<disk_iops>/<num_virtual_cpus>/<machine_type>", well under the length that a label may have.
absl::Status ParseHardware(const json::object& object, const std::string& path, CreateCluster& request) {
  JsonReader reader(object, path);
  const int64_t storage = SmallInt(reader, "storage_gib"), iops = SmallInt(reader, "disk_iops");
  int64_t cpus = 0;
  std::string type;
  RETURN_IF_ERROR(RefuseUnknownWishes(object, path, {"storage_gib", "disk_iops", "machine_spec"}));
  const json::object* machine = reader.OptionalObject("machine_spec");
  RETURN_IF_ERROR(reader.status());
  if (machine != nullptr) {
    JsonReader inner(*machine, reader.PathOf("machine_spec"));
    type = inner.OptionalString("machine_type");
    CheckText(inner, "machine_type", type, kLongestName);
    cpus = SmallInt(inner, "num_virtual_cpus");
    RETURN_IF_ERROR(inner.status());
    RETURN_IF_ERROR(RefuseUnknownWishes(*machine, reader.PathOf("machine_spec"), {"machine_type", "num_virtual_cpus"}));
  }
  request.labels[std::string(kHardwareLabel)] = absl::StrCat(storage, "/", iops, "/", cpus, "/", type);
  return absl::OkStatus();
}

absl::Status ParseRegionNodes(const json::object& object, const std::string& path, CreateCluster& request) {
  if (object.empty()) return InvalidArgument(path, ": names no region");
  if (object.size() > kMostRegions) return InvalidArgument(path, ": has more than ", kMostRegions, " regions");
  JsonReader reader(object, path);
  for (const auto& entry : object) {
    const std::string_view region(entry.key().data(), entry.key().size());
    if (region.empty() || region.size() > kLongestName)
      return InvalidArgument(path, ": a region's name must have 1 to ", kLongestName, " characters");
    const int64_t count = reader.Int(region);
    if (count < 1 || count > std::numeric_limits<int32_t>::max()) reader.Fault(region, "must be at least 1");
    CheckText(reader, region, region, kLongestName);
    request.region_nodes.emplace(region, count);
  }
  return reader.status();
}

absl::Status ParseDedicated(const json::object& object, const std::string& path, CreateCluster& request) {
  JsonReader reader(object, path);
  const json::object* regions = reader.Object("region_nodes");
  const json::object* hardware = reader.OptionalObject("hardware");
  request.network_visibility = reader.OptionalString("network_visibility", request.network_visibility);
  CheckWord(reader, "network_visibility", request.network_visibility, {"PRIVATE", "PUBLIC"});
  const bool restrict_egress = reader.OptionalBool("restrict_egress_traffic", false);
  // Official clients send the next one always, as false, and the three after it only for a person who wrote them down.
  const bool virtual_clusters = reader.OptionalBool("supports_cluster_virtualization", false);
  const std::string version = reader.OptionalString("cockroach_version");
  const std::string cidr = reader.OptionalString("cidr_range");
  const json::object* machines = reader.OptionalObject("region_machine_specs");
  RETURN_IF_ERROR(reader.status());
  const auto refuse = [&](std::string_view name, std::string_view why) {
    return absl::UnimplementedError(absl::StrCat(reader.PathOf(name), ": ", ToAbsl(why)));
  };
  if (restrict_egress) return refuse("restrict_egress_traffic", "Latchkey does not filter the network");
  if (virtual_clusters) return refuse("supports_cluster_virtualization", "the database has no virtual clusters");
  if (!version.empty()) return refuse("cockroach_version", "the database is the one that the hosts have; its version cannot be chosen");
  if (!cidr.empty()) return refuse("cidr_range", "Latchkey makes no networks; addresses are those of the hosts");
  if (machines != nullptr && !machines->empty()) return refuse("region_machine_specs", "Latchkey does not choose machines");
  RETURN_IF_ERROR(RefuseUnknownWishes(object, path, {"region_nodes", "hardware", "network_visibility"}));
  RETURN_IF_ERROR(ParseRegionNodes(*regions, reader.PathOf("region_nodes"), request));
  if (hardware != nullptr) RETURN_IF_ERROR(ParseHardware(*hardware, reader.PathOf("hardware"), request));
  return absl::OkStatus();
}

absl::Status ParseLabels(const json::object& object, const std::string& path, CreateCluster& request) {
  if (object.size() > kMostLabels) return InvalidArgument(path, ": has more than ", kMostLabels, " labels");
  JsonReader reader(object, path);
  for (const auto& entry : object) {
    const std::string_view name(entry.key().data(), entry.key().size());
    if (name.empty() || name.size() > kLongestText)
      return InvalidArgument(path, ": a label's name must have 1 to ", kLongestText, " characters");
    if (name == kHardwareLabel) reader.Fault(name, "is reserved");
    const std::string value = reader.OptionalString(name);
    CheckText(reader, name, name, kLongestText);
    CheckText(reader, name, value, kLongestText);
    request.labels.emplace(name, value);
  }
  return reader.status();
}

// The plan of either place.
absl::StatusOr<std::string> AgreedPlan(const std::string& top, const std::string& inner) {
  if (!top.empty() && !inner.empty() && top != inner) return InvalidArgument("plan: differs from spec.plan");
  const std::string plan = !inner.empty() ? inner : !top.empty() ? top : "ADVANCED";
  if (plan != "ADVANCED") {
    return absl::UnimplementedError(
        absl::StrCat(inner.empty() ? "plan" : "spec.plan", ": every cluster is ADVANCED, with nodes and keys of its own"));
  }
  return plan;
}

// What the client asked for, or zeros.
json::object HardwareJson(const ClusterView& cluster) {
  int64_t storage = 0, iops = 0, cpus = 0;
  std::string type;
  if (const auto found = cluster.labels.find(std::string(kHardwareLabel)); found != cluster.labels.end()) {
    const std::vector<std::string> parts = absl::StrSplit(found->second, absl::MaxSplits('/', 3));
    if (parts.size() == 4 && absl::SimpleAtoi(parts[0], &storage) && absl::SimpleAtoi(parts[1], &iops) &&
        absl::SimpleAtoi(parts[2], &cpus)) {
      type = parts[3];
    }
  }
  return {{"machine_type", type}, {"num_virtual_cpus", cpus}, {"storage_gib", storage}, {"memory_gib", 0.0}, {"disk_iops", iops}};
}

std::string DnsOf(const std::vector<NodeView>& nodes, const std::string& region) {
  for (const NodeView& node : nodes) {
    if ((region.empty() || node.region == region) && !node.endpoint_host.empty()) return node.endpoint_host;
  }
  return "";
}

json::value TimeOrNull(const std::optional<absl::Time>& t) { return t ? json::value(latchkey::FormatTime(*t)) : json::value(nullptr); }

}  // namespace

absl::StatusOr<CreateCluster> ParseCreateCluster(std::string_view body) {
  ASSIGN_OR_RETURN(const json::object object, ParseJsonObject(body));
  CreateCluster request;
  JsonReader reader(object);
  request.name = reader.String("name");
  CheckText(reader, "name", request.name, kLongestName);
  request.provider = reader.String("provider");
  CheckWord(reader, "provider", request.provider, {"AWS", "GCP", "AZURE"});
  const std::string top_plan = reader.OptionalString("plan");
  if (!top_plan.empty()) CheckWord(reader, "plan", top_plan, {"ADVANCED", "STANDARD", "BASIC"});
  const json::object* spec = reader.Object("spec");
  RETURN_IF_ERROR(reader.status());
  RETURN_IF_ERROR(RefuseUnknownWishes(object, "", {"name", "provider", "plan", "spec"}));

  JsonReader inner(*spec, "spec");
  const std::string spec_plan = inner.OptionalString("plan");
  if (!spec_plan.empty()) CheckWord(inner, "plan", spec_plan, {"ADVANCED", "STANDARD", "BASIC"});
  request.delete_protection = inner.OptionalString("delete_protection", request.delete_protection);
  CheckWord(inner, "delete_protection", request.delete_protection, {"ENABLED", "DISABLED"});
  const std::string parent = inner.OptionalString("parent_id");
  if (!parent.empty() && parent != "root")
    inner.Fault("parent_id", "the parent must exist (there are no folders here: leave it out, or \"root\")");
  const json::object* labels = inner.OptionalObject("labels");
  const json::object* serverless = inner.OptionalObject("serverless");
  const json::object* account = inner.OptionalObject("customer_cloud_account");
  RETURN_IF_ERROR(inner.status());
  if (serverless != nullptr) return absl::UnimplementedError("spec.serverless: every cluster has nodes of its own; use spec.dedicated");
  if (account != nullptr) return absl::UnimplementedError("spec.customer_cloud_account: hosts join by their agent, not by a cloud account");
  const json::object* dedicated = inner.Object("dedicated");
  RETURN_IF_ERROR(inner.status());
  RETURN_IF_ERROR(RefuseUnknownWishes(*spec, "spec", {"plan", "delete_protection", "parent_id", "labels", "dedicated"}));
  ASSIGN_OR_RETURN(request.plan, AgreedPlan(top_plan, spec_plan));
  if (labels != nullptr) RETURN_IF_ERROR(ParseLabels(*labels, "spec.labels", request));
  RETURN_IF_ERROR(ParseDedicated(*dedicated, "spec.dedicated", request));
  return request;
}

absl::StatusOr<bool> ParseDeleteProtection(std::string_view body) {
  ASSIGN_OR_RETURN(const json::object object, ParseJsonObject(body));
  for (const auto& entry : object) {
    if (entry.key() == "delete_protection") continue;
    return absl::UnimplementedError(
        absl::StrCat(CutUtf8({entry.key().data(), entry.key().size()}, 64), ": of a cluster, only delete_protection can be changed"));
  }
  if (object.empty()) return absl::UnimplementedError("of a cluster, only delete_protection can be changed");
  JsonReader reader(object);
  const std::string word = reader.String("delete_protection");
  RETURN_IF_ERROR(reader.status());
  CheckWord(reader, "delete_protection", word, {"ENABLED", "DISABLED"});
  RETURN_IF_ERROR(reader.status());
  return word == "ENABLED";
}

json::object ClusterJson(const ClusterView& cluster, const std::vector<NodeView>& nodes) {
  json::array regions;
  for (const RegionNodes& region : cluster.regions) {
    const std::string dns = DnsOf(nodes, region.region);
    regions.push_back(json::object{{"name", region.region},
                                   {"sql_dns", dns},
                                   {"ui_dns", ""},
                                   {"internal_dns", dns},
                                   {"private_endpoint_dns", ""},
                                   {"node_count", region.node_count},
                                   {"primary", false}});
  }
  json::object labels;
  for (const auto& [name, value] : cluster.labels) {
    if (name != kHardwareLabel) labels[name] = value;
  }
  return {{"id", cluster.id},
          {"name", cluster.name},
          {"cockroach_version", absl::StrCat(cluster.engine, cluster.engine_version.empty() ? "" : " ", cluster.engine_version)},
          {"plan", cluster.plan},
          {"cloud_provider", cluster.cloud_provider},
          {"account_id", cluster.account_id},
          {"state", cluster.state},
          {"creator_id", cluster.creator_id},
          {"operation_status", cluster.operation_status},
          {"config", json::object{{"dedicated", HardwareJson(cluster)}}},
          {"regions", std::move(regions)},
          {"created_at", latchkey::FormatTime(cluster.created_at)},
          {"updated_at", latchkey::FormatTime(cluster.updated_at)},
          {"deleted_at", TimeOrNull(cluster.deleted_at)},
          {"sql_dns", DnsOf(nodes, "")},
          {"network_visibility", cluster.network_visibility},
          {"egress_traffic_policy", "ALLOW_ALL"},
          {"cidr_range", ""},
          {"upgrade_status", "FINALIZED"},
          {"delete_protection", cluster.delete_protection},
          {"labels", std::move(labels)},
          {"parent_id", "root"}};
}

json::object NodeJson(const NodeView& node) { return {{"name", node.name}, {"region_name", node.region}, {"status", node.status}}; }

json::object NodeDetailsJson(const NodeView& node) {
  const auto or_null = [](const std::string& text) { return text.empty() ? json::value(nullptr) : json::value(text); };
  json::object object = NodeJson(node);
  object["id"] = node.id;
  object["host"] = node.host_name;
  object["endpoint"] = node.endpoint_host.empty() ? json::value(nullptr)
                                                  : json::value(json::object{{"host", node.endpoint_host}, {"port", node.endpoint_port}});
  object["volume"] = json::object{{"state", node.volume_state}, {"seal_reason", or_null(node.seal_reason)}};
  object["engine"] = json::object{{"state", node.engine_state}};
  object["lease_end"] = or_null(node.lease_end);
  object["problem"] = or_null(node.problem);
  object["last_heard"] = TimeOrNull(node.last_heard);
  return object;
}

json::object RegionJson(const RegionView& region) {
  return {{"name", region.name}, {"location", region.location}, {"provider", region.provider}, {"serverless", false}, {"distance", 0.0}};
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (c != '-') return false;
    } else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) {
      return false;
    }
  }
  return true;
}

}  // namespace latchkey::cockroach
