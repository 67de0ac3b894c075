#include "api/cockroach/clusters.h"

#include "api/cockroach/api_fixture.h"

namespace latchkey::cockroach {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// As the Terraform provider sends it.
constexpr const char* kProviderBody =
    R"({"name":"orders-db","provider":"AWS","spec":{"dedicated":{"hardware":{"machine_spec":{"num_virtual_cpus":4},"storage_gib":35},
 "network_visibility":"PRIVATE","region_nodes":{"us-east-1":1},"supports_cluster_virtualization":false},"delete_protection":"DISABLED"}})";

TEST_F(ApiTest, TheBodyOfTheTerraformProviderCreatesACluster) {
  const HttpResponse response = Ask("POST", "/clusters", kProviderBody);
  ASSERT_EQ(response.status, 200) << response.body;
  const CreateCluster& created = control_.fake_clusters.last_created;
  EXPECT_EQ(created.name, "orders-db");
  EXPECT_EQ(created.provider, "AWS");
  EXPECT_EQ(created.plan, "ADVANCED");
  EXPECT_EQ(created.region_nodes.at("us-east-1"), 1);
  EXPECT_EQ(created.network_visibility, "PRIVATE");
  EXPECT_EQ(Body(response).at("state").as_string(), "CREATING");
}

TEST_F(ApiTest, TheSizeOfTheMachineComesBackAsItWasAskedForAndIsNoLabel) {
  const json::object body = Body(Ask("POST", "/clusters", kProviderBody));
  const json::value& hardware = body.at("config").at("dedicated");
  EXPECT_EQ(hardware.at("num_virtual_cpus").as_int64(), 4);
  EXPECT_EQ(hardware.at("storage_gib").as_int64(), 35);
  EXPECT_EQ(hardware.at("disk_iops").as_int64(), 0);
  EXPECT_TRUE(body.at("labels").as_object().empty());
}

TEST_F(ApiTest, ThePlanMayStandAtTheTopOrInTheSpec) {
  for (
      const char* body :
      {R"({"name":"orders-db","provider":"AWS","plan":"ADVANCED","spec":{"dedicated":{"region_nodes":{"us-east-1":1}}}})",
       R"({"name":"orders-db","provider":"AWS","spec":{"plan":"ADVANCED","dedicated":{"region_nodes":{"us-east-1":1}}}})",
       R"({"name":"orders-db","provider":"AWS","plan":"ADVANCED","spec":{"plan":"ADVANCED","dedicated":{"region_nodes":{"us-east-1":1}}}})"}) {
    EXPECT_EQ(Ask("POST", "/clusters", body).status, 200) << body;
    EXPECT_EQ(control_.fake_clusters.last_created.plan, "ADVANCED");
  }
}

TEST_F(ApiTest, FieldsOfNewerClientsAreLeftAloneWhenTheyAskForNothing) {
  const HttpResponse response =
      Ask("POST", "/clusters",
          R"({"name":"orders-db","provider":"GCP","new":null,"spec":{"parent_id":"root","labels":{"team":"a"},"newer":[],
          "dedicated":{"region_nodes":{"us-east-1":1},"cockroach_version":"","cidr_range":"","region_machine_specs":{},
              "supports_cluster_virtualization":false,"restrict_egress_traffic":false,"from_the_future":{"enabled":false,"list":[{},{"size":0}]},"count":0,"share":0.0,
              "hardware":{"storage_gib":35,"word":"","machine_spec":{"num_virtual_cpus":4,"gpu":false}}}}})");
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(control_.fake_clusters.last_created.labels.at("team"), "a");
}

TEST_F(ApiTest, MoreThanOneNodeIsWhatTheServiceSays) {
  control_.fake_clusters.failure = absl::UnimplementedError("spec.dedicated.region_nodes: PostgreSQL clusters have one node");
  const HttpResponse response =
      Ask("POST", "/clusters", R"({"name":"orders-db","provider":"AWS","spec":{"dedicated":{"region_nodes":{"a":1,"b":2}}}})");
  EXPECT_EQ(response.status, 501);
  EXPECT_THAT(Error(response), HasSubstr("12: UNIMPLEMENTED: spec.dedicated.region_nodes"));
}

TEST_F(ApiTest, AClusterIsPrintedWithEveryFieldThatClientsRequire) {
  const json::object body = Body(Ask("GET", Cluster()));
  for (const char* name : {"id", "name", "cockroach_version", "plan", "cloud_provider", "state", "creator_id", "operation_status", "config",
                           "regions", "cidr_range", "upgrade_status", "labels"}) {
    ASSERT_TRUE(body.contains(name)) << name;
    EXPECT_FALSE(body.at(name).is_null()) << name;
  }
  EXPECT_EQ(body.at("created_at").as_string(), "2023-11-14T22:13:20.123456Z");
  EXPECT_TRUE(body.at("deleted_at").is_null());
  EXPECT_EQ(body.at("sql_dns").as_string(), "db1.example.com");
  const json::value& region = body.at("regions").at(0);
  for (const char* name : {"name", "sql_dns", "ui_dns", "internal_dns", "private_endpoint_dns", "node_count"}) {
    EXPECT_TRUE(region.as_object().contains(name)) << name;
  }
  EXPECT_EQ(Ask("GET", Cluster()).body, Ask("GET", Cluster()).body);
}

