#include "agent/node_credentials.h"

#include <dirent.h>

#include <algorithm>
#include <cerrno>

#include "agent/node_record.h"
#include "base/status.h"

namespace latchkey {

absl::StatusOr<std::vector<std::string>> ListNodeRecords(const AgentConfig& config) {
  const std::string folder = config.state_dir + "/nodes";
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(folder.c_str()), closedir);
  if (!dir) return ErrnoStatus(errno, "cannot read " + folder);
  std::vector<std::string> ids;
  while (const dirent* entry = readdir(dir.get())) {
    if (IsUuid(entry->d_name)) ids.emplace_back(entry->d_name);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

absl::StatusOr<std::vector<NodeCredentials>> ReadNodeCredentials(const AgentConfig& config, const std::string& cluster) {
  ASSIGN_OR_RETURN(const std::vector<std::string> ids, ListNodeRecords(config));
  std::vector<NodeCredentials> found;
  for (const std::string& id : ids) {
    const NodePaths paths(config, id);
    const auto record = LoadNodeRecord(paths.record);
    if (!record.ok() || !record->desired || record->deleted) continue;
    const DesiredNode& desired = *record->desired;
    if (desired.cluster_id != cluster && desired.cluster_name != cluster) continue;
    auto engine = ReadEngineCredentials(paths.state_folder);
    if (absl::IsNotFound(engine.status())) continue;  // not initialised yet
    RETURN_IF_ERROR(engine.status());
    found.push_back({.node_id = id,
                     .node_name = desired.node_name,
                     .cluster_id = desired.cluster_id,
                     .cluster_name = desired.cluster_name,
                     .host = config.advertise_host,
                     .port = record->port,
                     .socket_folder = paths.engine_folder,
                     .engine = *std::move(engine)});
  }
  if (found.empty()) return NotFound("cluster: this host has no initialised node of \"", cluster, "\"");
  return found;
}

}  // namespace latchkey
