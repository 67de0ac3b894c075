#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>

#include "control/control_testing.h"

namespace latchkey {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class ClusterTest : public ControlTest {};

TEST_F(ClusterTest, ANewClusterIsCreatingUntilItsNodeRuns) {
  const auto host = Host();
  CreateCluster request;
  request.name = "orders-1";
  request.provider = "AWS";
  request.region_nodes = {{"us-east-1", 1}};
  request.labels = {{"team", "a"}};
  const auto cluster = control_->clusters().Create(caller_, request);
  LK_ASSERT_OK(cluster);
  EXPECT_EQ(cluster->state, "CREATING");
  EXPECT_EQ(cluster->operation_status, "UNSPECIFIED");
  EXPECT_EQ(cluster->creator_id, "LKEY1_test");
  EXPECT_EQ(cluster->labels.at("team"), "a");
  EXPECT_EQ(cluster->account_id, "latchkey");
  EXPECT_EQ(cluster->engine, "postgresql");
  EXPECT_THAT(cluster->regions, ElementsAre(Field(&RegionNodes::region, "us-east-1")));
  auto nodes = control_->clusters().Nodes(cluster->id, "");
  LK_ASSERT_OK(nodes);
  ASSERT_THAT(*nodes, SizeIs(1));
  EXPECT_EQ((*nodes)[0].name, "orders-1-us-east-1-1");
  EXPECT_EQ((*nodes)[0].status, "NOT_READY");
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(State(cluster->id), "CREATED");
  nodes = control_->clusters().Nodes(cluster->id, "us-east-1");
  EXPECT_EQ((*nodes)[0].status, "LIVE");
  EXPECT_EQ((*nodes)[0].endpoint_host, "h1.example");
  EXPECT_EQ((*nodes)[0].endpoint_port, 5432);
  EXPECT_EQ((*nodes)[0].volume_state, "OPEN");
  EXPECT_THAT(*control_->clusters().Nodes(cluster->id, "mars-1"), IsEmpty());
  EXPECT_THAT(AuditOf("CLUSTER_CREATE"), ElementsAre(Field(&AuditEntry::cluster_name, "orders-1")));
}

TEST_F(ClusterTest, BadRequestsNameTheField) {
  const auto host = Host();
  const auto with = [&](const std::function<void(CreateCluster&)>& change) {
    CreateCluster request;
    request.name = "orders-1";
    request.provider = "AWS";
    request.region_nodes = {{"us-east-1", 1}};
    change(request);
    return control_->clusters().Create(caller_, request).status();
  };
  using absl::StatusCode;
  EXPECT_THAT(with([](auto& r) { r.name = "short"; }), StatusIs(StatusCode::kInvalidArgument, HasSubstr("name:")));
  EXPECT_THAT(with([](auto& r) { r.name = "-orders"; }), StatusIs(StatusCode::kInvalidArgument, HasSubstr("name:")));
  EXPECT_THAT(with([](auto& r) { r.name = "Orders-1"; }), StatusIs(StatusCode::kInvalidArgument, HasSubstr("name:")));
  EXPECT_THAT(with([](auto& r) { r.name = std::string(21, 'a'); }), StatusIs(StatusCode::kInvalidArgument, HasSubstr("name:")));
  EXPECT_THAT(with([](auto& r) { r.provider = "OCI"; }), StatusIs(StatusCode::kInvalidArgument, HasSubstr("provider")));
  EXPECT_THAT(with([](auto& r) { r.plan = "BASIC"; }), StatusIs(StatusCode::kUnimplemented, HasSubstr("plan")));
  EXPECT_THAT(with([](auto& r) { r.plan = "GOLD"; }), StatusIs(StatusCode::kInvalidArgument, HasSubstr("plan")));
  EXPECT_THAT(with([](auto& r) { r.delete_protection = "MAYBE"; }), StatusIs(StatusCode::kInvalidArgument, HasSubstr("delete_protection")));
  EXPECT_THAT(with([](auto& r) { r.region_nodes.clear(); }), StatusIs(StatusCode::kInvalidArgument, HasSubstr("region_nodes")));
  EXPECT_THAT(with([](auto& r) { r.region_nodes = {{"mars-1", 1}}; }),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("region_nodes.mars-1")));
  EXPECT_THAT(with([](auto& r) { r.region_nodes = {{"us-east-1", 0}}; }), StatusIs(StatusCode::kInvalidArgument, HasSubstr("us-east-1")));
  EXPECT_THAT(with([](auto& r) { r.region_nodes = {{"us-east-1", 3}}; }), StatusIs(StatusCode::kUnimplemented, HasSubstr("region_nodes")));
  EXPECT_THAT(control_->clusters().List({}, true)->clusters, IsEmpty());
  EXPECT_THAT(AuditOf("CLUSTER_CREATE"), SizeIs(12));
}

