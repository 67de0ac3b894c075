// What every engine below must do for the repositories.
#include <gtest/gtest.h>

#include "base/status.h"
#include "base/testing.h"
#include "store/agents.h"
#include "store/api_keys.h"
#include "store/audit.h"
#include "store/clusters.h"
#include "store/keks.h"
#include "store/keys.h"
#include "store/migrations.h"
#include "store/nodes.h"
#include "store/regions.h"
#include "store/settings.h"

namespace latchkey {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;

constexpr absl::Time At(int64_t seconds) { return absl::FromUnixSeconds(1'700'000'000 + seconds); }

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Database::Open({.path = folder_ / "store.db"});
    LK_ASSERT_OK(opened);
    database_ = *std::move(opened);
    LK_ASSERT_OK(Migrate(*database_, At(0)));
  }
  template <typename F>
  absl::Status Write(F body) {
    return database_->Write([&](Transaction& tx) -> absl::Status { return body(tx); });
  }
  static ClusterRow Cluster(const std::string& id, const std::string& name) {
    return {.id = id,
            .name = name,
            .provider = "AWS",
            .plan = "ADVANCED",
            .engine = "postgresql",
            .engine_version = "15",
            .creator_id = "LKEY1_x",
            .labels = R"({"team":"a"})",
            .delete_protection = "DISABLED",
            .network_visibility = "PRIVATE",
            .created_at = At(1),
            .updated_at = At(2)};
  }
  static AgentRow Agent(const std::string& id) {
    return {.id = id, .hostname = "h1", .region = "us-east-1", .advertise_host = "10.0.0.1", .serial = "aa", .joined_at = At(1)};
  }
  TempFolder folder_;
  std::unique_ptr<Database> database_;
};

TEST_F(StoreTest, SettingsAreReplacedAndSeriesRise) {
  LK_ASSERT_OK(Write([](Transaction& tx) -> absl::Status {
    Settings settings(tx);
    EXPECT_EQ(*settings.Get("organization"), std::nullopt);
    RETURN_IF_ERROR(settings.Put("organization", "one"));
    RETURN_IF_ERROR(settings.Put("organization", "two"));
    EXPECT_EQ(*settings.Get("organization"), "two");
    EXPECT_EQ(*settings.Next("a"), 1);
    EXPECT_EQ(*settings.Next("a"), 2);
    EXPECT_EQ(*settings.Next("b"), 1);
    return absl::OkStatus();
  }));
}

TEST_F(StoreTest, AuditEntriesStayForEver) {
  LK_ASSERT_OK(Write([](Transaction& tx) -> absl::Status {
    for (const char* action : {"CLUSTER_CREATE", "CMEK_REVOKE"}) {
      RETURN_IF_ERROR(AuditTrail(tx).Append(
          {.created_at = At(3), .source = "CLI", .action = action, .actor = "a", .remote = "r", .cluster_id = "c", .payload = "{}"}));
    }
    return absl::OkStatus();
  }));
  EXPECT_THAT(Write([](Transaction& tx) { return tx.Execute("UPDATE audit SET actor = 'somebody else' WHERE id = 1").status(); }),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Write([](Transaction& tx) { return tx.Execute("DELETE FROM audit").status(); }),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  LK_ASSERT_OK(Write([](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const auto all, AuditTrail(tx).List(0, 10));
    EXPECT_THAT(all, ElementsAre(Field(&AuditRow::action, "CLUSTER_CREATE"), Field(&AuditRow::action, "CMEK_REVOKE")));
    EXPECT_EQ(all[0].actor, "a");
    EXPECT_EQ(all[0].source, "CLI");
    EXPECT_EQ(all[0].created_at, At(3));
    ASSIGN_OR_RETURN(const auto later, AuditTrail(tx).List(1, 10));
    EXPECT_THAT(later, ElementsAre(Field(&AuditRow::id, 2)));
    return absl::OkStatus();
  }));
}

TEST_F(StoreTest, ApiKeysComeAndGo) {
  LK_ASSERT_OK(Write([](Transaction& tx) -> absl::Status {
    ApiKeys keys(tx);
    RETURN_IF_ERROR(keys.Insert({"LKEY1_a", "ci", "00ff", "local", At(1)}));
    EXPECT_EQ((*keys.Find("LKEY1_a"))->secret_sha256, "00ff");
    EXPECT_EQ((*keys.Find("LKEY1_a"))->name, "ci");
    EXPECT_EQ(keys.List()->size(), 1u);
    EXPECT_TRUE(*keys.Delete("LKEY1_a"));
    EXPECT_FALSE(*keys.Delete("LKEY1_a"));
    EXPECT_EQ(*keys.Find("LKEY1_a"), std::nullopt);
    return absl::OkStatus();
  }));
}

TEST_F(StoreTest, AJoinTokenWorksOnceAndNotAfterItsTime) {
  LK_ASSERT_OK(Write([](Transaction& tx) -> absl::Status {
    JoinTokens tokens(tx);
    RETURN_IF_ERROR(tokens.Insert({"t1", "ff", "local", At(0), At(3600), std::nullopt}));
    RETURN_IF_ERROR(tokens.Insert({"t2", "ff", "local", At(0), At(3600), std::nullopt}));
    EXPECT_TRUE(*tokens.Use("t1", At(10)));
    EXPECT_FALSE(*tokens.Use("t1", At(11)));
    EXPECT_FALSE(*tokens.Use("t2", At(3600)));
    EXPECT_FALSE(*tokens.Use("t3", At(10)));
    RETURN_IF_ERROR(tokens.DeleteExpired(At(3600)));
    EXPECT_EQ(*tokens.Find("t1"), std::nullopt);
    return absl::OkStatus();
  }));
}

TEST_F(StoreTest, AgentsKeepWhatTheySaid) {
  LK_ASSERT_OK(Write([](Transaction& tx) -> absl::Status {
    Agents agents(tx);
    AgentRow agent = Agent("a1");
    RETURN_IF_ERROR(agents.Insert(agent));
    agent.last_heard = At(9);
    agent.boot_id = "b2";
    agent.past_boots = "b1";
    agent.sequence = 7;
    agent.warnings = R"(["swap"])";
    agent.strays = R"(["n1"])";
    agent.version = "0.1";
    RETURN_IF_ERROR(agents.UpdateHeard(agent));
    RETURN_IF_ERROR(agents.UpdateSerials("a1", "bb", "aa"));
    EXPECT_EQ(*agents.RaiseVersion("a1"), 2);
    EXPECT_EQ(*agents.RaiseVersion("a1", 50), 50);
    EXPECT_EQ(*agents.RaiseVersion("a1", 50), 51);
    const AgentRow found = **agents.Find("a1");
    EXPECT_EQ(found.last_heard, At(9));
    EXPECT_EQ(found.boot_id, "b2");
    EXPECT_EQ(found.past_boots, "b1");
    EXPECT_EQ(found.sequence, 7);
    EXPECT_EQ(found.warnings, R"(["swap"])");
    EXPECT_EQ(found.strays, R"(["n1"])");
    EXPECT_EQ(found.version, "0.1");
    EXPECT_EQ(found.serial, "bb");
    EXPECT_EQ(found.previous_serial, "aa");
    EXPECT_EQ(found.desired_version, 51);
    EXPECT_EQ(found.removed_at, std::nullopt);
    RETURN_IF_ERROR(agents.Remove("a1", At(20)));
    EXPECT_EQ((*agents.List())[0].removed_at, At(20));
    EXPECT_EQ(agents.Remove("a1", At(21)).code(), absl::StatusCode::kNotFound);
    return absl::OkStatus();
  }));
}

TEST_F(StoreTest, AStoreFromBeforeStraysKeepsItsAgents) {
  LK_ASSERT_OK(Write([](Transaction& tx) -> absl::Status {
    RETURN_IF_ERROR(Agents(tx).Insert(Agent("a1")));
    RETURN_IF_ERROR(tx.Execute("ALTER TABLE agents DROP COLUMN strays").status());
    return tx.Execute("DELETE FROM schema_versions WHERE version = 2").status();
  }));
  LK_ASSERT_OK(Migrate(*database_, At(3)));
  LK_ASSERT_OK(Write([](Transaction& tx) -> absl::Status {
    const AgentRow found = **Agents(tx).Find("a1");
    EXPECT_EQ(found.hostname, "h1");
    EXPECT_EQ(found.strays, "[]");
    return absl::OkStatus();
  }));
}

TEST_F(StoreTest, TheNameOfADeletedClusterIsFreeAgain) {
  LK_ASSERT_OK(Write([](Transaction& tx) { return Clusters(tx).Insert(Cluster("c1", "orders")); }));
  EXPECT_THAT(Write([](Transaction& tx) { return Clusters(tx).Insert(Cluster("c2", "orders")); }),
              StatusIs(absl::StatusCode::kAlreadyExists));
  LK_ASSERT_OK(Write([](Transaction& tx) -> absl::Status {
    RETURN_IF_ERROR(Clusters(tx).MarkDeleted("c1", At(5)));
    RETURN_IF_ERROR(Clusters(tx).Insert(Cluster("c2", "orders")));
    const ClusterRow gone = **Clusters(tx).Find("c1");
    EXPECT_EQ(gone.deleted_at, At(5));
    EXPECT_EQ(gone.labels, R"({"team":"a"})");
    EXPECT_EQ(gone.created_at, At(1));
    EXPECT_EQ((**Clusters(tx).Find("c2")).deleted_at, std::nullopt);
    return absl::OkStatus();
  }));
}

TEST_F(StoreTest, ClustersArePagedByNameInBothDirections) {
  LK_ASSERT_OK(Write([](Transaction& tx) -> absl::Status {
    Clusters clusters(tx);
    for (const char* name : {"c", "a", "b"}) RETURN_IF_ERROR(clusters.Insert(Cluster(std::string("id-") + name, name)));
    RETURN_IF_ERROR(clusters.MarkDeleted("id-b", At(5)));
    const auto names = [&](const std::string& after, bool descending, bool deleted, int64_t limit) {
      std::string text;
      const auto found = clusters.Names(after, after.empty() ? "" : "id-" + after, descending, deleted, limit);
      for (const auto& n : *found) text += n.name;
      return text;
    };
    EXPECT_EQ(names("", false, true, 10), "abc");
    EXPECT_EQ(names("", false, false, 10), "ac");
    EXPECT_EQ(names("a", false, true, 1), "b");
    EXPECT_EQ(names("", true, true, 2), "cb");
    EXPECT_EQ(names("b", true, true, 2), "a");
    return absl::OkStatus();
  }));
}

WrappedKek Kek(const std::string& id, int64_t generation) {
  return {.id = id,
          .context = {"org", "c1", "us-east-1", generation},
          .created_at = "2026-01-01T00:00:00.000000Z",
          .root = {"LOCAL", "local://a", "", ""},
          .key_version = "",
          .ciphertext = "AAAA",
          .previous = std::nullopt,
          .link = ""};
}

TEST_F(StoreTest, RegionsComeByNameInWhateverOrderTheyWereGiven) {
  LK_ASSERT_OK(Write([](Transaction& tx) -> absl::Status {
    RETURN_IF_ERROR(Clusters(tx).Insert(Cluster("c1", "orders")));
    for (const char* name : {"us-west-2", "eu-west-1", "us-east-1"})
      RETURN_IF_ERROR(Regions(tx).Insert({.cluster_id = "c1", .name = name, .root = {"LOCAL", "local://escrow", "", ""}}));
    EXPECT_THAT(*Regions(tx).OfCluster("c1"), ElementsAre(Field(&RegionRow::name, "eu-west-1"), Field(&RegionRow::name, "us-east-1"),
                                                          Field(&RegionRow::name, "us-west-2")));
    return absl::OkStatus();
  }));
}

TEST_F(StoreTest, RegionsNodesKeysAndKeksHangOnTheirCluster) {
  LK_ASSERT_OK(Write([](Transaction& tx) -> absl::Status {
    RETURN_IF_ERROR(Clusters(tx).Insert(Cluster("c1", "orders")));
    RETURN_IF_ERROR(Agents(tx).Insert(Agent("a1")));
    RegionRow region{.cluster_id = "c1", .name = "us-east-1", .change_kind = "CREATE", .root = {"LOCAL", "local://escrow", "p", "e"}};
    RETURN_IF_ERROR(Regions(tx).Insert(region));
    region.generation = 5;
    region.change_kind = "ENABLE";
    region.change_generation = 4;
    region.root = {"AWS_KMS", "arn", "role", "org"};
    region.root_is_escrow = false;
    region.kek_generation = 2;
    region.dek_generation = 3;
    region.owner_dek_generation = 3;
    region.revoked = true;
    region.revoked_by = "ann";
    region.revoked_at = At(8);
    region.revoked_generation = 5;
    region.notice = "look";
    RETURN_IF_ERROR(Regions(tx).Update(region, 1));
    EXPECT_EQ(Regions(tx).Update(region, 1).code(), absl::StatusCode::kAborted);
    const auto regions = *Regions(tx).OfCluster("c1");
    EXPECT_EQ(regions.size(), 1u);
    const RegionRow& r = regions[0];
    EXPECT_EQ(r.generation, 5);
    EXPECT_EQ(r.change_kind, "ENABLE");
    EXPECT_EQ(r.change_generation, 4);
    EXPECT_EQ(r.root, region.root);
    EXPECT_FALSE(r.root_is_escrow);
    EXPECT_EQ(r.kek_generation, 2);
    EXPECT_EQ(r.dek_generation, 3);
    EXPECT_EQ(r.owner_dek_generation, 3);
    EXPECT_TRUE(r.revoked);
    EXPECT_EQ(r.revoked_by, "ann");
    EXPECT_EQ(r.revoked_at, At(8));
    EXPECT_EQ(r.revoked_generation, 5);
    EXPECT_EQ(r.notice, "look");

    Nodes nodes(tx);
    RETURN_IF_ERROR(nodes.Insert(
        {.id = "n1", .cluster_id = "c1", .region = "us-east-1", .name = "orders-us-east-1-1", .agent_id = "a1", .created_at = At(1)}));
    EXPECT_TRUE(*nodes.SetVolume("n1", "v1"));
    EXPECT_FALSE(*nodes.SetVolume("n1", "v2"));
    RETURN_IF_ERROR(nodes.SetReport("n1", "{}", At(9)));
    RETURN_IF_ERROR(nodes.SetToldOpen("n1"));
    const NodeRow node = (*nodes.OfCluster("c1"))[0];
    EXPECT_EQ(node.volume_id, "v1");
    EXPECT_TRUE(node.told_open);
    EXPECT_FALSE(node.gone);
    EXPECT_EQ(node.report, "{}");
    EXPECT_EQ(node.reported_at, At(9));
    EXPECT_EQ(*nodes.CountOfAgent("a1"), 1);
    EXPECT_EQ((*nodes.OfAgent("a1"))[0].cluster_id, "c1");
    RETURN_IF_ERROR(nodes.SetGone("n1"));
    EXPECT_EQ(*nodes.CountOfAgent("a1"), 0);
    EXPECT_THAT(*nodes.OfAgent("a1"), IsEmpty());

    RegionKeys keys(tx);
    for (int64_t position : {1, 2}) {
      RETURN_IF_ERROR(keys.Insert({.id = absl::StrCat("k", position),
                                   .cluster_id = "c1",
                                   .region = "us-east-1",
                                   .position = position,
                                   .key = {"AWS_KMS", " odd  uri ", "role", "org"},
                                   .status = "ENABLING",
                                   .created_at = At(1),
                                   .updated_at = At(1)}));
    }
    RETURN_IF_ERROR(keys.SetStatus("k1", "DISABLED", At(7)));
    const auto history = *keys.OfCluster("c1");
    EXPECT_THAT(history, ElementsAre(Field(&RegionKeyRow::id, "k2"), Field(&RegionKeyRow::id, "k1")));
    EXPECT_EQ(history[1].key.uri, " odd  uri ");
    EXPECT_EQ(history[1].updated_at, At(7));
    EXPECT_EQ(history[1].created_at, At(1));

    Keks keks(tx);
    EXPECT_TRUE(*keks.InsertFirst(Kek("00112233445566778899aabbccddeeff", 1), At(1)));
    EXPECT_FALSE(*keks.InsertFirst(Kek("10112233445566778899aabbccddeeff", 1), At(1)));
    EXPECT_FALSE(*keks.InsertFirst(Kek("00112233445566778899aabbccddeeff", 2), At(1)));
    return absl::OkStatus();
  }));
}

}  // namespace
}  // namespace latchkey
