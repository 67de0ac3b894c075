// Sealing against what does not do as it should: a disk that hangs, a process that cannot be killed, a mount that stays.
#include <absl/time/clock.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>

#include "base/control_socket.h"
#include "volume/daemon.h"
#include "volume/daemon_testing.h"
#include "volume/fuse_slots.h"

namespace latchkey {
namespace {

// The real mount, with faults.
class FaultyHost : public MountHost {
 public:
  explicit FaultyHost(const std::string& mount) : real_(NewDirectMountHost(mount)) {}
  absl::StatusOr<FuseSession::Connection> Mount() override { return real_->Mount(); }
  void ReadAheadFar() override {}
  void SetEngine(const ProcessId&) override {}
  std::vector<pid_t> KillUsers(absl::Duration) override { return unkillable; }
  absl::Status Unmount() override {
    ++unmounts;
    return unmount_fails ? absl::UnavailableError("it stays") : real_->Unmount();
  }
  void EndConnection() override {
    ++connection_ends;
    real_->EndConnection();
  }
  void Leave() override {}

  std::vector<pid_t> unkillable;
  std::atomic<bool> unmount_fails = false;
  std::atomic<int> unmounts = 0, connection_ends = 0;

 private:
  const std::unique_ptr<MountHost> real_;
};

// The serving half within the test.
class FaultyHostTest : public DaemonTest {
 protected:
  void Serve(const std::string& mount_point, std::vector<uint16_t> ring_queues = {}) {
    auto host = std::make_unique<FaultyHost>(mount_);
    host_ = host.get();
    served_ = std::make_unique<VolumeDaemon>(VolumeDaemon::Options{.lower_folder = lower_,
                                                                   .mount_point = mount_point,
                                                                   .first_request = first_request_,
                                                                   .limits = {},
                                                                   .ring_queues = std::move(ring_queues)},
                                             std::move(host), Clock::Real(), Random::System());
    LK_ASSERT_OK_AND_ASSIGN(server_,
                            ControlServer::Start({.path = folder_ / "control", .allowed_uids = {}, .handler = [this](ControlMessage m) {
                                                    return served_->Handle(std::move(m));
                                                  }}));
  }
  void TearDown() override {
    server_.reset();
    EXPECT_THAT(CleanUpDeadMount(mount_, {}, absl::Seconds(20)), IsOk());
    served_.reset();
    DaemonTest::TearDown();
  }
  absl::Duration first_request_ = absl::Seconds(30);
  FaultyHost* host_ = nullptr;
  std::unique_ptr<VolumeDaemon> served_;
  std::unique_ptr<ControlServer> server_;
};

TEST_F(FaultyHostTest, WhileAProcessCannotBeKilledTheMountStaysAndShowsIt) {
  Serve(mount_);
  LK_ASSERT_OK(OpenVolume(true));
  ASSERT_TRUE(WriteText(Path("f"), "held", true));
  const UniqueFd held(open(Path("f").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(held.valid());
  host_->unkillable = {4'000'000};
  std::thread run([&] { served_->Run(); });
  EXPECT_THAT(client_.Seal("REVOKED", absl::Seconds(10)), StatusIs(absl::StatusCode::kDeadlineExceeded, testing::HasSubstr("4000000")));
  run.join();
  EXPECT_EQ(host_->unmounts, 0);
  EXPECT_EQ(host_->connection_ends, 1);
  EXPECT_TRUE(IsMountPoint(mount_));
  char byte;
  EXPECT_EQ(pread(held.get(), &byte, 1, 0), -1);
}

TEST_F(FaultyHostTest, AMountThatStaysFromAFailedOpeningForbidsTheNext) {
  // The mount does not answer where it is expected.
  Serve(folder_ / "elsewhere");
  host_->unmount_fails = true;
  EXPECT_FALSE(OpenVolume(true).ok());
  EXPECT_TRUE(IsMountPoint(mount_));
  EXPECT_THAT(OpenVolume(false), StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("failed opening")));
  host_->unmount_fails = false;
}

TEST_F(FaultyHostTest, AMountThatWaitsForSlotsThatNobodyHasIsGivenUpAndTheNextGoesWithout) {
  AllowFuseRings();
  const std::vector<uint16_t> slots = FuseSlots(ReadFuseSlotFacts());
  // The kernel then waits for the last queue's; where there is only one, or no io_uring, it waits for nobody.
  std::vector<uint16_t> too_few(slots.begin(), std::find(slots.begin(), slots.end(), slots.empty() ? 0 : slots.back()));
  first_request_ = absl::Milliseconds(300);
  Serve(mount_, too_few);
  if (!too_few.empty()) {
    EXPECT_THAT(OpenVolume(true), StatusIs(absl::StatusCode::kUnavailable, testing::HasSubstr("does not answer")));
    EXPECT_FALSE(IsMountPoint(mount_));
  }
  const auto opened = OpenVolume(too_few.empty());
  ASSERT_THAT(opened.status(), IsOk());
  EXPECT_TRUE(WriteText(Path("f"), "served"));
  EXPECT_EQ(ReadText(Path("f")), "served");
  served_->RequestSeal("TEST_ENDS");
  served_->Run();
}

TEST_F(FaultyHostTest, WhatIsBeingSealedTakesNoKeys) {
  Serve(mount_);
  LK_ASSERT_OK(OpenVolume(true));
  served_->RequestSeal("REVOKED");
  const TestKek next = TestKek::New(2);
  const VolumeRewrapRequest rewrap{
      .from = &kek_.kek, .to = &next.kek, .to_record = &next.record, .asked_at = Clock::Real().BootTime(), .grace = absl::Hours(9)};
  EXPECT_THAT(client_.Rewrap(rewrap), StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("sealed: REVOKED")));
  EXPECT_THAT(client_.Renew(kek_.kek, Clock::Real().BootTime(), absl::Hours(9)), StatusIs(absl::StatusCode::kFailedPrecondition));
  served_->Run();
  EXPECT_FALSE(IsMountPoint(mount_));
}

// The lower disk is a volume too, whose daemon is stopped: requests to it neither end nor fail.
class HungDiskTest : public DaemonTest {
 protected:
  static constexpr UserIds kRoot{0, 0};