TEST_F(ClusterTest, NamesAreTakenUntilTheirClusterIsDeleted) {
  const auto host = Host();
  const std::string id = Running(*host);
  EXPECT_THAT(Create(), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("name")));
  LK_ASSERT_OK(control_->clusters().Delete(caller_, id));
  LK_EXPECT_OK(Create());
}

TEST_F(ClusterTest, ARegionWhoseHostsAreSilentIsUnavailable) {
  const auto host = Host();
  clock_.Advance(absl::Seconds(61));
  EXPECT_THAT(Create(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("us-east-1")));
  EXPECT_THAT(*control_->clusters().AvailableRegions("AWS"), ElementsAre(Field(&RegionView::name, "us-east-1")));
}

TEST_F(ClusterTest, NodesGoToTheHostWithTheFewest) {
  const auto h1 = Host("h1"), h2 = Host("h2"), far = Host("h3", "eu-west-1");
  std::vector<std::string> hosts;
  for (const char* name : {"orders-1", "orders-2", "orders-3", "orders-4"}) {
    const auto cluster = Create(name);
    LK_ASSERT_OK(cluster);
    hosts.push_back((*control_->clusters().Nodes(cluster->id, ""))[0].host_name);
  }
  EXPECT_EQ(std::count(hosts.begin(), hosts.end(), "h1"), 2);
  EXPECT_EQ(std::count(hosts.begin(), hosts.end(), "h2"), 2);
  EXPECT_THAT(*control_->clusters().AvailableRegions(""), SizeIs(2));
}

TEST_F(ClusterTest, AnEngineThatFailsToStartFailsTheCreationUntilItStarts) {
  const auto host = Host();
  bool broken = true;
  host->tweak = [&](ObservedNode& seen) {
    if (broken) seen.engine = EngineState::kFailed, seen.engine_message = "no space left";
  };
  const auto cluster = Create();
  LK_ASSERT_OK(cluster);
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(State(cluster->id), "CREATION_FAILED");
  EXPECT_EQ((*control_->clusters().Nodes(cluster->id, ""))[0].problem, "no space left");
  broken = false;
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(State(cluster->id), "CREATED");
}