TEST_F(ApiTest, ListingPassesThePageOnAndPrintsTheCursor) {
  const HttpResponse response =
      Ask("GET", "/clusters?pagination.limit=7&pagination.sort_order=DESC&pagination.page=abc&show_inactive=true&pagination.sort_by=NAME");
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(control_.fake_clusters.last_page.limit, 7);
  EXPECT_TRUE(control_.fake_clusters.last_page.descending);
  EXPECT_EQ(control_.fake_clusters.last_page.after, "abc");
  EXPECT_TRUE(control_.fake_clusters.last_show_inactive);
  EXPECT_TRUE(Body(response).at("pagination").is_null());
}

TEST_F(ApiTest, DeletingAnswersWithTheCluster) {
  EXPECT_EQ(Body(Ask("DELETE", Cluster())).at("state").as_string(), "DELETED");
  EXPECT_THAT(control_.changes.all(), ElementsAre("clusters.delete"));
}

TEST_F(ApiTest, NodesAreReadPageByPageInEitherOrder) {
  control_.fake_clusters.nodes.clear();
  for (const char* name : {"n1", "n2", "n3"}) {
    NodeView node = SampleNode();
    node.name = name;
    control_.fake_clusters.nodes.push_back(node);
  }
  for (const std::string& order : {std::string("ASC"), std::string("DESC")}) {
    std::string names, page;
    for (int i = 0; i < 3; ++i) {
      const json::object body =
          Body(Ask("GET", Cluster("/nodes?pagination.limit=1&pagination.sort_order=" + order + "&pagination.page=" + page)));
      ASSERT_EQ(body.at("nodes").as_array().size(), 1u);
      names += body.at("nodes").at(0).at("name").as_string().c_str();
      page = i < 2 ? body.at("pagination").at("next_page").as_string().c_str() : "";
      EXPECT_EQ(body.at("pagination").is_null(), i == 2);
    }
    EXPECT_EQ(names, order == "ASC" ? "n1n2n3" : "n3n2n1");
  }
  EXPECT_EQ(Body(Ask("GET", Cluster("/nodes?region_name=elsewhere"))).at("nodes").as_array().size(), 0u);
}

TEST_F(ApiTest, ANodeInDetailTellsOfVolumeEngineAndLease) {
  const json::object body = Body(Ask("GET", "/latchkey" + Cluster("/nodes")));
  const json::value& node = body.at("nodes").at(0);
  EXPECT_EQ(node.at("volume").at("state").as_string(), "OPEN");
  EXPECT_TRUE(node.at("volume").at("seal_reason").is_null());
  EXPECT_EQ(node.at("engine").at("state").as_string(), "RUNNING");
  EXPECT_EQ(node.at("lease_end").as_string(), "2026-01-02T04:04:05.000006Z");
  EXPECT_EQ(node.at("endpoint").at("port").as_int64(), 5432);
}

TEST_F(ApiTest, RegionsAreThoseThatAnAgentServes) {
  const json::object body = Body(Ask("GET", "/clusters/available-regions?provider=AWS"));
  EXPECT_EQ(body.at("regions").at(0).at("name").as_string(), "us-east-1");
  EXPECT_EQ(Body(Ask("GET", "/clusters/available-regions?provider=GCP")).at("regions").as_array().size(), 0u);
  EXPECT_EQ(Body(Ask("GET", "/clusters/available-regions?serverless=true")).at("regions").as_array().size(), 0u);
}

TEST_F(ApiTest, DeleteProtectionIsWhatCanBeChangedOfACluster) {
  const HttpResponse on = Ask("PATCH", Cluster(), R"({"delete_protection":"ENABLED"})");
  EXPECT_EQ(on.status, 200) << on.body;
  EXPECT_EQ(Body(on).at("delete_protection").as_string(), "ENABLED");
  EXPECT_EQ(Body(Ask("PATCH", Cluster(), R"({"delete_protection":"DISABLED"})")).at("delete_protection").as_string(), "DISABLED");
  EXPECT_EQ(Ask("PATCH", "/clusters/" + std::string(kOtherCluster), R"({"delete_protection":"DISABLED"})").status, 404);
  EXPECT_THAT(control_.changes.all(), testing::ElementsAre("clusters.protect", "clusters.unprotect"));
}

TEST_F(ApiTest, BackupsAreSaidToBeDisabled) {
  EXPECT_EQ(Ask("GET", Cluster("/backups-config")).body, R"({"enabled":false,"frequency_minutes":1440,"retention_days":30})");
  EXPECT_EQ(Ask("PATCH", Cluster("/backups-config"), R"({"enabled":true})").status, 501);
}

}  // namespace
}  // namespace latchkey::cockroach
