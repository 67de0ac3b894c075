// Sealing as a program on the host experiences it, and what is left when a daemon is killed.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "volume/daemon_testing.h"

namespace latchkey {
namespace {

// A process of the volume's user that holds a descriptor, a mapping and its working folder on the mount, and says when it does.
class Holder {
 public:
  explicit Holder(const std::function<pid_t(const std::function<void()>&)>& start, const std::string& mount) {
    int ends[2];
    if (pipe(ends) != 0) return;
    pid = start([&] {
      const UniqueFd fd(open((mount + "/held").c_str(), O_RDWR));
      volatile char* map = static_cast<char*>(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd.get(), 0));
      if (!fd.valid() || map == MAP_FAILED || chdir(mount.c_str()) != 0 || map[0] != 'h') _exit(3);
      [[maybe_unused]] const ssize_t n = write(ends[1], "r", 1);
      for (;;) pause();
    });
    char ready = 0;
    close(ends[1]);
    is_ready = read(ends[0], &ready, 1) == 1;
    close(ends[0]);
  }
  pid_t pid = -1;
  bool is_ready = false;
};

class SealTest : public DaemonTest {
 protected:
  void CreateHeldFile() {
    StartAndCreate();
    ASSERT_TRUE(AsUser([&] { ASSERT_TRUE(WriteText(Path("held"), "held by somebody", true)); }));
  }
  bool WaitUntilUnmounted(absl::Duration timeout) const {
    const absl::Time deadline = absl::Now() + timeout;
    while (IsMountPoint(mount_)) {
      if (absl::Now() > deadline) return false;
      WaitForExit(daemon_, absl::Milliseconds(5));
    }
    return true;
  }
};

TEST_F(SealTest, KillsWhoeverHoldsDescriptorsMappingsOrFolders) {
  CreateHeldFile();
  const Holder holder(StartAsUser, mount_);
  ASSERT_TRUE(holder.is_ready);
  LK_EXPECT_OK(client_.Seal("REVOKED", absl::Seconds(10)));
  const int status = WaitFor(holder.pid);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_FALSE(IsMountPoint(mount_));
  EXPECT_TRUE(WaitForExit(daemon_, absl::Seconds(5)));
}

TEST_F(SealTest, KillsTheEnginesWholeTreeAlsoWhatHoldsNothing) {
  CreateHeldFile();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t engine = StartAsUser([&] {
    if (fork() == 0) {
      const pid_t self = getpid();
      [[maybe_unused]] const ssize_t n = write(ends[1], &self, sizeof(self));
      for (;;) pause();
    }
    for (;;) pause();
  });
  pid_t child = 0;
  ASSERT_EQ(read(ends[0], &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)));
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId engine_id, Identify(engine));
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId child_id, Identify(child));
  LK_ASSERT_OK(client_.SetEngine(engine_id));
  LK_EXPECT_OK(client_.Seal("REVOKED", absl::Seconds(10)));
  EXPECT_TRUE(WIFSIGNALED(WaitFor(engine)));
  EXPECT_FALSE(IsRunning(child_id));
}

TEST_F(SealTest, ReadsAndWritesFailFromTheMomentOfTheOrder) {
  CreateHeldFile();
  // Tells over a pipe what it met; it survives because the pipe's reader learns it before the kill reaches it or not at all.
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t reader = StartAsUser([&] {
    const UniqueFd fd(open(Path("held").c_str(), O_RDWR));
    for (int i = 0;; ++i) {
      char text[5] = {};
      const ssize_t n = pread(fd.get(), text, 4, 0);
      const char result = n == 4 && std::memcmp(text, "held", 4) == 0 ? 'o' : n < 0 ? 'e' : '?';
      if (i == 0 || result != 'o') {
        [[maybe_unused]] const ssize_t w = write(ends[1], &result, 1);
      }
      if (result != 'o') pause();
    }
  });
  close(ends[1]);
  char first = 0;
  ASSERT_EQ(read(ends[0], &first, 1), 1);
  EXPECT_EQ(first, 'o');
  LK_EXPECT_OK(client_.Seal("REVOKED", absl::Seconds(10)));
  EXPECT_TRUE(WIFSIGNALED(WaitFor(reader)));
  char next = 'e';
  while (read(ends[0], &next, 1) == 1) EXPECT_EQ(next, 'e');
}

