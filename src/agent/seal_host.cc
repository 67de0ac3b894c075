#include "agent/seal_host.h"

#include <mutex>
#include <thread>

#include "agent/node_credentials.h"
#include "agent/node_parts.h"
#include "agent/node_record.h"
#include "base/file.h"
#include "base/status.h"

namespace latchkey {
namespace {

absl::Status SealNode(const AgentConfig& config, const std::optional<UserIds>& user, const std::string& node_id) {
  const NodePaths paths(config, node_id);
  // One that is lost or damaged keeps nothing open: the daemon knows which database runs on its volume, and ends it.
  auto record = LoadNodeRecord(paths.record);
  const auto volume = MakeNodeVolume(config, user, node_id);
  const VolumeFacts facts = volume->Look();
  const bool hangs = facts.daemon_hangs || facts.silent;
  ProcessId engine_id;
  absl::Status stopped;
  if (record.ok() && record->desired) {
    const auto engine = MakeNodeEngine(config, user, *record->desired, record->port);
    stopped = engine.status();
    if (engine.ok()) engine_id = (*engine)->Find(facts.usable()).value_or(ProcessId{});
    // One whose files hang cannot stop before its mount goes.
    if (engine.ok() && !hangs) stopped = (*engine)->Stop();
  }
  // What does not stop is sealed over, and killed by that.
  if (facts.daemon || hangs || facts.sealing) {
    RETURN_IF_ERROR(volume->Seal("HOST_STOPPED", engine_id));
    if (!record.ok()) return absl::OkStatus();
    record->seal_reason = "HOST_STOPPED";
    return StoreNodeRecord(paths.record, *record);
  }
  // A dead mount's clean-up ends the database that was found, stubborn or not.
  if (facts.mounted) stopped = volume->CleanUp(engine_id);
  // Without a daemon to ask, a damaged record cannot say whether a database of it runs elsewhere.
  if (stopped.ok() && !record.ok() && !absl::IsNotFound(record.status())) return record.status();
  return stopped;
}

}  // namespace

absl::Status SealHost(const AgentConfig& config) {
  RETURN_IF_ERROR(PrepareHostFolders(config));
  auto lock = LockFile(config.state_dir + "/agent.lock");
  if (!lock.ok()) return Prefixed(lock.status(), "the agent still runs");
  ASSIGN_OR_RETURN(const std::optional<UserIds> user, FindNodeUser(config));
  ASSIGN_OR_RETURN(const std::vector<std::string> ids, ListNodeRecords(config));
  std::mutex mutex;
  absl::Status first;
  std::vector<std::thread> threads;
  for (const std::string& id : ids) {
    threads.emplace_back([&, id] {
      const absl::Status sealed = SealNode(config, user, id);
      if (sealed.ok()) return;
      const std::lock_guard guard(mutex);
      if (first.ok()) first = Prefixed(sealed, absl::StrCat("node ", id));
    });
  }
  for (std::thread& thread : threads) thread.join();
  return first;
}

}  // namespace latchkey
