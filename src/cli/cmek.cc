#include <cstdio>

#include "base/status.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/wait.h"
#include "protocol/key_type.h"

namespace latchkey {
namespace {

struct Args {
  ApiOptions api;
  std::string cluster, type = "AWS_KMS", uri, principal, region;
  int64_t timeout_seconds = 300;
  bool wait = false;
};

// "state ENABLED, version 3 (in use: 2), protection HSM, rotates itself, next on …".
std::string FactsLine(const json::object& facts) {
  std::string line = "state " + TextOf(facts, "state");
  const std::string version = TextOf(facts, "version"), wrapped = TextOf(facts, "wrapped_version");
  if (!version.empty()) line += ", version " + version;
  if (!wrapped.empty() && wrapped != version) line += " (in use: " + wrapped + ")";
  if (const std::string level = TextOf(facts, "protection_level"); !level.empty()) line += ", protection " + level;
  if (TextOf(facts, "rotation_enabled") == "true") line += ", rotates by itself";
  if (const std::string next = TextOf(facts, "next_rotation"); !next.empty()) line += ", next rotation " + next;
  if (const std::string date = TextOf(facts, "deletion_date"); !date.empty()) line += ", deletion " + date;
  if (const std::string date = TextOf(facts, "expires_at"); !date.empty()) line += ", expires " + date;
  if (TextOf(facts, "purge_protected") == "true") line += ", protected against purging";
  return Printable(line + " (read " + TextOf(facts, "read_at") + ")");
}

void Print(const Args& args, const json::object& cmek) {
  if (args.api.json()) {
    std::printf("%s\n", json::serialize(cmek).c_str());
    return;
  }
  std::printf("status: %s\n", TextOf(cmek, "status").c_str());
  for (const json::value& r : ArrayOf(cmek, "region_infos")) {
    const json::object& region = r.get_object();
    std::printf("\nregion %s: %s\n", Printable(TextOf(region, "region")).c_str(), TextOf(region, "status").c_str());
    std::vector<std::vector<std::string>> rows;
    std::string messages;
    for (const json::value& k : ArrayOf(region, "key_infos")) {
      const json::object& key = k.get_object();
      const json::object* spec = ObjectOf(key, "spec");
      rows.push_back({TextOf(key, "status"), spec == nullptr ? "" : TextOf(*spec, "type"), spec == nullptr ? "" : TextOf(*spec, "uri"),
                      TextOf(key, "updated_at")});
      if (const std::string message = TextOf(key, "user_message"); !message.empty()) messages += "  " + Printable(message) + "\n";
      if (const json::object* facts = ObjectOf(key, "facts")) messages += "  " + FactsLine(*facts) + "\n";
      for (const json::value& w : ArrayOf(key, "warnings")) messages += "  WARNING: " + Printable(TextOf(w.get_object(), "message")) + "\n";
    }
    std::fputs(RenderTable({"KEY", "TYPE", "URI", "UPDATED"}, rows).c_str(), stdout);
    std::fputs(messages.c_str(), stdout);
    for (const json::value& host : ArrayOf(region, "waiting_for"))
      std::printf("  waiting for %s\n", Printable(std::string(host.get_string())).c_str());
  }
}

bool Ends(std::string_view status, std::string_view suffix) { return status.ends_with(suffix); }

// The statuses of all regions, "us-east-1 ROTATING, …", and the first message that says why.
std::string Progress(const json::object& cmek) {
  std::string out, message;
  for (const json::value& r : ArrayOf(cmek, "region_infos")) {
    const json::object& region = r.get_object();
    if (!out.empty()) out += ", ";
    out += TextOf(region, "region") + " " + TextOf(region, "status");
    for (const json::value& k : ArrayOf(region, "key_infos")) {
      if (message.empty()) message = TextOf(k.get_object(), "user_message");
    }
  }
  return message.empty() ? out : out + ": " + message;
}

absl::Status WaitFor(const Args& args, const ApiClient& client, const std::string& path, const std::string& wanted, json::object& cmek) {
  if (!args.wait) return absl::OkStatus();
  return WaitUntil({.timeout = absl::Seconds(args.timeout_seconds)}, [&](std::string& progress) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(cmek, client.Get(path));
    progress = Progress(cmek);
    bool all = true;
    for (const json::value& r : ArrayOf(cmek, "region_infos")) {
      const std::string status = TextOf(r.get_object(), "status");
      if (Ends(status, "_FAILED")) return FailedPrecondition(progress);
      all = all && status == wanted;
    }
    return all && TextOf(cmek, "status") == wanted;
  });
}

absl::StatusOr<std::string> CmekPath(const ApiClient& client, const Args& args) {
  ASSIGN_OR_RETURN(const json::object cluster, client.FindCluster(args.cluster));
  return "/api/v1/clusters/" + TextOf(cluster, "id") + "/cmek";
}

absl::Status Get(const Args& args) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  ASSIGN_OR_RETURN(const std::string path, CmekPath(client, args));
  ASSIGN_OR_RETURN(const json::object cmek, client.Get(path));
  Print(args, cmek);
  return absl::OkStatus();
}

