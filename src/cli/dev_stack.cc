#include "cli/dev_stack.h"

#include <absl/strings/str_format.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/config.h"
#include "api/server_config.h"
#include "base/file.h"
#include "base/json.h"
#include "base/secret_bytes.h"
#include "base/status.h"
#include "cli/dev_clouds.h"
#include "control/services.h"
#include "emulator/emulator.h"
#include "kms/local/local_kms.h"

namespace latchkey {
namespace {

constexpr size_t kMostConnectionBytes = 64 << 10;

// A port that is free now. Kept in the configurations, so that addresses stay the same from start to start.
absl::StatusOr<int> FreePort() {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (!fd.valid() || bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return ErrnoStatus(errno, "no free port on loopback");
  }
  return ntohs(address.sin_port);
}

std::string ServerToml(const std::string& folder, int api_port, int agent_port, int health_port) {
  return absl::StrFormat(
      "# Made by `latchkey dev`.\n"
      "[public]\nlisten = \"127.0.0.1:%d\"\n\n"
      "[agents]\nlisten = \"127.0.0.1:%d\"\n\n"
      "[health]\nlisten = \"127.0.0.1:%d\"\n\n"
      "[store]\npath = \"%s/server.db\"\n\n"
      "[escrow]\ntype = \"LOCAL\"\nuri = \"local://escrow\"\n\n"
      "[organization]\naccount_id = \"111111111111\"\n",
      api_port, agent_port, health_port, folder);
}

std::string AgentToml(const DevOptions& options, int agent_port, int metrics_port, int emulator_port, const std::string& join_token) {
  const std::string& folder = options.folder;
  std::string out = absl::StrFormat(
      "# Made by `latchkey dev`.\n"
      "server = \"https://127.0.0.1:%d\"\n"
      "join_token = \"%s\"\n"
      "region = \"%s\"\n"
      "state_dir = \"%s/agent\"\n"
      "run_dir = \"%s/run\"\n"
      "data_dir = \"%s/volumes\"\n"
      "metrics_address = \"127.0.0.1:%d\"\n",
      agent_port, join_token, options.region, folder, folder, folder, metrics_port);
  // As root, daemons and databases run as the system user; otherwise as whoever started this.
  if (geteuid() == 0) out += "user = \"latchkey\"\n";
  if (options.demo_clocks) {
    out +=
        "\n[clocks]\ncheck_interval = \"1s\"\noutage_grace = \"12s\"\nconfirm_after = [\"500ms\", \"1s\"]\nretry_base = "
        "\"1s\"\nstop_timeout = \"3s\"\nowner_credentials_age = \"2s\"\n";
  }
  out += absl::StrFormat(
      "\n[aws]\nkms_endpoint = \"http://127.0.0.1:%d\"\nsts_endpoint = \"http://127.0.0.1:%d\"\nshared_credentials_file = "
      "\"%s/aws-credentials\"\n"
      "\n[connections.escrow]\ntype = \"LOCAL\"\npath = \"%s/escrow.key\"\n",
      emulator_port, emulator_port, folder, folder);
  return out;
}

absl::StatusOr<std::string> Need(const json::object& object, std::string_view name) {
  JsonReader reader(object);
  std::string value = reader.String(name);
  RETURN_IF_ERROR(reader.status());
  return value;
}

absl::StatusOr<DevStack> Read(const std::string& folder) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(folder + "/dev-stack.json"));
  ASSIGN_OR_RETURN(const json::object facts, ParseJsonObject(text));
  DevStack stack{.folder = folder,
                 .server_config = folder + "/server.toml",
                 .agent_config = folder + "/agent.toml",
                 .emulator_state = folder + "/emulator.json"};
  for (const auto& [name, field] : {std::pair{"emulator_listen", &stack.emulator_listen},
                                    {"server_url", &stack.server_url},
                                    {"emulator_url", &stack.emulator_url},
                                    {"api_key", &stack.api_key},
                                    {"organization", &stack.organization},
                                    {"owner_key", &stack.owner_key},
                                    {"second_owner_key", &stack.second_owner_key},
                                    {"owner_role", &stack.owner_role}}) {
    ASSIGN_OR_RETURN(*field, Need(facts, name));
  }
  JsonReader reader(facts);
  const json::object* clouds = reader.OptionalObject("clouds");
  RETURN_IF_ERROR(reader.status());
  if (clouds == nullptr) return stack;
  JsonReader clouds_reader(*clouds, "clouds");
  for (const auto& item : *clouds) {
    const std::string name(item.key().data(), item.key().size());
    const json::object* cloud = clouds_reader.Object(name);
    RETURN_IF_ERROR(clouds_reader.status());
    DevCloud& out = stack.clouds[name];
    ASSIGN_OR_RETURN(out.listen, Need(*cloud, "listen"));
    ASSIGN_OR_RETURN(out.url, Need(*cloud, "url"));
    JsonReader cloud_reader(*cloud, name);
    if (const json::object* seed = cloud_reader.Object("seed")) out.seed = *seed;
    RETURN_IF_ERROR(cloud_reader.status());
  }
  return stack;
}

// Tables that whoever starts the stack adds to the agent's configuration.
absl::StatusOr<std::string> ReadConnections(const std::string& file) {
  if (file.empty()) return "";
  auto text = ReadFile(file, kMostConnectionBytes);
  if (!text.ok()) return Prefixed(text.status(), "--connections");
  return absl::StrCat("\n# From ", file, ".\n", *text, "\n");
}

