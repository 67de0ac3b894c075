#include "cli/completion.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include <cstdio>

#include "base/status.h"

namespace latchkey {
namespace {

const Command* g_tree = nullptr;

// "-o,--output" → {"-o", "--output"}; none for positional arguments.
std::vector<std::string> FlagsOf(const CommandOption& option) {
  if (!option.names.starts_with('-')) return {};
  return absl::StrSplit(option.names, ',');
}

// After "path": sub-commands, what the first argument can be, flags. After "path --": arguments alone.
void WordCases(const Command& command, const std::string& path, std::string& out) {
  std::string words, flags = "--help";
  for (const Command& child : command.children) {
    if (!child.hidden) words += child.name + " ";
  }
  for (const CommandOption& option : command.options) {
    if (!option.names.starts_with('-')) words += absl::StrJoin(option.choices, " ") + (option.choices.empty() ? "" : " ");
    for (const std::string& flag : FlagsOf(option)) flags += " " + flag;
  }
  absl::StrAppend(&out, "    \"", path, "\") words=\"", words, "\" flags=\"", flags, "\" ;;\n");
  for (const Command& child : command.children) WordCases(child, path.empty() ? child.name : path + " " + child.name, out);
}

// After "path --flag" of a flag that takes a value: its choices, or nothing, which leaves it to the shell (files).
void ValueCases(const Command& command, const std::string& path, std::string& out) {
  for (const CommandOption& option : command.options) {
    if (std::holds_alternative<bool*>(option.target)) continue;
    std::string patterns;
    for (const std::string& flag : FlagsOf(option)) absl::StrAppend(&patterns, patterns.empty() ? "" : "|", "\"", path, " ", flag, "\"");
    if (!patterns.empty()) absl::StrAppend(&out, "      ", patterns, ") values=\"", absl::StrJoin(option.choices, " "), "\" ;;\n");
  }
  for (const Command& child : command.children) ValueCases(child, path.empty() ? child.name : path + " " + child.name, out);
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
  std::string paths, word_cases, value_cases;
  Paths(root, "", paths);
  WordCases(root, "", word_cases);
  ValueCases(root, "", value_cases);
  return absl::StrCat(R"(# latchkey completions: source this file, or put it into bash-completion's folder.
_latchkey() {
  local path="" words="" flags="" values next i arguments_only="" option="" current="${COMP_WORDS[COMP_CWORD]}"
  local known=")",
                      paths, R"(
"
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ "${COMP_WORDS[i]}" == "--" ]]; then arguments_only=yes; fi
    next="${path:+$path }${COMP_WORDS[i]}"
    if [[ "$known" == *$'\n'"$next"$'\n'* ]]; then path="$next"; fi
  done
  # Bash makes words of their own of the parts of "--output=json".
  i=$((COMP_CWORD - 1))
  if [[ "$current" == "=" ]]; then
    current=""
  elif ((i > 1)) && [[ "${COMP_WORDS[i]}" == "=" ]]; then
    i=$((i - 1))
  fi
  if ((i > 0)) && [[ -z "$arguments_only" ]]; then option="${COMP_WORDS[i]}"; fi
  if [[ "$option" == -* ]]; then
    values="-"
    case "$path $option" in
)",
                      value_cases, R"(    esac
    if [[ "$values" != "-" ]]; then
      COMPREPLY=($(compgen -W "$values" -- "$current"))
      return
    fi
  fi
  case "$path" in
)",
                      word_cases, R"(  esac
  if [[ -n "$arguments_only" ]]; then flags=""; fi
  COMPREPLY=($(compgen -W "$words $flags" -- "$current"))
}
complete -o default -F _latchkey latchkey
)");
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
