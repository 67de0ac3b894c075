// `latchkey completion bash|zsh`: completions made from the tree of commands itself, so that they cannot fall behind it.
#pragma once

#include "cli/command.h"

namespace latchkey {

Command CompletionCommand();
// The tree that is completed; borrowed for the life of the program.
void SetCompletionTree(const Command* root);
// A bash function and its registration; for zsh the same under bashcompinit.
std::string BashCompletion(const Command& root);

}  // namespace latchkey
