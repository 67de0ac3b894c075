#include "control/status.h"

#include <gtest/gtest.h>

#include "base/testing.h"
#include "control/messages.h"

namespace latchkey {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

HostFacts Facts(const std::string& agent_id) { return {agent_id, agent_id + ".example", kNow - absl::Seconds(12)}; }

WrappedKek Kek(const std::string& id, int64_t generation) {
  WrappedKek kek;
  kek.id = id;
  kek.context.generation = generation;
  return kek;
}

// A region under the owner's key at generation 10, changed last at 8, with one node that does everything right.
RegionModel Region() {
  RegionModel region;
  region.row.name = "us-east-1";
  region.row.generation = 10;
  region.row.change_generation = 8;
  region.row.root_is_escrow = false;
  region.row.kek_generation = 2;
  region.row.dek_generation = 2;
  region.row.owner_dek_generation = 2;
  region.keys.resize(2);
  region.keks = {Kek("kek1", 1), Kek("kek2", 2)};
  NodeModel node;
  node.row.agent_id = "h1";
  node.row.volume_id = "v1";
  node.row.told_open = true;
  node.report = ObservedNode{};
  node.report->volume_id = "v1";
  node.report->applied_generation = node.report->highest_generation = 10;
  node.report->volume = VolumeState::kOpen;
  node.report->engine = EngineState::kRunning;
  node.report->key.ok = true;
  node.report->deks = {{"d2", 2, "kek2", true, 100}};
  region.nodes = {node};
  return region;
}

KeyHealth No(FailureClass failure, bool confirmed) {
  return {.ok = false, .failure = failure, .message = "words", .since = FormatTime(kNow - absl::Seconds(20)), .confirmed = confirmed};
}

struct Case {
  const char* name;
  std::function<void(RegionModel&)> given;
  const char* region;
  const char* newest_key;
  const char* older_key;
  const char* message = "";  // a part of it
};

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {"all is well", [](RegionModel&) {}, "ENABLED", "ENABLED", "DISABLED"},
      {"the operator's key", [](RegionModel& r) { r.row.root_is_escrow = true; }, "DISABLED", "DISABLED", "DISABLED"},
      {"enabling, nothing minted",
       [](RegionModel& r) {
         r.row.change_kind = "ENABLE";
         r.keks.pop_back();
       },
       "ENABLING", "ENABLING", "DISABLING", "waiting for host h1 (last heard 12 s ago) to mint"},
      {"enabling, a DEK still under the old KEK",
       [](RegionModel& r) {
         r.row.change_kind = "ENABLE";
         r.nodes[0].report->deks[0].kek_id = "kek1";
       },
       "ENABLING", "ENABLING", "DISABLING", "to wrap its data keys"},
      {"enabling, the old wrapping not erased",
       [](RegionModel& r) {
         r.row.change_kind = "ENABLE";
         r.nodes[0].report->deks.push_back({"d2", 2, "kek1", true, 100});
       },
       "ENABLING", "ENABLING", "DISABLING"},
      {"enabling, no new DEK yet",
       [](RegionModel& r) {
         r.row.change_kind = "ENABLE";
         r.nodes[0].report->deks = {{"d1", 1, "kek2", true, 100}};
       },
       "ENABLING", "ENABLING", "DISABLING"},
      {"enabling, reported for an older generation",
       [](RegionModel& r) {
         r.row.change_kind = "ENABLE";
         r.nodes[0].report->applied_generation = 7;
       },
       "ENABLING", "ENABLING", "DISABLING"},
      {"enabling, done", [](RegionModel& r) { r.row.change_kind = "ENABLE"; }, "ENABLED", "ENABLED", "DISABLED"},
      {"enabling, one node of two is behind",
       [](RegionModel& r) {
         r.row.change_kind = "ENABLE";
         r.nodes.push_back(r.nodes[0]);
         r.nodes[1].row.agent_id = "h2";
         r.nodes[1].report.reset();
       },
       "ENABLING", "ENABLING", "DISABLING", "waiting for host h2"},
      {"enabling, the key is refused for sure",
       [](RegionModel& r) {
         r.row.change_kind = "ENABLE";
         r.nodes[0].report->applied_generation = 7;
         r.nodes[0].report->key = No(FailureClass::kDenied, true);
       },
       "ENABLE_FAILED", "ENABLE_FAILED", "DISABLING", "DENIED since 2023-11-14T22:13:00Z: words."},
      {"enabling, a refusal that may pass",
       [](RegionModel& r) {
         r.row.change_kind = "ENABLE";
         r.nodes[0].report->applied_generation = 7;
         r.nodes[0].report->key = No(FailureClass::kDenied, false);
       },
       "ENABLING", "ENABLING", "DISABLING", "DENIED since"},
      {"enabling, a refusal that did not pass",
       [](RegionModel& r) {
         r.row.change_kind = "ENABLE";
         r.nodes[0].report->applied_generation = 7;
         r.nodes[0].report->key = No(FailureClass::kDenied, false);
         r.nodes[0].report->key.since = FormatTime(kNow - absl::Seconds(61));
       },
       "ENABLE_FAILED", "ENABLE_FAILED", "DISABLING"},
      {"enabling, nobody answers",
       [](RegionModel& r) {
         r.row.change_kind = "ENABLE";
         r.nodes[0].report->applied_generation = 7;
         r.nodes[0].report->key = No(FailureClass::kUnreachable, false);
       },
       "ENABLING", "ENABLING", "DISABLING", "UNREACHABLE since"},
      {"enabling, refused about the key before",
       [](RegionModel& r) {
         r.row.change_kind = "ENABLE";
         r.nodes[0].report->applied_generation = r.nodes[0].report->highest_generation = 7;
         r.nodes[0].report->key = No(FailureClass::kDenied, true);
       },
       "ENABLING", "ENABLING", "DISABLING"},
      {"rotating to a key that the host's own configuration refuses",
       [](RegionModel& r) {
         r.row.change_kind = "ROTATE";
         r.nodes[0].report->applied_generation = 7;
         r.nodes[0].report->problem = "ROOT_REFUSED: not in allowed_root_keys";
       },
       "ROTATE_FAILED", "ENABLE_FAILED", "DISABLING", "ROOT_REFUSED: not in allowed_root_keys."},
      {"rotating",
       [](RegionModel& r) {
         r.row.change_kind = "ROTATE";
         r.nodes[0].report->applied_generation = 7;
       },
       "ROTATING", "ENABLING", "DISABLING"},
      {"revoked, not sealed", [](RegionModel& r) { r.row.revoked = true, r.row.revoked_generation = 10; }, "REVOKING", "REVOKING",
       "DISABLED", "waiting for host h1 (last heard 12 s ago) to report sealed; deny the key in the KMS to bound it"},
      {"revoked, sealed before",
       [](RegionModel& r) {
         r.row.revoked = true, r.row.revoked_generation = 11;
         r.nodes[0].report->volume = VolumeState::kSealed;
       },
       "REVOKING", "REVOKING", "DISABLED"},
      {"revoked, sealed",
       [](RegionModel& r) {
         r.row.revoked = true, r.row.revoked_generation = 10;
         r.nodes[0].report->volume = VolumeState::kSealed;
       },
       "REVOKED", "REVOKED", "DISABLED", "Revoked by"},
      {"revoked, never told to open",
       [](RegionModel& r) {
         r.row.revoked = true, r.row.revoked_generation = 10;
         r.nodes[0].row.told_open = false;
         r.nodes[0].report.reset();
       },
       "REVOKED", "REVOKED", "DISABLED"},
      {"revoked, told to open and never heard of",
       [](RegionModel& r) {
         r.row.revoked = true, r.row.revoked_generation = 10;
         r.nodes[0].report.reset();
       },
       "REVOKING", "REVOKING", "DISABLED"},
      {"revoked, the volume is missing",
       [](RegionModel& r) {
         r.row.revoked = true, r.row.revoked_generation = 10;
         r.nodes[0].report->volume = VolumeState::kMissing;
       },
       "REVOKED", "REVOKED", "DISABLED"},
      {"revoked, the volume was missing before",
       [](RegionModel& r) {
         r.row.revoked = true, r.row.revoked_generation = 11;
         r.nodes[0].report->volume = VolumeState::kMissing;
       },
       "REVOKING", "REVOKING", "DISABLED"},
      {"revoked by a host's word, in a store that knows of no owner key",
       [](RegionModel& r) {
         r.row.root_is_escrow = true;
         r.row.revoked = true, r.row.revoked_generation = 11;
       },
       "REVOKING", "REVOKING", "DISABLED", "waiting for host h1"},
      {"revoked, nothing was ever created",
       [](RegionModel& r) {
         r.row.revoked = true, r.row.revoked_generation = 10;
         r.nodes[0].row.volume_id.clear();
         r.nodes[0].report->volume = VolumeState::kNone;
       },
       "REVOKED", "REVOKED", "DISABLED"},
      {"revoked in the middle of a rotation",
       [](RegionModel& r) {
         r.row.revoked = true, r.row.revoked_generation = 11;
         r.row.change_kind = "ROTATE";
         r.row.change_generation = 11;
       },
       "REVOKING", "REVOKING", "DISABLING"},
      {"restored, still sealed",
       [](RegionModel& r) {
         r.row.change_kind = "RESTORE";
         r.row.change_generation = 11;
         r.nodes[0].report->volume = VolumeState::kSealed;
         r.nodes[0].report->seal_reason = "REVOKED";
       },
       "ENABLING", "ENABLING", "DISABLED", "restored; waiting for host h1"},
      {"restored and running", [](RegionModel& r) { r.row.change_kind = "RESTORE"; }, "ENABLED", "ENABLED", "DISABLED"},
      {"the KMS said no and the volume is sealed",
       [](RegionModel& r) {
         r.nodes[0].report->volume = VolumeState::kSealed;
         r.nodes[0].report->engine = EngineState::kStopped;
         r.nodes[0].report->seal_reason = "KMS_REFUSED";
         r.nodes[0].report->key = No(FailureClass::kDisabled, true);
       },
       "REVOKED", "REVOKED", "DISABLED",
       "DISABLED since 2023-11-14T22:13:00Z: words. Enable the key in the KMS; the cluster returns by itself."},
      {"the KMS said no and one of two is sealed",
       [](RegionModel& r) {
         r.nodes.push_back(r.nodes[0]);
         r.nodes[0].report->volume = VolumeState::kSealed;
         r.nodes[0].report->key = No(FailureClass::kDisabled, true);
       },
       "REVOKING", "REVOKING", "DISABLED", "DISABLED since"},
      {"the KMS says yes again and the volume opens",
       [](RegionModel& r) {
         r.nodes[0].report->volume = VolumeState::kOpening;
         r.nodes[0].report->seal_reason = "KMS_REFUSED";
       },
       "REVOKING", "REVOKING", "DISABLED", "answers again"},
      {"the KMS said no and the volume is being sealed",
       [](RegionModel& r) {
         r.nodes[0].report->volume = VolumeState::kSealing;
         r.nodes[0].report->key = No(FailureClass::kDisabled, true);
       },
       "REVOKING", "REVOKING", "DISABLED", "Waiting for host h1 (last heard 12 s ago) to report sealed."},
      {"the KMS said no, one is sealed and the disk of the other is away",
       [](RegionModel& r) {
         r.nodes[0].report->volume = VolumeState::kSealed;
         r.nodes[0].report->engine = EngineState::kStopped;
         r.nodes[0].report->key = No(FailureClass::kDisabled, true);
         r.nodes.push_back(r.nodes[0]);
         r.nodes[1].report->volume = VolumeState::kMissing;
       },
       "REVOKED", "REVOKED", "DISABLED"},
      {"the KMS says no and nothing is confirmed", [](RegionModel& r) { r.nodes[0].report->key = No(FailureClass::kDisabled, false); },
       "ENABLED", "ENABLED", "DISABLED", "DISABLED since"},
      {"the lease ended in an outage",
       [](RegionModel& r) {
         r.nodes[0].report->volume = VolumeState::kSealed;
         r.nodes[0].report->seal_reason = "LEASE_ENDED";
         r.nodes[0].report->key = No(FailureClass::kUnreachable, false);
       },
       "ENABLED", "ENABLED", "DISABLED", "The volume sealed itself when its lease ended"},
      {"data under the former root key", [](RegionModel& r) { r.nodes[0].report->deks.push_back({"d1", 1, "kek2", false, 3 << 20}); },
       "ENABLED", "ENABLED", "DISABLED", "3 MiB of 3 MiB of file data"},
      {"data under the former root key, not counted",
       [](RegionModel& r) { r.nodes[0].report->deks.push_back({"d1", 1, "kek2", false, -1}); }, "ENABLED", "ENABLED", "DISABLED",
       "not counted yet"},
      {"a notice", [](RegionModel& r) { r.row.notice = "Look here."; }, "ENABLED", "ENABLED", "DISABLED", "Look here."},
  };
  return cases;
}

