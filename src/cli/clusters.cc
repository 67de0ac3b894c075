#include <cstdio>

#include "base/status.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/node_rows.h"
#include "cli/table.h"
#include "cli/wait.h"

namespace latchkey {
namespace {

struct Args {
  ApiOptions api;
  std::string cluster, name, on_off, provider = "AWS";
  std::vector<std::string> regions;
  int64_t timeout_seconds = 300;
  bool wait = false, yes = false;
};

void PrintJson(const json::object& object) { std::printf("%s\n", json::serialize(object).c_str()); }

std::string RegionsOf(const json::object& cluster) {
  std::string out;
  for (const json::value& v : ArrayOf(cluster, "regions")) {
    if (!v.is_object()) continue;
    if (!out.empty()) out += ", ";
    out += TextOf(v.get_object(), "name") + " (" + TextOf(v.get_object(), "node_count") + ")";
  }
  return out;
}

void PrintCluster(const json::object& cluster) {
  std::fputs(RenderFacts({{"id", TextOf(cluster, "id")},
                          {"name", TextOf(cluster, "name")},
                          {"state", TextOf(cluster, "state")},
                          {"operation", TextOf(cluster, "operation_status") == "UNSPECIFIED" ? "" : TextOf(cluster, "operation_status")},
                          {"regions", RegionsOf(cluster)},
                          {"delete protection", TextOf(cluster, "delete_protection") == "ENABLED" ? "ENABLED" : ""},
                          {"created", TextOf(cluster, "created_at")},
                          {"deleted", TextOf(cluster, "deleted_at")}})
                 .c_str(),
             stdout);
}

absl::Status Show(const Args& args, const json::object& cluster) {
  if (args.api.json()) {
    PrintJson(cluster);
  } else {
    PrintCluster(cluster);
  }
  return absl::OkStatus();
}

absl::Status List(const Args& args) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  json::array all;
  std::string page;
  do {
    ASSIGN_OR_RETURN(const json::object list,
                     client.Get("/api/v1/clusters?pagination.limit=500" + (page.empty() ? "" : "&pagination.page=" + PercentEncode(page))));
    for (const json::value& v : ArrayOf(list, "clusters")) all.push_back(v);
    const json::object* pagination = ObjectOf(list, "pagination");
    page = pagination == nullptr ? "" : TextOf(*pagination, "next_page");
  } while (!page.empty());
  if (args.api.json()) {
    PrintJson({{"clusters", std::move(all)}});
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> rows;
  for (const json::value& v : all) {
    const json::object& c = v.get_object();
    rows.push_back({TextOf(c, "name"), TextOf(c, "state"), RegionsOf(c), TextOf(c, "created_at"), TextOf(c, "id")});
  }
  std::fputs(RenderTable({"NAME", "STATE", "REGIONS", "CREATED", "ID"}, rows).c_str(), stdout);
  return absl::OkStatus();
}

absl::Status Get(const Args& args) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  ASSIGN_OR_RETURN(const json::object cluster, client.FindCluster(args.cluster));
  return Show(args, cluster);
}

// Which of a cluster's nodes is not yet running, and why: the progress line of --wait.
std::string WhatIsMissing(const ApiClient& client, const std::string& id) {
  const auto nodes = client.Get("/api/v1/latchkey/clusters/" + id + "/nodes");
  if (!nodes.ok()) return "";
  for (const json::value& v : ArrayOf(*nodes, "nodes")) {
    const json::object& n = v.get_object();
    if (TextOf(n, "status") == "LIVE") continue;
    return ": " + NodeProgress(n);
  }
  return "";
}

absl::Status Create(const Args& args) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  json::object region_nodes;
  for (const std::string& region : args.regions) {
    if (region_nodes.contains(region)) return InvalidArgument("--region: ", region, " is named twice");
    region_nodes[region] = 1;
  }
  const json::object body = {
      {"name", args.name},
      {"provider", args.provider},
      {"spec", {{"plan", "ADVANCED"}, {"dedicated", {{"region_nodes", region_nodes}, {"network_visibility", "PRIVATE"}}}}}};
  ASSIGN_OR_RETURN(json::object cluster, client.Send("POST", "/api/v1/clusters", body));
  if (args.wait) {
    const std::string id = TextOf(cluster, "id");
    RETURN_IF_ERROR(WaitUntil({.timeout = absl::Seconds(args.timeout_seconds)}, [&](std::string& progress) -> absl::StatusOr<bool> {
      ASSIGN_OR_RETURN(cluster, client.Get("/api/v1/clusters/" + id));
      const std::string state = TextOf(cluster, "state");
      progress = state + WhatIsMissing(client, id);
      if (state == "CREATION_FAILED" || state == "DELETED") return FailedPrecondition("the cluster is ", progress);
      return state == "CREATED";
    }));
  }
  return Show(args, cluster);
}

