// A volume with a real daemon and a real mount, for tests. Needs root and /dev/fuse.
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "base/testing.h"
#include "keys/volume_file.h"
#include "volume/client.h"
#include "volume/mount.h"

namespace latchkey {

inline constexpr char kTestVolume[] = "11111111-2222-4333-8444-555555555555";

struct TestKek {
  Kek kek;
  WrappedKek record;
  static TestKek New(int64_t generation = 1) {
    const KekContext context{"aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002", "us-east-1", generation};
    Kek kek = *Kek::FromBytes(Random::System().Secret(kKekSize), context);
    WrappedKek record;
    record.id = kek.id();
    record.context = context;
    record.created_at = latchkey::FormatTime(Clock::Real().Now());
    record.root = {.type = "LOCAL", .uri = "local://test", .auth_principal = "", .external_id = "aaaaaaaa-0000-4000-8000-000000000001"};
    record.ciphertext = "AAAA";
    if (generation > 1) {
      record.previous = WrappedKek::Previous{std::string(32, '0'), "AAAAAAAAAAAAAAAA", std::string(64, 'A')};
      record.link = std::string(64, '0');
    }
    return {std::move(kek), std::move(record)};
  }
};

class DaemonTest : public testing::Test {
 protected:
  // The user who may reach the mount.
  static constexpr UserIds kNobody{65534, 65534};

  void SetUp() override {
    ASSERT_EQ(chmod(folder_.path().c_str(), 0755), 0);
    for (const std::string& path : {lower_, mount_}) {
      ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
      ASSERT_EQ(chown(path.c_str(), kNobody.uid, kNobody.gid), 0);
    }
  }
  void TearDown() override {
    if (daemon_.valid()) client_.Seal("TEST_ENDS", absl::Seconds(20)).IgnoreError();
    if (daemon_.valid()) SendSignal(daemon_, SIGKILL).IgnoreError();
    EXPECT_THAT(CleanUpDeadMount(mount_, {}, absl::Seconds(20)), IsOk());
  }

  static std::string Program() {
    std::string self(4096, '\0');
    self.resize(static_cast<size_t>(std::max<ssize_t>(0, readlink("/proc/self/exe", self.data(), self.size()))));
    return self.substr(0, self.rfind('/')) + "/volume_daemon_for_tests";
  }
  absl::Status StartDaemon(std::optional<UserIds> user = kNobody) {
    ASSIGN_OR_RETURN(daemon_, StartVolumeDaemon({.program = Program(),
                                                 .lower_folder = lower_,
                                                 .mount_point = mount_,
                                                 .control_socket = folder_ / "control",
                                                 .log_file = folder_ / "log",
                                                 .user = user,
                                                 .lease_poll = absl::Milliseconds(20),
                                                 .seal_patience = patience_,
                                                 .fuse_io_uring = fuse_io_uring_}));
    return absl::OkStatus();
  }
  absl::StatusOr<VolumeStatus> OpenVolume(bool create, std::optional<absl::Duration> lease = absl::Hours(1)) {
    VolumeOpenRequest request{.kek = &kek_.kek, .kek_record = &kek_.record};
    if (lease) request.asked_at = Clock::Real().BootTime();
    request.grace = lease.value_or(absl::ZeroDuration());
    if (create) request.create_volume_id = kTestVolume;
    if (!create) request.expect_volume_id = kTestVolume;
    return client_.Open(request);
  }
  void StartAndCreate() {
    LK_ASSERT_OK(StartDaemon());
    LK_ASSERT_OK(OpenVolume(true));
  }

  // Runs `body` in a process of the volume's user; expectations inside count. Returns false when one failed or the process was killed.
  static bool AsUser(const std::function<void()>& body) {
    int status = 0;
    waitpid(StartAsUser(body), &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  static pid_t StartAsUser(const std::function<void()>& body) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    if (setgroups(0, nullptr) != 0 || setresgid(kNobody.gid, kNobody.gid, kNobody.gid) != 0 ||
        setresuid(kNobody.uid, kNobody.uid, kNobody.uid) != 0) {
      _exit(2);
    }
    umask(022);
    body();
    std::fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  // Waits for the end of a child of ours; the wait status.
  static int WaitFor(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return status;
  }
  std::string Path(const std::string& name) const { return mount_ + "/" + name; }

  static bool WriteText(const std::string& path, std::string_view text, bool sync = false) {
    const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd.valid() || write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return false;
    return !sync || fsync(fd.get()) == 0;
  }
  static std::string ReadText(const std::string& path) {
    auto text = ReadFile(path, 64 << 20);
    return text.ok() ? *text : "<" + text.status().ToString() + ">";
  }

  TempFolder folder_;
  std::string lower_ = folder_ / "lower", mount_ = folder_ / "mount";
  VolumeClient client_{folder_ / "control"};
  TestKek kek_ = TestKek::New();
  ProcessId daemon_;
  absl::Duration patience_ = absl::Seconds(10);
  bool fuse_io_uring_ = true;
};

}  // namespace latchkey