TEST(StatusTest, RegionsAndKeysAreWhatWasAskedAndReportedMakesThem) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name);
    RegionModel region = Region();
    c.given(region);
    const RegionStatus status = DeriveRegion(region, Facts, kNow);
    EXPECT_EQ(status.status, c.region);
    EXPECT_EQ(KeyStatusWord(region, 0, status), c.newest_key);
    EXPECT_EQ(KeyStatusWord(region, 1, status), c.older_key);
    EXPECT_THAT(status.message, HasSubstr(c.message));
    if (std::string_view(c.message).empty() && status.status == "ENABLED") {
      EXPECT_THAT(status.message, IsEmpty());
    }
    EXPECT_EQ(status.waiting_for.empty(), status.status != "REVOKING");
  }
}

TEST(StatusTest, AnEnabledRegionSaysWhichHostsAreSilent) {
  const RegionModel region = Region();
  EXPECT_EQ(DeriveRegion(region, Facts, kNow + absl::Seconds(48)).message, "");
  const RegionStatus status = DeriveRegion(region, Facts, kNow + absl::Hours(3));
  EXPECT_EQ(status.status, "ENABLED");
  EXPECT_EQ(status.message, "Host h1 was last heard 3 h ago; what is shown is from then.");
}

TEST(StatusTest, TheWorstHealthOfAllHostsIsShown) {
  RegionModel region = Region();
  region.nodes.push_back(region.nodes[0]);
  region.nodes[1].report->key = No(FailureClass::kThrottled, false);
  EXPECT_EQ(DeriveRegion(region, Facts, kNow).health.failure, FailureClass::kThrottled);
  region.nodes[0].report->key = No(FailureClass::kDenied, true);
  const RegionStatus status = DeriveRegion(region, Facts, kNow);
  EXPECT_EQ(status.health.failure, FailureClass::kDenied);
  EXPECT_EQ(status.next_step, NextStep(FailureClass::kDenied));
}

