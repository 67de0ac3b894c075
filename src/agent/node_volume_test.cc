// A volume daemon that hangs, as an agent finds it that was started after it did. A child process that listens and never answers plays it.
#include "agent/node_volume.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "base/file.h"
#include "base/testing.h"
#include "engine/process_record.h"

namespace latchkey {
namespace {

constexpr char kNode[] = "11111111-1111-4111-8111-111111111111";

class HungDaemonTest : public testing::Test {
 protected:
  HungDaemonTest() : paths_(Config(), kNode) {
    LK_EXPECT_OK(MakeFolders(paths_.state_folder));
    LK_EXPECT_OK(MakeFolders(paths_.run_folder));
    LK_EXPECT_OK(MakeFolders(paths_.lower_folder));
  }
  ~HungDaemonTest() override {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  AgentConfig Config() const {
    AgentConfig config;
    config.state_dir = folder_ / "s";
    config.data_dir = folder_ / "d";
    config.run_dir = folder_ / "r";
    return config;
  }
  std::unique_ptr<NodeVolume> AfterARestart() const { return NewNodeVolume({.program = "/none", .paths = paths_, .user = {}}); }

  // Only what may be called after a fork.
  void Listen(int backlog) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    ASSERT_LT(paths_.control_socket.size(), sizeof address.sun_path);
    std::memcpy(address.sun_path, paths_.control_socket.data(), paths_.control_socket.size());
    int ready[2];
    ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
    child_ = fork();
    ASSERT_GE(child_, 0);
    if (child_ == 0) {
      const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
      if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(fd, backlog) != 0) _exit(1);
      if (write(ready[1], "x", 1) != 1) _exit(1);
      for (;;) pause();
    }
    close(ready[1]);
    char byte = 0;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
  }
  // Nothing of it is left to be waited for.
  bool Dead() { return !Identify(child_).ok(); }

  const TempFolder folder_;
  const NodePaths paths_;
  pid_t child_ = 0;
};

TEST_F(HungDaemonTest, IsSeenAndIsNotTakenForGone) {
  ASSERT_NO_FATAL_FAILURE(Listen(16));
  const auto volume = AfterARestart();
  const VolumeFacts facts = volume->Look();
  EXPECT_TRUE(facts.daemon_hangs);
  EXPECT_FALSE(facts.daemon);
  Inputs in;
  in.volume = facts;
  EXPECT_EQ(VolumeStateOf(in, Action::kNone), VolumeState::kSealing) << "it may hold keys";
}

TEST_F(HungDaemonTest, IsKilledWhenItsVolumeIsSealed) {
  ASSERT_NO_FATAL_FAILURE(Listen(16));
  LK_EXPECT_OK(AfterARestart()->Seal("REVOKED", {}));
  EXPECT_TRUE(Dead());
  EXPECT_FALSE(AfterARestart()->Look().daemon_hangs);
}

TEST_F(HungDaemonTest, OfAnotherUserIsNotKilledButIsNotTakenForGone) {
  ASSERT_NO_FATAL_FAILURE(Listen(16));
  const auto volume = NewNodeVolume({.program = "/none", .paths = paths_, .user = UserIds{.uid = geteuid() + 1, .gid = getegid()}});
  EXPECT_TRUE(volume->Look().daemon_hangs);
  EXPECT_THAT(volume->CleanUp({}), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_FALSE(Dead());
}

TEST_F(HungDaemonTest, ThatTakesNoConnectionIsAnErrorOrKilledWhereItsProcessWasWrittenDown) {
  ASSERT_NO_FATAL_FAILURE(Listen(0));
  // Its queue holds one; the next finds no place.
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, paths_.control_socket.data(), paths_.control_socket.size());
  const UniqueFd first(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(first.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const auto unknown = AfterARestart();
  EXPECT_TRUE(unknown->Look().daemon_hangs);
  EXPECT_FALSE(unknown->CleanUp({}).ok());
  EXPECT_FALSE(Dead());

  LK_ASSERT_OK_AND_ASSIGN(const ProcessId id, Identify(child_));
  LK_ASSERT_OK(WriteProcessRecord(paths_.state_folder + "/volume-daemon.json", id));
  LK_EXPECT_OK(AfterARestart()->CleanUp({}));
  EXPECT_TRUE(Dead());
}

TEST_F(HungDaemonTest, ThatListensNoMoreIsFoundByWhatWasWrittenDown) {
  child_ = fork();
  ASSERT_GE(child_, 0);
  if (child_ == 0) {
    for (;;) pause();
  }
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId id, Identify(child_));
  LK_ASSERT_OK(WriteProcessRecord(paths_.state_folder + "/volume-daemon.json", id));
  const VolumeFacts facts = AfterARestart()->Look();
  EXPECT_TRUE(facts.sealing || facts.daemon_hangs);
  EXPECT_FALSE(AfterARestart()->Look().open);
}

}  // namespace
}  // namespace latchkey
