#include <cstdio>

#include "api/server_config.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "emulator/admin_client.h"
#include "emulator/serve.h"
#include "http/server.h"

namespace latchkey {
namespace {

struct Args {
  std::string listen = "127.0.0.1:5566", state_file, url = "http://127.0.0.1:5566", output = "table";
  std::string key, role, principal, account = "222222222222", region = "us-east-1", alias, operation = "*", on_off;
  int64_t days = 30, times = 0, milliseconds = 0, since = 0;
};

absl::Status Run(const Args& args) {
  BlockStopSignals();
  RETURN_IF_ERROR(SetUpLog({.component = "kms-emulator"}));
  auto listen = ListenAddress::Parse(args.listen);
  if (!listen.ok()) return Prefixed(listen.status(), "--listen");
  if (!IsLoopback(listen->address)) return InvalidArgument("--listen: an emulator with keys in a plain file listens on loopback only");
  ASSIGN_OR_RETURN(std::unique_ptr<Emulator> emulator, Emulator::Create({.state_file = args.state_file}));
  ASSIGN_OR_RETURN(const std::unique_ptr<EmulatorServer> server,
                   EmulatorServer::Start({.address = listen->address, .port = listen->port}, std::move(emulator)));
  Log(LogLevel::kInfo, "KMS emulator is up", {{"url", server->url()}});
  WaitForStopSignal();
  server->Stop();
  return absl::OkStatus();
}

using Call = std::function<EmulatorAdminClient::Result(const EmulatorAdminClient& client, const Args& args)>;

// One admin call; prints what the emulator answered as JSON.
std::function<absl::Status()> Calling(std::shared_ptr<Args> args, Call call) {
  return [args, call]() -> absl::Status {
    ASSIGN_OR_RETURN(const json::object answer, call(EmulatorAdminClient(args->url), *args));
    std::printf("%s\n", json::serialize(answer).c_str());
    return absl::OkStatus();
  };
}

absl::Status ShowCalls(const Args& args) {
  ASSIGN_OR_RETURN(const json::object answer, EmulatorAdminClient(args.url).Calls(args.since));
  if (args.output == "json") {
    std::printf("%s\n", json::serialize(answer).c_str());
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> rows;
  for (const json::value& v : ArrayOf(answer, "calls")) {
    const json::object& c = v.get_object();
    rows.push_back({TextOf(c, "number"), TextOf(c, "time"), TextOf(c, "service"), TextOf(c, "operation"), TextOf(c, "result"),
                    TextOf(c, "principal"), TextOf(c, "key")});
  }
  std::fputs(RenderTable({"#", "TIME", "SERVICE", "OPERATION", "RESULT", "PRINCIPAL", "KEY"}, rows).c_str(), stdout);
  return absl::OkStatus();
}

Command KeyCommand(const std::shared_ptr<Args>& args, const CommandOption& url) {
  const CommandOption key = {.names = "key", .help = "ARN, id or alias of the key", .target = &args->key, .required = true};
  Command group{.name = "key", .summary = "what an owner does in the KMS: create, disable, enable, delete, rotate"};
  group.children.push_back(
      {.name = "create",
       .summary = "a new symmetric key",
       .options = {{.names = "--account", .help = "account that owns it", .target = &args->account},
                   {.names = "--region", .help = "its region", .target = &args->region},
                   {.names = "--alias", .help = "alias/…", .target = &args->alias},
                   url},
       .run = Calling(args, [](const EmulatorAdminClient& c, const Args& a) { return c.CreateKey(a.account, a.region, a.alias); })});
  group.children.push_back({.name = "disable",
                            .summary = "take it away",
                            .options = {key, url},
                            .run = Calling(args, [](const EmulatorAdminClient& c, const Args& a) { return c.DisableKey(a.key); })});
  group.children.push_back({.name = "enable",
                            .summary = "give it back",
                            .options = {key, url},
                            .run = Calling(args, [](const EmulatorAdminClient& c, const Args& a) { return c.EnableKey(a.key); })});
  group.children.push_back(
      {.name = "schedule-deletion",
       .summary = "delete it after a window of 7 to 30 days",
       .options = {key, {.names = "--days", .help = "the window", .target = &args->days}, url},
       .run = Calling(args, [](const EmulatorAdminClient& c, const Args& a) { return c.ScheduleDeletion(a.key, a.days); })});
  group.children.push_back({.name = "cancel-deletion",
                            .summary = "keep it after all; it is disabled then",
                            .options = {key, url},
                            .run = Calling(args, [](const EmulatorAdminClient& c, const Args& a) { return c.CancelDeletion(a.key); })});
  group.children.push_back({.name = "rotate",
                            .summary = "new key material under the same ARN",
                            .options = {key, url},
                            .run = Calling(args, [](const EmulatorAdminClient& c, const Args& a) { return c.RotateKey(a.key); })});
  return group;
}

Command RoleCommand(const std::shared_ptr<Args>& args, const CommandOption& url) {
  const CommandOption role = {.names = "role", .help = "ARN of the role", .target = &args->role, .required = true};
  Command group{.name = "role", .summary = "the owner's role"};
  group.children.push_back({.name = "untrust",
                            .summary = "nobody may assume it any more",
                            .options = {role, url},
                            .run = Calling(args, [](const EmulatorAdminClient& c, const Args& a) { return c.Untrust(a.role); })});
  group.children.push_back({.name = "trust",
                            .summary = "its trust as it was",
                            .options = {role, url},
                            .run = Calling(args, [](const EmulatorAdminClient& c, const Args& a) { return c.Trust(a.role); })});
  return group;
}

Command FaultCommand(const std::shared_ptr<Args>& args, const CommandOption& url) {
  const CommandOption operation = {
      .names = "--operation", .help = "Decrypt, Encrypt, AssumeRole, …, or * for all", .target = &args->operation};
  const CommandOption times = {.names = "--times", .help = "how many calls; 0: until cleared", .target = &args->times};
  Command group{.name = "fault", .summary = "make the KMS misbehave"};
  group.children.push_back(
      {.name = "throttle",
       .summary = "answer ThrottlingException",
       .options = {operation, times, url},
       .run = Calling(args, [](const EmulatorAdminClient& c, const Args& a) { return c.Throttle(a.operation, a.times); })});
  group.children.push_back(
      {.name = "delay",
       .summary = "answer late",
       .options = {{.names = "--milliseconds", .help = "how late", .target = &args->milliseconds, .required = true}, operation, times, url},
       .run = Calling(args, [](const EmulatorAdminClient& c, const Args& a) {
         return c.Delay(a.operation, absl::Milliseconds(a.milliseconds), a.times);
       })});
  group.children.push_back(
      {.name = "drop",
       .summary = "close the connection without an answer",
       .options = {operation, times, url},
       .run = Calling(args, [](const EmulatorAdminClient& c, const Args& a) { return c.Drop(a.operation, a.times); })});
  group.children.push_back({.name = "clear",
                            .summary = "no faults any more",
                            .options = {url},
                            .run = Calling(args, [](const EmulatorAdminClient& c, const Args&) { return c.ClearFaults(); })});
  return group;
}

}  // namespace

Command KmsEmulatorCommand() {
  auto args = std::make_shared<Args>();
  const CommandOption url = {
      .names = "--emulator", .help = "address of the running emulator", .target = &args->url, .env = "LATCHKEY_KMS_EMULATOR"};
  const CommandOption principal = {.names = "principal", .help = "ARN of the user or role", .target = &args->principal, .required = true};
  const CommandOption one_key = {.names = "--key", .help = "this key only (default: every key)", .target = &args->key};
  Command group{.name = "kms-emulator",
                .summary = "an emulator of AWS KMS and STS, for development and tests (not for production: its keys stand in a plain file)",
                .examples = {"latchkey kms-emulator run --listen 127.0.0.1:5566 --state-file emulator.json",
                             "latchkey kms-emulator key disable alias/owner-key-1"}};
  group.children.push_back({.name = "run",
                            .summary = "run until SIGTERM",
                            .options = {{.names = "--listen", .help = "loopback address and port", .target = &args->listen},
                                        {.names = "--state-file",
                                         .help = "where everything is kept, keys included; left out: nothing is kept",
                                         .target = &args->state_file}},
                            .run = [args] { return Run(*args); }});
  group.children.push_back(KeyCommand(args, url));
  group.children.push_back(RoleCommand(args, url));
  group.children.push_back(FaultCommand(args, url));
  group.children.push_back({.name = "deny",
                            .summary = "refuse a principal",
                            .options = {principal, one_key, url},
                            .run = Calling(args, [](const EmulatorAdminClient& c, const Args& a) { return c.Deny(a.principal, a.key); })});
  group.children.push_back(
      {.name = "undeny",
       .summary = "refuse it no more",
       .options = {principal, one_key, url},
       .run = Calling(args, [](const EmulatorAdminClient& c, const Args& a) { return c.Undeny(a.principal, a.key); })});
  group.children.push_back(
      {.name = "outage",
       .summary = "answer nothing at all",
       .options = {{.names = "state", .help = "on or off", .target = &args->on_off, .required = true, .choices = {"on", "off"}}, url},
       .run = Calling(args, [](const EmulatorAdminClient& c, const Args& a) { return c.Outage(a.on_off == "on"); })});
  group.children.push_back({.name = "state",
                            .summary = "accounts, users, roles, keys; no secrets",
                            .options = {url},
                            .run = Calling(args, [](const EmulatorAdminClient& c, const Args&) { return c.State(); })});
  group.children.push_back(
      {.name = "calls",
       .summary = "what was asked of it, and by whom",
       .options = {{.names = "--since", .help = "numbers above this", .target = &args->since}, OutputOption(&args->output), url},
       .run = [args] { return ShowCalls(*args); }});
  return group;
}

}  // namespace latchkey
