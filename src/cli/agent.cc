#include "agent/agent.h"

#include <cstdio>

#include "agent/node_credentials.h"
#include "agent/seal_host.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret_bytes.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/table.h"

namespace latchkey {
namespace {

struct Args {
  std::string config, cluster, log_level = "info", output = "table";
};

LogLevel LevelOf(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warning") return LogLevel::kWarning;
  if (name == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

absl::Status Run(const Args& args) {
  BlockStopSignals();
  // KEKs pass through this process: nobody may read its memory, and no core file is written.
  RETURN_IF_ERROR(ForbidDumps());
  RETURN_IF_ERROR(SetUpLog({.component = "agent", .least = LevelOf(args.log_level)}));
  ASSIGN_OR_RETURN(AgentConfig config, LoadAgentConfig(args.config));
  ASSIGN_OR_RETURN(const std::unique_ptr<Agent> agent, Agent::Start(std::move(config)));
  WaitForStopSignal();
  agent->Stop();
  return absl::OkStatus();
}

absl::Status Credentials(const Args& args) {
  ASSIGN_OR_RETURN(const AgentConfig config, LoadAgentConfig(args.config));
  ASSIGN_OR_RETURN(const std::vector<NodeCredentials> nodes, ReadNodeCredentials(config, args.cluster));
  for (const NodeCredentials& n : nodes) {
    const std::string password(n.engine.password.RevealText(SecretAccess{}));
    if (args.output == "json") {
      std::printf("%s\n", json::serialize(json::object{{"node", n.node_name},
                                                       {"host", n.host},
                                                       {"port", n.port},
                                                       {"socket_folder", n.socket_folder},
                                                       {"database", n.engine.database},
                                                       {"username", n.engine.username},
                                                       {"password", password}})
                              .c_str());
    } else {
      std::fputs(RenderFacts({{"node", n.node_name},
                              {"address", absl::StrCat(n.host, ":", n.port)},
                              {"socket folder", n.socket_folder},
                              {"database", n.engine.database},
                              {"username", n.engine.username},
                              {"password", password}})
                     .c_str(),
                 stdout);
    }
  }
  return absl::OkStatus();
}

absl::Status Seal(const Args& args) {
  ASSIGN_OR_RETURN(const AgentConfig config, LoadAgentConfig(args.config));
  return SealHost(config);
}

}  // namespace

Command AgentCommand() {
  auto args = std::make_shared<Args>();
  const CommandOption config = {
      .names = "--config", .help = "configuration file (TOML), see docs/agent.md", .target = &args->config, .required = true};
  Command agent{.name = "agent",
                .summary = "the agent of a database host: run it, connect to what it runs, seal the host",
                .examples = {"latchkey agent run --config /etc/latchkey/agent.toml"}};
  agent.children.push_back({.name = "run",
                            .summary = "run the agent until SIGTERM; databases and volumes go on without it until their leases end",
                            .examples = {"latchkey agent run --config /etc/latchkey/agent.toml"},
                            .options = {config,
                                        {.names = "--log-level",
                                         .help = "least level that is logged",
                                         .target = &args->log_level,
                                         .choices = {"debug", "info", "warning", "error"}}},
                            .run = [args] { return Run(*args); }});
  agent.children.push_back(
      {.name = "credentials",
       .summary = "how to connect to a cluster's database on this host; shows the password, which leaves it no other way",
       .examples = {"latchkey agent credentials ledger --config /etc/latchkey/agent.toml"},
       .options = {{.names = "cluster", .help = "name or id of the cluster", .target = &args->cluster, .required = true},
                   config,
                   OutputOption(&args->output)},
       .run = [args] { return Credentials(*args); }});
  agent.children.push_back({.name = "seal",
                            .summary = "stop every database and seal every volume of this host, while its agent is stopped",
                            .examples = {"latchkey agent seal --config /etc/latchkey/agent.toml"},
                            .options = {config},
                            .run = [args] { return Seal(*args); }});
  return agent;
}

}  // namespace latchkey
