// The only file that includes CLI11 (its header costs nine seconds): turns the tree of Commands into its parser.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "base/secret_bytes.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/table.h"
#include "volume/client.h"

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

// CLI11 calls an unknown command "required subcommand missing"; people want to read which word was not understood.
std::string UnknownWord(const Command& root, int argc, char** argv) {
  const Command* at = &root;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.starts_with('-')) return "";
    const Command* next = nullptr;
    for (const Command& child : at->children) {
      if (child.name == word) next = &child;
    }
    if (next == nullptr) return at->run ? "" : word;
    at = next;
  }
  return "";
}

Command Root() {
  Command root{.name = "latchkey",
               .summary = "customer-managed encryption keys for database clusters that you run yourself",
               .details = "Start with `latchkey dev`, or read the README.",
               .examples = {"latchkey clusters create ledger --region us-east-1 --wait",
                            "latchkey cmek enable ledger --uri arn:aws:kms:… --principal arn:aws:iam:… --wait",
                            "latchkey cmek revoke ledger --wait"}};
  root.children.push_back(ServerCommand());
  root.children.push_back(AgentCommand());
  root.children.push_back(DevCommand());
  root.children.push_back(KmsEmulatorCommand());
  root.children.push_back(ClustersCommand());
  root.children.push_back(CmekCommand());
  root.children.push_back(VolumeCommand());
  root.children.push_back(KeysCommand());
  root.children.push_back(AgentsCommand());
  root.children.push_back(ApiKeysCommand());
  root.children.push_back(AuditCommand());
  root.children.push_back(CompletionCommand());
  return root;
}

}  // namespace

int ExitCodeFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 0;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return 2;
    case absl::StatusCode::kNotFound:
      return 3;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return 4;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return 5;
    case absl::StatusCode::kUnimplemented:
      return 6;
    default:
      return 1;
  }
}

int RunCli(int argc, char** argv) {
  // Every command may hold what nobody else shall see: an API key, credentials of a KMS, the CA's key, a KEK. A crash leaves no core file
  // of any of them, whatever limit somebody sets later; the volume daemon's supervisor, which is forked before its keys come, inherits it.
  if (const absl::Status status = ForbidDumps(); !status.ok()) {
    std::fprintf(stderr, "latchkey: %s\n", Printable(FromAbsl(status.message())).c_str());
    return 1;
  }
  // The volume daemon sets its locked memory up before anything else touches OpenSSL, so it never sees this parser.
  if (argc > 1 && std::string_view(argv[1]) == "volume-daemon") return RunVolumeDaemon(argc, argv);

  Command root = Root();
  const Command* tree = &root;
  SetCompletionTree(tree);
  CLI::App app(root.summary, "latchkey");
  app.set_version_flag("--version", kVersion);
  const Command* chosen = nullptr;
  Build(app, root, &chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    const std::string unknown = UnknownWord(root, argc, argv);
    if (!unknown.empty()) {
      std::fprintf(stderr, "latchkey: there is no command '%s'; see latchkey --help\n", Printable(unknown).c_str());
    } else if (argc == 1) {
      std::cout << app.help();
    } else {
      std::fprintf(stderr, "latchkey: %s\nSee --help.\n", e.what());
    }
    return 2;
  }
  if (chosen == nullptr || !chosen->run) {
    std::cout << app.help();
    return 2;
  }
  const absl::Status status = chosen->run();
  if (!status.ok()) std::fprintf(stderr, "latchkey: %s\n", Printable(FromAbsl(status.message())).c_str());
  return ExitCodeFor(status);
}

}  // namespace latchkey