absl::Status SetKey(const Args& args, const std::string& method) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  ASSIGN_OR_RETURN(const json::object cluster, client.FindCluster(args.cluster));
  json::array specs;
  for (const json::value& v : ArrayOf(cluster, "regions")) {
    const std::string region = TextOf(v.get_object(), "name");
    if (!args.region.empty() && args.region != region) continue;
    specs.push_back({{"region", region}, {"key_spec", {{"type", args.type}, {"uri", args.uri}, {"auth_principal", args.principal}}}});
  }
  if (specs.empty()) return InvalidArgument("--region: the cluster has no region '", args.region, "'");
  const std::string path = "/api/v1/clusters/" + TextOf(cluster, "id") + "/cmek";
  ASSIGN_OR_RETURN(json::object cmek, client.Send(method, path, json::object{{"region_specs", std::move(specs)}}));
  RETURN_IF_ERROR(WaitFor(args, client, path, "ENABLED", cmek));
  Print(args, cmek);
  return absl::OkStatus();
}

absl::Status Act(const Args& args, const std::string& action, const std::string& wanted) {
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  ASSIGN_OR_RETURN(const std::string path, CmekPath(client, args));
  ASSIGN_OR_RETURN(json::object cmek, client.Send("PATCH", path, json::object{{"action", action}}));
  RETURN_IF_ERROR(WaitFor(args, client, path, wanted, cmek));
  Print(args, cmek);
  return absl::OkStatus();
}

}  // namespace

Command CmekCommand() {
  auto args = std::make_shared<Args>();
  const std::vector<CommandOption> api = ApiOptionList(&args->api);
  const CommandOption cluster = {.names = "cluster", .help = "name or id of the cluster", .target = &args->cluster, .required = true};
  const std::vector<CommandOption> wait = {
      {.names = "--wait", .help = "wait until it is done, with a progress line", .target = &args->wait},
      {.names = "--timeout", .help = "seconds that --wait waits", .target = &args->timeout_seconds}};
  const std::vector<CommandOption> key = {
      {.names = "--type", .help = "type of the key", .target = &args->type, .choices = KeyTypeNames()},
      {.names = "--uri",
       .help = "the key, as its type names it: an ARN, projects/…, https://<vault>…/keys/…, vault://…, pkcs11://…, kmip://…, local://…",
       .target = &args->uri,
       .required = true},
      {.names = "--principal",
       .help = "whom to act as on the owner's side: AWS role ARN, Google service account, Azure tenant",
       .target = &args->principal},
      {.names = "--region", .help = "this region only (default: every region of the cluster)", .target = &args->region}};
  Command group{.name = "cmek", .summary = "the owner's key to a cluster: enable, see, rotate, take away, give back"};
  group.children.push_back({.name = "get",
                            .summary = "status of every region and key",
                            .examples = {"latchkey cmek get ledger"},
                            .options = Plus({cluster}, api),
                            .run = [args] { return Get(*args); }});
  group.children.push_back(
      {.name = "enable",
       .summary = "put a running or new cluster under an owner key",
       .details = "The key is tested from the cluster's own hosts before anything changes. The database goes on meanwhile.",
       .examples = {"latchkey cmek enable ledger --uri arn:aws:kms:us-east-1:222222222222:key/… --principal "
                    "arn:aws:iam::222222222222:role/cmek --wait"},
       .options = Plus(Plus(Plus({cluster}, key), wait), api),
       .run = [args] { return SetKey(*args, "POST"); }});
  group.children.push_back({.name = "rotate",
                            .summary = "put it under another key, or under the newest version of the same key",
                            .details = "When it is ENABLED again, the former key may be disabled.",
                            .examples = {"latchkey cmek rotate ledger --uri arn:aws:kms:us-east-1:222222222222:key/… --principal "
                                         "arn:aws:iam::222222222222:role/cmek --wait",
                                         "latchkey cmek rotate ledger --type VAULT_TRANSIT --uri vault://… --region us-east-1 --wait"},
                            .options = Plus(Plus(Plus({cluster}, key), wait), api),
                            .run = [args] { return SetKey(*args, "PUT"); }});
  group.children.push_back({.name = "revoke",
                            .summary = "stop the cluster and forget its keys, now; nobody opens it until restore",
                            .examples = {"latchkey cmek revoke ledger --wait"},
                            .options = Plus(Plus({cluster}, wait), api),
                            .run = [args] { return Act(*args, "REVOKE", "REVOKED"); }});
  group.children.push_back({.name = "restore",
                            .summary = "undo a revoke: the cluster opens again, if its key can be used",
                            .examples = {"latchkey cmek restore ledger --wait"},
                            .options = Plus(Plus({cluster}, wait), api),
                            .run = [args] { return Act(*args, "RESTORE", "ENABLED"); }});
  return group;
}

}  // namespace latchkey
