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

using Columns = std::vector<std::pair<std::string, std::string>>;  // title, field

absl::StatusOr<json::object> Fetch(const Args& args, const std::string& path) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  return client.Get(path);
}

// The elements of `array` as a table, or the whole answer as JSON.
void PrintList(const Args& args, const json::object& list, const std::string& array, const Columns& columns) {
  if (args.api.json()) {
    std::printf("%s\n", json::serialize(list).c_str());
    return;
  }
  std::vector<std::string> header;
  for (const auto& [title, field] : columns) header.push_back(title);
  std::vector<std::vector<std::string>> rows;
  for (const json::value& v : ArrayOf(list, array)) {
    if (!v.is_object()) continue;
    std::vector<std::string>& row = rows.emplace_back();
    for (const auto& [title, field] : columns) row.push_back(TextOf(v.get_object(), field));
  }
  std::fputs(RenderTable(header, rows).c_str(), stdout);
}

// Lines below the table of hosts, where there is something to say.
std::string AgentRemarks(const json::object& list) {
  std::string out;
  for (const json::value& v : ArrayOf(list, "agents")) {
    if (!v.is_object()) continue;
    const std::string host = TextOf(v.get_object(), "hostname");
    std::string strays;
    for (const json::value& name : ArrayOf(v.get_object(), "strays")) {
      if (name.is_string()) strays += (strays.empty() ? "" : ", ") + std::string(name.get_string());
    }
    if (!strays.empty()) out += Printable(host + ": left as they are: nodes that the server does not name: " + strays) + "\n";
    for (const json::value& warning : ArrayOf(v.get_object(), "warnings")) {
      if (warning.is_string()) out += Printable(host + ": WARNING: " + std::string(warning.get_string())) + "\n";
    }
  }
  return out.empty() ? "" : "\n" + out;
}

absl::Status ListAgents(const Args& args) {
  ASSIGN_OR_RETURN(const json::object list, Fetch(args, "/api/v1/latchkey/agents"));
  PrintList(args, list, "agents",
            {{"HOST", "hostname"}, {"REGION", "region"}, {"NODES", "node_count"}, {"LAST HEARD", "last_heard"}, {"ID", "id"}});
  if (!args.api.json()) std::fputs(AgentRemarks(list).c_str(), stdout);
  return absl::OkStatus();
}

absl::Status ListApiKeys(const Args& args) {
  ASSIGN_OR_RETURN(const json::object list, Fetch(args, "/api/v1/latchkey/api-keys"));
  PrintList(args, list, "api_keys", {{"NAME", "name"}, {"CREATED", "created_at"}, {"ID", "id"}});
  return absl::OkStatus();
}

// The API's words for actions begin alike; people need not read it in every line.
void ShortenActions(json::object& list) {
  constexpr std::string_view kPrefix = "AUDIT_LOG_ACTION_";
  json::value* entries = list.if_contains("entries");
  if (entries == nullptr || !entries->is_array()) return;
  for (json::value& v : entries->get_array()) {
    if (!v.is_object()) continue;
    const std::string action = TextOf(v.get_object(), "action");
    if (action.starts_with(kPrefix)) v.get_object()["action"] = action.substr(kPrefix.size());
  }
}

absl::Status ListAudit(const Args& args) {
  ASSIGN_OR_RETURN(json::object list, Fetch(args, absl::StrCat("/api/v1/auditlogevents?sort_order=DESC&limit=", args.limit)));
  if (!args.api.json()) ShortenActions(list);
  PrintList(args, list, "entries",
            {{"TIME", "created_at"},
             {"ACTION", "action"},
             {"CLUSTER", "cluster_name"},
             {"WHO", "service_account_name"},
             {"WHAT", "payload"},
             {"ERROR", "error"}});
  return absl::OkStatus();
}

