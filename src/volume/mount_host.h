// What a serving daemon needs done outside itself: mounting, unmounting and killing. An unprivileged daemon does it by itself, as far as it
// may; one that root started has a supervisor that kept root's rights (supervisor.h).
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <memory>
#include <string>
#include <vector>

#include "base/process.h"
#include "volume/fuse_session.h"

namespace latchkey {

// Thread-safe.
class MountHost {
 public:
  virtual ~MountHost() = default;
  virtual absl::StatusOr<FuseSession::Connection> Mount() = 0;
  // After the first answered request. Does nothing where it is not possible.
  virtual void ReadAheadFar() = 0;
  virtual void SetEngine(const ProcessId& engine) = 0;
  // SIGKILL to the engine's tree and every visible process that uses the mount, until none is left; the pids left after `timeout`.
  virtual std::vector<pid_t> KillUsers(absl::Duration timeout) = 0;
  virtual absl::Status Unmount() = 0;
  // Ends the connection: whoever waits in the mount gets an error. The mount itself stays while somebody uses it.
  virtual void EndConnection() = 0;
  // This process ends now, perhaps not with all its threads: what it leaves is for the supervisor to clean up. Nothing is asked after this.
  virtual void Leave() = 0;
};

// With the rights of this process.
std::unique_ptr<MountHost> NewDirectMountHost(std::string mount_point);

}  // namespace latchkey
