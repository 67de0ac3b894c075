// The only file that includes CLI11 (its header costs nine seconds): turns the tree of Commands into its parser.
#include "cli/parser.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/table.h"

namespace latchkey {
namespace {

constexpr char kVersion[] = "latchkey 0.1.0";

std::string Footer(const Command& command) {
  std::string out;
  if (!command.details.empty()) out += command.details + "\n";
  if (!command.examples.empty()) {
    out += "\nExamples:\n";
    for (const std::string& example : command.examples) out += "  " + example + "\n";
  }
  return out;
}

void AddOption(CLI::App& app, const CommandOption& option) {
  CLI::Option* added = nullptr;
  if (bool* const* flag = std::get_if<bool*>(&option.target)) {
    added = app.add_flag(option.names, **flag, option.help);
  } else if (int64_t* const* number = std::get_if<int64_t*>(&option.target)) {
    added = app.add_option(option.names, **number, option.help)->capture_default_str();
  } else if (std::string* const* text = std::get_if<std::string*>(&option.target)) {
    added = app.add_option(option.names, **text, option.help);
    if (!(*text)->empty()) added->capture_default_str();
  } else {
    added = app.add_option(option.names, *std::get<std::vector<std::string>*>(option.target), option.help);
    // One value each time it is named: what follows is an argument of its own.
    if (option.names.starts_with('-')) added->allow_extra_args(false);
  }
  if (option.required) added->required();
  if (!option.choices.empty()) added->check(CLI::IsMember(option.choices));
  if (!option.env.empty()) added->envname(option.env);
}

// `chosen` gets the command whose parser matched last, which is the deepest one.
void Build(CLI::App& app, const Command& command, const Command** chosen) {
  app.footer(Footer(command));
  for (const CommandOption& option : command.options) AddOption(app, option);
  for (const Command& child : command.children) {
    CLI::App* sub = app.add_subcommand(child.name, child.summary);
    if (child.hidden) sub->group("");
    Build(*sub, child, chosen);
  }
  if (!command.run && !command.children.empty()) app.require_subcommand(1);
  // parse_complete_callback runs for the inner command first: the first one wins.
  app.parse_complete_callback([&command, chosen] {
    if (*chosen == nullptr) *chosen = &command;
  });
}

// Where the words lead, as far as they name commands: the path with the program's name, the command, and the first word that is none.
struct Walk {
  const Command* at;
  std::string path, unknown;
};

Walk Follow(const Command& root, const std::vector<std::string>& words) {
  Walk walk{&root, root.name, ""};
  for (const std::string& word : words) {
    if (word.starts_with('-')) break;
    const auto next = std::find_if(walk.at->children.begin(), walk.at->children.end(), [&](const Command& c) { return c.name == word; });
    if (next == walk.at->children.end()) {
      if (!walk.at->run) walk.unknown = word;
      break;
    }
    walk.at = &*next;
    walk.path += " " + word;
  }
  return walk;
}

// CLI11 says "required subcommand missing" for a word that it does not know and for a group without a word; people want to read which word
// was not understood, and what the group has.
ParsedCommand Explain(const CLI::App& app, const Command& root, const std::vector<std::string>& words, const CLI::ParseError& error) {
  const Walk walk = Follow(root, words);
  if (!walk.unknown.empty())
    return {.problem = "there is no command '" + Printable(walk.unknown) + "'; see " + walk.path + " --help", .exit_code = 2};
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !walk.at->run) return {.text = app.help(), .exit_code = 2};
  return {.problem = Printable(error.what()) + "\nSee " + walk.path + " --help.", .exit_code = 2};
}

}  // namespace

ParsedCommand ParseCommandLine(const Command& root, const std::vector<std::string>& words) {
  CLI::App app(root.summary, root.name);
  app.set_version_flag("--version", kVersion);
  ParsedCommand parsed;
  Build(app, root, &parsed.command);
  // CLI11 takes the words from the end of the list.
  std::vector<std::string> reversed(words.rbegin(), words.rend());
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::CallForVersion& version) {
    return {.text = std::string(version.what()) + "\n"};
  } catch (const CLI::Success&) {
    return {.text = app.help()};
  } catch (const CLI::ParseError& e) {
    return Explain(app, root, words, e);
  }
  return parsed;
}

}  // namespace latchkey
