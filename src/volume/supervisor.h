// The privileged half of a volume daemon that root started: a process without keys and without network that can mount, unmount and see
// every process of the host. It forks the serving half, which runs as the volume's user, and outlives it by the moment that it takes to
// clean up: when the serving half dies, however it dies, every process that uses the mount is killed and the mount goes, at once.
//
// When the supervisor itself dies, the kernel kills the serving half with it (PR_SET_PDEATHSIG); what is then left is CleanUpDeadMount's.
//
// They speak over a SOCK_SEQPACKET pair, one fixed-size request and one answer at a time; descriptors of a mount travel with the answer.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "base/file.h"
#include "base/process.h"
#include "volume/mount_host.h"

namespace latchkey {

struct SupervisorOptions {
  std::string mount_point;
  std::string control_socket;  // removed at the end: the serving half may lack the right
  UserIds user;
};

// Serves `socket` until the serving half `child` is gone, then cleans up. Returns the exit code for the process.
int RunSupervisor(const SupervisorOptions& options, UniqueFd socket, pid_t child);

// The serving half's side of the pair.
std::unique_ptr<MountHost> NewSupervisedMountHost(UniqueFd socket);

}  // namespace latchkey
