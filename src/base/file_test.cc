#include "base/file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

mode_t ModeOf(const std::string& path) {
  struct stat st{};
  EXPECT_EQ(stat(path.c_str(), &st), 0) << path;
  return st.st_mode & 07777;
}

std::vector<std::string> Entries(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) out.push_back(entry.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

TEST(ReadFileTest, ReadsTheWholeFileUpToTheLimit) {
  TempFolder folder;
  std::ofstream(folder / "f") << std::string(100'000, 'x');
  LK_ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(folder / "f"));
  EXPECT_EQ(text, std::string(100'000, 'x'));
  LK_EXPECT_OK(ReadFile(folder / "f", 100'000));
  EXPECT_THAT(ReadFile(folder / "f", 99'999), StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("99999")));
}

TEST(ReadFileTest, ReadsEmptyFilesAndFilesWhoseSizeIsNotKnownBefore) {
  TempFolder folder;
  std::ofstream(folder / "empty").close();
  LK_ASSERT_OK_AND_ASSIGN(const std::string empty, ReadFile(folder / "empty"));
  EXPECT_EQ(empty, "");
  LK_ASSERT_OK_AND_ASSIGN(const std::string maps, ReadFile("/proc/self/maps"));
  EXPECT_THAT(maps, HasSubstr("[stack]"));
}

TEST(ReadFileTest, TellsAnAbsentFileFromAFolder) {
  TempFolder folder;
  EXPECT_THAT(ReadFile(folder / "none"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_FALSE(ReadFile(folder.path()).ok());
}

TEST(WriteFileAtomicallyTest, ReplacesContentAndModeAndLeavesNothingElse) {
  TempFolder folder;
  LK_ASSERT_OK(WriteFileAtomically(folder / "f", "old", 0644));
  EXPECT_EQ(ModeOf(folder / "f"), 0644u);
  LK_ASSERT_OK(WriteFileAtomically(folder / "f", "new"));
  EXPECT_EQ(*ReadFile(folder / "f"), "new");
  EXPECT_EQ(ModeOf(folder / "f"), 0600u);
  EXPECT_THAT(Entries(folder.path()), testing::ElementsAre("f"));
}

TEST(WriteFileAtomicallyTest, GivesTheExactModeWhateverTheUmask) {
  TempFolder folder;
  const mode_t before = umask(0077);
  const absl::Status status = WriteFileAtomically(folder / "f", "x", 0664);
  umask(before);
  LK_ASSERT_OK(status);
  EXPECT_EQ(ModeOf(folder / "f"), 0664u);
}

TEST(WriteFileAtomicallyTest, LeavesTheOldFileWhenTheDiskIsFull) {
  TempFolder folder;
  LK_ASSERT_OK(WriteFileAtomically(folder / "f", "old"));
  // A limit on the size of files stands in for the full disk; in a child, since it cannot be lifted again.
  const pid_t pid = fork();
  if (pid == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit small{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &small);
    _exit(WriteFileAtomically(folder / "f", std::string(5000, 'n')).ok() ? 1 : 0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(*ReadFile(folder / "f"), "old");
  EXPECT_THAT(Entries(folder.path()), testing::ElementsAre("f"));
}

TEST(WriteFileAtomicallyTest, LeavesNoNewFileWhenItCannotReplace) {
  TempFolder folder;
  LK_ASSERT_OK(MakeFolders(folder / "f/inside"));
  EXPECT_FALSE(WriteFileAtomically(folder / "f", "new").ok());
  EXPECT_THAT(Entries(folder.path()), testing::ElementsAre("f"));
  EXPECT_THAT(WriteFileAtomically(folder / "none/f", "new"), StatusIs(absl::StatusCode::kNotFound));
}

TEST(WriteFileAtomicallyTest, NeverShowsAMixtureToReaders) {
  TempFolder folder;
  const std::string a(20'000, 'a'), b(30'000, 'b');
  LK_ASSERT_OK(WriteFileAtomically(folder / "f", a));
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 30; ++i) WriteFileAtomically(folder / "f", i % 2 == 0 ? b : a).IgnoreError();
    done = true;
  });
  while (!done) {
    const auto text = ReadFile(folder / "f");
    EXPECT_TRUE(text.ok() && (*text == a || *text == b));
  }
  writer.join();
}

TEST(MakeFoldersTest, MakesEveryMissingFolderWithTheModeAndLeavesOthers) {
  TempFolder folder;
  LK_ASSERT_OK(MakeFolders(folder / "a", 0750));
  LK_ASSERT_OK(MakeFolders(folder / "a//b/c/", 0711));
  EXPECT_EQ(ModeOf(folder / "a"), 0750u);
  EXPECT_EQ(ModeOf(folder / "a/b"), 0711u);
  EXPECT_EQ(ModeOf(folder / "a/b/c"), 0711u);
  LK_EXPECT_OK(MakeFolders(folder / "a/b/c"));
  LK_EXPECT_OK(SyncFolder(folder / "a/b"));
}

TEST(MakeFoldersTest, RefusesAFileInTheWay) {
  TempFolder folder;
  std::ofstream(folder / "f").close();
  EXPECT_THAT(MakeFolders(folder / "f"), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no folder")));
  EXPECT_FALSE(MakeFolders(folder / "f/g").ok());
  EXPECT_THAT(MakeFolders(""), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(PathExistsTest, SeesFilesFoldersAndDanglingLinks) {
  TempFolder folder;
  std::filesystem::create_symlink("nowhere", folder / "link");
  EXPECT_TRUE(PathExists(folder / "link"));
  EXPECT_TRUE(PathExists(folder.path()));
  EXPECT_FALSE(PathExists(folder / "none"));
}

TEST(RemoveTreeTest, RemovesEverythingBelowAndFollowsNoLink) {
  TempFolder folder;
  LK_ASSERT_OK(MakeFolders(folder / "outside"));
  std::ofstream(folder / "outside/kept").close();
  LK_ASSERT_OK(MakeFolders(folder / "tree/a/b/c"));
  std::ofstream(folder / "tree/a/file").close();
  std::filesystem::create_symlink(folder / "outside", folder / "tree/a/link");
  LK_ASSERT_OK(RemoveTree(folder / "tree/"));
  EXPECT_FALSE(PathExists(folder / "tree"));
  EXPECT_TRUE(PathExists(folder / "outside/kept"));
}

TEST(RemoveTreeTest, TakesAFileALinkAndNothingAtAll) {
  TempFolder folder;
  std::ofstream(folder / "f").close();
  std::filesystem::create_symlink("f", folder / "link");
  LK_EXPECT_OK(RemoveTree(folder / "link"));
  EXPECT_TRUE(PathExists(folder / "f"));
  LK_EXPECT_OK(RemoveTree(folder / "f"));
  LK_EXPECT_OK(RemoveTree(folder / "f"));
  EXPECT_THAT(Entries(folder.path()), testing::IsEmpty());
}

TEST(RemoveTreeTest, RefusesMountPointsAndTheRoot) {
  EXPECT_THAT(RemoveTree("/"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(RemoveTree(""), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(RemoveTree("/proc"), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("mount point")));
}

TEST(LockFileTest, IsHeldOnceAndFreeAgainWhenTheDescriptorGoes) {
  TempFolder folder;
  {
    LK_ASSERT_OK_AND_ASSIGN(const UniqueFd lock, LockFile(folder / "lock"));
    EXPECT_TRUE(lock.valid());
    EXPECT_THAT(LockFile(folder / "lock"), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("in use by another process")));
  }
  LK_EXPECT_OK(LockFile(folder / "lock"));
  EXPECT_EQ(ModeOf(folder / "lock"), 0600u);
}

TEST(LockFileTest, IsHeldByAChildThatInheritedTheDescriptor) {
  TempFolder folder;
  absl::StatusOr<UniqueFd> lock = LockFile(folder / "lock");
  LK_ASSERT_OK(lock);
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    close(pipe_ends[1]);
    char c;
    _exit(read(pipe_ends[0], &c, 1) == 0 ? 0 : 1);
  }
  close(pipe_ends[0]);
  lock->Reset();
  EXPECT_THAT(LockFile(folder / "lock"), StatusIs(absl::StatusCode::kFailedPrecondition));
  close(pipe_ends[1]);
  waitpid(pid, nullptr, 0);
  LK_EXPECT_OK(LockFile(folder / "lock"));
}

TEST(UniqueFdTest, ClosesWhatItOwnsOnce) {
  UniqueFd a(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int raw = a.get();
  const UniqueFd& former = a;
  UniqueFd b = std::move(a);
  EXPECT_FALSE(former.valid());
  EXPECT_EQ(fcntl(raw, F_GETFD), FD_CLOEXEC);
  b = UniqueFd();
  EXPECT_EQ(fcntl(raw, F_GETFD), -1);
}

}  // namespace
}  // namespace latchkey
