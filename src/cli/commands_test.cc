#include "cli/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "cli/command.h"
#include "cli/completion.h"

namespace latchkey {
namespace {

Command Tree() {
  Command root{.name = "latchkey"};
  for (Command& c :
       std::vector<Command>{ServerCommand(), AgentCommand(), DevCommand(), KmsEmulatorCommand(), ClustersCommand(), CmekCommand(),
                            VolumeCommand(), KeysCommand(), AgentsCommand(), ApiKeysCommand(), AuditCommand(), CompletionCommand()}) {
    root.children.push_back(c);
  }
  return root;
}

void ForEach(const Command& command, const std::function<void(const Command&)>& look) {
  look(command);
  for (const Command& child : command.children) ForEach(child, look);
}

TEST(CommandsTest, EveryCommandSaysWhatItIsForAndEveryOptionHasHelp) {
  int commands = 0;
  ForEach(Tree(), [&](const Command& c) {
    if (c.name == "latchkey") return;
    ++commands;
    EXPECT_FALSE(c.summary.empty()) << c.name;
    EXPECT_TRUE(c.run || !c.children.empty()) << c.name << " does nothing";
    std::set<std::string> names;
    for (const CommandOption& o : c.options) {
      EXPECT_FALSE(o.help.empty()) << c.name << " " << o.names;
      EXPECT_TRUE(names.insert(o.names).second) << c.name << " has " << o.names << " twice";
    }
  });
  EXPECT_GT(commands, 40);
}

TEST(CompletionTest, OffersEachCommandsChildrenAndFlags) {
  const std::string script = BashCompletion(Tree());
  EXPECT_THAT(script, testing::HasSubstr("\"cmek\") words=\"get enable rotate revoke restore --help\""));
  EXPECT_THAT(script, testing::HasSubstr("\"cmek revoke\") words=\"--help --wait --timeout --server"));
  EXPECT_THAT(script, testing::HasSubstr("complete -o default -F _latchkey latchkey"));
}

TEST(RunCliTest, NoCommandCanLeaveACoreFile) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::string words[] = {"latchkey", "--version"};
    char* argv[] = {words[0].data(), words[1].data(), nullptr};
    if (RunCli(2, argv) != 0) _exit(1);
    rlimit core{1, 1};
    getrlimit(RLIMIT_CORE, &core);
    _exit(prctl(PR_GET_DUMPABLE) == 0 && core.rlim_max == 0 ? 0 : 2);
  }
  int how = -1;
  ASSERT_EQ(waitpid(child, &how, 0), child);
  EXPECT_TRUE(WIFEXITED(how));
  EXPECT_EQ(WEXITSTATUS(how), 0);
}

TEST(ExitCodeTest, TellsScriptsWhatKindOfFailureItWas) {
  EXPECT_EQ(ExitCodeFor(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeFor(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeFor(absl::NotFoundError("")), 3);
  EXPECT_EQ(ExitCodeFor(absl::UnauthenticatedError("")), 4);
  EXPECT_EQ(ExitCodeFor(absl::UnavailableError("")), 5);
  EXPECT_EQ(ExitCodeFor(absl::DeadlineExceededError("")), 5);
  EXPECT_EQ(ExitCodeFor(absl::UnimplementedError("")), 6);
  EXPECT_EQ(ExitCodeFor(absl::InternalError("")), 1);
}

}  // namespace
}  // namespace latchkey
