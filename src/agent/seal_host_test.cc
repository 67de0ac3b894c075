// `latchkey agent seal` with a daemon in this process that answers as one does whose volume is open.
#include "agent/seal_host.h"

#include <atomic>

#include "agent/agent_testing.h"
#include "base/control_socket.h"
#include "volume/control_messages.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

class SealHostTest : public HostAgentTest {
 protected:
  void OpenVolume() {
    const NodePaths paths(config_, kNodeA);
    LK_ASSERT_OK(MakeFolders(paths.run_folder));
    auto server = ControlServer::Start(
        {.path = paths.control_socket, .allowed_uids = {}, .handler = [this](ControlMessage request) -> absl::StatusOr<ControlMessage> {
           ControlMessage answer;
           if (request.body.at("op").as_string() == "seal") {
             EXPECT_EQ(request.body.at("reason").as_string(), "HOST_STOPPED");
             sealed_ = true;
             return answer;
           }
           VolumeStatus status;
           status.volume_id = kVolumeA;
           status.state = sealed_ ? VolumeState::kSealed : VolumeState::kOpen;
           answer.body = ToJson(status);
           return answer;
         }});
    ASSERT_THAT(server, IsOk());
    daemon_ = *std::move(server);
  }

  std::atomic<bool> sealed_ = false;
  std::unique_ptr<ControlServer> daemon_;
};

TEST_F(SealHostTest, SealsWhatIsOpenAndRemembersWhy) {
  LeaveNode(kNodeA, kVolumeA);
  ASSERT_NO_FATAL_FAILURE(OpenVolume());
  LK_EXPECT_OK(SealHost(config_));
  EXPECT_TRUE(sealed_);
  EXPECT_EQ(ReadRecord(kNodeA).seal_reason, "HOST_STOPPED");
}

TEST_F(SealHostTest, SealsAVolumeWhoseRecordIsDamaged) {
  LeaveNode(kNodeA, kVolumeA);
  LK_ASSERT_OK(WriteFileAtomically(RecordOf(kNodeA), "{"));
  ASSERT_NO_FATAL_FAILURE(OpenVolume());
  LK_EXPECT_OK(SealHost(config_));
  EXPECT_TRUE(sealed_);
  EXPECT_EQ(*ReadFile(RecordOf(kNodeA)), "{") << "left for whoever mends it";
}

TEST_F(SealHostTest, SealsAVolumeWhoseRecordIsLost) {
  LeaveNode(kNodeA, kVolumeA);
  std::filesystem::remove(RecordOf(kNodeA));
  ASSERT_NO_FATAL_FAILURE(OpenVolume());
  LK_EXPECT_OK(SealHost(config_));
  EXPECT_TRUE(sealed_);
  EXPECT_FALSE(PathExists(RecordOf(kNodeA)));
}

TEST_F(SealHostTest, SealsOverADatabaseThatItDoesNotKnowHowToStop) {
  LeaveNode(kNodeA, kVolumeA);
  NodeRecord record = ReadRecord(kNodeA);
  record.desired->engine = "of a later version";
  LeaveRecord(record);
  ASSERT_NO_FATAL_FAILURE(OpenVolume());
  LK_EXPECT_OK(SealHost(config_));
  EXPECT_TRUE(sealed_);
}

TEST_F(SealHostTest, SaysThatARecordIsDamagedWhereItSeesNothingToSeal) {
  LeaveNode(kNodeA, kVolumeA);
  LK_ASSERT_OK(WriteFileAtomically(RecordOf(kNodeA), "{"));
  EXPECT_FALSE(SealHost(config_).ok()) << "a database of it could run where nobody looked";
  std::filesystem::remove(RecordOf(kNodeA));
  LK_EXPECT_OK(SealHost(config_)) << "without a record there was none";
}

TEST_F(SealHostTest, TouchesNothingWhereNothingIsOpen) {
  LeaveNode(kNodeA, kVolumeA);
  const auto data = Snapshot(config_.data_dir);
  const auto state = Snapshot(Nodes());
  LK_EXPECT_OK(SealHost(config_));
  EXPECT_EQ(Snapshot(config_.data_dir), data);
  EXPECT_EQ(Snapshot(Nodes()), state);
}

TEST_F(SealHostTest, DoesNotWorkAgainstAnAgentThatWouldOpenAgain) {
  Publish({});
  ASSERT_NO_FATAL_FAILURE(StartAgent());
  EXPECT_THAT(SealHost(config_), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the agent still runs")));
}

}  // namespace
}  // namespace latchkey
