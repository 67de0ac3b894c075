// Files in folders that belong to the unprivileged user of an engine, written by a root agent. What root does by path in somebody else's
// folder can be led astray by a link planted there; so a child that runs as that user does it, with no more rights than the user has.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <vector>

#include "base/process.h"

namespace latchkey {

// Runs a program as `user` (unset: as ourselves) with a minimal environment; its exit code and output. Errors: it cannot be started, or
// `timeout` passed.
absl::StatusOr<RunResult> RunAs(const std::optional<UserIds>& user, std::vector<std::string> argv, absl::Duration timeout,
                                const std::string& input = "");

// Replaces `path` with `content`, mode 0600, as `user`: written beside it and renamed over. The folder exists.
absl::Status WriteFileAs(const std::optional<UserIds>& user, const std::string& path, const std::string& content);

}  // namespace latchkey
