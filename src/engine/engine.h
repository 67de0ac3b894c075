// One database process on one open volume: initialise, start, probe, stop. An engine knows nothing of keys. It can write nowhere but inside
// its volume (logs and temporary files too: they quote rows), and dumps no core.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <memory>
#include <optional>
#include <string>

#include "base/process.h"
#include "base/secret_bytes.h"

namespace latchkey {

struct EngineLayout {
  std::string mount_point;  // the open volume; seen by `user` only (no allow_other), so what must be looked up there is done by a child
                            // running as `user`
  std::string
      run_folder;  // outside the volume: socket, TLS key and certificate, hba file; owned by `user`, 0700; path short (socket < 108 bytes)
  std::string state_folder;  // outside the volume, the agent's own: start-up stderr, pid identity, credentials; never row data
  std::string host;          // address to listen on
  int port = 0;
  std::optional<UserIds> user;  // whom it runs as; unset: as ourselves
  std::string node_name;
};

struct EngineEndpoint {
  std::string host;
  int port = 0;
  std::string socket_folder;
  std::string database, username;
};

// Not thread-safe: one thread drives one engine. All waits are bounded by the given timeouts.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string_view name() const = 0;  // "postgresql"
  virtual EngineEndpoint endpoint() const = 0;
  // Whether an initialised data folder is on the volume. An answer, or an error when it could not be seen.
  virtual absl::StatusOr<bool> HasData() = 0;
  // Makes the data folder, the superuser `latchkey` with a random password kept in state_folder/credentials (0600, engine/credentials.h; a
  // run folder does not outlive a reboot). AlreadyExists when HasData().
  virtual absl::Status Initialise() = 0;
  // Starts (detached, own session, RLIMIT_CORE 0) and returns its root process at once; readiness is Probe()'s. Refuses when it runs
  // already.
  virtual absl::StatusOr<ProcessId> Start() = 0;
  // The running process found again after a restart of the agent (pid and start time kept in state_folder), or nullopt. With `in_volume` a
  // lost record is made good from what the engine wrote into its volume; without, the mount is not touched: a dead one would hang.
  virtual std::optional<ProcessId> Find(bool in_volume) = 0;
  // OK when it answers an authenticated query. Unavailable while it starts or recovers.
  virtual absl::Status Probe(absl::Duration timeout) = 0;
  // Fast (10 s), then immediate (5 s), then kill of the whole tree. OK when no process of it is left. Like Kill(), stops what
  // Find(false) finds.
  virtual absl::Status Stop() = 0;
  // The stop without waiting for sessions to end well: kill of the tree.
  virtual absl::Status Kill() = 0;
};

// PostgreSQL's TCP port is open only while run_folder holds server.key and server.crt (PEM, owned by `user`, 0600): never without TLS.
// Debian's PostgreSQL 15 (programs under /usr/lib/postgresql/15/bin, or `bin_folder`).
struct PostgresqlOptions {
  EngineLayout layout;
  std::string bin_folder = "/usr/lib/postgresql/15/bin";
  absl::Duration fast_stop = absl::Seconds(10), immediate_stop = absl::Seconds(5);  // how long Stop() waits for each
};
std::unique_ptr<Engine> NewPostgresql(PostgresqlOptions options);
// By name; NotFound "engine: …" for one that is not built in.
absl::StatusOr<std::unique_ptr<Engine>> NewEngine(const std::string& name, EngineLayout layout);

}  // namespace latchkey