TEST_F(ClusterTest, DeletingIsFinalAndTheHostIsToldUntilTheVolumeIsGone) {
  const auto host = Host();
  const std::string id = Running(*host);
  const auto deleted = control_->clusters().Delete(caller_, id);
  LK_ASSERT_OK(deleted);
  EXPECT_EQ(deleted->state, "DELETED");
  EXPECT_TRUE(deleted->deleted_at.has_value());
  LK_ASSERT_OK(host->Sync());
  EXPECT_TRUE(host->only_desired().deleted);
  EXPECT_EQ(host->only_desired().volume_id, host->only().volume_id);
  LK_ASSERT_OK(host->Sync());
  EXPECT_THAT(host->desired(), SizeIs(1)) << "silence is no deletion";
  EXPECT_THAT(*control_->clusters().Nodes(id, ""), SizeIs(1)) << "its data is still there";
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(host->only().volume, VolumeState::kDeleted);
  EXPECT_THAT(*control_->clusters().Nodes(id, ""), IsEmpty());
  EXPECT_THAT(host->desired(), IsEmpty());
  LK_EXPECT_OK(control_->clusters().Delete(caller_, id));
  EXPECT_THAT(AuditOf("CLUSTER_DELETE"), SizeIs(1));
  EXPECT_THAT(control_->cmek().Get(id), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(control_->cmek().Revoke(caller_, id), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(State(id), "DELETED");
  EXPECT_THAT(control_->clusters().List({}, false)->clusters, IsEmpty());
  EXPECT_THAT(control_->clusters().List({}, true)->clusters, SizeIs(1));
}

TEST_F(ClusterTest, DeletingSupersedesWhateverIsUnderWay) {
  const auto host = Host();
  const auto cluster = Create();
  LK_ASSERT_OK(cluster);
  LK_ASSERT_OK(control_->clusters().Delete(caller_, cluster->id));
  LK_ASSERT_OK(host->Sync());
  EXPECT_THAT(host->desired(), IsEmpty()) << "it was never told of the node";
  EXPECT_THAT(*control_->clusters().Nodes(cluster->id, ""), IsEmpty());
}

TEST_F(ClusterTest, AProtectedClusterIsNotDeletedUntilItsProtectionIsTakenAway) {
  const auto host = Host();
  CreateCluster request;
  request.name = "orders-1";
  request.provider = "AWS";
  request.region_nodes = {{"us-east-1", 1}};
  request.delete_protection = "ENABLED";
  const auto cluster = control_->clusters().Create(caller_, request);
  LK_ASSERT_OK(cluster);
  EXPECT_THAT(control_->clusters().Delete(caller_, cluster->id),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("delete_protection")));
  LK_ASSERT_OK(host->Settle());
  EXPECT_EQ(State(cluster->id), "CREATED");
  for (int i = 0; i < 2; ++i) {
    const auto open = control_->clusters().SetDeleteProtection(caller_, cluster->id, false);
    LK_ASSERT_OK(open);
    EXPECT_EQ(open->delete_protection, "DISABLED");
  }
  ASSERT_THAT(AuditOf("CLUSTER_UPDATE"), SizeIs(1));
  EXPECT_THAT(AuditOf("CLUSTER_UPDATE")[0].payload, HasSubstr("DISABLED"));
  LK_ASSERT_OK(control_->clusters().SetDeleteProtection(caller_, cluster->id, true));
  EXPECT_THAT(control_->clusters().Delete(caller_, cluster->id), StatusIs(absl::StatusCode::kFailedPrecondition));
  LK_ASSERT_OK(control_->clusters().SetDeleteProtection(caller_, cluster->id, false));
  LK_ASSERT_OK(control_->clusters().Delete(caller_, cluster->id));
  EXPECT_THAT(control_->clusters().SetDeleteProtection(caller_, cluster->id, true), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ClusterTest, ProtectionIsNotLiftedWhileSomethingIsUnderWay) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnablingWith(*host, id, "a");
  ASSERT_EQ(State(id), "LOCKED");
  LK_EXPECT_OK(control_->clusters().SetDeleteProtection(caller_, id, true)) << "delete is not refused, so this is not";
  EXPECT_THAT(control_->clusters().SetDeleteProtection(caller_, id, false),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("us-east-1 is ENABLING")));
  EXPECT_EQ(control_->clusters().Get(id)->delete_protection, "ENABLED");
  ASSERT_THAT(AuditOf("CLUSTER_UPDATE"), SizeIs(2));
  const std::vector<AuditEntry> entries = AuditOf("CLUSTER_UPDATE");
  EXPECT_EQ(std::count_if(entries.begin(), entries.end(), [](const AuditEntry& e) { return e.error.find("busy") != std::string::npos; }),
            1);
  LK_EXPECT_OK(control_->clusters().SetDeleteProtection(caller_, id, true)) << "it is as asked";
  // A revocation takes the place of what was under way, and leaves nothing busy: neither while it goes on nor afterwards.
  LK_ASSERT_OK(control_->cmek().Revoke(caller_, id));
  LK_EXPECT_OK(control_->clusters().SetDeleteProtection(caller_, id, false));
  LK_EXPECT_OK(control_->clusters().SetDeleteProtection(caller_, id, true));
  host->obedient = true;
  LK_ASSERT_OK(host->Settle());
  ASSERT_EQ(Cmek(id).status, "REVOKED");
  LK_EXPECT_OK(control_->clusters().SetDeleteProtection(caller_, id, false));
}

