#include <algorithm>
#include <cstdio>

#include "base/secret_bytes.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/parser.h"
#include "cli/table.h"
#include "volume/client.h"

namespace latchkey {

Command RootCommand() {
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

  const Command root = RootCommand();
  SetCompletionTree(&root);
  const ParsedCommand parsed = ParseCommandLine(root, {argv + std::min(argc, 1), argv + argc});
  if (parsed.command == nullptr || !parsed.command->run) {
    std::fputs(parsed.text.c_str(), stdout);
    if (!parsed.problem.empty()) std::fprintf(stderr, "latchkey: %s\n", parsed.problem.c_str());
    return parsed.exit_code;
  }
  const absl::Status status = parsed.command->run();
  if (!status.ok()) std::fprintf(stderr, "latchkey: %s\n", Printable(FromAbsl(status.message())).c_str());
  return ExitCodeFor(status);
}

}  // namespace latchkey
