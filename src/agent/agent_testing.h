// The whole agent on folders of its own, with real records, volumes' folders and a key file, and a server that says what a test wants. Its
// volume daemon is a script that writes down how it was called and ends: what is asked here is what the agent does before a volume is open.
// For tests only.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/agent.h"
#include "agent/node_record.h"
#include "agent/server_testing.h"
#include "base/file.h"
#include "base/testing.h"
#include "keys/kek.h"
#include "keys/volume_file.h"
#include "kms/config.h"
#include "kms/local/local_kms.h"

namespace latchkey {

inline constexpr char kNodeA[] = "11111111-1111-4111-8111-111111111111";
inline constexpr char kNodeB[] = "22222222-2222-4222-8222-222222222222";
inline constexpr char kVolumeA[] = "aaaaaaaa-1111-4111-8111-111111111111";
inline constexpr char kVolumeB[] = "bbbbbbbb-1111-4111-8111-111111111111";

// Everything under a folder: contents, modes and identities, so that what was replaced by its like is noticed, too.
inline std::map<std::string, std::string> Snapshot(const std::string& folder) {
  std::map<std::string, std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    struct stat st{};
    EXPECT_EQ(lstat(entry.path().c_str(), &st), 0);
    std::string& value = found[entry.path()];
    value = absl::StrCat("inode ", st.st_ino, ", mode ", st.st_mode);
    if (entry.is_regular_file())
      absl::StrAppend(&value, ", changed ", st.st_mtim.tv_sec, ".", st.st_mtim.tv_nsec, ": ", *ReadFile(entry.path()));
  }
  return found;
}

class HostAgentTest : public testing::Test {
 protected:
  HostAgentTest() {
    config_.server = server_.Url();
    config_.join_token = server_.Token().ToString();
    config_.region = "us-east-1";
    config_.hostname = "db1";
    config_.state_dir = folder_ / "state";
    config_.data_dir = folder_ / "data";
    config_.run_dir = folder_ / "run";
    config_.metrics_address = "";
    config_.program = folder_ / "daemon";
    if (geteuid() == 0) config_.user = "nobody";
    config_.kms.kms.local_connections["escrow"] = folder_ / "escrow.key";
    config_.clocks.retry_base = absl::Milliseconds(20);
    LK_EXPECT_OK(CreateLocalKeyFile(folder_ / "escrow.key"));
    LK_EXPECT_OK(WriteFileAtomically(config_.program, absl::StrCat("#!/bin/sh\necho \"$*\" >>'", DaemonLog(), "'\nexit 1\n"), 0755));
    LK_EXPECT_OK(MakeFolders(config_.data_dir, 0711));
    root_ = {.type = "LOCAL", .uri = "local://escrow", .auth_principal = "", .external_id = ""};
  }
  ~HostAgentTest() override {
    // The agent lets go of its long poll before the server ends.
    if (agent_) agent_->Stop();
  }

  std::string DaemonLog() const { return folder_ / "daemon.log"; }
  // How the volume daemon was called, a line a call.
  std::string DaemonCalls() const {
    const auto log = ReadFile(DaemonLog());
    return log.ok() ? *log : "";
  }
  std::string Nodes() const { return config_.state_dir + "/nodes"; }
  std::string RecordOf(const std::string& node) const { return NodePaths(config_, node).record; }
  std::string DataOf(const std::string& node) const { return NodePaths(config_, node).lower_folder; }

