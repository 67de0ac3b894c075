#include "cli/completion.h"

#include <cstdio>

#include "base/status.h"

namespace latchkey {
namespace {

const Command* g_tree = nullptr;

// "-o,--output" → "-o --output"; positional arguments complete to nothing.
std::string Flags(const Command& command) {
  std::string out = "--help";
  for (const CommandOption& option : command.options) {
    if (!option.names.starts_with('-')) continue;
    std::string names = option.names;
    for (char& c : names) {
      if (c == ',') c = ' ';
    }
    out += " " + names;
  }
  return out;
}

void Cases(const Command& command, const std::string& path, std::string& out) {
  std::string words;
  for (const Command& child : command.children) {
    if (!child.hidden) words += child.name + " ";
  }
  out += "    \"" + path + "\") words=\"" + words + Flags(command) + "\" ;;\n";
  for (const Command& child : command.children) Cases(child, path.empty() ? child.name : path + " " + child.name, out);
}

void Paths(const Command& command, const std::string& path, std::string& out) {
  for (const Command& child : command.children) {
    const std::string deeper = path.empty() ? child.name : path + " " + child.name;
    out += "\n" + deeper;
    Paths(child, deeper, out);
  }
}

}  // namespace

void SetCompletionTree(const Command* root) { g_tree = root; }

std::string BashCompletion(const Command& root) {
  std::string paths, cases;
  Paths(root, "", paths);
  Cases(root, "", cases);
  return "# latchkey completions: source this file, or put it into bash-completion's folder.\n"
         "_latchkey() {\n"
         "  local path=\"\" word words next i\n"
         "  local known=\"" +
         paths +
         "\n\"\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    word=\"${COMP_WORDS[i]}\"\n"
         "    next=\"${path:+$path }$word\"\n"
         "    if [[ \"$known\" == *$'\\n'\"$next\"$'\\n'* ]]; then path=\"$next\"; fi\n"
         "  done\n"
         "  case \"$path\" in\n" +
         cases +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
         "}\n"
         "complete -o default -F _latchkey latchkey\n";
}

Command CompletionCommand() {
  auto shell = std::make_shared<std::string>();
  return {.name = "completion",
          .summary = "print completions for a shell",
          .examples = {"source <(latchkey completion bash)", "latchkey completion zsh > ~/.latchkey.zsh && source ~/.latchkey.zsh"},
          .options = {{.names = "shell", .help = "bash or zsh", .target = shell.get(), .required = true, .choices = {"bash", "zsh"}}},
          .run = [shell]() -> absl::Status {
            if (*shell == "zsh") std::fputs("autoload -U +X bashcompinit && bashcompinit\n", stdout);
            std::fputs(BashCompletion(*g_tree).c_str(), stdout);
            return absl::OkStatus();
          }};
}

}  // namespace latchkey
