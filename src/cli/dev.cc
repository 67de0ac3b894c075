#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "agent/config.h"
#include "agent/seal_host.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/dev_clouds.h"
#include "cli/dev_stack.h"
#include "cli/signals.h"
#include "http/client.h"

namespace latchkey {
namespace {

std::string DefaultFolder() {
  const char* home = std::getenv("HOME");
  return geteuid() == 0 || home == nullptr ? "/var/lib/latchkey-dev" : std::string(home) + "/.latchkey-dev";
}

struct Args {
  std::string dir = DefaultFolder(), clocks = "default", region = "us-east-1", connections;
  std::vector<std::string> agent_env;
  bool no_restart = false;
};

struct Part {
  std::string name;
  std::vector<std::string> argv;
  ProcessId process;
  std::map<std::string, std::string> env = {};  // beside PATH
};

absl::Status StartPart(const DevStack& stack, Part& part) {
  SpawnOptions options{.argv = part.argv, .env = part.env, .output_file = stack.folder + "/" + part.name + ".log"};
  options.env.emplace("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
  // They end with `latchkey dev`, however that ends. Databases and volume daemons are the agent's, and stay until they are sealed.
  options.detached = false;
  options.die_with_parent = true;
  ASSIGN_OR_RETURN(part.process, Spawn(options));
  return absl::OkStatus();
}

absl::Status WaitForHttp(const std::string& url, absl::Duration timeout) {
  const HttpClient client({.connect_timeout = absl::Milliseconds(500), .total_timeout = absl::Seconds(2)});
  const absl::Time deadline = absl::Now() + timeout;
  absl::Status last;
  while (absl::Now() < deadline && !StopSignalPending()) {
    const auto answer = client.Send(url, HttpRequest{});
    if (answer.ok() && answer->status < 500) return absl::OkStatus();
    last = answer.ok() ? Unavailable("HTTP status ", answer->status) : answer.status();
    absl::SleepFor(absl::Milliseconds(50));
  }
  return Prefixed(last, url);
}

// The region shows up once the agent has joined.
absl::Status WaitForAgent(const DevStack& stack, absl::Duration timeout) {
  const HttpClient client({});
  HttpRequest request;
  request.headers["authorization"] = "Bearer " + stack.api_key;
  const absl::Time deadline = absl::Now() + timeout;
  while (absl::Now() < deadline && !StopSignalPending()) {
    const auto answer = client.Send(stack.server_url + "/api/v1/clusters/available-regions", request);
    if (answer.ok() && answer->status == 200) {
      const auto body = ParseJsonObject(answer->body);
      const json::value* regions = body.ok() ? body->if_contains("regions") : nullptr;
      if (regions != nullptr && regions->is_array() && !regions->get_array().empty()) return absl::OkStatus();
    }
    absl::SleepFor(absl::Milliseconds(50));
  }
  return absl::DeadlineExceededError(absl::StrCat("the agent has not joined; see ", stack.folder, "/agent.log"));
}

absl::Status WriteFacts(const DevStack& stack) {
  ASSIGN_OR_RETURN(const std::string cloud_variables, DevCloudVariables(stack.clouds));
  const std::string env = "export LATCHKEY_SERVER=" + stack.server_url + "\nexport LATCHKEY_API_KEY=" + stack.api_key +
                          "\nexport LATCHKEY_KMS_EMULATOR=" + stack.emulator_url + "\nexport OWNER_KEY=" + stack.owner_key +
                          "\nexport SECOND_OWNER_KEY=" + stack.second_owner_key + "\nexport OWNER_ROLE=" + stack.owner_role + "\n" +
                          cloud_variables;
  RETURN_IF_ERROR(WriteFileAtomically(stack.folder + "/env", env));
  json::object clouds;
  for (const auto& [name, cloud] : stack.clouds) {
    json::object one{{"url", cloud.url}};
    one["seed"] = cloud.seed;
    clouds[name] = std::move(one);
  }
  json::object facts{{"server", stack.server_url},
                     {"api_key", stack.api_key},
                     {"kms_emulator", stack.emulator_url},
                     {"organization", stack.organization},
                     {"owner_key", stack.owner_key},
                     {"second_owner_key", stack.second_owner_key},
                     {"owner_role", stack.owner_role},
                     {"server_config", stack.server_config},
                     {"agent_config", stack.agent_config},
                     {"emulator_listen", stack.emulator_listen},
                     {"emulator_state", stack.emulator_state}};
  facts["clouds"] = std::move(clouds);
  // Written last: whoever waits for it may begin.
  return WriteFileAtomically(stack.folder + "/dev.json", json::serialize(facts));
}

// Agent first, so that nothing is opened again; then what it left running; then the others.
absl::Status StopAll(const DevStack& stack, std::vector<Part>& parts) {
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->name != "agent" || !part->process.valid()) continue;
    SendSignal(part->process, SIGTERM).IgnoreError();
    if (!WaitForExit(part->process, absl::Seconds(20))) KillTree(part->process, absl::Seconds(5)).IgnoreError();
  }
  absl::Status sealed;
  if (const auto config = LoadAgentConfig(stack.agent_config); config.ok()) sealed = SealHost(*config);
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->name == "agent" || !part->process.valid()) continue;
    SendSignal(part->process, SIGTERM).IgnoreError();
    if (!WaitForExit(part->process, absl::Seconds(10))) KillTree(part->process, absl::Seconds(5)).IgnoreError();
  }
  return sealed;
}

