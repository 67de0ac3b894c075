#include "api/server.h"

#include <cstdio>

#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "control/services.h"

namespace latchkey {
namespace {

struct Args {
  std::string config, name, output = "table";
  bool plaintext = false;
};

const Caller kLocal{.api_key_id = "local", .name = "local", .remote = "local"};

absl::StatusOr<ServerConfig> Load(const Args& args) {
  ASSIGN_OR_RETURN(ServerConfig config, LoadServerConfig(args.config));
  config.i_accept_plaintext_off_loopback = config.i_accept_plaintext_off_loopback || args.plaintext;
  return config;
}

absl::Status Run(const Args& args) {
  BlockStopSignals();
  ASSIGN_OR_RETURN(const ServerConfig config, Load(args));
  RETURN_IF_ERROR(SetUpLog({.component = "server", .least = config.log_level, .file = config.log_file}));
  ASSIGN_OR_RETURN(const std::unique_ptr<Server> server, StartServer(config));
  Log(LogLevel::kInfo, "server is up",
      {{"public_port", server->public_port()},
       {"agent_port", server->agent_port()},
       {"organization", server->control().organization_id()}});
  const int signal = WaitForStopSignal();
  Log(LogLevel::kInfo, "server stops", {{"signal", signal}});
  server->Stop();
  return absl::OkStatus();
}

// The store, for commands while no server runs on it.
absl::StatusOr<std::unique_ptr<Control>> OpenControl(const Args& args) {
  ASSIGN_OR_RETURN(const ServerConfig config, Load(args));
  auto control = Control::Open(
      {.database = config.store_path, .escrow = config.escrow, .account_id = config.account_id, .server_names = config.agent_names});
  if (!control.ok()) return Prefixed(control.status(), "the store cannot be opened (does the server run? then use the API)");
  return control;
}

absl::Status Init(const Args& args) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Control> control, OpenControl(args));
  ASSIGN_OR_RETURN(const std::vector<ApiKeyView> keys, control->api_keys().List());
  if (!keys.empty()) return absl::AlreadyExistsError("there is an API key already; `latchkey server api-key NAME` makes another");
  ASSIGN_OR_RETURN(const NewApiKey key, control->api_keys().Create(kLocal, "admin"));
  ASSIGN_OR_RETURN(const JoinToken token, control->agents().CreateJoinToken(kLocal));
  const std::string secret(key.secret.RevealText(SecretAccess{}));
  if (args.output == "json") {
    std::printf(
        "%s\n",
        json::serialize(json::object{{"organization", control->organization_id()}, {"api_key", secret}, {"join_token", token.ToString()}})
            .c_str());
  } else {
    std::fputs(RenderFacts({{"organization", control->organization_id()},
                            {"API key (shown once)", secret},
                            {"join token (once, within an hour)", token.ToString()}})
                   .c_str(),
               stdout);
  }
  return absl::OkStatus();
}

absl::Status MakeApiKey(const Args& args) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Control> control, OpenControl(args));
  ASSIGN_OR_RETURN(const NewApiKey key, control->api_keys().Create(kLocal, args.name));
  const std::string secret(key.secret.RevealText(SecretAccess{}));
  if (args.output == "json") {
    // In the API's own form.
    const json::object made{{"api_key", json::object{{"id", key.id}, {"name", args.name}}}, {"secret", secret}};
    std::printf("%s\n", json::serialize(made).c_str());
  } else {
    std::printf("%s\n", secret.c_str());
  }
  return absl::OkStatus();
}

}  // namespace

Command ServerCommand() {
  auto args = std::make_shared<Args>();
  const CommandOption config = {
      .names = "--config", .help = "configuration file (TOML), see docs/server.md", .target = &args->config, .required = true};
  Command server{
      .name = "server",
      .summary = "the control plane: set it up, run it",
      .examples = {"latchkey server init --config /etc/latchkey/server.toml", "latchkey server run --config /etc/latchkey/server.toml"}};
  server.children.push_back({.name = "run",
                             .summary = "run the control plane until SIGTERM",
                             .examples = {"latchkey server run --config /etc/latchkey/server.toml"},
                             .options = {config,
                                         {.names = "--i-accept-plaintext-off-loopback",
                                          .help = "serve the API without TLS on an address that is not loopback: API keys travel readable",
                                          .target = &args->plaintext}},
                             .run = [args] { return Run(*args); }});
  server.children.push_back({.name = "init",
                             .summary = "make the store, the first API key and a join token",
                             .examples = {"latchkey server init --config /etc/latchkey/server.toml"},
                             .options = {config, OutputOption(&args->output)},
                             .run = [args] { return Init(*args); }});
  server.children.push_back({.name = "api-key",
                             .summary = "make another API key while the server is stopped; its secret is shown once",
                             .examples = {"latchkey server api-key --config /etc/latchkey/server.toml deploy"},
                             .options = {config,
                                         {.names = "name", .help = "what the key is for", .target = &args->name, .required = true},
                                         OutputOption(&args->output)},
                             .run = [args] { return MakeApiKey(*args); }});
  return server;
}

}  // namespace latchkey
