// A command of the program as a plain value: names, options bound to variables, and what to run. cli.cc turns the tree into a parser, help
// texts and completions, so that no command file includes the parser's library.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace latchkey {

struct CommandOption {
  // "--wait", "-o,--output", or a bare name for a positional argument ("cluster").
  std::string names;
  std::string help;
  // Where the value goes; it outlives the command (commands keep their variables in a shared_ptr that `run` captures).
  std::variant<std::string*, int64_t*, bool*, std::vector<std::string>*> target;
  bool required = false;
  std::vector<std::string> choices;
  std::string env;  // environment variable that fills it when absent
};

struct Command {
  std::string name;
  std::string summary;  // one line for the list of commands
  std::string details;  // paragraphs for its own help; may be empty
  std::vector<std::string> examples;
  std::vector<CommandOption> options;
  std::vector<Command> children;
  // Empty for a command that only groups others. The status decides the exit code, see ExitCodeFor().
  std::function<absl::Status()> run;
  bool hidden = false;
};

// Exit codes, for scripts: 0 done · 1 failed · 2 wrong use or refused input · 3 not found · 4 not allowed · 5 unavailable or timed out · 6
// not built.
int ExitCodeFor(const absl::Status& status);

}  // namespace latchkey
