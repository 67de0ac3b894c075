// The server's configuration file (TOML). Every key may be left out but store.path and escrow.uri; an unknown one is refused by its name.
//
//   [public]                                   the API for people and programs
//   listen = "127.0.0.1:8080"                  numeric address and port; port 0: any free one
//   certificate_file = "/etc/latchkey/api.pem" chain; with private_key_file: TLS
//   private_key_file = "/etc/latchkey/api.key"
//   i_accept_plaintext_off_loopback = false    off loopback and without TLS, API keys travel readable: refused unless true
//   handler_threads = 16                       2–256; calls that test a key may hold at most half of them
//   requests_per_second_per_key = 0            0: no limit
//
//   [agents]                                   the hosts; always TLS with Latchkey's own CA
//   listen = "127.0.0.1:8443"
//   names = ["localhost", "127.0.0.1"]         by which agents reach it: names or addresses for its certificate (made on first use)
//
//   [health]                                   /healthz, /readyz and /metrics, for everybody who reaches the address
//   listen = "127.0.0.1:9090"                  left out: on the public listener, where /metrics off loopback wants a key
//   i_accept_plaintext_off_loopback = false    it has no TLS and asks for no key: off loopback refused unless true
//
//   [store]
//   path = "/var/lib/latchkey/server.db"
//
//   [escrow]                                   the operator's own key, for clusters without CMEK
//   type = "LOCAL"
//   uri = "local://escrow"
//   auth_principal = ""
//
//   [organization]
//   name = "latchkey"
//   account_id = "latchkey"                    shown as the cloud account that owners let in
//
//   [keys]
//   test_timeout = "20s"                       1s–60s
//   rewrap_new_versions = false                follow new versions of an owner's key without being asked; see control/rewraps.h
//
//   [log]
//   level = "info"                             debug, info, warning, error; for whoever sets the log up
//   file = ""
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "protocol/root_key.h"

namespace latchkey {

struct ListenAddress {
  std::string address;  // numeric, without brackets
  uint16_t port = 0;
  // "127.0.0.1:8080", "[::1]:8080".
  static absl::StatusOr<ListenAddress> Parse(std::string_view text);
  std::string ToString() const;
};

struct ServerConfig {
  ListenAddress public_listen{"127.0.0.1", 8080};
  std::string public_certificate_file, public_private_key_file;
  bool i_accept_plaintext_off_loopback = false;
  int handler_threads = 16;
  double requests_per_second_per_key = 0;

  ListenAddress agent_listen{"127.0.0.1", 8443};
  std::vector<std::string> agent_names = {"localhost", "127.0.0.1"};

  std::optional<ListenAddress> health_listen;
  bool i_accept_plaintext_health_off_loopback = false;

  std::string store_path;
  RootKey escrow;
  std::string organization_name = "latchkey";
  std::string account_id = "latchkey";
  absl::Duration key_test_timeout = absl::Seconds(20);
  bool rewrap_new_versions = false;

  LogLevel log_level = LogLevel::kInfo;
  std::string log_file;

  bool has_tls() const { return !public_certificate_file.empty(); }
};

// InvalidArgument names the key ("public.listen: …"), for malformed TOML the line.
absl::StatusOr<ServerConfig> ParseServerConfig(std::string_view toml_text);
absl::StatusOr<ServerConfig> LoadServerConfig(const std::string& path);

// What Parse checks, for a configuration that was put together in code or changed by flags; FailedPrecondition for plaintext off loopback.
absl::Status CheckServerConfig(const ServerConfig& config);

}  // namespace latchkey
