// The words of a command line, read by a tree of Commands.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace latchkey {

struct ParsedCommand {
  // What to run: its options' targets are filled. Null when the words ask for no command; then `text` or `problem` says what to print.
  const Command* command = nullptr;
  std::string text;     // help or version, for standard output
  std::string problem;  // why the words were not understood, for standard error; without control characters but line ends
  int exit_code = 0;    // when there is nothing to run
};

// `words`: without the program's name. `root` outlives the answer. Environment variables that options name are read. Runs nothing.
ParsedCommand ParseCommandLine(const Command& root, const std::vector<std::string>& words);

}  // namespace latchkey
