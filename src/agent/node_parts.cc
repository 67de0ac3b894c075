#include "agent/node_parts.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/status.h"
#include "crypto/certificate.h"
#include "engine/user_file.h"

namespace latchkey {
namespace {

constexpr absl::Duration kCertificateLife = absl::Hours(24 * 3650);

bool IsIpAddress(const std::string& host) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  const bool numeric = getaddrinfo(host.c_str(), nullptr, &hints, &found) == 0;
  if (found != nullptr) freeaddrinfo(found);
  return numeric;
}

bool CanBind(const std::string& address, int port) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.c_str(), absl::StrCat(port).c_str(), &hints, &found) != 0) return false;
  const UniqueFd s(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (s.valid()) setsockopt(s.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool free = s.valid() && bind(s.get(), found->ai_addr, found->ai_addrlen) == 0;
  freeaddrinfo(found);
  return free;
}

}  // namespace

absl::StatusOr<std::optional<UserIds>> FindNodeUser(const AgentConfig& config) {
  if (config.user.empty()) {
    if (geteuid() == 0)
      return FailedPrecondition("user: must name a system user when the agent runs as root: databases do not run as root");
    return std::optional<UserIds>();
  }
  auto user = FindUser(config.user);
  if (!user.ok()) return Prefixed(user.status(), "user");
  if (user->uid == geteuid() && geteuid() != 0) return std::optional<UserIds>();
  if (geteuid() != 0) return FailedPrecondition("user: only an agent that runs as root can start processes as ", config.user);
  if (user->uid == 0) return FailedPrecondition("user: databases do not run as root");
  return std::optional<UserIds>(*user);
}

absl::Status PrepareHostFolders(const AgentConfig& config) {
  RETURN_IF_ERROR(MakeFolders(config.state_dir, 0700));
  RETURN_IF_ERROR(MakeFolders(config.state_dir + "/nodes", 0700));
  RETURN_IF_ERROR(MakeFolders(config.run_dir, 0711));
  return MakeFolders(config.data_dir, 0711);
}

std::unique_ptr<NodeVolume> MakeNodeVolume(const AgentConfig& config, const std::optional<UserIds>& user, const std::string& node_id) {
  std::string program = config.program;
  if (program.empty()) {
    char self[4096];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self);
    if (n > 0) program.assign(self, static_cast<size_t>(n));
    // After an upgrade the link says so of our own file; the new one stands in its place.
    constexpr std::string_view kGone = " (deleted)";
    if (program.ends_with(kGone)) program.resize(program.size() - kGone.size());
  }
  return NewNodeVolume({.program = program, .paths = NodePaths(config, node_id), .user = user, .fuse_io_uring = config.fuse_io_uring});
}

absl::StatusOr<std::unique_ptr<Engine>> MakeNodeEngine(const AgentConfig& config, const std::optional<UserIds>& user,
                                                       const DesiredNode& desired, int port) {
  const NodePaths paths(config, desired.node_id);
  return NewEngine(desired.engine, {.mount_point = paths.mount_point,
                                    .run_folder = paths.engine_folder,
                                    .state_folder = paths.state_folder,
                                    .host = config.listen_address,
                                    .port = port,
                                    .user = user,
                                    .node_name = desired.node_name});
}

absl::Status PrepareEngine(const AgentConfig& config, const std::optional<UserIds>& user, const DesiredNode& desired, Clock& clock) {
  const NodePaths paths(config, desired.node_id);
  RETURN_IF_ERROR(MakeFolderFor(paths.run_folder, user));
  RETURN_IF_ERROR(MakeFolderFor(paths.engine_folder, user));
  const std::string certificate_path = paths.engine_folder + "/server.crt";
  if (const auto pem = ReadFile(certificate_path, 64 << 10); pem.ok() && PathExists(paths.engine_folder + "/server.key")) {
    const auto facts = ReadCertificate(*pem);
    if (facts.ok() && facts->not_after > clock.Now() + absl::Hours(24 * 30)) return absl::OkStatus();
  }
  LeafOptions leaf{.common_name = desired.node_name, .for_server = true, .now = clock.Now(), .valid = kCertificateLife};
  (IsIpAddress(config.advertise_host) ? leaf.ip_addresses : leaf.dns_names).push_back(config.advertise_host);
  ASSIGN_OR_RETURN(const CertifiedKey made, SelfSigned(leaf));
  RETURN_IF_ERROR(WriteFileAs(user, paths.engine_folder + "/server.key", made.private_key_pem));
  return WriteFileAs(user, certificate_path, made.certificate_pem);
}

absl::StatusOr<int> PickPort(const AgentConfig& config, const std::vector<int>& taken) {
  for (int port = config.first_port; port <= config.last_port; ++port) {
    if (std::find(taken.begin(), taken.end(), port) == taken.end() && CanBind(config.listen_address, port)) return port;
  }
  return absl::ResourceExhaustedError("port_range: no free port is left in it");
}

}  // namespace latchkey