absl::Status StartAll(const DevStack& stack, std::vector<Part>& parts) {
  RETURN_IF_ERROR(StartPart(stack, parts[0]));
  RETURN_IF_ERROR(WaitForHttp(stack.emulator_url + "/_admin/health", absl::Seconds(20)));
  RETURN_IF_ERROR(StartPart(stack, parts[1]));
  RETURN_IF_ERROR(WaitForHttp(stack.server_url + "/api/v1/clusters", absl::Seconds(20)));
  RETURN_IF_ERROR(StartPart(stack, parts[2]));
  RETURN_IF_ERROR(WaitForAgent(stack, absl::Seconds(20)));
  return WriteFacts(stack);
}

// Until a stop signal: what ends by itself is started again, unless asked not to.
void Watch(const DevStack& stack, std::vector<Part>& parts, bool restart) {
  while (!StopSignalPending()) {
    for (Part& part : parts) {
      if (!part.process.valid() || IsRunning(part.process)) continue;
      WaitForExit(part.process, absl::ZeroDuration());  // reaps
      part.process = {};
      std::printf("%s has ended%s\n", part.name.c_str(), restart ? "; it is started again" : "");
      std::fflush(stdout);
      if (!restart) continue;
      if (const absl::Status status = StartPart(stack, part); !status.ok())
        std::printf("%s: %s\n", part.name.c_str(), std::string(status.message()).c_str());
    }
    absl::SleepFor(absl::Milliseconds(200));
  }
}

absl::StatusOr<std::map<std::string, std::string>> ReadVariables(const std::vector<std::string>& words) {
  std::map<std::string, std::string> out;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == 0 || equals == std::string::npos) return InvalidArgument("--agent-env: must be NAME=value, not '", word, "'");
    out[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return out;
}

absl::Status Run(const Args& args) {
  BlockStopSignals();
  ASSIGN_OR_RETURN(const auto agent_env, ReadVariables(args.agent_env));
  std::error_code error;
  const std::string folder = std::filesystem::absolute(args.dir, error).lexically_normal().string();
  ASSIGN_OR_RETURN(
      const DevStack stack,
      PrepareDevStack(
          {.folder = folder, .region = args.region, .demo_clocks = args.clocks == "demo", .connections_file = args.connections}));
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  std::vector<Part> parts = {
      {"kms-emulator", {program, "kms-emulator", "run", "--listen", stack.emulator_listen, "--state-file", stack.emulator_state}, {}},
      {"server", {program, "server", "run", "--config", stack.server_config}, {}},
      {"agent", {program, "agent", "run", "--config", stack.agent_config}, {}, agent_env}};
  for (const auto& [name, cloud] : stack.clouds) {
    parts[0].argv.insert(parts[0].argv.end(), {"--" + name + "-listen", cloud.listen});
  }
  absl::Status status = StartAll(stack, parts);
  if (status.ok()) {
    std::printf(
        "server        %s\nKMS emulator  %s\nagent         region %s, databases as %s\nlogs          %s/*.log\n\n"
        "In another shell:\n  source %s/env\n  latchkey clusters create ledger --region %s --wait\n  latchkey cmek enable ledger --uri "
        "\"$OWNER_KEY\" --principal \"$OWNER_ROLE\" --wait\n\n"
        "Ctrl-C stops the databases, seals the volumes and ends all of it.\n",
        stack.server_url.c_str(), stack.emulator_url.c_str(), args.region.c_str(), geteuid() == 0 ? "latchkey" : "you", folder.c_str(),
        folder.c_str(), args.region.c_str());
    std::fflush(stdout);
    Watch(stack, parts, !args.no_restart);
  }
  std::printf("stopping\n");
  std::fflush(stdout);
  const absl::Status stopped = StopAll(stack, parts);
  RemoveTree(folder + "/dev.json").IgnoreError();
  return status.ok() ? stopped : status;
}

}  // namespace

Command DevCommand() {
  auto args = std::make_shared<Args>();
  return {.name = "dev",
          .summary = "server, agent and KMS emulator on this machine, to try things",
          .details =
              "Everything lies in one folder and is used again on the next start. As root, databases run as the system user latchkey; "
              "otherwise as you.",
          .examples = {"sudo latchkey dev"},
          .options = {{.names = "--dir", .help = "folder of the stack; a short path, since sockets lie in it", .target = &args->dir},
                      {.names = "--region", .help = "region of the agent and of the owner's keys", .target = &args->region},
                      {.names = "--clocks",
                       .help = "demo: check every second, grace 12 s; default: those of docs/agent.md",
                       .target = &args->clocks,
                       .choices = {"default", "demo"}},
                      {.names = "--connections",
                       .help = "file with [connections.…] tables for the agent's configuration: PKCS #11 tokens, KMIP servers",
                       .target = &args->connections},
                      {.names = "--agent-env",
                       .help = "NAME=value for the agent's environment, such as SOFTHSM2_CONF (repeatable)",
                       .target = &args->agent_env},
                      {.names = "--no-restart", .help = "leave ended what ends by itself", .target = &args->no_restart}},
          .run = [args] { return Run(*args); }};
}

}  // namespace latchkey
