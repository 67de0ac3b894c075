#include "cli/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "cli/command.h"
#include "cli/parser.h"

namespace latchkey {
namespace {

void ForEach(const Command& command, const std::function<void(const Command&)>& look) {
  look(command);
  for (const Command& child : command.children) ForEach(child, look);
}

TEST(CommandsTest, EveryCommandSaysWhatItIsForAndEveryOptionHasHelp) {
  int commands = 0;
  ForEach(RootCommand(), [&](const Command& c) {
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

// The words of the one call of the program in a line as people type it: what a shell would hand over, quotes taken off, without what
// stands before it (sudo) and what the shell does with it (pipes, files).
std::vector<std::string> WordsOf(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false, begun = false;
  for (const char c : line + " ") {
    if (c == '"') {
      quoted = !quoted;
    } else if (c != ' ' || quoted) {
      word += c;
    } else if (!word.empty()) {
      if (begun && (word == ">" || word == "&&" || word == "|")) break;
      const bool substitution = word.ends_with(')');
      if (substitution) word.pop_back();
      if (begun) words.push_back(word);
      begun = begun || word == "latchkey" || word == "<(latchkey";
      if (substitution) break;
      word.clear();
    }
  }
  return words;
}

TEST(CommandsTest, EveryCommandHasAnExampleOfItselfAndEveryExampleCanBeTyped) {
  const Command root = RootCommand();
  ForEach(root, [&](const Command& command) {
    bool of_itself = false;
    for (const std::string& example : command.examples) {
      const std::vector<std::string> words = WordsOf(example);
      EXPECT_FALSE(words.empty()) << example;
      const ParsedCommand parsed = ParseCommandLine(root, words);
      EXPECT_EQ(parsed.problem, "") << example;
      ASSERT_NE(parsed.command, nullptr) << example;
      of_itself = of_itself || parsed.command == &command;
      // A shell would take it for a file.
      for (const std::string& word : words) EXPECT_FALSE(word.starts_with('<')) << example;
    }
    EXPECT_TRUE(of_itself || !command.run) << command.name << ": " << command.summary;
  });
}

TEST(ParserTest, SaysWhichWordItDoesNotKnowAndWhereToLook) {
  const Command root = RootCommand();
  const ParsedCommand top = ParseCommandLine(root, {"cluster", "list"});
  EXPECT_EQ(top.problem, "there is no command 'cluster'; see latchkey --help");
  EXPECT_EQ(top.exit_code, 2);
  EXPECT_EQ(ParseCommandLine(root, {"cmek", "re\x1bvoke"}).problem, "there is no command 're?voke'; see latchkey cmek --help");
  const ParsedCommand option = ParseCommandLine(root, {"cmek", "get", "ledger", "--wait"});
  EXPECT_THAT(option.problem, testing::AllOf(testing::HasSubstr("--wait"), testing::EndsWith("\nSee latchkey cmek get --help.")));
  EXPECT_EQ(option.exit_code, 2);
  EXPECT_THAT(ParseCommandLine(root, {"clusters", "create", "--region", "us-east-1"}).problem, testing::HasSubstr("name"));
  EXPECT_NE(ParseCommandLine(root, {"agents", "list", "-o", "yaml"}).problem, "");
}

TEST(ParserTest, AnswersAGroupWithoutAWordWithItsHelp) {
  const Command root = RootCommand();
  const ParsedCommand group = ParseCommandLine(root, {"cmek"});
  EXPECT_THAT(group.text, testing::HasSubstr("revoke"));
  EXPECT_EQ(group.exit_code, 2);
  EXPECT_THAT(ParseCommandLine(root, {}).text, testing::HasSubstr("clusters"));
  const ParsedCommand asked = ParseCommandLine(root, {"cmek", "revoke", "--help"});
  EXPECT_THAT(asked.text, testing::HasSubstr("latchkey cmek revoke ledger --wait"));
  EXPECT_EQ(asked.exit_code, 0);
  EXPECT_EQ(asked.command, nullptr);
  EXPECT_THAT(ParseCommandLine(root, {"--version"}).text, testing::StartsWith("latchkey "));
}

TEST(ParserTest, AnOptionThatCanBeRepeatedDoesNotTakeTheNextArgument) {
  std::vector<std::string> regions;
  std::string name;
  const Command root{.name = "latchkey",
                     .options = {{.names = "--region", .help = "", .target = &regions}, {.names = "name", .help = "", .target = &name}},
                     .run = [] { return absl::OkStatus(); }};
  EXPECT_EQ(ParseCommandLine(root, {"--region", "us-east-1", "ledger", "--region", "eu-west-1"}).problem, "");
  EXPECT_THAT(regions, testing::ElementsAre("us-east-1", "eu-west-1"));
  EXPECT_EQ(name, "ledger");
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
