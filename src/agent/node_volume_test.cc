// The real hands on a volume's folders and daemon. A child process that listens and never answers plays a daemon that hangs, as an agent
// finds it that was started after it did.
#include "agent/node_volume.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <future>

#include "base/control_socket.h"
#include "base/file.h"
#include "base/status.h"
#include "base/testing.h"
#include "engine/process_record.h"
#include "keys/testing.h"
#include "keys/volume_file.h"
#include "volume/control_messages.h"

namespace latchkey {
namespace {

constexpr absl::Duration kLongestSilence = absl::Seconds(15);
constexpr char kVolume[] = "22222222-2222-4222-8222-222222222222";
constexpr char kOtherVolume[] = "33333333-3333-4333-8333-333333333333";
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
  std::unique_ptr<NodeVolume> AfterARestart(std::optional<UserIds> user = {}) {
    return NewNodeVolume({.program = "/none",
                          .paths = paths_,
                          .user = user,
                          .status_timeout = absl::Milliseconds(50),
                          .longest_silence = kLongestSilence,
                          .clock = &clock_});
  }

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
  FakeClock clock_;
  pid_t child_ = 0;
};

TEST_F(HungDaemonTest, IsSeenAndIsNotTakenForGone) {
  ASSERT_NO_FATAL_FAILURE(Listen(16));
  const auto volume = AfterARestart();
  const VolumeFacts facts = volume->Look();
  EXPECT_TRUE(facts.silent);
  EXPECT_FALSE(facts.daemon);
  Inputs in;
  in.volume = facts;
  EXPECT_EQ(VolumeStateOf(in, Action::kNone), VolumeState::kSealing) << "it may hold keys";
}

TEST_F(HungDaemonTest, HangsOnlyAfterALongSilence) {
  ASSERT_NO_FATAL_FAILURE(Listen(16));
  const auto volume = AfterARestart();
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(volume->Look().daemon_hangs);
  clock_.Advance(kLongestSilence - absl::Seconds(1));
  EXPECT_FALSE(volume->Look().daemon_hangs);
  clock_.Advance(absl::Seconds(2));
  const VolumeFacts facts = volume->Look();
  EXPECT_TRUE(facts.daemon_hangs);
  EXPECT_FALSE(facts.silent);
}

TEST_F(HungDaemonTest, ThatSleptWithItsHostGetsTimeToAnswer) {
  ASSERT_NO_FATAL_FAILURE(Listen(16));
  const auto volume = AfterARestart();
  EXPECT_TRUE(volume->Look().silent);
  clock_.Advance(absl::Hours(8));
  EXPECT_TRUE(volume->Look().silent);
  EXPECT_TRUE(volume->Look().daemon_hangs);
}

TEST_F(HungDaemonTest, IsKilledWhenItsVolumeIsSealed) {
  ASSERT_NO_FATAL_FAILURE(Listen(16));
  LK_EXPECT_OK(AfterARestart()->Seal("REVOKED", {}));
  EXPECT_TRUE(Dead());
  const VolumeFacts facts = AfterARestart()->Look();
  EXPECT_FALSE(facts.daemon_hangs || facts.silent);
}

TEST_F(HungDaemonTest, OfAnotherUserIsNotKilledButIsNotTakenForGone) {
  ASSERT_NO_FATAL_FAILURE(Listen(16));
  const auto volume = AfterARestart(UserIds{.uid = geteuid() + 1, .gid = getegid()});
  EXPECT_TRUE(volume->Look().silent);
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
  EXPECT_TRUE(unknown->Look().silent);
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

// A daemon in this process that answers, or does not, as the test orders.
class SilentDaemonTest : public HungDaemonTest {
 protected:
  SilentDaemonTest() {
    auto server = ControlServer::Start(
        {.path = paths_.control_socket, .allowed_uids = {}, .handler = [this](ControlMessage) -> absl::StatusOr<ControlMessage> {
           if (silent_) released_.wait();
           VolumeStatus status;
           status.volume_id = kVolume;
           status.state = state_;
           status.lease_end = absl::Hours(2);
           ControlMessage answer;
           answer.body = ToJson(status);
           return answer;
         }});
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
  }
  ~SilentDaemonTest() override {
    release_.set_value();
    server_.reset();
  }
  std::atomic<bool> silent_ = false;
  std::atomic<VolumeState> state_ = VolumeState::kOpen;
  std::promise<void> release_;
  std::shared_future<void> released_ = release_.get_future().share();
  std::unique_ptr<ControlServer> server_;
};

TEST_F(SilentDaemonTest, IsTakenAtItsLastWordForAWhile) {
  const auto volume = AfterARestart();
  EXPECT_TRUE(volume->Look().open);
  silent_ = true;
  const VolumeFacts facts = volume->Look();
  EXPECT_TRUE(facts.silent && facts.open && facts.daemon);
  EXPECT_FALSE(facts.daemon_hangs || facts.usable());
  EXPECT_EQ(facts.lease_end, absl::Hours(2));
  EXPECT_EQ(facts.volume_id, kVolume);
  silent_ = false;
  EXPECT_FALSE(volume->Look().silent);
  // And the next silence is a new one.
  clock_.Advance(absl::Hours(1));
  silent_ = true;
  EXPECT_TRUE(volume->Look().silent);
}

TEST_F(SilentDaemonTest, ThatWasSealingIsNotWaitedFor) {
  const auto volume = AfterARestart();
  state_ = VolumeState::kSealing;
  EXPECT_TRUE(volume->Look().sealing);
  silent_ = true;
  EXPECT_TRUE(volume->Look().daemon_hangs);
}

class VolumeFolderTest : public HungDaemonTest {
 protected:
  void WriteVolume(const std::string& id) {
    FakeKms* kms = nullptr;
    const KmsSet set = SetOf(std::make_unique<FakeKms>("LOCAL"), &kms);
    const RootKey root{.type = "LOCAL", .uri = "local://a", .auth_principal = "", .external_id = ""};
    LK_ASSERT_OK_AND_ASSIGN(const WrappedKek record,
                            MintKek(set, root, {.organization = "o", .cluster = "c", .region = "r", .generation = 1}, nullptr,
                                    Random::System(), Clock::Real()));
    LK_ASSERT_OK_AND_ASSIGN(const Kek kek, UnwrapKek(set, record, root, KmsCall{}));
    LK_ASSERT_OK_AND_ASSIGN(const NewVolume made, MakeVolume(id, kek, record, 1, Random::System(), Clock::Real()));
    LK_ASSERT_OK(WriteFileAtomically(InFolder(kVolumeFileName), made.file.Serialize()));
    LK_ASSERT_OK(WriteFileAtomically(InFolder(kVolumeLockName), ""));
    LK_ASSERT_OK(WriteFileAtomically(InFolder("ciphertext"), "x"));
  }
  std::string InFolder(const std::string& name) const { return paths_.lower_folder + "/" + name; }
};

TEST_F(VolumeFolderTest, LosesItsKeysFirstAndThenTheRest) {
  ASSERT_NO_FATAL_FAILURE(WriteVolume(kVolume));
  const auto volume = AfterARestart();
  LK_EXPECT_OK(volume->EraseKeys(kVolume));
  EXPECT_FALSE(PathExists(InFolder(kVolumeFileName)));
  EXPECT_TRUE(PathExists(InFolder("ciphertext")));
  LK_EXPECT_OK(volume->EraseKeys(kVolume)) << "after a crash it is asked again";
  LK_EXPECT_OK(volume->Remove());
  EXPECT_FALSE(PathExists(paths_.lower_folder));
}

TEST_F(VolumeFolderTest, OfAnotherVolumeKeepsItsKeys) {
  ASSERT_NO_FATAL_FAILURE(WriteVolume(kOtherVolume));
  EXPECT_THAT(AfterARestart()->EraseKeys(kVolume), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_TRUE(PathExists(InFolder(kVolumeFileName)));
}

TEST_F(VolumeFolderTest, ThatIsThePlaceOfAnAbsentDiskIsNotTakenForErased) {
  EXPECT_THAT(AfterARestart()->EraseKeys(kVolume), StatusIs(absl::StatusCode::kNotFound));
  std::filesystem::remove(paths_.lower_folder);
  EXPECT_THAT(AfterARestart()->EraseKeys(kVolume), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(VolumeFolderTest, ThatIsThePlaceOfAnAbsentDiskIsSeenAsAbsentAndStaysAsItIs) {
  const auto volume = AfterARestart();
  EXPECT_EQ(volume->Look().file, VolumeFacts::File::kAbsent);
  EXPECT_TRUE(std::filesystem::is_empty(paths_.lower_folder));
  std::filesystem::remove_all(folder_ / "d");
  EXPECT_EQ(volume->Look().file, VolumeFacts::File::kAbsent);
  EXPECT_FALSE(PathExists(folder_ / "d")) << "a look makes nothing";
  // And the disk is back.
  LK_ASSERT_OK(MakeFolders(paths_.lower_folder));
  ASSERT_NO_FATAL_FAILURE(WriteVolume(kVolume));
  const VolumeFacts facts = volume->Look();
  EXPECT_EQ(facts.file, VolumeFacts::File::kThere);
  EXPECT_EQ(facts.volume_id, kVolume);
  EXPECT_EQ(facts.deks.size(), 1u);
  EXPECT_FALSE(facts.open || facts.mounted || facts.daemon);
}

TEST_F(VolumeFolderTest, WhoseKeyFileCannotBeReadIsNotTakenForEmpty) {
  const auto volume = AfterARestart();
  for (const char* text : {"", "{", "{\"format\":99}"}) {
    LK_ASSERT_OK(WriteFileAtomically(InFolder(kVolumeFileName), text));
    EXPECT_EQ(volume->Look().file, VolumeFacts::File::kUnreadable) << text;
    EXPECT_FALSE(volume->Look().file_error.empty());
    EXPECT_FALSE(volume->EraseKeys(kVolume).ok()) << "whose keys they are is not known";
  }
  std::filesystem::remove(InFolder(kVolumeFileName));
  std::filesystem::create_directory(InFolder(kVolumeFileName));
  EXPECT_EQ(volume->Look().file, VolumeFacts::File::kUnreadable);
  // Something else where the folder belongs.
  std::filesystem::remove_all(paths_.lower_folder);
  LK_ASSERT_OK(WriteFileAtomically(paths_.lower_folder, "a file"));
  EXPECT_EQ(volume->Look().file, VolumeFacts::File::kUnreadable);
}

TEST_F(VolumeFolderTest, IsMountedOnAFolderThatOnlyRootCanHaveWrittenTo) {
  LK_ASSERT_OK(MakeMountPoint(paths_.mount_point));
  struct stat st{};
  ASSERT_EQ(stat(paths_.mount_point.c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, geteuid());
  EXPECT_EQ(st.st_mode & 0777u, geteuid() == 0 ? 0555u : 0700u) << "nobody but root can mount on what he may not write";
  if (geteuid() != 0) return;
  // An earlier version handed it over.
  ASSERT_EQ(chown(paths_.mount_point.c_str(), 12345, 12345), 0);
  ASSERT_EQ(chmod(paths_.mount_point.c_str(), 0700), 0);
  LK_ASSERT_OK(MakeMountPoint(paths_.mount_point));
  ASSERT_EQ(stat(paths_.mount_point.c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 0u);
  EXPECT_EQ(st.st_mode & 0777u, 0555u);
}

TEST_F(VolumeFolderTest, IsMountedOnNoLinkAndNoMount) {
  std::filesystem::create_symlink(paths_.lower_folder, paths_.mount_point);
  EXPECT_FALSE(MakeMountPoint(paths_.mount_point).ok());
  EXPECT_THAT(MakeMountPoint("/proc"), StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace latchkey