  void SetUp() override {
    DaemonTest::SetUp();
    for (const std::string& path : {disk_folder_ / "lower", disk_mount_}) ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
    LK_ASSERT_OK_AND_ASSIGN(disk_, StartVolumeDaemon({.program = Program(),
                                                      .lower_folder = disk_folder_ / "lower",
                                                      .mount_point = disk_mount_,
                                                      .control_socket = disk_folder_ / "control",
                                                      .log_file = disk_folder_ / "log"}));
    LK_ASSERT_OK(disk_client_.Open({.kek = &kek_.kek, .kek_record = &kek_.record, .create_volume_id = kTestVolume}));
    // A volume's mount is reached by its own user only, so both are root's.
    lower_ = disk_mount_ + "/lower";
    ASSERT_EQ(mkdir(lower_.c_str(), 0700), 0);
    ASSERT_EQ(chown(mount_.c_str(), 0, 0), 0);
    patience_ = absl::Seconds(1);
    LK_ASSERT_OK(StartDaemon(kRoot));
    LK_ASSERT_OK(OpenVolume(true));
  }
  void TearDown() override {
    if (disk_.valid()) SendSignal(disk_, SIGCONT).IgnoreError();
    DaemonTest::TearDown();
    if (disk_.valid()) disk_client_.Seal("TEST_ENDS", absl::Seconds(20)).IgnoreError();
    if (disk_.valid()) SendSignal(disk_, SIGKILL).IgnoreError();
    EXPECT_THAT(CleanUpDeadMount(disk_mount_, {}, absl::Seconds(20)), IsOk());
  }
  // True once a thread of the daemon writes to the stopped disk, or syncs.
  bool WaitUntilDaemonUsesTheDisk(const ProcessId& meanwhile) const {
    const std::string tasks = absl::StrCat("/proc/", daemon_.pid, "/task");
    for (const absl::Time deadline = absl::Now() + absl::Seconds(20); absl::Now() < deadline;) {
      std::error_code error;
      for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
        const auto text = ReadFile(task.path().string() + "/syscall", 4096);
        for (const long call : {SYS_pwrite64, SYS_fsync, SYS_fdatasync}) {
          if (text.ok() && text->starts_with(absl::StrCat(call, " "))) return true;
        }
      }
      WaitForExit(meanwhile, absl::Milliseconds(5));
    }
    return false;
  }

  TempFolder disk_folder_;
  const std::string disk_mount_ = disk_folder_ / "mount";
  const VolumeClient disk_client_{disk_folder_ / "control"};
  ProcessId disk_;
};

TEST_F(HungDiskTest, SealingEndsEverythingWithoutTheDisk) {
  ASSERT_TRUE(WriteText(Path("synced"), "before", true));
  int opened[2], stopped[2];
  ASSERT_EQ(pipe2(opened, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(stopped, O_CLOEXEC), 0);
  const pid_t writer = fork();
  if (writer == 0) {
    const int fd = open(Path("synced").c_str(), O_WRONLY | O_CLOEXEC);
    char go = pwrite(fd, "after!", 6, 0) == 6 ? 'y' : 'n';
    if (write(opened[1], &go, 1) == 1 && read(stopped[0], &go, 1) == 1) fsync(fd);
    for (;;) pause();
  }
  char written = 'n';
  EXPECT_EQ(read(opened[0], &written, 1), 1);
  EXPECT_EQ(written, 'y');
  LK_ASSERT_OK(SendSignal(disk_, SIGSTOP));
  EXPECT_EQ(write(stopped[1], "y", 1), 1);
  for (const int fd : {opened[0], opened[1], stopped[0], stopped[1]}) close(fd);
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId writer_id, Identify(writer));
  ASSERT_TRUE(WaitUntilDaemonUsesTheDisk(writer_id));
  LK_ASSERT_OK(SendSignal(daemon_, SIGTERM));
  for (const absl::Time deadline = absl::Now() + absl::Seconds(30); IsMountPoint(mount_) && absl::Now() < deadline;) {
    WaitForExit(disk_, absl::Milliseconds(5));
  }
  ASSERT_FALSE(IsMountPoint(mount_));
  EXPECT_TRUE(WIFSIGNALED(WaitFor(writer)));
  // A thread of the daemon may still be in the disk: it ends with the disk's next answer, and only then the volume can be opened again.
  LK_ASSERT_OK(SendSignal(disk_, SIGCONT));
  EXPECT_TRUE(WaitForExit(daemon_, absl::Seconds(30)));
  LK_ASSERT_OK(StartDaemon(kRoot));
  LK_ASSERT_OK(OpenVolume(false));
  EXPECT_THAT(ReadText(Path("synced")), testing::AnyOf("before", "after!"));
}

}  // namespace
}  // namespace latchkey
