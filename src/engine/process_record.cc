#include "engine/process_record.h"

#include <algorithm>
#include <csignal>

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"

namespace latchkey {
namespace {

void Merge(std::vector<ProcessId>& known, const std::vector<ProcessId>& seen) {
  for (const ProcessId& id : seen) {
    if (std::find(known.begin(), known.end(), id) == known.end()) known.push_back(id);
  }
}

// True when all of `tree` have ended within `timeout`. New children of those that run are added on the way.
bool WaitForAll(std::vector<ProcessId>& tree, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  for (;;) {
    for (size_t i = 0; i < tree.size(); ++i) {
      if (IsRunning(tree[i])) Merge(tree, ProcessTree(tree[i]));
    }
    const auto alive = std::find_if(tree.begin(), tree.end(), [](const ProcessId& id) { return IsRunning(id); });
    if (alive == tree.end()) return true;
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    WaitForExit(*alive, std::min(left, absl::Milliseconds(100)));
  }
}

}  // namespace

absl::Status WriteProcessRecord(const std::string& path, const ProcessId& id) {
  const json::object object = {{"pid", id.pid}, {"start_ticks", id.start_ticks}, {"boot_id", BootId()}};
  return WriteFileAtomically(path, json::serialize(object) + "\n", 0600);
}

std::optional<ProcessId> FindRecordedProcess(const std::string& path) {
  const auto text = ReadFile(path, 4096);
  if (!text.ok()) return std::nullopt;
  const auto object = ParseJsonObject(*text);
  if (!object.ok()) return std::nullopt;
  JsonReader reader(*object);
  const int64_t pid = reader.Int("pid");
  const int64_t ticks = reader.Int("start_ticks");
  const std::string boot = reader.String("boot_id");
  if (!reader.status().ok() || pid <= 1 || boot != BootId()) return std::nullopt;
  const ProcessId id{static_cast<pid_t>(pid), static_cast<uint64_t>(ticks)};
  if (!IsRunning(id)) return std::nullopt;
  return id;
}

absl::Status StopProcessTree(const ProcessId& root, const std::vector<StopStep>& steps) {
  std::vector<ProcessId> tree = ProcessTree(root);
  Merge(tree, {root});
  for (const StopStep& step : steps) {
    RETURN_IF_ERROR(SendSignal(root, step.signal));
    if (WaitForAll(tree, step.wait)) return absl::OkStatus();
  }
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  do {
    for (const ProcessId& id : tree) RETURN_IF_ERROR(SendSignal(id, SIGKILL));
    if (WaitForAll(tree, absl::Milliseconds(200))) return absl::OkStatus();
  } while (absl::Now() < deadline);
  std::string left;
  for (const ProcessId& id : tree) {
    if (IsRunning(id)) absl::StrAppend(&left, left.empty() ? "" : ", ", id.pid);
  }
  return absl::DeadlineExceededError(absl::StrCat("processes that SIGKILL did not end: ", left));
}

}  // namespace latchkey
