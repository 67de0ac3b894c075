// The agent's configuration file (TOML). docs/agent.md shows one with every key.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/kms_config.h"
#include "keys/lease_keeper.h"
#include "protocol/root_key.h"

namespace latchkey {

// How long things may take; see docs/agent.md, "Clocks". In the file: "90s", "15m", "1h30m".
struct AgentClocks {
  absl::Duration check_interval = absl::Seconds(60);
  absl::Duration outage_grace = absl::Hours(1);
  std::vector<absl::Duration> confirm_after = {absl::Seconds(15), absl::Seconds(30)};
  absl::Duration retry_base = absl::Seconds(10);
  // How long before a lease's end the engine is stopped gently. Never more than a quarter of the grace, so that short leases are used at
  // all.
  absl::Duration stop_timeout = absl::Seconds(30);
  // The grace of escrow keys; unset ("until-restart"): a volume under an escrow key is open without a lease.
  std::optional<absl::Duration> escrow_grace;
  // Credentials of the owner's role are fetched anew at least this often, so that a role taken away is noticed. At most 5 minutes.
  absl::Duration owner_credentials_age = absl::Minutes(5);
  absl::Duration probe_interval = absl::Seconds(5);  // how often a running database is asked an authenticated query

  LeasePolicy Policy() const;
  absl::Duration StopBeforeLeaseEnd(absl::Duration grace) const { return std::min(stop_timeout, grace / 4); }
};

// A pin: root keys that this host may use. Empty fields allow anything there.
struct AllowedRootKey {
  std::string type;       // "AWS_KMS"
  std::string account;    // AWS: the account in the key's ARN; Google: the project; Azure: the vault's host; the others: the connection
  std::string principal;  // the auth_principal, exactly
};

struct AgentConfig {
  std::string server;      // https://host:port of the server's agent listener
  std::string join_token;  // or from join_token_file; needed until the host has joined
  std::string region;
  std::string state_dir = "/var/lib/latchkey";         // identity, records, credentials: small, survives reboots
  std::string run_dir = "/run/latchkey";               // sockets and mount points; short
  std::string data_dir = "/var/lib/latchkey/volumes";  // ciphertext
  std::string user;                                    // whom volume daemons and engines run as; empty: as ourselves
  std::string hostname;                                // empty: the machine's
  std::string advertise_host = "127.0.0.1";            // what clients of the databases connect to
  std::string listen_address = "127.0.0.1";            // where the databases listen
  int first_port = 5500, last_port = 5999;             // port_range = "5500-5999"
  bool fuse_io_uring = true;                           // volumes use it where the kernel has it; as root this allows it for the host
  std::string metrics_address = "127.0.0.1:7795";      // empty: none
  std::string program;                                 // the latchkey binary for volume daemons; empty: our own
  AgentClocks clocks;
  AgentKmsConfig kms;
  std::vector<AllowedRootKey> allowed_root_keys;  // empty: any
  bool allow_return_to_escrow = false;
  std::string escrow_uri;                        // the only key that is ever taken for escrow; empty: whichever the server names
  bool i_accept_plaintext_off_loopback = false;  // metrics_address may be off loopback
};

// InvalidArgument naming the key ("clocks.outage_grace: …") for an unknown key, a wrong type or a value that makes no sense.
absl::StatusOr<AgentConfig> ParseAgentConfig(std::string_view toml);
absl::StatusOr<AgentConfig> LoadAgentConfig(const std::string& path);
// The checks alone, for a configuration made in code.
absl::Status CheckAgentConfig(const AgentConfig& config);

// The KMSs that the file names. Errors: one of its CA files cannot be read.
absl::StatusOr<KmsConfig> KmsConfigOf(const AgentConfig& config);

// OK when the pins of this host allow the key; otherwise FailedPrecondition "ROOT_REFUSED: …".
absl::Status CheckRootAllowed(const AgentConfig& config, const RootKey& root);

// Where things of one node lie. `node_id` has been checked to be a UUID.
struct NodePaths {
  NodePaths(const AgentConfig& config, const std::string& node_id);
  std::string record;          // <state>/nodes/<id>/node.json
  std::string state_folder;    // <state>/nodes/<id>
  std::string lower_folder;    // <data>/<id>
  std::string run_folder;      // <run>/<first 13 characters of the id>: short, for sockets
  std::string mount_point;     // …/mnt
  std::string engine_folder;   // …/pg
  std::string control_socket;  // …/volume.sock
};

}  // namespace latchkey
