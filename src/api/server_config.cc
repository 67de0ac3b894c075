#include "api/server_config.h"

#include <absl/strings/numbers.h>

#include <sstream>
#include <string>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "base/toml_reader.h"
#include "http/server.h"

namespace latchkey {
namespace {

constexpr size_t kLongestFile = 1 << 20;

// An empty string means the same as an absent key.
void ReadListen(TableReader& reader, std::string_view key, std::optional<ListenAddress>& out) {
  std::string text;
  reader.String(key, text);
  if (text.empty()) return;
  absl::StatusOr<ListenAddress> address = ListenAddress::Parse(text);
  if (!address.ok()) return reader.Fault(key, FromAbsl(address.status().message()));
  out = *std::move(address);
}

// Calls `read` with the table `name` if it is there, and refuses keys that `read` did not ask for.
template <typename Read>
void Section(TableReader& root, absl::Status& fault, const std::string& name, Read read) {
  const toml::table* table = root.Table(name);
  if (table == nullptr) return;
  TableReader reader(*table, name, fault);
  read(reader);
  reader.RefuseUnknown();
}

void SetIf(const std::optional<ListenAddress>& from, ListenAddress& to) {
  if (from) to = *from;
}

absl::Status ReadInto(const toml::table& table, ServerConfig& config) {
  absl::Status fault;
  TableReader root(table, "", fault);
  Section(root, fault, "public", [&](TableReader& r) {
    std::optional<ListenAddress> listen;
    ReadListen(r, "listen", listen);
    SetIf(listen, config.public_listen);
    r.String("certificate_file", config.public_certificate_file);
    r.String("private_key_file", config.public_private_key_file);
    r.Bool("i_accept_plaintext_off_loopback", config.i_accept_plaintext_off_loopback);
    r.Int("handler_threads", config.handler_threads);
    r.Number("requests_per_second_per_key", config.requests_per_second_per_key);
  });
  Section(root, fault, "agents", [&](TableReader& r) {
    std::optional<ListenAddress> listen;
    ReadListen(r, "listen", listen);
    SetIf(listen, config.agent_listen);
    r.Strings("names", config.agent_names);
  });
  Section(root, fault, "health", [&](TableReader& r) {
    ReadListen(r, "listen", config.health_listen);
    r.Bool("i_accept_plaintext_off_loopback", config.i_accept_plaintext_health_off_loopback);
  });
  Section(root, fault, "store", [&](TableReader& r) { r.String("path", config.store_path); });
  Section(root, fault, "escrow", [&](TableReader& r) {
    r.String("type", config.escrow.type);
    r.String("uri", config.escrow.uri);
    r.String("auth_principal", config.escrow.auth_principal);
  });
  Section(root, fault, "organization", [&](TableReader& r) {
    r.String("name", config.organization_name);
    r.String("account_id", config.account_id);
  });
  Section(root, fault, "keys", [&](TableReader& r) {
    r.Duration("test_timeout", config.key_test_timeout);
    r.Bool("rewrap_new_versions", config.rewrap_new_versions);
  });
  Section(root, fault, "log", [&](TableReader& r) {
    std::string level = "info";
    r.String("level", level);
    r.String("file", config.log_file);
    constexpr std::pair<std::string_view, LogLevel> kLevels[] = {
        {"debug", LogLevel::kDebug}, {"info", LogLevel::kInfo}, {"warning", LogLevel::kWarning}, {"error", LogLevel::kError}};
    const auto* found = std::find_if(std::begin(kLevels), std::end(kLevels), [&](const auto& entry) { return entry.first == level; });
    if (found == std::end(kLevels)) return r.Fault("level", "must be debug, info, warning or error");
    config.log_level = found->second;
  });
  root.RefuseUnknown();
  return fault;
}

}  // namespace

absl::StatusOr<ListenAddress> ListenAddress::Parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  ListenAddress out;
  int port = -1;
  std::string_view host = colon == std::string_view::npos ? "" : text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    host = "";  // an IPv6 address wants brackets: "::1:80" could be read in two ways
  }
  if (host.empty() || !absl::SimpleAtoi(ToAbsl(text.substr(colon + 1)), &port) || port < 0 || port > 65535) {
    return InvalidArgument("must be address:port, like 127.0.0.1:8080 or [::1]:8080");
  }
  out.address = host == "localhost" ? "127.0.0.1" : std::string(host);
  out.port = static_cast<uint16_t>(port);
  return out;
}

std::string ListenAddress::ToString() const {
  return address.find(':') == std::string::npos ? absl::StrCat(address, ":", port) : absl::StrCat("[", address, "]:", port);
}

absl::Status CheckServerConfig(const ServerConfig& config) {
  if (config.store_path.empty()) return InvalidArgument("store.path: is required");
  if (config.escrow.type.empty()) return InvalidArgument("escrow.type: is required");
  if (config.escrow.uri.empty()) return InvalidArgument("escrow.uri: is required");
  if (config.public_certificate_file.empty() != config.public_private_key_file.empty()) {
    return InvalidArgument(config.public_certificate_file.empty() ? "public.certificate_file" : "public.private_key_file",
                           ": is required beside the other one of the pair");
  }
  if (config.handler_threads < 2 || config.handler_threads > 256) return InvalidArgument("public.handler_threads: must be 2 to 256");
  if (!(config.requests_per_second_per_key >= 0 && config.requests_per_second_per_key <= 1e6)) {
    return InvalidArgument("public.requests_per_second_per_key: must be 0 to 1000000");
  }
  if (config.key_test_timeout < absl::Seconds(1) || config.key_test_timeout > absl::Seconds(60)) {
    return InvalidArgument("keys.test_timeout: must be 1s to 60s");
  }
  if (config.agent_names.empty()) return InvalidArgument("agents.names: must have at least one name or address");
  if (!config.has_tls() && !IsLoopback(config.public_listen.address) && !config.i_accept_plaintext_off_loopback) {
    return FailedPrecondition("public.listen: ", config.public_listen.ToString(),
                              " is not loopback and has no TLS, so API keys would travel readable; set public.certificate_file and "
                              "public.private_key_file, or, if that is wanted, public.i_accept_plaintext_off_loopback = true");
  }
  if (config.health_listen && !IsLoopback(config.health_listen->address) && !config.i_accept_plaintext_health_off_loopback) {
    return FailedPrecondition("health.listen: ", config.health_listen->ToString(),
                              " is not loopback and has neither TLS nor a key, so /metrics would be readable for everybody who reaches it; "
                              "leave it out (then /metrics on the public listener wants a key) or, if that is wanted, set "
                              "health.i_accept_plaintext_off_loopback = true");
  }
  return absl::OkStatus();
}

absl::StatusOr<ServerConfig> ParseServerConfig(std::string_view toml_text) {
  ASSIGN_OR_RETURN(const toml::table table, ParseToml(toml_text));
  ServerConfig config;
  config.escrow.type = "LOCAL";
  RETURN_IF_ERROR(ReadInto(table, config));
  RETURN_IF_ERROR(CheckServerConfig(config));
  return config;
}

absl::StatusOr<ServerConfig> LoadServerConfig(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kLongestFile);
  if (!text.ok()) return Prefixed(text.status(), path);
  absl::StatusOr<ServerConfig> config = ParseServerConfig(*text);
  if (!config.ok()) return Prefixed(config.status(), path);
  return config;
}

}  // namespace latchkey