// Whether no host has data of a deleted cluster any more. FailedPrecondition when one was removed that never said so: nobody will.
absl::StatusOr<bool> DataIsGone(const ApiClient& client, const std::string& id, std::string& progress) {
  ASSIGN_OR_RETURN(const json::object nodes, client.Get("/api/v1/latchkey/clusters/" + id + "/nodes"));
  std::string left;
  for (const json::value& v : ArrayOf(nodes, "nodes")) {
    if (!v.is_object()) continue;
    const json::object& node = v.get_object();
    const std::string problem = TextOf(node, "problem");
    const std::string words = TextOf(node, "name") + " on " + TextOf(node, "host") + (problem.empty() ? "" : ": " + problem);
    if (problem.starts_with("HOST_REMOVED")) return FailedPrecondition("data may be left: ", words);
    left += (left.empty() ? "" : ", ") + words;
  }
  progress = "DELETED" + (left.empty() ? "" : ", data left: " + left);
  return left.empty();
}

absl::Status Delete(const Args& args) {
  if (!args.yes) return InvalidArgument("deleting is final: the data of '", args.cluster, "' is gone for good. Say --yes");
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  ASSIGN_OR_RETURN(const json::object found, client.FindCluster(args.cluster));
  const std::string id = TextOf(found, "id");
  ASSIGN_OR_RETURN(const json::object cluster, client.Send("DELETE", "/api/v1/clusters/" + id, nullptr));
  if (args.wait) {
    const absl::Status status = WaitUntil({.timeout = absl::Seconds(args.timeout_seconds)},
                                          [&](std::string& progress) { return DataIsGone(client, id, progress); });
    // By then its name finds nothing any more.
    if (!status.ok()) return Prefixed(status, absl::StrCat("'", args.cluster, "' is being deleted; wait on with its id ", id));
  }
  return Show(args, cluster);
}

absl::Status Protect(const Args& args) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  ASSIGN_OR_RETURN(const json::object found, client.FindCluster(args.cluster));
  const json::object body = {{"delete_protection", args.on_off == "on" ? "ENABLED" : "DISABLED"}};
  ASSIGN_OR_RETURN(const json::object cluster, client.Send("PATCH", "/api/v1/clusters/" + TextOf(found, "id"), body));
  return Show(args, cluster);
}

absl::Status Nodes(const Args& args) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  ASSIGN_OR_RETURN(const json::object cluster, client.FindCluster(args.cluster));
  ASSIGN_OR_RETURN(const json::object nodes, client.Get("/api/v1/latchkey/clusters/" + TextOf(cluster, "id") + "/nodes"));
  if (args.api.json()) {
    PrintJson(nodes);
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> rows;
  for (const json::value& v : ArrayOf(nodes, "nodes")) {
    rows.push_back(NodeRow(v.get_object()));
  }
  std::fputs(RenderTable(NodeHeader(), rows).c_str(), stdout);
  return absl::OkStatus();
}

