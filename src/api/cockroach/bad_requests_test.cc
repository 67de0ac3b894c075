// Bad input gets one clear error that names the field, and changes nothing.
#include "api/cockroach/api_fixture.h"

namespace latchkey::cockroach {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

struct BadRequest {
  const char* name;
  const char* method;
  const char* path;  // "@" stands for the cluster's path
  const char* body;
  int status;
  const char* says;
};

void PrintTo(const BadRequest& bad, std::ostream* out) { *out << bad.name; }

class BadRequestTest : public ApiTest, public testing::WithParamInterface<BadRequest> {};

TEST_P(BadRequestTest, NamesTheFieldAndChangesNothing) {
  const BadRequest& bad = GetParam();
  std::string path = bad.path;
  if (path[0] == '@') path = Cluster(path.substr(1));
  const HttpResponse response = Ask(bad.method, path, bad.body);
  EXPECT_EQ(response.status, bad.status) << response.body;
  EXPECT_THAT(Error(response), HasSubstr(bad.says));
  EXPECT_EQ(Body(response).at("code").as_int64(), bad.status == 501 ? 12 : 3);
  EXPECT_THAT(control_.changes.all(), IsEmpty());
}

#define SPEC(inner) R"({"region_specs":[)" inner R"(]})"
#define KEY(inner) SPEC(R"({"region":"r","key_spec":{)" inner R"(}})")

constexpr BadRequest kCmek[] = {
    {"NoBody", "POST", "@/cmek", "", 400, "not JSON"},
    {"NotJson", "POST", "@/cmek", "{", 400, "not JSON"},
    {"NotAnObject", "POST", "@/cmek", "[]", 400, "must be an object"},
    {"TwoValues", "POST", "@/cmek", "{} {}", 400, "something follows"},
    {"FieldTwice", "POST", "@/cmek", R"({"region_specs":[],"region_specs":[]})", 400, "\"region_specs\" stands twice"},
    {"TooDeep", "POST", "@/cmek", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 400, "nested deeper"},
    {"NoSpecs", "POST", "@/cmek", "{}", 400, "region_specs is required"},
    {"NullSpecs", "POST", "@/cmek", R"({"region_specs":null})", 400, "region_specs is required"},
    {"SpecsOfWrongType", "POST", "@/cmek", R"({"region_specs":{}})", 400, "region_specs must be an array"},
    {"EmptySpecs", "POST", "@/cmek", SPEC(""), 400, "region_specs: names no region"},
    {"ExtraFieldAtTheTop", "POST", "@/cmek", R"({"region_specs":[],"dry_run":true})", 400, "dry_run is not a known field"},
    {"SpecOfWrongType", "POST", "@/cmek", SPEC("7"), 400, "region_specs[0]: must be an object"},
    {"NoRegion", "POST", "@/cmek", SPEC(R"({"key_spec":{"type":"AWS_KMS","uri":"u"}})"), 400, "region_specs[0].region is required"},
    {"EmptyRegion", "POST", "@/cmek", SPEC(R"({"region":"","key_spec":{"type":"AWS_KMS","uri":"u"}})"), 400,
     "region_specs[0].region is required"},
    {"RegionOfWrongType", "POST", "@/cmek", SPEC(R"({"region":1,"key_spec":{}})"), 400, "region_specs[0].region must be a string"},
    {"NoKeySpec", "POST", "@/cmek", SPEC(R"({"region":"r"})"), 400, "region_specs[0].key_spec is required"},
    {"MisspeltKeySpec", "POST", "@/cmek", SPEC(R"({"region":"r","key_spec":{"type":"AWS_KMS","uri":"u"},"keyspec":{}})"), 400,
     "region_specs[0].keyspec is not a known field"},
    {"NoType", "POST", "@/cmek", KEY(R"("uri":"u")"), 400, "region_specs[0].key_spec.type is required"},
    {"UnknownType", "POST", "@/cmek", KEY(R"("type":"HAHA","uri":"u")"), 422, "region_specs[0].key_spec.type is not a type of key"},
    {"NoUri", "POST", "@/cmek", KEY(R"("type":"AWS_KMS")"), 400, "region_specs[0].key_spec.uri is required"},
    {"UriOfWrongType", "POST", "@/cmek", KEY(R"("type":"AWS_KMS","uri":[])"), 400, "region_specs[0].key_spec.uri must be a string"},
    {"UriWithNewline", "POST", "@/cmek", KEY(R"("type":"AWS_KMS","uri":"a\nb")"), 422,
     "region_specs[0].key_spec.uri has a control character"},
    {"RegionWithNewline", "POST", "@/cmek", SPEC(R"({"region":"a\nb","key_spec":{"type":"AWS_KMS","uri":"u"}})"), 422,
     "region_specs[0].region has a control character"},
    {"PrincipalWithTab", "PUT", "@/cmek", KEY(R"("type":"AWS_KMS","uri":"u","auth_principal":"a\tb")"), 422,
     "region_specs[0].key_spec.auth_principal has a control character"},
    {"UriWithNul", "POST", "@/cmek", KEY(R"("type":"AWS_KMS","uri":"a\u0000b")"), 400, "NUL"},
    {"MisspeltPrincipal", "POST", "@/cmek", KEY(R"("type":"AWS_KMS","uri":"u","auth_principle":"p")"), 400,
     "region_specs[0].key_spec.auth_principle is not a known field"},
    {"RegionTwice", "PUT", "@/cmek",
     SPEC(R"({"region":"r","key_spec":{"type":"AWS_KMS","uri":"u"}},{"region":"r","key_spec":{"type":"AWS_KMS","uri":"v"}})"), 422,
     "region_specs[1].region: \"r\" is named twice"},
    {"NoAction", "PATCH", "@/cmek", "{}", 400, "action is required"},
    {"UnknownAction", "PATCH", "@/cmek", R"({"action":"revoke"})", 400, "action must be REVOKE or RESTORE"},
    {"ActionOfWrongType", "PATCH", "@/cmek", R"({"action":["REVOKE"]})", 400, "action must be a string"},
    {"ActionAndMore", "PATCH", "@/cmek", R"({"action":"REVOKE","region":"us-east-1"})", 400, "region is not a known field"},
};
INSTANTIATE_TEST_SUITE_P(Cmek, BadRequestTest, testing::ValuesIn(kCmek), [](const auto& p) { return std::string(p.param.name); });

#define CLUSTER(top, spec) R"({"name":"orders-db","provider":"AWS")" top R"(,"spec":{)" spec R"(}})"
#define DEDICATED(inner) CLUSTER("", R"("dedicated":{)" inner "}")
#define NODES R"("region_nodes":{"us-east-1":1})"

constexpr BadRequest kClusters[] = {
    {"NoName", "POST", "/clusters", R"({"provider":"AWS","spec":{}})", 400, "name is required"},
    {"NameOfWrongType", "POST", "/clusters", R"({"name":5,"provider":"AWS","spec":{}})", 400, "name must be a string"},
    {"NoProvider", "POST", "/clusters", R"({"name":"orders-db","spec":{}})", 400, "provider is required"},
    {"UnknownProvider", "POST", "/clusters", R"({"name":"orders-db","provider":"HAHA","spec":{}})", 400,
     "provider must be one of AWS, GCP, AZURE"},
    {"NoSpec", "POST", "/clusters", R"({"name":"orders-db","provider":"AWS"})", 400, "spec is required"},
    {"NoDedicated", "POST", "/clusters", CLUSTER("", ""), 400, "spec.dedicated is required"},
    {"NoRegionNodes", "POST", "/clusters", DEDICATED(""), 400, "spec.dedicated.region_nodes is required"},
    {"EmptyRegionNodes", "POST", "/clusters", DEDICATED(R"("region_nodes":{})"), 400, "spec.dedicated.region_nodes: names no region"},
    {"NodesOfWrongType", "POST", "/clusters", DEDICATED(R"("region_nodes":{"us-east-1":"1"})"), 400,
     "spec.dedicated.region_nodes.us-east-1 must be an integer"},
    {"NodesAsFraction", "POST", "/clusters", DEDICATED(R"("region_nodes":{"us-east-1":1.5})"), 400,
     "spec.dedicated.region_nodes.us-east-1 must be an integer"},
    {"NoNodes", "POST", "/clusters", DEDICATED(R"("region_nodes":{"us-east-1":0})"), 400,
     "spec.dedicated.region_nodes.us-east-1 must be at least 1"},
    {"NodesPastInt64", "POST", "/clusters", DEDICATED(R"("region_nodes":{"us-east-1":99999999999999999999})"), 400, "does not fit"},
    {"RegionTwice", "POST", "/clusters", DEDICATED(R"("region_nodes":{"r":1,"r":1})"), 400, "\"r\" stands twice"},
    {"UnknownVisibility", "POST", "/clusters", DEDICATED(NODES R"(,"network_visibility":"X")"), 400,
     "spec.dedicated.network_visibility must be one of"},
    {"HardwareOfWrongType", "POST", "/clusters", DEDICATED(NODES R"(,"hardware":3)"), 400, "spec.dedicated.hardware must be an object"},
    {"NegativeStorage", "POST", "/clusters", DEDICATED(NODES R"(,"hardware":{"storage_gib":-1})"), 400,
     "spec.dedicated.hardware.storage_gib must be 0 to"},
    {"UnknownProtection", "POST", "/clusters", CLUSTER("", R"("delete_protection":"MAYBE","dedicated":{)" NODES "}"), 400,
     "spec.delete_protection must be one of"},
    {"LabelOfWrongType", "POST", "/clusters", CLUSTER("", R"("labels":{"a":1},"dedicated":{)" NODES "}"), 400,
     "spec.labels.a must be a string"},
    {"ReservedLabel", "POST", "/clusters", CLUSTER("", R"("labels":{"latchkey-hardware":"1"},"dedicated":{)" NODES "}"), 400,
     "spec.labels.latchkey-hardware is reserved"},
    {"UnknownPlan", "POST", "/clusters", CLUSTER(R"(,"plan":"GOLD")", R"("dedicated":{)" NODES "}"), 400, "plan must be one of"},
    {"TwoPlans", "POST", "/clusters", CLUSTER(R"(,"plan":"BASIC")", R"("plan":"ADVANCED","dedicated":{)" NODES "}"), 400,
     "plan: differs from spec.plan"},
    {"SmallPlan", "POST", "/clusters", CLUSTER("", R"("plan":"BASIC","dedicated":{)" NODES "}"), 501, "UNIMPLEMENTED: spec.plan"},
    {"Serverless", "POST", "/clusters", CLUSTER("", R"("serverless":{"regions":["us-east-1"]})"), 501, "UNIMPLEMENTED: spec.serverless"},
    {"CloudAccount", "POST", "/clusters", CLUSTER("", R"("customer_cloud_account":{},"dedicated":{)" NODES "}"), 501,
     "spec.customer_cloud_account"},
    {"EgressPromise", "POST", "/clusters", DEDICATED(NODES R"(,"restrict_egress_traffic":true)"), 501,
     "spec.dedicated.restrict_egress_traffic"},
    {"VersionPromise", "POST", "/clusters", DEDICATED(NODES R"(,"cockroach_version":"v24.1")"), 501,
     "UNIMPLEMENTED: spec.dedicated.cockroach_version: "},
    {"NetworkPromise", "POST", "/clusters", DEDICATED(NODES R"(,"cidr_range":"172.28.0.0/14")"), 501, "spec.dedicated.cidr_range: "},
    {"VirtualClustersPromise", "POST", "/clusters", DEDICATED(NODES R"(,"supports_cluster_virtualization":true)"), 501,
     "spec.dedicated.supports_cluster_virtualization: "},
    {"MachinesPromise", "POST", "/clusters", DEDICATED(NODES R"(,"region_machine_specs":{"us-east-1":{"machine_type":"m6i"}})"), 501,
     "spec.dedicated.region_machine_specs: "},
    {"MisspeltProtection", "POST", "/clusters", CLUSTER("", R"("delete_protecton":"ENABLED","dedicated":{)" NODES "}"), 501,
     "spec.delete_protecton: is not a known field"},
    {"UnknownAtTheTop", "POST", "/clusters", CLUSTER(R"(,"delete_protection":"ENABLED")", R"("dedicated":{)" NODES "}"), 501,
     "UNIMPLEMENTED: delete_protection: is not a known field"},
    {"UnknownOfDedicated", "POST", "/clusters", DEDICATED(NODES R"(,"replicas":3)"), 501, "spec.dedicated.replicas: is not a known"},
    {"UnknownOfHardware", "POST", "/clusters", DEDICATED(NODES R"(,"hardware":{"gpu":true})"), 501, "spec.dedicated.hardware.gpu: "},
    {"UnknownOfMachine", "POST", "/clusters", DEDICATED(NODES R"(,"hardware":{"machine_spec":{"cores":[4]}})"), 501,
     "spec.dedicated.hardware.machine_spec.cores: "},
    {"UpdateOfNothing", "PATCH", "@", "{}", 501, "UNIMPLEMENTED: of a cluster, only delete_protection"},
    {"UpdateOfMore", "PATCH", "@", R"({"delete_protection":"DISABLED","labels":{}})", 501, "UNIMPLEMENTED: labels: of a cluster, only"},
    {"UpdateToAnUnknownWord", "PATCH", "@", R"({"delete_protection":"MAYBE"})", 400, "delete_protection must be one of"},
    {"UpdateOfWrongType", "PATCH", "@", R"({"delete_protection":true})", 400, "delete_protection must be a string"},
    {"UnknownParent", "POST", "/clusters", CLUSTER("", R"("parent_id":"f1","dedicated":{)" NODES "}"), 400, "the parent must exist"},
};
INSTANTIATE_TEST_SUITE_P(Clusters, BadRequestTest, testing::ValuesIn(kClusters), [](const auto& p) { return std::string(p.param.name); });

constexpr BadRequest kQueries[] = {
    {"LimitZero", "GET", "/clusters?pagination.limit=0", "", 400, "pagination.limit: must be a whole number of 1 to 500"},
    {"LimitTooLarge", "GET", "/clusters?pagination.limit=501", "", 400, "pagination.limit"},
    {"LimitNotANumber", "GET", "/clusters?pagination.limit=ten", "", 400, "pagination.limit"},
    {"LimitTwice", "GET", "/clusters?pagination.limit=1&pagination.limit=2", "", 400, "pagination.limit: stands twice"},
    {"UnknownOrder", "GET", "/clusters?pagination.sort_order=UP", "", 400, "pagination.sort_order: must be one of ASC, DESC"},
    {"UnknownSortBy", "GET", "/clusters?pagination.sort_by=SIZE", "", 400, "pagination.sort_by: must be one of"},
    {"SortByTime", "GET", "/clusters?pagination.sort_by=CREATED_AT", "", 501, "UNIMPLEMENTED: pagination.sort_by"},
    {"SortByOnNodes", "GET", "@/nodes?pagination.sort_by=NAME", "", 400, "unknown parameter"},
    {"Misspelt", "GET", "/clusters?pagination.limt=3", "", 400, "unknown parameter"},
    {"NotATime", "GET", "/clusters?pagination.as_of_time=yesterday", "", 400, "pagination.as_of_time: must be an RFC 3339 time"},
    {"ThePast", "GET", "/clusters?pagination.as_of_time=2022-03-22T20:23:11Z", "", 501, "UNIMPLEMENTED: pagination.as_of_time"},
    {"NotABool", "GET", "/clusters?show_inactive=yes", "", 400, "show_inactive: must be true or false"},
    {"NotACursor", "GET", "@/nodes?pagination.page=%21", "", 400, "pagination.page"},
    {"UnknownProviderOfRegions", "GET", "/clusters/available-regions?provider=IBM", "", 400, "provider: must be one of"},
    {"AuditTime", "GET", "/auditlogevents?starting_from=1", "", 400, "starting_from: must be an RFC 3339 time"},
    {"AuditOrder", "GET", "/auditlogevents?sort_order=asc", "", 400, "sort_order: must be one of"},
    {"AuditLimit", "GET", "/auditlogevents?limit=-1", "", 400, "limit: must be"},
    {"OwnAuditCursor", "GET", "/latchkey/audit?after_id=x", "", 400, "after_id"},
    {"KeyWithoutName", "POST", "/latchkey/api-keys", "{}", 400, "name is required"},
    {"KeyWithMore", "POST", "/latchkey/api-keys", R"({"name":"a","role":"admin"})", 400, "role is not a known field"},
    {"TokenWithMore", "POST", "/latchkey/join-tokens", R"({"uses":5})", 400, "uses is not a known field"},
};
INSTANTIATE_TEST_SUITE_P(Queries, BadRequestTest, testing::ValuesIn(kQueries), [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace latchkey::cockroach
