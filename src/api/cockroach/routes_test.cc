#include "api/cockroach/routes.h"

#include <gtest/gtest.h>

#include <set>

namespace latchkey::cockroach {
namespace {

TEST(RoutesTest, FindsWhatIsBuilt) {
  const struct {
    const char* method;
    const char* path;
    Route route;
    const char* parameter;
  } kCases[] = {
      {"GET", "/api/v1/clusters", Route::kListClusters, ""},
      {"POST", "/api/v1/clusters", Route::kCreateCluster, ""},
      {"GET", "/api/v1/clusters/available-regions", Route::kListRegions, ""},
      {"GET", "/api/v1/clusters/abc", Route::kGetCluster, "abc"},
      {"GET", "/api/v1/clusters/a%62c", Route::kGetCluster, "abc"},
      {"PATCH", "/api/v1/clusters/abc", Route::kUpdateCluster, "abc"},
      {"DELETE", "/api/v1/clusters/abc", Route::kDeleteCluster, "abc"},
      {"GET", "/api/v1/clusters/abc/nodes", Route::kListNodes, "abc"},
      {"GET", "/api/v1/clusters/abc/backups-config", Route::kGetBackupsConfig, "abc"},
      {"GET", "/api/v1/clusters/abc/cmek", Route::kGetCmek, "abc"},
      {"POST", "/api/v1/clusters/abc/cmek", Route::kEnableCmek, "abc"},
      {"PUT", "/api/v1/clusters/abc/cmek", Route::kUpdateCmek, "abc"},
      {"PATCH", "/api/v1/clusters/abc/cmek", Route::kPatchCmek, "abc"},
      {"GET", "/api/v1/auditlogevents", Route::kListAudit, ""},
      {"GET", "/api/v1/organization", Route::kGetOrganization, ""},
      {"POST", "/api/v1/key-tests", Route::kTestKey, ""},
      {"DELETE", "/api/v1/latchkey/agents/x", Route::kRemoveAgent, "x"},
      {"GET", "/api/v1/latchkey/clusters/abc/nodes", Route::kNodeDetails, "abc"},
  };
  for (const auto& c : kCases) {
    const Match match = FindRoute(c.method, c.path);
    EXPECT_EQ(RouteName(match.route), RouteName(c.route)) << c.method << " " << c.path;
    EXPECT_EQ(match.parameters[0], c.parameter) << c.path;
  }
}

TEST(RoutesTest, TellsKnownFromUnknown) {
  for (const char* path : {"/api/v1/clusters/abc/sql-users", "/api/v1/folders", "/api/v1/clusters/abc/networking/allowlist",
                           "/api/v1/api-keys", "/api/v1/service-accounts", "/api/v1/clusters/abc/backups"}) {
    EXPECT_EQ(FindRoute("GET", path).route, Route::kUnimplemented) << path;
  }
  EXPECT_EQ(FindRoute("PATCH", "/api/v1/clusters/abc/backups-config").route, Route::kUnimplemented);
  EXPECT_EQ(FindRoute("POST", "/api/v1/roles/u/CLUSTER/c/CLUSTER_ADMIN").route, Route::kUnimplemented);
  for (const char* path : {"/api/v1/", "/api/v1", "/api/v1/nothing", "/api/v1/clusters/", "/api/v1//clusters", "/api/v1/clusters/abc/cmek/",
                           "/api/v2/clusters", "/api/v1/clusters/abc/cmek/more/and/more/and/more/and", "/api/v1/clusters/%zz"}) {
    EXPECT_EQ(FindRoute("GET", path).route, Route::kUnknown) << path;
  }
}

TEST(RoutesTest, AWrongMethodNamesTheRightOnes) {
  const Match match = FindRoute("DELETE", "/api/v1/clusters/abc/cmek");
  EXPECT_EQ(match.route, Route::kWrongMethod);
  EXPECT_EQ(match.allow, "GET, POST, PUT, PATCH");
  EXPECT_EQ(FindRoute("get", "/api/v1/clusters").route, Route::kWrongMethod);
}

TEST(RoutesTest, NamesAreDistinct) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kRouteCount; ++i) EXPECT_TRUE(names.insert(RouteName(static_cast<Route>(i))).second) << i;
}

}  // namespace
}  // namespace latchkey::cockroach