TEST(StatusTest, ADekWithTwoWrappingsIsCountedOnce) {
  RegionModel region = Region();
  region.nodes[0].report->deks = {{"d1", 1, "kek1", false, 10}, {"d1", 1, "kek2", false, 10}, {"d2", 2, "kek2", true, 5}};
  const RegionStatus status = DeriveRegion(region, Facts, kNow);
  EXPECT_EQ(status.bytes_under_former_keys, 10);
  EXPECT_EQ(status.bytes_total, 15);
}

TEST(StatusTest, AClusterIsAsBadAsItsWorstRegion) {
  EXPECT_EQ(CmekStatusWord({}), "DISABLED");
  EXPECT_EQ(CmekStatusWord({"ENABLED", "ENABLED"}), "ENABLED");
  EXPECT_EQ(CmekStatusWord({"ENABLED", "REVOKED"}), "REVOKED");
  EXPECT_EQ(CmekStatusWord({"REVOKED", "REVOKING"}), "REVOKING");
  EXPECT_EQ(CmekStatusWord({"ROTATING", "ROTATE_FAILED"}), "ROTATE_FAILED");
}

struct ClusterCase {
  const char* name;
  std::function<void(ClusterModel&)> given;
  const char* state;
  const char* operation;
  bool busy;
};

