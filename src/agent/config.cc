#include "agent/config.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>

#include "agent/kms_config_reader.h"
#include "base/file.h"
#include "base/status.h"
#include "base/toml_reader.h"
#include "http/server.h"

namespace latchkey {
namespace {

void ReadClocks(const toml::table& table, AgentClocks& clocks, absl::Status& fault) {
  TableReader reader(table, "clocks", fault);
  reader.Duration("check_interval", clocks.check_interval);
  reader.Duration("outage_grace", clocks.outage_grace);
  reader.Durations("confirm_after", clocks.confirm_after);
  reader.Duration("retry_base", clocks.retry_base);
  reader.Duration("stop_timeout", clocks.stop_timeout);
  reader.Duration("probe_interval", clocks.probe_interval);
  reader.Duration("owner_credentials_age", clocks.owner_credentials_age);
  std::string escrow = "until-restart";
  reader.String("escrow_grace", escrow);
  if (escrow != "until-restart") {
    absl::Duration grace;
    reader.Duration("escrow_grace", grace);
    clocks.escrow_grace = grace;
  }
  reader.RefuseUnknown();
}

void ReadPins(const toml::array& array, AgentConfig& config, absl::Status& fault) {
  for (size_t i = 0; i < array.size(); ++i) {
    TableReader reader(*array[i].as_table(), absl::StrCat("allowed_root_keys[", i, "]"), fault);
    AllowedRootKey pin;
    reader.String("type", pin.type);
    reader.String("account", pin.account);
    reader.String("principal", pin.principal);
    // A pin that allows everything is a mistake, most likely a misspelt file.
    if (pin.type.empty()) reader.Fault("type", "must be set");
    reader.RefuseUnknown();
    config.allowed_root_keys.push_back(std::move(pin));
  }
}

void ReadPorts(TableReader& reader, AgentConfig& config) {
  std::string range;
  reader.String("port_range", range);
  if (range.empty()) return;
  const size_t dash = range.find('-');
  if (dash == std::string::npos || !absl::SimpleAtoi(range.substr(0, dash), &config.first_port) ||
      !absl::SimpleAtoi(range.substr(dash + 1), &config.last_port)) {
    reader.Fault("port_range", "must be like \"5500-5999\"");
  }
}

// What a pin's `account` is held against: the account, project, vault or connection in the key's name.
std::string AccountOf(const RootKey& root) {
  const auto part = [](std::string_view text, char separator, int index) {
    for (; index > 0; --index) {
      const size_t at = text.find(separator);
      if (at == std::string_view::npos) return std::string();
      text.remove_prefix(at + 1);
    }
    return std::string(text.substr(0, text.find(separator)));
  };
  if (root.type == "AWS_KMS") return part(root.uri, ':', 4);        // arn:aws:kms:region:ACCOUNT:key/…
  if (root.type == "GCP_CLOUD_KMS") return part(root.uri, '/', 1);  // projects/PROJECT/…
  return part(root.uri, '/', 2);                                    // https://VAULT/keys/…, vault://CONNECTION/…, local://CONNECTION
}

}  // namespace

LeasePolicy AgentClocks::Policy() const {
  return {.check_interval = check_interval, .outage_grace = outage_grace, .confirm_after = confirm_after, .retry_base = retry_base};
}

absl::StatusOr<AgentConfig> ParseAgentConfig(std::string_view text) {
  ASSIGN_OR_RETURN(const toml::table table, ParseToml(text));
  AgentConfig config;
  absl::Status fault;
  TableReader reader(table, "", fault);
  std::string token_file;
  reader.String("server", config.server);
  reader.String("join_token", config.join_token);
  reader.String("join_token_file", token_file);
  reader.String("region", config.region);
  reader.String("state_dir", config.state_dir);
  reader.String("run_dir", config.run_dir);
  reader.String("data_dir", config.data_dir);
  reader.String("user", config.user);
  reader.String("hostname", config.hostname);
  reader.String("advertise_host", config.advertise_host);
  reader.String("listen_address", config.listen_address);
  ReadPorts(reader, config);
  reader.String("metrics_address", config.metrics_address);
  reader.String("program", config.program);
  reader.Bool("fuse_io_uring", config.fuse_io_uring);
  reader.Bool("allow_return_to_escrow", config.allow_return_to_escrow);
  reader.String("escrow_uri", config.escrow_uri);
  reader.Bool("i_accept_plaintext_off_loopback", config.i_accept_plaintext_off_loopback);
  if (const toml::table* clocks = reader.Table("clocks")) ReadClocks(*clocks, config.clocks, fault);
  ReadKmsConfig(reader, config.kms, fault);
  if (const toml::array* pins = reader.Tables("allowed_root_keys")) ReadPins(*pins, config, fault);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(fault);
  if (!token_file.empty()) {
    if (!config.join_token.empty()) return InvalidArgument("join_token_file: is set beside join_token");
    // Absent once the token is used up: it matters only until the host has joined.
    if (auto token = ReadFile(token_file, 4096); token.ok()) {
      config.join_token = std::string(FromAbsl(absl::StripAsciiWhitespace(*token)));
    } else if (!absl::IsNotFound(token.status())) {
      return Prefixed(token.status(), "join_token_file");
    }
  }
  RETURN_IF_ERROR(CheckAgentConfig(config));
  return config;
}

absl::StatusOr<AgentConfig> LoadAgentConfig(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 1 << 20));
  auto config = ParseAgentConfig(text);
  if (!config.ok()) return Prefixed(config.status(), path);
  return config;
}

