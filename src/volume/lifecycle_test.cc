// Keys of a volume over its life: creation, opening, renewal, re-wrapping, further DEKs.
#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>

#include "keys/volume_file.h"
#include "volume/daemon_testing.h"

namespace latchkey {
namespace {

class LifecycleTest : public DaemonTest {
 protected:
  absl::StatusOr<VolumeStatus> RewrapTo(const TestKek& to, int64_t dek_generation, std::optional<absl::Duration> lease = absl::Hours(2)) {
    VolumeRewrapRequest request{.from = &kek_.kek, .to = &to.kek, .to_record = &to.record, .new_dek_generation = dek_generation};
    if (lease) request.asked_at = Clock::Real().BootTime();
    request.grace = lease.value_or(absl::ZeroDuration());
    return client_.Rewrap(request);
  }
};

TEST_F(LifecycleTest, NothingIsCreatedTwiceNorOverData) {
  StartAndCreate();
  EXPECT_THAT(OpenVolume(false), StatusIs(absl::StatusCode::kFailedPrecondition));
  LK_ASSERT_OK(client_.Seal("PAUSED", absl::Seconds(10)));
  LK_ASSERT_OK(StartDaemon());
  EXPECT_THAT(OpenVolume(true), StatusIs(absl::StatusCode::kAlreadyExists));
  ASSERT_EQ(rename((lower_ + "/volume.json").c_str(), (lower_ + "/gone").c_str()), 0);
  ASSERT_TRUE(WriteText(lower_ + "/data/x", "x"));
  EXPECT_THAT(OpenVolume(true), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_FALSE(OpenVolume(false).ok());
  EXPECT_FALSE(IsMountPoint(mount_));
}

TEST_F(LifecycleTest, AnotherVolumeAnotherKekOrAnEndedLeaseDoNotOpenAndLeaveItSealed) {
  StartAndCreate();
  LK_ASSERT_OK(client_.Seal("PAUSED", absl::Seconds(10)));
  LK_ASSERT_OK(StartDaemon());
  VolumeOpenRequest request{.kek = &kek_.kek, .kek_record = &kek_.record};
  request.expect_volume_id = "another";
  EXPECT_THAT(client_.Open(request), StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("another")));
  const TestKek stranger = TestKek::New();
  EXPECT_FALSE(client_.Open({.kek = &stranger.kek, .kek_record = &stranger.record}).ok());
  EXPECT_THAT(client_.Open({.kek = &stranger.kek, .kek_record = &kek_.record}), StatusIs(absl::StatusCode::kDataLoss));
  request.expect_volume_id = "";
  request.asked_at = absl::ZeroDuration();
  EXPECT_THAT(client_.Open(request), StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("lease")));
  LK_ASSERT_OK_AND_ASSIGN(const VolumeStatus status, client_.Status());
  EXPECT_EQ(status.state, VolumeState::kSealed);
  LK_EXPECT_OK(OpenVolume(false));
}

TEST_F(LifecycleTest, TwoDaemonsOfOneVolumeCannotBe) {
  StartAndCreate();
  VolumeDaemonOptions second{
      .program = Program(), .lower_folder = lower_, .mount_point = folder_.path(), .control_socket = folder_ / "second"};
  EXPECT_THAT(StartVolumeDaemon(second), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(LifecycleTest, AMissingDataFolderIsNotReplaced) {
  StartAndCreate();
  LK_ASSERT_OK(client_.Seal("PAUSED", absl::Seconds(10)));
  std::filesystem::remove_all(lower_ + "/data");
  LK_ASSERT_OK(StartDaemon());
  EXPECT_THAT(OpenVolume(false), StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("data")));
  EXPECT_FALSE(PathExists(lower_ + "/data"));
}

TEST_F(LifecycleTest, ChangedKeyFilesAreRefused) {
  StartAndCreate();
  LK_ASSERT_OK(client_.Seal("PAUSED", absl::Seconds(10)));
  LK_ASSERT_OK_AND_ASSIGN(VolumeFile file, VolumeFile::Load(lower_));
  file.revision += 5;
  LK_ASSERT_OK(file.Store(lower_));
  ASSERT_EQ(chown((lower_ + "/volume.json").c_str(), kNobody.uid, kNobody.gid), 0);
  LK_ASSERT_OK(StartDaemon());
  EXPECT_THAT(OpenVolume(false), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(LifecycleTest, RenewalComparesEveryDek) {
  StartAndCreate();
  const TestKek stranger = TestKek::New();
  EXPECT_FALSE(client_.Renew(stranger.kek, Clock::Real().BootTime(), absl::Hours(3)).ok());
  LK_EXPECT_OK(client_.Renew(kek_.kek, Clock::Real().BootTime(), absl::Hours(3)));
  LK_ASSERT_OK_AND_ASSIGN(const VolumeStatus status, client_.Status());
  EXPECT_GT(*status.lease_end, Clock::Real().BootTime() + absl::Hours(2));
}

TEST_F(LifecycleTest, ARewrapWithANewDekKeepsOldFilesAndTakesNewOnes) {
  StartAndCreate();
  EXPECT_TRUE(AsUser([&] {
    ASSERT_EQ(mkdir(Path("folder").c_str(), 0755), 0);
    ASSERT_TRUE(WriteText(Path("folder/old"), std::string(10'000, 'o'), true));
  }));
  const TestKek next = TestKek::New(2);
  LK_ASSERT_OK_AND_ASSIGN(const VolumeStatus after, RewrapTo(next, 2));
  EXPECT_EQ(after.revision, 2);
  ASSERT_EQ(after.deks.size(), 2u);
  for (const ObservedDek& dek : after.deks) EXPECT_EQ(dek.kek_id, next.kek.id());
  EXPECT_TRUE(after.deks[1].current);
  EXPECT_TRUE(AsUser([&] {
    ASSERT_TRUE(WriteText(Path("folder/new"), std::string(5'000, 'n'), true));
    EXPECT_EQ(ReadText(Path("folder/old")), std::string(10'000, 'o'));
    // The name stands in its older form: it is found, not made a second time.
    EXPECT_EQ(open(Path("folder/old").c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644), -1);
    EXPECT_EQ(errno, EEXIST);
    ASSERT_TRUE(WriteText(Path("fresh"), "fresh"));
    ASSERT_EQ(rename(Path("fresh").c_str(), Path("folder/old").c_str()), 0);
    EXPECT_EQ(ReadText(Path("folder/old")), "fresh");
    size_t names = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(Path("folder"))) ++names;
    EXPECT_EQ(names, 2u);
  }));
  LK_ASSERT_OK_AND_ASSIGN(const VolumeStatus again, RewrapTo(next, 2));
  EXPECT_EQ(again.revision, 2);
  LK_ASSERT_OK(client_.Seal("PAUSED", absl::Seconds(10)));
  LK_ASSERT_OK(StartDaemon());
  // The former KEK opens nothing any more.
  EXPECT_FALSE(OpenVolume(false).ok());
  kek_ = TestKek{*Kek::FromBytes(next.kek.bytes().Clone(), next.kek.context()), next.record};
  LK_ASSERT_OK(OpenVolume(false));
  EXPECT_TRUE(AsUser([&] {
    EXPECT_EQ(ReadText(Path("folder/old")), "fresh");
    EXPECT_EQ(ReadText(Path("folder/new")), std::string(5'000, 'n'));
  }));
}

TEST_F(LifecycleTest, CountTellsHowMuchStandsUnderEachDek) {
  StartAndCreate();
  EXPECT_TRUE(AsUser([&] { ASSERT_TRUE(WriteText(Path("old"), std::string(16'000, 'o'), true)); }));
  const TestKek next = TestKek::New(2);
  LK_ASSERT_OK(RewrapTo(next, 2));
  EXPECT_TRUE(AsUser([&] { ASSERT_TRUE(WriteText(Path("new"), std::string(32'000, 'n'), true)); }));
  LK_ASSERT_OK_AND_ASSIGN(const VolumeStatus status, client_.Count());
  ASSERT_EQ(status.deks.size(), 2u);
  EXPECT_EQ(status.deks[0].bytes, 16'000);
  EXPECT_EQ(status.deks[1].bytes, 32'000);
}

TEST_F(LifecycleTest, ARewrapFromAKekThatDoesNotOpenItChangesNothing) {
  StartAndCreate();
  const TestKek next = TestKek::New(2), stranger = TestKek::New(1);
  VolumeRewrapRequest request{.from = &stranger.kek, .to = &next.kek, .to_record = &next.record, .new_dek_generation = 2};
  EXPECT_FALSE(client_.Rewrap(request).ok());
  LK_ASSERT_OK_AND_ASSIGN(const VolumeStatus status, client_.Status());
  EXPECT_EQ(status.revision, 1);
  EXPECT_EQ(status.deks.size(), 1u);
}

}  // namespace
}  // namespace latchkey
