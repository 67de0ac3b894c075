// The generated script in a real bash.
#include "cli/completion.h"

#include <algorithm>
#include <sstream>

#include "base/file.h"
#include "base/process.h"
#include "base/testing.h"
#include "cli/commands.h"

namespace latchkey {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using testing::UnorderedElementsAre;

class CompletionTest : public testing::Test {
 protected:
  // What bash offers for the last of the words, "latchkey" standing before them.
  static std::vector<std::string> Offered(const std::vector<std::string>& words) {
    const TempFolder folder;
    EXPECT_THAT(WriteFileAtomically(folder / "completion", BashCompletion(RootCommand())), IsOk());
    // The words are arguments of the script, so that bash itself takes nothing in them for its own.
    const std::string driver =
        "set -u\nsource \"$1\"; shift\nCOMP_WORDS=(latchkey \"$@\"); COMP_CWORD=$#\n"
        "f=$(complete -p latchkey); f=${f##*-F }; ${f%% *}\n"
        "if ((${#COMPREPLY[@]})); then printf '%s\\n' \"${COMPREPLY[@]}\"; fi\n";
    SpawnOptions options{.argv = {"/bin/bash", "--norc", "-c", driver, "bash", folder / "completion"}};
    options.argv.insert(options.argv.end(), words.begin(), words.end());
    const auto ran = latchkey::Run(options, absl::Seconds(20));
    EXPECT_THAT(ran, IsOk());
    if (!ran.ok()) return {};
    EXPECT_EQ(ran->exit_code, 0) << ran->output;
    std::vector<std::string> lines;
    std::istringstream in(ran->output);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
};

TEST_F(CompletionTest, OffersCommandsAndThenTheirChildren) {
  EXPECT_THAT(Offered({""}), AllOf(IsSupersetOf({"clusters", "cmek", "volume", "--help"}), Not(Contains("revoke"))));
  EXPECT_THAT(Offered({"c"}), UnorderedElementsAre("clusters", "cmek", "completion"));
  EXPECT_THAT(Offered({"cmek", ""}), UnorderedElementsAre("get", "enable", "rotate", "revoke", "restore", "--help"));
  EXPECT_THAT(Offered({"cmek", "re"}), UnorderedElementsAre("revoke", "restore"));
  EXPECT_THAT(Offered({"kms-emulator", "key", "dis"}), ElementsAre("disable"));
}

TEST_F(CompletionTest, OffersTheFlagsOfTheCommandThatStandsThere) {
  EXPECT_THAT(Offered({"clusters", "delete", "ledger", "--"}),
              AllOf(IsSupersetOf({"--yes", "--wait", "--timeout", "--server", "--output", "--help"}), Not(Contains("--uri"))));
  EXPECT_THAT(Offered({"clusters", "delete", "ledger", "--w"}), ElementsAre("--wait"));
  EXPECT_THAT(Offered({"clusters", "delete", "--wait", "ledger", "--y"}), ElementsAre("--yes"));
  EXPECT_THAT(Offered({"clusters", "delete", "--wait", "--y"}), ElementsAre("--yes")) << "a flag without a value takes none";
}

TEST_F(CompletionTest, OffersTheValuesOfAFlag) {
  EXPECT_THAT(Offered({"clusters", "list", "-o", ""}), UnorderedElementsAre("table", "json"));
  EXPECT_THAT(Offered({"clusters", "list", "--output", "j"}), ElementsAre("json"));
  EXPECT_THAT(Offered({"clusters", "list", "--output", "="}), UnorderedElementsAre("table", "json"));
  EXPECT_THAT(Offered({"clusters", "list", "--output", "=", "t"}), ElementsAre("table"));
  EXPECT_THAT(Offered({"cmek", "enable", "ledger", "--type", "VAULT"}), ElementsAre("VAULT_TRANSIT"));
  EXPECT_THAT(Offered({"cmek", "enable", "ledger", "--type", "KMIP", "--ur"}), ElementsAre("--uri"));
}

TEST_F(CompletionTest, LeavesValuesThatItDoesNotKnowToTheShell) {
  EXPECT_THAT(Offered({"clusters", "list", "--ca-file", ""}), IsEmpty());
  EXPECT_THAT(Offered({"clusters", "list", "--ca-file", "--o"}), IsEmpty());
  EXPECT_THAT(Offered({"keys", "create-local", "escrow"}), IsEmpty());
}

TEST_F(CompletionTest, OffersWhatAnArgumentCanBe) {
  EXPECT_THAT(Offered({"kms-emulator", "outage", "o"}), UnorderedElementsAre("on", "off"));
  EXPECT_THAT(Offered({"completion", ""}), IsSupersetOf({"bash", "zsh"}));
}

TEST_F(CompletionTest, OffersNoFlagsAfterTheEndOfFlags) {
  EXPECT_THAT(Offered({"clusters", "delete", "--", ""}), IsEmpty());
  EXPECT_THAT(Offered({"clusters", "list", "-o", "json", "--", "-"}), IsEmpty());
  EXPECT_THAT(Offered({"kms-emulator", "outage", "--", ""}), UnorderedElementsAre("on", "off"));
}

TEST_F(CompletionTest, TakesWordsForWordsAndRunsNothing) {
  const TempFolder folder;
  EXPECT_THAT(Offered({"clusters", "get", "$(touch " + folder / "ran" + ")", ""}), Contains("--help"));
  EXPECT_THAT(Offered({"clusters", "*", "`touch " + folder / "ran" + "`"}), IsEmpty());
  EXPECT_FALSE(PathExists(folder / "ran"));
}

}  // namespace
}  // namespace latchkey
