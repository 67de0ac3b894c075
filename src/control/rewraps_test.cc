#include "control/rewraps.h"

#include <absl/strings/str_format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>

#include "base/status.h"
#include "control/control_testing.h"
#include "store/settings.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// A cluster whose host says which version the KMS shows, and which it wrapped by.
class RewrapsTest : public ControlTest {
 protected:
  explicit RewrapsTest(bool policy = true) { rewrap_new_versions_ = policy; }
  void SetUp() override {
    ControlTest::SetUp();
    host_ = Host();
    host_->tweak = [this](ObservedNode& seen) {
      const std::lock_guard lock(mutex_);
      if (!seen.deks.empty()) keks_.insert(seen.deks.back().kek_id);
      ++steps_;
      // Facts are read anew each time, so that every report is news.
      if (!version_.empty()) {
        seen.key_facts = {.read_at = absl::StrFormat("2026-01-01T00:00:%09d", steps_), .state = "Enabled", .version = version_};
        seen.key_facts.wrapped_version = "1";
      }
      moved_.notify_all();
    };
    id_ = Running(*host_);
    EnabledWith(*host_, id_, "a");
    keks_.clear();
  }
  void TearDown() override {
    if (host_ != nullptr) host_->StopPolling();
  }

  void Shows(const std::string& version) {
    const std::lock_guard lock(mutex_);
    version_ = version;
  }
  // Number of KEKs that the host's data keys were wrapped by since the owner's key was taken.
  bool ComesToKeks(size_t count) {
    std::unique_lock lock(mutex_);
    return moved_.wait_for(lock, std::chrono::seconds(60), [&] { return keks_.size() >= count; });
  }
  bool GoesOnForReports(int count) {
    std::unique_lock lock(mutex_);
    const int until = steps_ + count;
    return moved_.wait_for(lock, std::chrono::seconds(60), [&] { return steps_ >= until; });
  }
  std::vector<AuditEntry> ByPolicy() {
    std::vector<AuditEntry> found;
    for (AuditEntry& entry : AuditOf("CMEK_ROTATE")) {
      if (entry.actor == "policy") found.push_back(std::move(entry));
    }
    return found;
  }
  // An entry by the policy is written before the host can hear of its change, a refused one at the end of its try.
  bool ComesToTries(size_t count) {
    for (int i = 0; i < 2000; ++i) {
      if (ByPolicy().size() >= count) return true;
      if (!GoesOnForReports(1)) return false;
    }
    return false;
  }

  std::string id_;
  std::mutex mutex_;
  std::condition_variable moved_;
  std::set<std::string> keks_;
  std::string version_;
  int steps_ = 0;
  std::unique_ptr<FakeAgent> host_;
};

TEST_F(RewrapsTest, ANewVersionIsTakenOnceEvenWhenTheKmsGoesOnShowingIt) {
  host_->StartPolling();
  Shows("2");
  ASSERT_TRUE(ComesToKeks(2));
  clock_.Advance(absl::Hours(2));
  ASSERT_TRUE(GoesOnForReports(10)) << "each of them shows version 2 while the KEK is wrapped by 1";
  EXPECT_THAT(ByPolicy(), SizeIs(1));
  clock_.Advance(absl::Hours(2));
  Shows("3");
  ASSERT_TRUE(ComesToKeks(3));
  host_->StopPolling();
  host_->tweak = nullptr;
  LK_ASSERT_OK(host_->Settle());
  const auto entries = ByPolicy();
  ASSERT_THAT(entries, SizeIs(2));
  EXPECT_EQ(entries[0].source, "INTERNAL");
  EXPECT_EQ(entries[0].cluster_id, id_);
  EXPECT_THAT(entries[0].payload, HasSubstr(Key("a").uri));
  const CmekView view = Cmek(id_);
  EXPECT_EQ(view.status, "ENABLED");
  ASSERT_THAT(view.regions, SizeIs(1));
  EXPECT_THAT(view.regions[0].keys, SizeIs(1)) << "it is the same key";
}

TEST_F(RewrapsTest, WhatWasTriedIsInTheStoreSoThatItOutlivesTheServer) {
  host_->StartPolling();
  Shows("2");
  ASSERT_TRUE(ComesToKeks(2));
  host_->StopPolling();
  host_->tweak = nullptr;
  LK_ASSERT_OK(host_->Settle());
  host_.reset();
  ASSERT_THAT(ByPolicy(), SizeIs(1));
  const auto database = Database::Open({.path = folder_ / "server.db"});
  LK_ASSERT_OK(database);
  LK_EXPECT_OK((*database)->Read([&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const auto tried, Settings(tx).Get("rewrap_tried/" + id_ + "/us-east-1"));
    EXPECT_THAT(tried.value_or(""), HasSubstr(Key("a").uri + " 2"));
    return absl::OkStatus();
  }));
}

