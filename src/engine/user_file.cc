#include "engine/user_file.h"

#include "base/status.h"

namespace latchkey {

absl::StatusOr<RunResult> RunAs(const std::optional<UserIds>& user, std::vector<std::string> argv, absl::Duration timeout,
                                const std::string& input) {
  SpawnOptions options;
  options.argv = std::move(argv);
  options.env = {{"PATH", "/usr/bin:/bin"}, {"LC_ALL", "C.UTF-8"}};
  options.user = user;
  options.detached = false;
  options.die_with_parent = true;
  return Run(options, timeout, input);
}

absl::Status WriteFileAs(const std::optional<UserIds>& user, const std::string& path, const std::string& content) {
  // Names travel as arguments, never as text of the script; the content comes through the pipe, so it is in no process list.
  static constexpr char kScript[] = R"(umask 077 && rm -f -- "$1.new" && cat > "$1.new" && mv -f -- "$1.new" "$1")";
  ASSIGN_OR_RETURN(const RunResult result, RunAs(user, {"/bin/sh", "-c", kScript, "sh", path}, absl::Seconds(10), content));
  if (result.exit_code != 0) return Unavailable("cannot write ", path, ": exit code ", result.exit_code);
  return absl::OkStatus();
}

}  // namespace latchkey