TEST(StatusTest, AClusterIsLockedExactlyWhileItRefusesOtherChanges) {
  const auto unapplied = [](ClusterModel& m) { m.regions[0].nodes[0].report->applied_generation = 7; };
  const std::vector<ClusterCase> cases = {
      {"at rest", [](ClusterModel&) {}, "CREATED", "UNSPECIFIED", false},
      {"creating",
       [&](ClusterModel& m) {
         m.regions[0].row.change_kind = "CREATE";
         m.regions[0].row.root_is_escrow = true;
         unapplied(m);
       },
       "CREATING", "UNSPECIFIED", true},
      {"creation failed",
       [&](ClusterModel& m) {
         m.regions[0].row.change_kind = "CREATE";
         m.regions[0].nodes[0].report->engine = EngineState::kFailed;
       },
       "CREATION_FAILED", "UNSPECIFIED", false},
      {"created", [](ClusterModel& m) { m.regions[0].row.change_kind = "CREATE"; }, "CREATED", "UNSPECIFIED", false},
      {"enabling",
       [&](ClusterModel& m) {
         m.regions[0].row.change_kind = "ENABLE";
         unapplied(m);
       },
       "LOCKED", "CRDB_CMEK_OPERATION_RUNNING", true},
      {"enabling failed",
       [&](ClusterModel& m) {
         m.regions[0].row.change_kind = "ENABLE";
         unapplied(m);
         m.regions[0].nodes[0].report->key = No(FailureClass::kDenied, true);
       },
       "CREATED", "CRDB_CMEK_OPERATION_FAILED", false},
      {"revoked while enabling",
       [&](ClusterModel& m) {
         m.regions[0].row.change_kind = "ENABLE";
         unapplied(m);
         m.regions[0].row.revoked = true;
         m.regions[0].row.revoked_generation = 11;
       },
       "CREATED", "CRDB_CMEK_OPERATION_RUNNING", false},
      {"restoring",
       [&](ClusterModel& m) {
         m.regions[0].row.change_kind = "RESTORE";
         unapplied(m);
       },
       "CREATED", "CRDB_CMEK_OPERATION_RUNNING", false},
      {"deleted", [](ClusterModel& m) { m.row.deleted_at = kNow; }, "DELETED", "UNSPECIFIED", false},
  };
  for (const ClusterCase& c : cases) {
    SCOPED_TRACE(c.name);
    ClusterModel model;
    model.regions = {Region()};
    c.given(model);
    const ClusterStatus status = DeriveCluster(model, {DeriveRegion(model.regions[0], Facts, kNow)});
    EXPECT_EQ(status.state, c.state);
    EXPECT_EQ(status.operation_status, c.operation);
    EXPECT_EQ(status.busy, c.busy);
  }
}

TEST(StatusTest, ANodeIsLiveWhileItIsHeardOfAndRuns) {
  NodeModel node = Region().nodes[0];
  EXPECT_EQ(NodeStatusWord(node, Facts("h1"), kNow), "LIVE");
  EXPECT_EQ(NodeStatusWord(node, Facts("h1"), kNow + absl::Minutes(1)), "NOT_READY");
  EXPECT_EQ(NodeStatusWord(node, HostFacts{}, kNow), "NOT_READY");
  node.report->engine = EngineState::kStarting;
  EXPECT_EQ(NodeStatusWord(node, Facts("h1"), kNow), "NOT_READY");
  node.report.reset();
  EXPECT_EQ(NodeStatusWord(node, Facts("h1"), kNow), "NOT_READY");
}

TEST(MessagesTest, BytesAreShortAndExactEnough) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1024), "1 KiB");
  EXPECT_EQ(FormatBytes(12'897'485), "12.3 MiB");
  EXPECT_EQ(FormatBytes((1 << 20) - 1), "1 MiB");
  EXPECT_EQ(FormatBytes(int64_t{5} << 40), "5 TiB");
}

}  // namespace
}  // namespace latchkey