TEST_F(RewrapsTest, AKeyThatRefusesItsTestIsLeftAsItIs) {
  host_->on_key_test = [](const KeyTest& test) -> std::optional<KeyVerdict> {
    return KeyVerdict{.test_id = test.id, .ok = false, .failure = FailureClass::kDenied, .message = "no"};
  };
  host_->StartPolling();
  Shows("2");
  ASSERT_TRUE(ComesToTries(1));
  clock_.Advance(absl::Hours(2));
  ASSERT_TRUE(GoesOnForReports(10));
  host_->StopPolling();
  EXPECT_EQ(Cmek(id_).status, "ENABLED");
  ASSERT_THAT(ByPolicy(), SizeIs(1));
  EXPECT_THAT(ByPolicy()[0].error, HasSubstr("DENIED"));
}

TEST_F(RewrapsTest, ATryThatNobodyAnsweredIsMadeAgainAnHourLater) {
  std::atomic<bool> reachable = false;
  host_->on_key_test = [&](const KeyTest& test) -> std::optional<KeyVerdict> {
    if (reachable) return KeyVerdict{.test_id = test.id, .ok = true, .failure = std::nullopt, .message = ""};
    return KeyVerdict{.test_id = test.id, .ok = false, .failure = FailureClass::kUnreachable, .message = "no route"};
  };
  host_->StartPolling();
  Shows("2");
  ASSERT_TRUE(ComesToTries(1));
  ASSERT_TRUE(GoesOnForReports(10));
  EXPECT_THAT(ByPolicy(), SizeIs(1)) << "not at every report";
  reachable = true;
  clock_.Advance(absl::Minutes(61));
  ASSERT_TRUE(ComesToKeks(2));
  EXPECT_THAT(ByPolicy(), SizeIs(2));
}

class WithoutThePolicyTest : public RewrapsTest {
 protected:
  WithoutThePolicyTest() : RewrapsTest(false) {}
};

TEST_F(WithoutThePolicyTest, ANewVersionIsShownAndNothingDone) {
  host_->StartPolling();
  Shows("2");
  ASSERT_TRUE(GoesOnForReports(10));
  host_->StopPolling();
  EXPECT_THAT(ByPolicy(), IsEmpty());
  EXPECT_TRUE(Cmek(id_).regions[0].keys[0].facts.newer_version());
}

// What the decision rests on, each fact alone.
class DueTest : public testing::Test {
 protected:
  DueTest() {
    model_.row.id = "c";
    RegionModel region;
    region.row.name = "us-east-1";
    region.row.root = {.type = "AWS_KMS", .uri = "arn:a", .auth_principal = "", .external_id = ""};
    region.row.root_is_escrow = false;
    model_.regions.push_back(std::move(region));
    status_.status = "ENABLED";
    status_.health.ok = true;
    status_.facts.version = "2";
    status_.facts.wrapped_version = "1";
  }
  size_t Due() { return DueRewraps(model_, {status_}).size(); }
  ClusterModel model_;
  RegionStatus status_;
};

TEST_F(DueTest, AnEnabledRegionWithANewerVersionIs) {
  const auto due = DueRewraps(model_, {status_});
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].spec.key.uri, "arn:a");
  EXPECT_EQ(due[0].version, "2");
}
TEST_F(DueTest, NotWithoutANewerVersion) {
  status_.facts.version = "1";
  EXPECT_EQ(Due(), 0u);
  status_.facts.version = "";
  EXPECT_EQ(Due(), 0u);
}
TEST_F(DueTest, NotWhileARevocationHoldsOrAChangeGoesOn) {
  for (const char* word : {"REVOKED", "REVOKING", "ROTATING", "ROTATE_FAILED", "ENABLING", "DISABLED"}) {
    status_.status = word;
    EXPECT_EQ(Due(), 0u) << word;
  }
  status_.status = "ENABLED";
  model_.regions[0].row.revoked = true;
  EXPECT_EQ(Due(), 0u);
}
TEST_F(DueTest, NotUnderTheOperatorsKeyOrWithoutHealth) {
  status_.health.ok = false;
  EXPECT_EQ(Due(), 0u);
  status_.health.ok = true;
  model_.regions[0].row.root_is_escrow = true;
  EXPECT_EQ(Due(), 0u);
}
TEST_F(DueTest, NotInABusyOrDeletedCluster) {
  model_.regions[0].row.change_kind = kChangeRotate;
  EXPECT_EQ(Due(), 0u);
  model_.regions[0].row.change_kind.clear();
  EXPECT_EQ(Due(), 1u);
  model_.row.deleted_at = absl::UnixEpoch();
  EXPECT_EQ(Due(), 0u);
}

}  // namespace
}  // namespace latchkey