// Prints one field of the answer (a secret that is shown once), or the whole answer as JSON.
absl::Status CreateAndShow(const Args& args, const std::string& path, const json::object& body, const std::string& field) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  ASSIGN_OR_RETURN(const json::object made, client.Send("POST", path, body));
  std::printf("%s\n", args.api.json() ? json::serialize(made).c_str() : TextOf(made, field).c_str());
  return absl::OkStatus();
}

// People read "<what> <id> <done>".
absl::Status Remove(const Args& args, const std::string& path, const std::string& what, const std::string& done) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  ASSIGN_OR_RETURN(const json::object answer, client.Send("DELETE", path + PercentEncode(args.id), nullptr));
  const std::string text = args.api.json() ? json::serialize(answer) : Printable(what + " " + args.id + " " + done);
  std::printf("%s\n", text.c_str());
  return absl::OkStatus();
}

}  // namespace

Command AgentsCommand() {
  auto args = std::make_shared<Args>();
  const std::vector<CommandOption> api = ApiOptionList(&args->api);
  Command group{.name = "agents", .summary = "the hosts that joined: list and remove them, let new ones join"};
  group.children.push_back({.name = "list",
                            .summary = "hosts, their regions and when they were last heard of",
                            .details = "Below the table: what a host warns of, and nodes that it has and the server does not name.",
                            .examples = {"latchkey agents list"},
                            .options = api,
                            .run = [args] { return ListAgents(*args); }});
  group.children.push_back({.name = "token",
                            .summary = "a token that lets one host join, within an hour",
                            .examples = {"latchkey agents token"},
                            .options = api,
                            .run = [args] { return CreateAndShow(*args, "/api/v1/latchkey/join-tokens", {}, "token"); }});
  group.children.push_back(
      {.name = "remove",
       .summary = "shut a host out: its certificate is good for nothing any more",
       .details = "A host that has nodes of clusters that are not deleted is not removed.",
       .examples = {"latchkey agents remove 01234567-89ab-4cde-8f01-23456789abcd"},
       .options = Plus({{.names = "id", .help = "id of the agent, from agents list", .target = &args->id, .required = true}}, api),
       .run = [args] { return Remove(*args, "/api/v1/latchkey/agents/", "agent", "is shut out"); }});
  return group;
}

Command ApiKeysCommand() {
  auto args = std::make_shared<Args>();
  const std::vector<CommandOption> api = ApiOptionList(&args->api);
  Command group{.name = "api-keys", .summary = "keys for the public API: list, create, delete"};
  group.children.push_back(
      {.name = "list", .summary = "API keys, without their secrets", .examples = {"latchkey api-keys list"}, .options = api, .run = [args] {
         return ListApiKeys(*args);
       }});
  group.children.push_back(
      {.name = "create",
       .summary = "a new key; its secret is shown once",
       .examples = {"latchkey api-keys create deploy"},
       .options = Plus({{.names = "name", .help = "what the key is for", .target = &args->name, .required = true}}, api),
       .run = [args] { return CreateAndShow(*args, "/api/v1/latchkey/api-keys", {{"name", args->name}}, "secret"); }});
  group.children.push_back(
      {.name = "delete",
       .summary = "delete a key, so that it works no more",
       .examples = {"latchkey api-keys delete LKEY1_0123456789abcdefghijkl"},
       .options = Plus({{.names = "id", .help = "id of the key, from api-keys list", .target = &args->id, .required = true}}, api),
       .run = [args] { return Remove(*args, "/api/v1/latchkey/api-keys/", "API key", "is deleted"); }});
  return group;
}

Command AuditCommand() {
  auto args = std::make_shared<Args>();
  return {.name = "audit",
          .summary = "who changed what, newest first",
          .examples = {"latchkey audit --limit 20", "latchkey audit -o json"},
          .options =
              Plus({{.names = "--limit", .help = "at most so many entries, 1 to 1000", .target = &args->limit}}, ApiOptionList(&args->api)),
          .run = [args] { return ListAudit(*args); }};
}

}  // namespace latchkey