// What lies in the folder is believed, a program to run included: nobody else may have put it there.
absl::Status CheckOwnFolder(const std::string& folder) {
  struct stat facts{};
  if (lstat(folder.c_str(), &facts) != 0) return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, folder);
  if (!S_ISDIR(facts.st_mode)) return FailedPrecondition(folder, " is no folder");
  if (facts.st_uid != geteuid() || (facts.st_mode & 0022) != 0) {
    return FailedPrecondition(folder, " belongs to somebody else or others may write to it; name another folder with --dir");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DevStack> PrepareDevStack(const DevOptions& options) {
  const std::string& folder = options.folder;
  RETURN_IF_ERROR(CheckOwnFolder(folder));
  if (PathExists(folder + "/dev-stack.json")) {
    if (options.connections_file.empty()) return Read(folder);
    return FailedPrecondition("--connections: the stack in ", folder, " is there already; add the tables to its agent.toml");
  }
  ASSIGN_OR_RETURN(const std::string connections, ReadConnections(options.connections_file));
  RETURN_IF_ERROR(MakeFolders(folder, 0755));
  ASSIGN_OR_RETURN(const int api_port, FreePort());
  ASSIGN_OR_RETURN(const int agent_port, FreePort());
  ASSIGN_OR_RETURN(const int health_port, FreePort());
  ASSIGN_OR_RETURN(const int metrics_port, FreePort());
  ASSIGN_OR_RETURN(const int emulator_port, FreePort());

  // A stack whose making was interrupted is begun again: nothing ran on it yet.
  for (const char* name : {"/server.db", "/server.db-wal", "/server.db-shm", "/escrow.key", "/emulator.json"})
    RETURN_IF_ERROR(RemoveTree(folder + name));
  RETURN_IF_ERROR(CreateLocalKeyFile(folder + "/escrow.key"));
  const std::string server_toml = ServerToml(folder, api_port, agent_port, health_port);
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/server.toml", server_toml));
  ASSIGN_OR_RETURN(const ServerConfig config, ParseServerConfig(server_toml));

  std::string api_key, join_token, organization;
  {
    ASSIGN_OR_RETURN(
        const std::unique_ptr<Control> control,
        Control::Open(
            {.database = config.store_path, .escrow = config.escrow, .account_id = config.account_id, .server_names = config.agent_names}));
    const Caller local{.api_key_id = "local", .name = "dev", .remote = "local"};
    ASSIGN_OR_RETURN(const NewApiKey key, control->api_keys().Create(local, "dev"));
    api_key = std::string(key.secret.RevealText(SecretAccess{}));
    ASSIGN_OR_RETURN(const JoinToken token, control->agents().CreateJoinToken(local));
    join_token = token.ToString();
    organization = control->organization_id();
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Emulator> emulator, Emulator::Create({.state_file = folder + "/emulator.json"}));
  ASSIGN_OR_RETURN(const json::object seed, emulator->SeedDevelopment({.external_id = organization, .regions = {options.region}}));
  JsonReader reader(seed);
  const std::string id = reader.String("access_key_id"), secret = reader.String("secret_access_key"), role = reader.String("role");
  const json::object* regions = reader.Object("regions");
  RETURN_IF_ERROR(reader.status());
  JsonReader region_reader(*regions);
  const json::object* keys = region_reader.Object(options.region);
  RETURN_IF_ERROR(region_reader.status());
  ASSIGN_OR_RETURN(const std::string owner_key, Need(*keys, "owner_key"));
  ASSIGN_OR_RETURN(const std::string second_owner_key, Need(*keys, "second_owner_key"));
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/aws-credentials",
                                      absl::StrFormat("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", id, secret)));

  json::object clouds;
  std::map<std::string, DevCloud> made;
  for (const std::string& name : emulator->CloudNames()) {
    ASSIGN_OR_RETURN(const int port, FreePort());
    const std::string listen = absl::StrFormat("127.0.0.1:%d", port), url = "http://" + listen;
    ASSIGN_OR_RETURN(json::object cloud_seed, emulator->SeedCloud(name, {{"base_url", url}}));
    json::object cloud{{"listen", listen}, {"url", url}};
    cloud["seed"] = cloud_seed;
    clouds[name] = std::move(cloud);
    made[name] = {.listen = listen, .url = url, .seed = std::move(cloud_seed)};
  }
  ASSIGN_OR_RETURN(const std::string cloud_tables, WriteDevCloudAccess(folder, made));
  const std::string agent_toml = AgentToml(options, agent_port, metrics_port, emulator_port, join_token) + cloud_tables + connections;
  if (const auto agent = ParseAgentConfig(agent_toml); !agent.ok()) return Prefixed(agent.status(), "the agent's configuration");
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/agent.toml", agent_toml));

  json::object facts = {{"emulator_listen", absl::StrFormat("127.0.0.1:%d", emulator_port)},
                        {"server_url", absl::StrFormat("http://127.0.0.1:%d", api_port)},
                        {"emulator_url", absl::StrFormat("http://127.0.0.1:%d", emulator_port)},
                        {"api_key", api_key},
                        {"organization", organization},
                        {"owner_key", owner_key},
                        {"second_owner_key", second_owner_key},
                        {"owner_role", role}};
  facts["clouds"] = std::move(clouds);
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/dev-stack.json", json::serialize(facts)));
  return Read(folder);
}

}  // namespace latchkey