absl::Status CheckAgentConfig(const AgentConfig& config) {
  if (!config.server.starts_with("https://")) return InvalidArgument("server: must be an https:// address");
  if (config.region.empty()) return InvalidArgument("region: must be set");
  const std::pair<const char*, const std::string*> folders[] = {
      {"state_dir", &config.state_dir}, {"run_dir", &config.run_dir}, {"data_dir", &config.data_dir}};
  for (const auto& [name, path] : folders) {
    if (path->empty() || (*path)[0] != '/') return InvalidArgument(name, ": must be an absolute path");
  }
  // "<run>/<13>/pg/.s.PGSQL.65535.lock" has to fit into 107 bytes.
  if (config.run_dir.size() > 66) return InvalidArgument("run_dir: longer than 66 bytes, the sockets in it would not fit");
  if (config.advertise_host.empty()) return InvalidArgument("advertise_host: must be set");
  if (config.first_port < 1024 || config.last_port > 65535 || config.first_port > config.last_port) {
    return InvalidArgument("port_range: must lie in 1024-65535 and rise");
  }
  const std::string metrics_host = config.metrics_address.substr(0, config.metrics_address.rfind(':'));
  if (!config.metrics_address.empty() && !IsLoopback(metrics_host) && !config.i_accept_plaintext_off_loopback) {
    return InvalidArgument("metrics_address: ", metrics_host,
                           " is not loopback, so names and states of databases would travel readable, for anybody to ask; if that is "
                           "wanted, set i_accept_plaintext_off_loopback = true");
  }
  const AgentClocks& clocks = config.clocks;
  if (clocks.check_interval > clocks.outage_grace / 2) {
    return InvalidArgument("clocks.check_interval: must be at most half of outage_grace, or leases would end between two questions");
  }
  if (clocks.escrow_grace && clocks.check_interval > *clocks.escrow_grace / 2) {
    return InvalidArgument("clocks.escrow_grace: must be at least twice check_interval");
  }
  if (clocks.owner_credentials_age > absl::Minutes(5)) return InvalidArgument("clocks.owner_credentials_age: must be at most 5m");
  if (clocks.outage_grace > absl::Hours(24)) return InvalidArgument("clocks.outage_grace: must be at most 24h");
  return absl::OkStatus();
}

absl::StatusOr<KmsConfig> KmsConfigOf(const AgentConfig& config) {
  ASSIGN_OR_RETURN(KmsConfig kms, ResolveKmsConfig(config.kms));
  for (KmsCallOptions* call : {&kms.aws.call, &kms.gcp.call, &kms.azure.call, &kms.call}) {
    call->owner_credentials_age = config.clocks.owner_credentials_age;
  }
  return kms;
}

absl::Status CheckRootAllowed(const AgentConfig& config, const RootKey& root) {
  if (config.allowed_root_keys.empty()) return absl::OkStatus();
  for (const AllowedRootKey& pin : config.allowed_root_keys) {
    if (pin.type == root.type && (pin.account.empty() || pin.account == AccountOf(root)) &&
        (pin.principal.empty() || pin.principal == root.auth_principal)) {
      return absl::OkStatus();
    }
  }
  return FailedPrecondition("ROOT_REFUSED: the root key ", root.uri, " is outside allowed_root_keys of this host's configuration");
}

NodePaths::NodePaths(const AgentConfig& config, const std::string& node_id)
    : record(config.state_dir + "/nodes/" + node_id + "/node.json"),
      state_folder(config.state_dir + "/nodes/" + node_id),
      lower_folder(config.data_dir + "/" + node_id),
      run_folder(config.run_dir + "/" + node_id.substr(0, 13)),
      mount_point(run_folder + "/mnt"),
      engine_folder(run_folder + "/pg"),
      control_socket(run_folder + "/volume.sock") {}

}  // namespace latchkey