absl::Status Regions(const Args& args) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  ASSIGN_OR_RETURN(const json::object list, client.Get("/api/v1/clusters/available-regions"));
  if (args.api.json()) {
    PrintJson(list);
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> rows;
  for (const json::value& v : ArrayOf(list, "regions"))
    rows.push_back({TextOf(v.get_object(), "name"), TextOf(v.get_object(), "provider")});
  std::fputs(RenderTable({"REGION", "PROVIDER"}, rows).c_str(), stdout);
  return absl::OkStatus();
}

CommandOption ClusterArgument(Args* args) {
  return {.names = "cluster", .help = "name or id of the cluster", .target = &args->cluster, .required = true};
}

std::vector<CommandOption> WaitOptionList(const std::string& until, Args* args) {
  return {{.names = "--wait", .help = until + ", with a progress line", .target = &args->wait},
          {.names = "--timeout", .help = "seconds that --wait waits", .target = &args->timeout_seconds}};
}

}  // namespace

Command ClustersCommand() {
  auto args = std::make_shared<Args>();
  const std::vector<CommandOption> api = ApiOptionList(&args->api);
  Command group{.name = "clusters", .summary = "create, list, see, protect and delete clusters"};
  group.children.push_back(
      {.name = "list", .summary = "all clusters", .examples = {"latchkey clusters list"}, .options = api, .run = [args] {
         return List(*args);
       }});
  group.children.push_back(
      {.name = "create",
       .summary = "a new cluster, encrypted under the escrow key until CMEK is enabled",
       .examples = {"latchkey clusters create ledger --region us-east-1 --wait"},
       .options =
           Plus({{.names = "name", .help = "6 to 20 of a-z, 0-9 and dashes, no dash at the ends", .target = &args->name, .required = true},
                 {.names = "--region",
                  .help = "region of its node, one that a joined agent serves (repeatable: a node in each)",
                  .target = &args->regions,
                  .required = true},
                 {.names = "--provider",
                  .help = "cloud that it is labelled with",
                  .target = &args->provider,
                  .choices = {"AWS", "GCP", "AZURE"}}},
                Plus(WaitOptionList("wait until it runs", args.get()), api)),
       .run = [args] { return Create(*args); }});
  group.children.push_back({.name = "get",
                            .summary = "one cluster: state, regions, times",
                            .examples = {"latchkey clusters get ledger -o json"},
                            .options = Plus({ClusterArgument(args.get())}, api),
                            .run = [args] { return Get(*args); }});
  group.children.push_back({.name = "nodes",
                            .summary = "a cluster's nodes: endpoint, volume, engine, lease",
                            .examples = {"latchkey clusters nodes ledger"},
                            .options = Plus({ClusterArgument(args.get())}, api),
                            .run = [args] { return Nodes(*args); }});
  group.children.push_back(
      {.name = "protect",
       .summary = "refuse to delete a cluster, or allow it again",
       .examples = {"latchkey clusters protect ledger on", "latchkey clusters protect ledger off"},
       .options = Plus({ClusterArgument(args.get()),
                        {.names = "protection", .help = "on or off", .target = &args->on_off, .required = true, .choices = {"on", "off"}}},
                       api),
       .run = [args] { return Protect(*args); }});
  group.children.push_back(
      {.name = "delete",
       .summary = "delete a cluster and its data, for good",
       .details = "The cluster is DELETED at once and its hosts then remove the data; with --wait the command ends when all have said so. "
                  "Given again with the cluster's id, it goes on waiting.",
       .examples = {"latchkey clusters delete ledger --yes --wait"},
       .options =
           Plus(Plus({ClusterArgument(args.get()),
                      {.names = "--yes", .help = "yes, delete it and its data (without this nothing happens)", .target = &args->yes}},
                     WaitOptionList("wait until its data is gone from every host", args.get())),
                api),
       .run = [args] { return Delete(*args); }});
  group.children.push_back({.name = "regions",
                            .summary = "regions that joined agents serve",
                            .examples = {"latchkey clusters regions"},
                            .options = api,
                            .run = [args] { return Regions(*args); }});
  return group;
}

}  // namespace latchkey
