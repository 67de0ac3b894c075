// Small commands over the public API: agents, API keys, audit.
#include <cstdio>

#include "base/status.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/table.h"

namespace latchkey {
namespace {

struct Args {
  ApiOptions api;
  std::string id, name;
  int64_t limit = 200;
};

absl::Status PrintList(const Args& args, const std::string& path, const std::string& array,
                       const std::vector<std::pair<std::string, std::string>>& columns) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  ASSIGN_OR_RETURN(const json::object list, client.Get(path));
  if (args.api.json()) {
    std::printf("%s\n", json::serialize(list).c_str());
    return absl::OkStatus();
  }
  std::vector<std::string> header;
  for (const auto& [title, field] : columns) header.push_back(title);
  std::vector<std::vector<std::string>> rows;
  for (const json::value& v : ArrayOf(list, array)) {
    std::vector<std::string> row;
    for (const auto& [title, field] : columns) row.push_back(TextOf(v.get_object(), field));
    rows.push_back(std::move(row));
  }
  std::fputs(RenderTable(header, rows).c_str(), stdout);
  return absl::OkStatus();
}

// Prints one field of the answer (a secret that is shown once), or the whole answer as JSON.
absl::Status CreateAndShow(const Args& args, const std::string& path, const json::object& body, const std::string& field) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  ASSIGN_OR_RETURN(const json::object made, client.Send("POST", path, body));
  std::printf("%s\n", args.api.json() ? json::serialize(made).c_str() : TextOf(made, field).c_str());
  return absl::OkStatus();
}

absl::Status Remove(const Args& args, const std::string& path) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  return client.Send("DELETE", path + PercentEncode(args.id), nullptr).status();
}

}  // namespace

Command AgentsCommand() {
  auto args = std::make_shared<Args>();
  const std::vector<CommandOption> api = ApiOptionList(&args->api);
  Command group{.name = "agents", .summary = "the hosts that joined: list and remove them, let new ones join"};
  group.children.push_back(
      {.name = "list",
       .summary = "hosts, their regions and when they were last heard",
       .examples = {"latchkey agents list"},
       .options = api,
       .run = [args] {
         return PrintList(
             *args, "/api/v1/latchkey/agents", "agents",
             {{"HOST", "hostname"}, {"REGION", "region"}, {"NODES", "node_count"}, {"LAST HEARD", "last_heard"}, {"ID", "id"}});
       }});
  group.children.push_back({.name = "token",
                            .summary = "a token that lets one host join, within an hour",
                            .examples = {"latchkey agents token"},
                            .options = api,
                            .run = [args] { return CreateAndShow(*args, "/api/v1/latchkey/join-tokens", {}, "token"); }});
  group.children.push_back({.name = "remove",
                            .summary = "revoke a host's certificate; it must have no nodes of living clusters any more",
                            .examples = {"latchkey agents list", "latchkey agents remove 01234567-89ab-4cde-8f01-23456789abcd"},
                            .options = Plus({{.names = "id", .help = "id of the agent", .target = &args->id, .required = true}}, api),
                            .run = [args] { return Remove(*args, "/api/v1/latchkey/agents/"); }});
  return group;
}

Command ApiKeysCommand() {
  auto args = std::make_shared<Args>();
  const std::vector<CommandOption> api = ApiOptionList(&args->api);
  Command group{.name = "api-keys", .summary = "keys for the public API: list, create, delete"};
  group.children.push_back(
      {.name = "list", .summary = "API keys, without their secrets", .examples = {"latchkey api-keys list"}, .options = api, .run = [args] {
         return PrintList(*args, "/api/v1/latchkey/api-keys", "api_keys", {{"NAME", "name"}, {"CREATED", "created_at"}, {"ID", "id"}});
       }});
  group.children.push_back({.name = "create",
                            .summary = "a new key; its secret is shown once",
                            .examples = {"latchkey api-keys create deploy"},
                            .options = Plus({{.names = "name", .help = "what it is for", .target = &args->name, .required = true}}, api),
                            .run = [args] { return CreateAndShow(*args, "/api/v1/latchkey/api-keys", {{"name", args->name}}, "secret"); }});
  group.children.push_back({.name = "delete",
                            .summary = "delete a key, so that it works no more",
                            .examples = {"latchkey api-keys delete LKEY1_0123456789abcdefghijkl"},
                            .options = Plus({{.names = "id", .help = "id of the key", .target = &args->id, .required = true}}, api),
                            .run = [args] { return Remove(*args, "/api/v1/latchkey/api-keys/"); }});
  return group;
}

Command AuditCommand() {
  auto args = std::make_shared<Args>();
  return {.name = "audit",
          .summary = "who changed what, newest first",
          .examples = {"latchkey audit --limit 20", "latchkey audit -o json"},
          .options =
              Plus({{.names = "--limit", .help = "at most so many entries, 1 to 1000", .target = &args->limit}}, ApiOptionList(&args->api)),
          .run = [args] {
            return PrintList(*args, absl::StrCat("/api/v1/auditlogevents?sort_order=DESC&limit=", args->limit), "entries",
                             {{"TIME", "created_at"},
                              {"ACTION", "action"},
                              {"CLUSTER", "cluster_name"},
                              {"WHO", "service_account_name"},
                              {"WHAT", "payload"},
                              {"ERROR", "error"}});
          }};
}

}  // namespace latchkey
