#include "agent/config.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>

#include <set>

#include "base/file.h"
#include "base/status.h"
#include "base/toml.h"
#include "http/server.h"

namespace latchkey {
namespace {

// Reads one table by name and remembers what was asked for, so that the rest can be refused.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string path, absl::Status& fault) : table_(table), path_(std::move(path)), fault_(fault) {}

  void String(std::string_view name, std::string& out) {
    if (const toml::node* node = Find(name)) {
      if (const auto value = node->value_exact<std::string>()) {
        out = *value;
      } else {
        Fault(name, "must be a string");
      }
    }
  }
  void Bool(std::string_view name, bool& out) {
    if (const toml::node* node = Find(name)) {
      if (const auto value = node->value_exact<bool>()) {
        out = *value;
      } else {
        Fault(name, "must be true or false");
      }
    }
  }
  void Duration(std::string_view name, absl::Duration& out) {
    std::string text;
    const bool there = table_.contains(name);
    String(name, text);
    if (there && fault_.ok()) ParseInto(name, text, out);
  }
  void Durations(std::string_view name, std::vector<absl::Duration>& out) {
    const toml::node* node = Find(name);
    if (node == nullptr) return;
    const toml::array* array = node->as_array();
    if (array == nullptr || array->empty() || array->size() > 10) return Fault(name, "must be a list of 1 to 10 durations");
    out.clear();
    for (const toml::node& element : *array) {
      const auto text = element.value_exact<std::string>();
      if (!text) return Fault(name, "must be a list of durations like \"15s\"");
      absl::Duration duration;
      ParseInto(name, *text, duration);
      out.push_back(duration);
    }
  }
  const toml::table* Table(std::string_view name) {
    const toml::node* node = Find(name);
    if (node == nullptr) return nullptr;
    if (node->as_table() == nullptr) Fault(name, "must be a table");
    return node->as_table();
  }
  const toml::array* Tables(std::string_view name) {
    const toml::node* node = Find(name);
    if (node == nullptr) return nullptr;
    const toml::array* array = node->as_array();
    if (array == nullptr || !array->is_homogeneous(toml::node_type::table)) {
      Fault(name, "must be a list of tables");
      return nullptr;
    }
    return array;
  }
  void RefuseUnknown() {
    for (const auto& [key, value] : table_) {
      if (!seen_.contains(std::string(key.str()))) Fault(key.str(), "is not a setting");
    }
  }
  void Fault(std::string_view name, std::string_view what) {
    if (fault_.ok()) fault_ = InvalidArgument(PathOf(name), ": ", ToAbsl(what));
  }
  std::string PathOf(std::string_view name) const { return path_.empty() ? std::string(name) : path_ + "." + std::string(name); }

 private:
  const toml::node* Find(std::string_view name) {
    seen_.insert(std::string(name));
    return table_.get(name);
  }
  void ParseInto(std::string_view name, const std::string& text, absl::Duration& out) {
    absl::Duration duration;
    if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration() || duration > absl::Hours(24 * 365)) {
      return Fault(name, "must be a duration above zero like \"90s\", \"15m\" or \"1h30m\"");
    }
    out = duration;
  }

  const toml::table& table_;
  const std::string path_;
  absl::Status& fault_;
  std::set<std::string> seen_;
};

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

void ReadConnections(const toml::table& table, AgentConfig& config, absl::Status& fault) {
  for (const auto& [name, node] : table) {
    const std::string path = "connections." + std::string(name.str());
    const toml::table* connection = node.as_table();
    if (connection == nullptr) {
      if (fault.ok()) fault = InvalidArgument(path, ": must be a table");
      return;
    }
    TableReader reader(*connection, path, fault);
    std::string type, file;
    reader.String("type", type);
    reader.String("path", file);
    if (type != "LOCAL") reader.Fault("type", "must be \"LOCAL\"");
    if (file.empty() || file[0] != '/') reader.Fault("path", "must be an absolute path");
    reader.RefuseUnknown();
    config.local_connections[std::string(name.str())] = file;
  }
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

// Account of an ARN (its fifth field) or the connection's name of a local key.
std::string AccountOf(const RootKey& root) {
  if (root.type == "LOCAL") return root.uri.starts_with("local://") ? root.uri.substr(8) : root.uri;
  size_t from = 0;
  for (int field = 0; field < 4; ++field) {
    from = root.uri.find(':', from);
    if (from == std::string::npos) return "";
    ++from;
  }
  return root.uri.substr(from, root.uri.find(':', from) - from);
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
  reader.Bool("allow_return_to_escrow", config.allow_return_to_escrow);
  reader.String("escrow_uri", config.escrow_uri);
  reader.Bool("i_accept_plaintext_off_loopback", config.i_accept_plaintext_off_loopback);
  if (const toml::table* clocks = reader.Table("clocks")) ReadClocks(*clocks, config.clocks, fault);
  if (const toml::table* aws = reader.Table("aws")) {
    TableReader values(*aws, "aws", fault);
    values.String("kms_endpoint", config.aws.kms_endpoint);
    values.String("sts_endpoint", config.aws.sts_endpoint);
    values.String("ca_file", config.aws.ca_file);
    values.String("profile", config.aws.profile);
    values.String("shared_credentials_file", config.aws.shared_credentials_file);
    values.String("config_file", config.aws.config_file);
    values.RefuseUnknown();
  }
  if (const toml::table* connections = reader.Table("connections")) ReadConnections(*connections, config, fault);
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
  KmsConfig kms;
  kms.aws.kms_endpoint = config.aws.kms_endpoint;
  kms.aws.sts_endpoint = config.aws.sts_endpoint;
  kms.aws.profile = config.aws.profile;
  kms.aws.shared_credentials_file = config.aws.shared_credentials_file;
  kms.aws.config_file = config.aws.config_file;
  kms.aws.call.owner_credentials_age = config.clocks.owner_credentials_age;
  if (!config.aws.ca_file.empty()) {
    auto pem = ReadFile(config.aws.ca_file, 1 << 20);
    if (!pem.ok()) return Prefixed(pem.status(), "aws.ca_file");
    kms.aws.call.ca_pem = *std::move(pem);
  }
  kms.local_connections = config.local_connections;
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
