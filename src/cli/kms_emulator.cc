#include <cstdio>

#include "api/server_config.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/emulator_fields.h"
#include "cli/emulator_views.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "emulator/admin_client.h"
#include "emulator/serve.h"
#include "emulator/tls_folder.h"
#include "http/server.h"

namespace latchkey {
namespace {

struct Args {
  std::string listen = "127.0.0.1:5566", state_file, url = "http://127.0.0.1:5566", output = "table";
  std::string key, role, principal, account = "222222222222", region = "us-east-1", alias, operation = "*", on_off;
  int64_t days = 30, times = 0, milliseconds = 0, since = 0;
  std::string gcp_listen, azure_listen, vault_listen, tls_folder, ca_file;
  std::string cloud, path, type;
  int64_t status = 500;
  std::vector<std::string> fields;
};

// Where another cloud listens: as asked for, or beside AWS's port, or where a port is free.
absl::StatusOr<EmulatorPort> PortOf(const std::string& flag, const std::string& text, const ListenAddress& aws, int offset) {
  if (text.empty()) {
    const int next = aws.port + offset;
    return EmulatorPort{.address = aws.address, .port = static_cast<uint16_t>(aws.port == 0 || next > 65535 ? 0 : next), .or_any = true};
  }
  auto listen = ListenAddress::Parse(text);
  if (!listen.ok()) return Prefixed(listen.status(), flag);
  if (!IsLoopback(listen->address)) return InvalidArgument(flag, ": an emulator with keys in a plain file listens on loopback only");
  return EmulatorPort{.address = listen->address, .port = listen->port};
}

absl::Status Run(const Args& args) {
  BlockStopSignals();
  RETURN_IF_ERROR(SetUpLog({.component = "kms-emulator"}));
  auto listen = ListenAddress::Parse(args.listen);
  if (!listen.ok()) return Prefixed(listen.status(), "--listen");
  if (!IsLoopback(listen->address)) return InvalidArgument("--listen: an emulator with keys in a plain file listens on loopback only");
  EmulatorServerOptions options{.address = listen->address, .port = listen->port};
  if (!args.tls_folder.empty()) {
    ASSIGN_OR_RETURN(EmulatorTls tls, OpenTlsFolder(args.tls_folder, absl::Now()));
    options.certificate_pem = tls.server.certificate_pem;
    options.private_key_pem = tls.server.private_key_pem;
    std::printf("CA  %s  (NODE_EXTRA_CA_CERTS, --emulator-ca)\n", tls.ca_file.c_str());
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Emulator> emulator, Emulator::Create({.state_file = args.state_file}));
  const std::vector<std::string> clouds = emulator->CloudNames();
  int offset = 0;
  for (const auto& [cloud, wanted] :
       {std::pair<std::string, const std::string&>{"gcp", args.gcp_listen}, {"azure", args.azure_listen}, {"vault", args.vault_listen}}) {
    ++offset;
    if (std::find(clouds.begin(), clouds.end(), cloud) == clouds.end()) continue;
    ASSIGN_OR_RETURN(options.ports[cloud], PortOf("--" + cloud + "-listen", wanted, *listen, offset));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<EmulatorServer> server, EmulatorServer::Start(std::move(options), std::move(emulator)));
  Log(LogLevel::kInfo, "KMS emulator is up", {{"url", server->url()}});
  std::printf("aws  %s\n", server->url().c_str());
  for (const std::string& cloud : clouds) std::printf("%s  %s\n", cloud.c_str(), server->url(cloud).c_str());
  std::fflush(stdout);
  WaitForStopSignal();
  server->Stop();
  return absl::OkStatus();
}

absl::StatusOr<EmulatorAdminClient> ClientOf(const Args& args) {
  std::string ca;
  if (!args.ca_file.empty()) {
    ASSIGN_OR_RETURN(ca, ReadFile(args.ca_file));
  }
  return EmulatorAdminClient(args.url, std::move(ca));
}

using Call = std::function<EmulatorAdminClient::Result(const EmulatorAdminClient& client, const Args& args)>;

using View = std::function<std::string(const json::object& answer)>;

absl::Status Print(const Args& args, const json::object& answer, const View& view) {
  const std::string text = args.output == "json" ? json::serialize(answer) + "\n" : view(answer);
  std::fputs(text.c_str(), stdout);
  return absl::OkStatus();
}

// One admin call; prints what the emulator answered.
std::function<absl::Status()> Calling(std::shared_ptr<Args> args, View view, Call call) {
  return [args, view, call]() -> absl::Status {
    ASSIGN_OR_RETURN(const EmulatorAdminClient client, ClientOf(*args));
    ASSIGN_OR_RETURN(const json::object answer, call(client, *args));
    return Print(*args, answer, view);
  };
}

std::vector<CommandOption> ConnectionOptions(Args* args) {
  return {{.names = "--emulator", .help = "address of the running emulator", .target = &args->url, .env = "LATCHKEY_KMS_EMULATOR"},
          {.names = "--emulator-ca",
           .help = "PEM file with its CA, where it speaks TLS",
           .target = &args->ca_file,
           .env = "LATCHKEY_KMS_EMULATOR_CA"},
          OutputOption(&args->output)};
}

Command KeyCommand(const std::shared_ptr<Args>& args, const std::vector<CommandOption>& connection) {
  const CommandOption key = {.names = "key", .help = "ARN, id or alias of the key", .target = &args->key, .required = true};
  Command group{.name = "key", .summary = "what an owner does to a key in AWS: create, disable, enable, delete, rotate"};
  group.children.push_back({.name = "create",
                            .summary = "a new symmetric key",
                            .examples = {"latchkey kms-emulator key create --region eu-central-1 --alias alias/reports"},
                            .options = Plus({{.names = "--account", .help = "account that owns it", .target = &args->account},
                                             {.names = "--region", .help = "its region", .target = &args->region},
                                             {.names = "--alias", .help = "its alias, alias/…", .target = &args->alias}},
                                            connection),
                            .run = Calling(args, DescribeEmulatorKey, [](const EmulatorAdminClient& c, const Args& a) {
                              return c.CreateKey(a.account, a.region, a.alias);
                            })});
  group.children.push_back(
      {.name = "disable",
       .summary = "disable a key: take it away",
       .examples = {"latchkey kms-emulator key disable alias/owner-key-1"},
       .options = Plus({key}, connection),
       .run = Calling(args, DescribeEmulatorKey, [](const EmulatorAdminClient& c, const Args& a) { return c.DisableKey(a.key); })});
  group.children.push_back(
      {.name = "enable",
       .summary = "enable a key: give it back",
       .examples = {"latchkey kms-emulator key enable alias/owner-key-1"},
       .options = Plus({key}, connection),
       .run = Calling(args, DescribeEmulatorKey, [](const EmulatorAdminClient& c, const Args& a) { return c.EnableKey(a.key); })});
  group.children.push_back({.name = "schedule-deletion",
                            .summary = "delete a key after a window of 7 to 30 days",
                            .examples = {"latchkey kms-emulator key schedule-deletion alias/owner-key-1 --days 7"},
                            .options = Plus({key, {.names = "--days", .help = "the window in days", .target = &args->days}}, connection),
                            .run = Calling(args, DescribeEmulatorKey,
                                           [](const EmulatorAdminClient& c, const Args& a) { return c.ScheduleDeletion(a.key, a.days); })});
  group.children.push_back(
      {.name = "cancel-deletion",
       .summary = "keep a key after all; it is disabled then",
       .examples = {"latchkey kms-emulator key cancel-deletion alias/owner-key-1"},
       .options = Plus({key}, connection),
       .run = Calling(args, DescribeEmulatorKey, [](const EmulatorAdminClient& c, const Args& a) { return c.CancelDeletion(a.key); })});
  group.children.push_back(
      {.name = "rotate",
       .summary = "give a key new material under the same ARN",
       .examples = {"latchkey kms-emulator key rotate alias/owner-key-1"},
       .options = Plus({key}, connection),
       .run = Calling(args, DescribeEmulatorKey, [](const EmulatorAdminClient& c, const Args& a) { return c.RotateKey(a.key); })});
  return group;
}

Command RoleCommand(const std::shared_ptr<Args>& args, const std::vector<CommandOption>& connection) {
  const CommandOption role = {.names = "role", .help = "ARN of the role", .target = &args->role, .required = true};
  Command group{.name = "role", .summary = "what an owner does to a role in AWS: withdraw its trust, give it back"};
  group.children.push_back(
      {.name = "untrust",
       .summary = "nobody may assume the role any more",
       .examples = {"latchkey kms-emulator role untrust \"$OWNER_ROLE\""},
       .options = Plus({role}, connection),
       .run = Calling(args, DescribeEmulatorRole, [](const EmulatorAdminClient& c, const Args& a) { return c.Untrust(a.role); })});
  group.children.push_back(
      {.name = "trust",
       .summary = "give the role's trust back as it was",
       .examples = {"latchkey kms-emulator role trust \"$OWNER_ROLE\""},
       .options = Plus({role}, connection),
       .run = Calling(args, DescribeEmulatorRole, [](const EmulatorAdminClient& c, const Args& a) { return c.Trust(a.role); })});
  return group;
}

// A fault for the cloud of --cloud, --times times or standing.
EmulatorAdminClient::Result OrderFault(const EmulatorAdminClient& client, const Args& args, json::object fault) {
  fault["cloud"] = args.cloud;
  fault["operation"] = args.operation;
  if (args.times == 0) {
    fault["standing"] = true;
  } else {
    fault["times"] = args.times;
  }
  return client.AddFault(fault);
}

Command FaultCommand(const std::shared_ptr<Args>& args, const std::vector<CommandOption>& connection) {
  const std::vector<CommandOption> which =
      Plus({{.names = "--cloud", .help = "aws (default), gcp, azure, vault", .target = &args->cloud},
            {.names = "--operation", .help = "as in the log: Decrypt, AssumeRole, unwrapkey, …, or * for all", .target = &args->operation},
            {.names = "--times", .help = "how many calls; 0: until cleared", .target = &args->times}},
           connection);
  Command group{.name = "fault", .summary = "make a KMS misbehave"};
  group.children.push_back({.name = "throttle",
                            .summary = "answer that there are too many calls",
                            .examples = {"latchkey kms-emulator fault throttle --operation Decrypt --times 3"},
                            .options = which,
                            .run = Calling(args, DescribeEmulatorFault, [](const EmulatorAdminClient& c, const Args& a) {
                              return OrderFault(c, a, {{"action", "throttle"}});
                            })});
  group.children.push_back(
      {.name = "delay",
       .summary = "answer late",
       .examples = {"latchkey kms-emulator fault delay --milliseconds 1500 --cloud vault"},
       .options =
           Plus({{.names = "--milliseconds", .help = "how late, in milliseconds", .target = &args->milliseconds, .required = true}}, which),
       .run = Calling(args, DescribeEmulatorFault, [](const EmulatorAdminClient& c, const Args& a) {
         return OrderFault(c, a, {{"action", "delay"}, {"delay_ms", a.milliseconds}});
       })});
  group.children.push_back(
      {.name = "error",
       .summary = "answer with an error",
       .examples = {"latchkey kms-emulator fault error --status 400 --type KMSInternalException --operation Decrypt --times 1"},
       .options = Plus({{.names = "--status", .help = "HTTP status", .target = &args->status},
                        {.names = "--type", .help = "the service's word for it", .target = &args->type}},
                       which),
       .run = Calling(args, DescribeEmulatorFault, [](const EmulatorAdminClient& c, const Args& a) {
         return OrderFault(c, a, {{"action", "error"}, {"status", a.status}, {"type", a.type}});
       })});
  group.children.push_back({.name = "drop",
                            .summary = "close the connection without an answer",
                            .examples = {"latchkey kms-emulator fault drop --cloud gcp --times 2"},
                            .options = which,
                            .run = Calling(args, DescribeEmulatorFault, [](const EmulatorAdminClient& c, const Args& a) {
                              return OrderFault(c, a, {{"action", "drop"}});
                            })});
  group.children.push_back(
      {.name = "clear",
       .summary = "no faults and no outage any more",
       .examples = {"latchkey kms-emulator fault clear"},
       .options = Plus({{.names = "--cloud", .help = "of this one only (default: all)", .target = &args->cloud}}, connection),
       .run = Calling(
           args, [](const json::object&) { return std::string("no faults and no outage any more\n"); },
           [](const EmulatorAdminClient& c, const Args& a) { return c.ClearFaults(a.cloud); })});
  return group;
}

absl::Status ChangeCloud(const Args& args) {
  ASSIGN_OR_RETURN(const json::object fields, ParseEmulatorFields(args.fields));
  ASSIGN_OR_RETURN(const EmulatorAdminClient client, ClientOf(args));
  absl::StatusOr<json::object> answer =
      args.path == "seed" ? client.SeedCloud(args.cloud, fields) : client.Change(args.cloud, args.path, fields);
  if (!answer.ok()) return answer.status();
  return Print(args, *answer, DescribeEmulatorAnswer);
}

Command CloudCommand(const std::shared_ptr<Args>& args, const std::vector<CommandOption>& connection) {
  return {.name = "cloud",
          .summary = "what an owner does in any cloud: every call of its admin API",
          .details =
              "Fields are name=text, or name:=JSON for numbers, true, false, lists and objects. With after_seconds:=N the call bites N "
              "seconds later. docs/kms-emulator.md lists the paths of each cloud; `seed` makes what the examples use.",
          .examples = {"latchkey kms-emulator cloud vault policies/deny name=latchkey path=transit/+/owner-key-1",
                       "latchkey kms-emulator cloud aws keys/disable key=alias/owner-key-1 after_seconds:=30"},
          .options = Plus({{.names = "cloud", .help = "aws, gcp, azure or vault", .target = &args->cloud, .required = true},
                           {.names = "path", .help = "keys/disable, …", .target = &args->path, .required = true},
                           {.names = "fields", .help = "name=text or name:=JSON", .target = &args->fields}},
                          connection),
          .run = [args] { return ChangeCloud(*args); }};
}

}  // namespace

Command KmsEmulatorCommand() {
  auto args = std::make_shared<Args>();
  const std::vector<CommandOption> connection = ConnectionOptions(args.get());
  const CommandOption principal = {.names = "principal", .help = "ARN of the user or role", .target = &args->principal, .required = true};
  const CommandOption one_key = {.names = "--key", .help = "this key only (default: every key)", .target = &args->key};
  Command group{
      .name = "kms-emulator",
      .summary = "an emulator of cloud key services, for development and tests (not for production: its keys stand in a plain file)",
      .examples = {"latchkey kms-emulator run --listen 127.0.0.1:5566 --state-file emulator.json",
                   "latchkey kms-emulator key disable alias/owner-key-1"}};
  group.children.push_back(
      {.name = "run",
       .summary = "run the emulator until SIGTERM",
       .examples = {"latchkey kms-emulator run --listen 127.0.0.1:5566 --state-file emulator.json"},
       .options = {{.names = "--listen", .help = "loopback address and port for AWS", .target = &args->listen},
                   {.names = "--gcp-listen", .help = "Google Cloud (default: the next port)", .target = &args->gcp_listen},
                   {.names = "--azure-listen", .help = "Azure (default: the next but one)", .target = &args->azure_listen},
                   {.names = "--vault-listen", .help = "Vault (default: the third)", .target = &args->vault_listen},
                   {.names = "--tls-folder",
                    .help = "speak TLS, with the CA in this folder; made when it is not there",
                    .target = &args->tls_folder},
                   {.names = "--state-file",
                    .help = "where everything is kept, keys included; left out: nothing is kept",
                    .target = &args->state_file}},
       .run = [args] { return Run(*args); }});
  group.children.push_back(KeyCommand(args, connection));
  group.children.push_back(RoleCommand(args, connection));
  group.children.push_back(FaultCommand(args, connection));
  group.children.push_back(CloudCommand(args, connection));
  group.children.push_back({.name = "deny",
                            .summary = "refuse a principal",
                            .examples = {"latchkey kms-emulator deny \"$OWNER_ROLE\" --key alias/owner-key-1"},
                            .options = Plus({principal, one_key}, connection),
                            .run = Calling(
                                args, [](const json::object& o) { return DescribeEmulatorDenial(o, "denied"); },
                                [](const EmulatorAdminClient& c, const Args& a) { return c.Deny(a.principal, a.key); })});
  group.children.push_back({.name = "undeny",
                            .summary = "refuse a principal no more",
                            .examples = {"latchkey kms-emulator undeny \"$OWNER_ROLE\" --key alias/owner-key-1"},
                            .options = Plus({principal, one_key}, connection),
                            .run = Calling(
                                args, [](const json::object& o) { return DescribeEmulatorDenial(o, "denied no more"); },
                                [](const EmulatorAdminClient& c, const Args& a) { return c.Undeny(a.principal, a.key); })});
  group.children.push_back(
      {.name = "outage",
       .summary = "answer nothing at all, or answer again",
       .examples = {"latchkey kms-emulator outage on", "latchkey kms-emulator outage off --cloud vault"},
       .options = Plus({{.names = "state", .help = "on or off", .target = &args->on_off, .required = true, .choices = {"on", "off"}},
                        {.names = "--cloud", .help = "of this one only (default: all)", .target = &args->cloud}},
                       connection),
       .run = Calling(args, DescribeEmulatorOutage,
                      [](const EmulatorAdminClient& c, const Args& a) { return c.Outage(a.on_off == "on", a.cloud); })});
  group.children.push_back(
      {.name = "state",
       .summary = "what it holds: accounts, users, roles, keys; no secrets",
       .examples = {"latchkey kms-emulator state"},
       .options = connection,
       .run = Calling(args, DescribeEmulatorState, [](const EmulatorAdminClient& c, const Args&) { return c.State(); })});
  group.children.push_back(
      {.name = "calls",
       .summary = "what was asked of it, and by whom",
       .examples = {"latchkey kms-emulator calls --since 120"},
       .options = Plus({{.names = "--since", .help = "calls with numbers above this", .target = &args->since}}, connection),
       .run = Calling(args, DescribeEmulatorCalls, [](const EmulatorAdminClient& c, const Args& a) { return c.Calls(a.since); })});
  return group;
}

}  // namespace latchkey
