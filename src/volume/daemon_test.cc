#include <fcntl.h>
#include <sys/resource.h>

#include <filesystem>
#include <set>

#include "volume/daemon_testing.h"

namespace latchkey {
namespace {

TEST_F(DaemonTest, StartsSealedAndMountsOnlyWhenOpened) {
  LK_ASSERT_OK(StartDaemon());
  LK_ASSERT_OK_AND_ASSIGN(const VolumeStatus sealed, client_.Status());
  EXPECT_EQ(sealed.state, VolumeState::kSealed);
  EXPECT_EQ(sealed.volume_id, "");
  EXPECT_FALSE(IsMountPoint(mount_));
  LK_ASSERT_OK_AND_ASSIGN(const VolumeStatus open, OpenVolume(true));
  EXPECT_EQ(open.state, VolumeState::kOpen);
  EXPECT_EQ(open.volume_id, kTestVolume);
  EXPECT_EQ(open.revision, 1);
  ASSERT_EQ(open.deks.size(), 1u);
  EXPECT_EQ(open.deks[0].kek_id, kek_.kek.id());
  EXPECT_TRUE(open.lease_end.has_value());
  EXPECT_TRUE(IsMountPoint(mount_));
}

TEST_F(DaemonTest, AllThreadsHaveTheSamePriority) {
  StartAndCreate();
  std::set<int> priorities;
  size_t threads = 0;
  for (const auto& task : std::filesystem::directory_iterator(absl::StrCat("/proc/", daemon_.pid, "/task"))) {
    ++threads;
    priorities.insert(getpriority(PRIO_PROCESS, static_cast<id_t>(std::stoi(task.path().filename()))));
  }
  EXPECT_GT(threads, static_cast<size_t>(kFuseThreads));
  EXPECT_EQ(priorities.size(), 1u);
}

TEST_F(DaemonTest, WhatIsWrittenIsThereAfterSealingAndOpeningAgain) {
  StartAndCreate();
  EXPECT_TRUE(AsUser([&] {
    ASSERT_EQ(mkdir(Path("folder").c_str(), 0755), 0);
    EXPECT_TRUE(WriteText(Path("folder/file"), "some text"));
  }));
  LK_ASSERT_OK(client_.Seal("PAUSED", absl::Seconds(10)));
  EXPECT_FALSE(IsMountPoint(mount_));
  EXPECT_TRUE(WaitForExit(daemon_, absl::Seconds(5)));
  LK_ASSERT_OK(StartDaemon());
  LK_ASSERT_OK(OpenVolume(false));
  EXPECT_TRUE(AsUser([&] { EXPECT_EQ(ReadText(Path("folder/file")), "some text"); }));
}

}  // namespace
}  // namespace latchkey