TEST_F(SealTest, AcknowledgedWritesReachTheDiskWhenSealingIsOrdered) {
  StartAndCreate();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t writer = StartAsUser([&] {
    const UniqueFd fd(open(Path("f").c_str(), O_RDWR | O_CREAT, 0644));
    const std::string text(3'000'000, 'w');
    if (write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) _exit(3);
    [[maybe_unused]] const ssize_t n = write(ends[1], "r", 1);
    for (;;) pause();
  });
  char ready = 0;
  ASSERT_EQ(read(ends[0], &ready, 1), 1);
  LK_ASSERT_OK(client_.Seal("PAUSED", absl::Seconds(10)));
  WaitFor(writer);
  LK_ASSERT_OK(StartDaemon());
  LK_ASSERT_OK(OpenVolume(false));
  EXPECT_TRUE(AsUser([&] { EXPECT_TRUE(ReadText(Path("f")) == std::string(3'000'000, 'w')); }));
}

TEST_F(SealTest, SealsByItselfWhenTheLeaseEnds) {
  LK_ASSERT_OK(StartDaemon());
  LK_ASSERT_OK(OpenVolume(true, absl::Milliseconds(1'500)));
  ASSERT_TRUE(AsUser([&] { ASSERT_TRUE(WriteText(Path("held"), "held by somebody", true)); }));
  const Holder holder(StartAsUser, mount_);
  ASSERT_TRUE(holder.is_ready);
  EXPECT_TRUE(WaitForExit(daemon_, absl::Seconds(20)));
  EXPECT_TRUE(WIFSIGNALED(WaitFor(holder.pid)));
  EXPECT_TRUE(WaitUntilUnmounted(absl::Seconds(10)));
  LK_ASSERT_OK(StartDaemon());
  LK_ASSERT_OK(OpenVolume(false));
  EXPECT_TRUE(AsUser([&] { EXPECT_EQ(ReadText(Path("held")), "held by somebody"); }));
}

TEST_F(SealTest, RenewingKeepsItOpenBeyondTheFirstLease) {
  LK_ASSERT_OK(StartDaemon());
  LK_ASSERT_OK(OpenVolume(true, absl::Milliseconds(1'500)));
  LK_ASSERT_OK(client_.Renew(kek_.kek, Clock::Real().BootTime(), absl::Hours(1)));
  EXPECT_FALSE(WaitForExit(daemon_, absl::Milliseconds(1'800)));
  LK_ASSERT_OK_AND_ASSIGN(const VolumeStatus status, client_.Status());
  EXPECT_EQ(status.state, VolumeState::kOpen);
  // An older answer of the KMS does not shorten it.
  LK_ASSERT_OK(client_.Renew(kek_.kek, Clock::Real().BootTime(), absl::Minutes(1)));
  LK_ASSERT_OK_AND_ASSIGN(const VolumeStatus later, client_.Status());
  EXPECT_EQ(later.lease_end, status.lease_end);
}

TEST_F(SealTest, AKilledDaemonTakesTheMountAndItsUsersWithIt) {
  CreateHeldFile();
  const Holder holder(StartAsUser, mount_);
  ASSERT_TRUE(holder.is_ready);
  LK_ASSERT_OK(SendSignal(daemon_, SIGKILL));
  EXPECT_TRUE(WIFSIGNALED(WaitFor(holder.pid)));
  EXPECT_TRUE(WaitUntilUnmounted(absl::Seconds(10)));
  LK_ASSERT_OK(StartDaemon());
  LK_ASSERT_OK(OpenVolume(false));
  EXPECT_TRUE(AsUser([&] { EXPECT_EQ(ReadText(Path("held")), "held by somebody"); }));
}

TEST_F(SealTest, WhenBothHalvesAreKilledTheDeadMountIsCleanedUpByWhoeverFindsIt) {
  CreateHeldFile();
  const Holder holder(StartAsUser, mount_);
  ASSERT_TRUE(holder.is_ready);
  // The supervisor is the serving half's parent.
  const std::string stat = ReadText(absl::StrCat("/proc/", daemon_.pid, "/stat"));
  int parent = 0;
  ASSERT_EQ(std::sscanf(stat.c_str() + stat.rfind(')'), ") %*c %d", &parent), 1);
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId supervisor, Identify(parent));
  LK_ASSERT_OK(SendSignal(supervisor, SIGKILL));
  EXPECT_TRUE(WaitForExit(daemon_, absl::Seconds(5))) << "the serving half outlived its supervisor";
  EXPECT_TRUE(IsMountPoint(mount_));
  EXPECT_THAT(StartDaemon(), StatusIs(absl::StatusCode::kFailedPrecondition));
  LK_ASSERT_OK_AND_ASSIGN(const ProcessId holder_id, Identify(holder.pid));
  LK_EXPECT_OK(CleanUpDeadMount(mount_, {}, absl::Seconds(10)));
  EXPECT_FALSE(IsRunning(holder_id));
  EXPECT_FALSE(IsMountPoint(mount_));
  LK_EXPECT_OK(CleanUpDeadMount(mount_, {}, absl::Seconds(10)));
  LK_ASSERT_OK(StartDaemon());
  LK_ASSERT_OK(OpenVolume(false));
  EXPECT_TRUE(AsUser([&] { EXPECT_EQ(ReadText(Path("held")), "held by somebody"); }));
}

TEST_F(SealTest, WhatFsyncAcknowledgedSurvivesKillsInTheMiddleOfWriting) {
  StartAndCreate();
  for (int round = 0; round < 3; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t writer = StartAsUser([&] {
      const UniqueFd fd(open(Path("log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644));
      for (int i = 0;; ++i) {
        const std::string line = absl::StrCat(round, "/", i, "\n");
        if (write(fd.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()) || fdatasync(fd.get()) != 0) break;
        if (write(ends[1], line.data(), line.size()) < 0) break;
      }
    });
    close(ends[1]);
    std::string acknowledged;
    char buffer[4096];
    while (acknowledged.size() < 2'000) {
      const ssize_t n = read(ends[0], buffer, sizeof(buffer));
      ASSERT_GT(n, 0);
      acknowledged.append(buffer, static_cast<size_t>(n));
    }
    LK_ASSERT_OK(SendSignal(daemon_, SIGKILL));
    for (ssize_t n; (n = read(ends[0], buffer, sizeof(buffer))) > 0;) acknowledged.append(buffer, static_cast<size_t>(n));
    close(ends[0]);
    WaitFor(writer);
    ASSERT_TRUE(WaitUntilUnmounted(absl::Seconds(10)));
    LK_ASSERT_OK(StartDaemon());
    LK_ASSERT_OK(OpenVolume(false));
    EXPECT_TRUE(AsUser([&] { EXPECT_NE(ReadText(Path("log")).find(acknowledged), std::string::npos); }));
  }
}

TEST_F(SealTest, ATerminatedDaemonSeals) {
  CreateHeldFile();
  LK_ASSERT_OK(SendSignal(daemon_, SIGTERM));
  EXPECT_TRUE(WaitForExit(daemon_, absl::Seconds(10)));
  EXPECT_TRUE(WaitUntilUnmounted(absl::Seconds(10)));
}

TEST_F(SealTest, AnUnprivilegedMountSealsAndIsCleanedUpToo) {
  // The daemon mounts for itself, as the user who started it (here root): there is no supervisor.
  LK_ASSERT_OK(StartDaemon(std::nullopt));
  LK_ASSERT_OK(OpenVolume(true));
  ASSERT_TRUE(WriteText(Path("f"), "by root", true));
  LK_ASSERT_OK(client_.Seal("PAUSED", absl::Seconds(10)));
  EXPECT_FALSE(IsMountPoint(mount_));
  LK_ASSERT_OK(StartDaemon(std::nullopt));
  LK_ASSERT_OK(OpenVolume(false));
  LK_ASSERT_OK(SendSignal(daemon_, SIGKILL));
  ASSERT_TRUE(WaitForExit(daemon_, absl::Seconds(5)));
  EXPECT_TRUE(IsMountPoint(mount_));
  LK_EXPECT_OK(CleanUpDeadMount(mount_, {}, absl::Seconds(10)));
  LK_ASSERT_OK(StartDaemon(std::nullopt));
  LK_ASSERT_OK(OpenVolume(false));
  EXPECT_EQ(ReadText(Path("f")), "by root");
}

}  // namespace
}  // namespace latchkey