TEST_F(ClusterTest, AProtectedClusterWhoseCreationNeverEndsCanBeDeleted) {
  const auto host = Host();
  CreateCluster request{.name = "orders-1", .provider = "AWS", .region_nodes = {{"us-east-1", 1}}};
  request.delete_protection = "ENABLED";
  const auto cluster = control_->clusters().Create(caller_, request);
  LK_ASSERT_OK(cluster);
  ASSERT_EQ(State(cluster->id), "CREATING");
  LK_ASSERT_OK(control_->clusters().SetDeleteProtection(caller_, cluster->id, false));
  LK_EXPECT_OK(control_->clusters().Delete(caller_, cluster->id));
}

TEST_F(ClusterTest, RegionsAreSortedByNameEverywhere) {
  const auto host = Host();
  const std::string id = Running(*host);
  EnabledWith(*host, id, "a");
  control_.reset();
  // The second region comes from the store: clusters of more than one cannot be asked for yet.
  sqlite3* store = nullptr;
  ASSERT_EQ(sqlite3_open((folder_ / "server.db").c_str(), &store), SQLITE_OK);
  for (const char* statement : {
           "CREATE TEMP TABLE more AS SELECT * FROM regions",
           "UPDATE more SET name = 'ap-south-1'",
           "INSERT INTO regions SELECT * FROM more",
           "CREATE TEMP TABLE keys AS SELECT * FROM region_keys",
           "UPDATE keys SET region = 'ap-south-1', id = id || '-2'",
           "INSERT INTO region_keys SELECT * FROM keys",
       }) {
    ASSERT_EQ(sqlite3_exec(store, statement, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(store);
  }
  sqlite3_close(store);
  Open();
  EXPECT_THAT(control_->clusters().Get(id)->regions,
              ElementsAre(Field(&RegionNodes::region, "ap-south-1"), Field(&RegionNodes::region, "us-east-1")));
  EXPECT_THAT(Cmek(id).regions, ElementsAre(Field(&CmekRegionView::region, "ap-south-1"), Field(&CmekRegionView::region, "us-east-1")));
}

TEST_F(ClusterTest, ListsArePaged) {
  const auto host = Host();
  for (const char* name : {"orders-3", "orders-1", "orders-2"}) LK_ASSERT_OK(Create(name));
  Page page{.after = "", .limit = 2, .descending = false};
  auto first = control_->clusters().List(page, false);
  LK_ASSERT_OK(first);
  EXPECT_THAT(first->clusters, ElementsAre(Field(&ClusterView::name, "orders-1"), Field(&ClusterView::name, "orders-2")));
  page.after = first->next;
  const auto second = control_->clusters().List(page, false);
  EXPECT_THAT(second->clusters, ElementsAre(Field(&ClusterView::name, "orders-3")));
  EXPECT_EQ(second->next, "");
  page.after = "???";
  EXPECT_THAT(control_->clusters().List(page, false), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pagination.page")));
  EXPECT_THAT(control_->clusters().List({.limit = 501}, false), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(control_->clusters().Get("nowhere"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nowhere")));
}

TEST_F(ClusterTest, AStoppedServerIsNotReadyAndASecondOneIsRefused) {
  LK_EXPECT_OK(control_->Ready());
  ControlOptions options;
  options.database = folder_ / "server.db";
  EXPECT_THAT(Control::Open(options).status(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another latchkey server")));
  control_->Stop();
  EXPECT_THAT(control_->Ready(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ClusterTest, IdentityStaysOverRestartsAndTheListenerCertificateLivesAsLongAsItsCa) {
  const std::string organization = control_->organization_id(), ca = control_->agents().ca_pem(),
                    listener = control_->agent_listener_certificate_pem();
  Reopen();
  EXPECT_EQ(control_->organization_id(), organization);
  EXPECT_EQ(control_->agents().ca_pem(), ca);
  EXPECT_EQ(control_->agent_listener_certificate_pem(), listener);
  EXPECT_THAT(control_->agent_listener_key_pem(), HasSubstr("PRIVATE KEY"));
  const auto facts = ReadCertificate(listener);
  LK_ASSERT_OK(facts);
  EXPECT_GT(facts->not_after - clock_.Now(), absl::Hours(24 * 365 * 19));
  EXPECT_LE(facts->not_after, ReadCertificate(ca)->not_after);
  clock_.Advance(absl::Hours(24 * 365 * 10));
  Reopen();
  EXPECT_EQ(control_->agents().ca_pem(), ca);
  EXPECT_EQ(control_->agent_listener_certificate_pem(), listener);
}

class ApiKeyTest : public ControlTest {
 protected:
  absl::StatusOr<Caller> Try(const NewApiKey& key) { return control_->api_keys().Authenticate(key.secret.RevealText(SecretAccess{})); }
};

TEST_F(ApiKeyTest, ASecretIsGoodUntilItsKeyIsDeleted) {
  const auto key = control_->api_keys().Create(caller_, "ci");
  LK_ASSERT_OK(key);
  EXPECT_THAT(key->id, testing::MatchesRegex("LKEY1_[A-Za-z0-9]{22}"));
  EXPECT_THAT(std::string(key->secret.RevealText(SecretAccess{})), testing::MatchesRegex(key->id + "_[A-Za-z0-9]{40}"));
  const auto caller = Try(*key);
  LK_ASSERT_OK(caller);
  EXPECT_EQ(caller->api_key_id, key->id);
  EXPECT_EQ(caller->name, "ci");
  LK_EXPECT_OK(Try(*key));
  std::string wrong(key->secret.RevealText(SecretAccess{}));
  wrong.back() = wrong.back() == 'a' ? 'b' : 'a';
  EXPECT_THAT(control_->api_keys().Authenticate(wrong), StatusIs(absl::StatusCode::kUnauthenticated));
  for (const char* bad : {"", "LKEY1_", "x"})
    EXPECT_THAT(control_->api_keys().Authenticate(bad), StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(*control_->api_keys().List(), ElementsAre(Field(&ApiKeyView::name, "ci")));
  LK_ASSERT_OK(control_->api_keys().Delete(caller_, key->id));
  EXPECT_THAT(Try(*key), StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(control_->api_keys().Delete(caller_, key->id), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(control_->api_keys().Create(caller_, ""), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name")));
}

TEST_F(ApiKeyTest, NoSecretIsInTheDatabase) {
  const auto key = control_->api_keys().Create(caller_, "ci");
  LK_ASSERT_OK(key);
  const auto token = control_->agents().CreateJoinToken(caller_);
  LK_ASSERT_OK(token);
  control_.reset();
  std::string all;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    std::FILE* file = std::fopen(entry.path().c_str(), "r");
    char buffer[65536];
    for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) all.append(buffer, n);
    std::fclose(file);
  }
  EXPECT_NE(all.find(key->id), std::string::npos);
  EXPECT_EQ(all.find(std::string(key->secret.RevealText(SecretAccess{})).substr(key->id.size() + 1)), std::string::npos);
  EXPECT_EQ(all.find(token->secret), std::string::npos);
}

}  // namespace
}  // namespace latchkey