  // A node that was made here and has run, as an agent that ended has left it: its record, its volume, and what the server wants of it.
  DesiredNode LeaveNode(const std::string& id, const std::string& volume_id) {
    DesiredNode desired;
    desired.node_id = id;
    desired.node_name = "c1-us-east-1-1";
    desired.organization = "55555555-5555-4555-8555-555555555555";
    desired.cluster_id = "44444444-4444-4444-8444-444444444444";
    desired.cluster_name = "c1";
    desired.region = "us-east-1";
    desired.engine = "postgresql";
    desired.generation = 3;
    desired.volume_id = volume_id;
    desired.root = root_;
    desired.root_is_escrow = true;
    const auto kms = KmsConfigOf(config_);
    EXPECT_THAT(kms, IsOk());
    const KmsSet set = BuildKmsSet(*kms);
    const KekContext context{.organization = desired.organization,
                             .cluster = desired.cluster_id,
                             .region = desired.region,
                             .generation = desired.kek_generation};
    const auto wrapped = MintKek(set, root_, context, nullptr, Random::System(), Clock::Real());
    EXPECT_THAT(wrapped, IsOk());
    const auto kek = UnwrapKek(set, *wrapped, root_, KmsCall{});
    EXPECT_THAT(kek, IsOk());
    const auto made = MakeVolume(volume_id, *kek, *wrapped, desired.dek_generation, Random::System(), Clock::Real());
    EXPECT_THAT(made, IsOk());
    desired.wrapped_keks.push_back(*wrapped);
    LK_EXPECT_OK(MakeFolders(DataOf(id) + "/data"));
    LK_EXPECT_OK(WriteFileAtomically(DataOf(id) + "/" + kVolumeFileName, made->file.Serialize()));
    LK_EXPECT_OK(WriteFileAtomically(DataOf(id) + "/" + kVolumeLockName, ""));
    LK_EXPECT_OK(WriteFileAtomically(DataOf(id) + "/data/f1", "ciphertext"));

    NodeRecord record{.node_id = id, .volume_id = volume_id, .volume_created = true, .engine_initialised = true};
    record.highest_generation = desired.generation;
    record.escrow_uri = root_.uri;
    record.volume_revision = made->file.revision;
    record.port = id == kNodeA ? 5500 : 5501;
    record.desired = desired;
    LeaveRecord(record);
    return desired;
  }
  void LeaveRecord(const NodeRecord& record) const {
    LK_EXPECT_OK(MakeFolders(config_.state_dir + "/nodes/" + record.node_id));
    LK_EXPECT_OK(StoreNodeRecord(RecordOf(record.node_id), record));
  }
  NodeRecord ReadRecord(const std::string& node) const {
    auto record = LoadNodeRecord(RecordOf(node));
    EXPECT_THAT(record, IsOk());
    return record.ok() ? *std::move(record) : NodeRecord{};
  }
  // The disk under data_dir is not mounted, so that only the empty folder is seen which it is mounted on; and is again.
  void UnmountData() const {
    std::filesystem::rename(config_.data_dir, folder_ / "disk");
    LK_ASSERT_OK(MakeFolders(config_.data_dir, 0711));
  }
  void MountData() const {
    // Also says that nothing was made there meanwhile.
    ASSERT_TRUE(std::filesystem::is_empty(config_.data_dir)) << testing::PrintToString(Snapshot(config_.data_dir));
    std::filesystem::rename(folder_ / "disk", config_.data_dir);
  }

  void Publish(std::vector<DesiredNode> nodes, std::vector<KeyTest> tests = {}) {
    server_.Publish({.version = ++version_, .nodes = std::move(nodes), .key_tests = std::move(tests)});
  }
  void StartAgent() {
    auto started = Agent::Start(config_);
    ASSERT_THAT(started, IsOk());
    agent_ = *std::move(started);
  }
  // Waits until a report that follows the last published state says so of a node.
  bool Reports(const std::string& node, const std::function<bool(const ObservedNode&)>& says) {
    return server_.Await([&](const std::deque<SyncRequest>& requests) {
      if (requests.empty() || requests.back().seen_version != version_) return false;
      for (const ObservedNode& observed : requests.back().nodes) {
        if (observed.node_id == node) seen_ = json::serialize(observed.ToJson());
        if (observed.node_id == node && says(observed)) return true;
      }
      return false;
    });
  }
  bool ReportsProblem(const std::string& node, const std::string& problem) {
    return Reports(node, [&](const ObservedNode& o) { return o.problem.starts_with(problem); });
  }

  const TempFolder folder_;
  FakeServer server_;
  AgentConfig config_;
  RootKey root_;
  int64_t version_ = 1;
  std::string seen_;  // the last report of the node that was waited for
  std::unique_ptr<Agent> agent_;
};

}  // namespace latchkey
