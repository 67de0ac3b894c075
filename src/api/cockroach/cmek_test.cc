// What official clients rely on: the rules that a Terraform provider breaks without.
#include "api/cockroach/cmek.h"

#include "api/cockroach/api_fixture.h"
#include "base/testing.h"

namespace latchkey::cockroach {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

KeyView Key(const std::string& uri, const std::string& principal) {
  KeyView key;
  key.spec = {.type = "AWS_KMS", .uri = uri, .auth_principal = principal, .external_id = "not shown"};
  key.status = "ENABLED";
  key.created_at = "2026-01-02T03:04:05.000006Z";
  key.updated_at = "2026-01-02T03:04:06.000007Z";
  key.health.ok = true;
  key.health.last_success = "2026-01-02T03:05:00.000000Z";
  return key;
}

TEST_F(ApiTest, AClusterWithoutCmekIsDisabledWithAnEmptyListOfRegions) {
  const HttpResponse response = Ask("GET", Cluster("/cmek"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, R"({"status":"DISABLED","region_infos":[]})");
}

TEST_F(ApiTest, RegionInfosAreInEveryAnswerOfTheFourVerbs) {
  const std::string patch = R"({"action":"REVOKE"})";
  const std::pair<const char*, std::string> kAsked[] = {{"GET", ""}, {"POST", kGoodSpecs}, {"PUT", kGoodSpecs}, {"PATCH", patch}};
  for (const auto& [method, body] : kAsked) {
    EXPECT_TRUE(Body(Ask(method, Cluster("/cmek"), body)).at("region_infos").is_array()) << method;
  }
}

TEST_F(ApiTest, AKeyIsPrintedInFullWithItsHealth) {
  KeyView bad = Key("arn:aws:kms:us-east-1:111122223333:key/1234", "arn:aws:iam::111122223333:role/owner");
  bad.status = "REVOKED";
  bad.user_message = "The key is disabled.";
  bad.health = {.ok = false, .failure = FailureClass::kDisabled, .message = "DisabledException", .since = "2026-01-02T03:05:00.000000Z"};
  bad.next_step = "Enable the key in the KMS.";
  control_.fake_cmek.view = {.status = "REVOKED",
                             .regions = {{.region = "us-east-1",
                                          .status = "REVOKED",
                                          .keys = {bad},
                                          .bytes_under_former_keys = 4096,
                                          .bytes_total = 8192,
                                          .waiting_for = {"db1 (last heard a minute ago)"}}}};
  EXPECT_EQ(Ask("GET", Cluster("/cmek")).body,
            R"({"status":"REVOKED","region_infos":[{"region":"us-east-1","status":"REVOKED","key_infos":[{"status":"REVOKED",)"
            R"("user_message":"The key is disabled.","spec":{"type":"AWS_KMS","uri":"arn:aws:kms:us-east-1:111122223333:key/1234",)"
            R"("auth_principal":"arn:aws:iam::111122223333:role/owner"},"created_at":"2026-01-02T03:04:05.000006Z",)"
            R"("updated_at":"2026-01-02T03:04:06.000007Z","health":{"class":"DISABLED","since":"2026-01-02T03:05:00.000000Z",)"
            R"("last_success":null,"message":"DisabledException","next_step":"Enable the key in the KMS."},"warnings":[]}],)"
            R"~("bytes_under_former_keys":4096,"bytes_total":8192,"waiting_for":["db1 (last heard a minute ago)"]}]})~");
}

TEST_F(ApiTest, UriTypeAndPrincipalComeBackByteForByte) {
  const std::string uri = "aws-kms-key-arn/ ü \"quoted\" \\ %20", principal = "  spaces kept  ";
  json::object spec = {{"region", "us-central-1"},
                       {"key_spec", json::object{{"type", "AWS_KMS"}, {"uri", uri}, {"auth_principal", principal}}}};
  ASSERT_EQ(Ask("POST", Cluster("/cmek"), json::serialize(json::object{{"region_specs", json::array{spec}}})).status, 200);
  ASSERT_EQ(control_.fake_cmek.last_specs.size(), 1u);
  EXPECT_EQ(control_.fake_cmek.last_specs[0].key.uri, uri);
  EXPECT_EQ(control_.fake_cmek.last_specs[0].key.auth_principal, principal);
  control_.fake_cmek.view = {.status = "ENABLED",
                             .regions = {{.region = "us-central-1", .status = "ENABLED", .keys = {Key(uri, principal)}}}};
  const json::object body = Body(Ask("GET", Cluster("/cmek")));
  const json::value& printed = body.at("region_infos").at(0).at("key_infos").at(0).at("spec");
  EXPECT_EQ(printed.at("uri").as_string(), uri);
  EXPECT_EQ(printed.at("auth_principal").as_string(), principal);
  EXPECT_FALSE(printed.as_object().contains("external_id"));
}

TEST_F(ApiTest, KeysStayNewestFirstAndReadingTwiceGivesTheSameBytes) {
  control_.fake_cmek.view = {
      .status = "ROTATING",
      .regions = {
          {.region = "us-east-1", .status = "ROTATING", .keys = {Key("same", "new-role"), Key("same", "old-role")}, .bytes_total = -1}}};
  const HttpResponse first = Ask("GET", Cluster("/cmek"));
  const json::object body = Body(first);
  const json::value& keys = body.at("region_infos").at(0).at("key_infos");
  EXPECT_EQ(keys.at(0).at("spec").at("auth_principal").as_string(), "new-role");
  EXPECT_EQ(keys.at(1).at("spec").at("auth_principal").as_string(), "old-role");
  EXPECT_TRUE(body.at("region_infos").at(0).at("bytes_total").is_null());
  EXPECT_EQ(Ask("GET", Cluster("/cmek")).body, first.body);
}

TEST_F(ApiTest, AKeyOfWhichNothingWasHeardYetHasUnknownHealth) {
  KeyView key = Key("uri", "");
  key.health = {};
  control_.fake_cmek.view = {.status = "ENABLING", .regions = {{.region = "r", .status = "ENABLING", .keys = {key}}}};
  EXPECT_THAT(Ask("GET", Cluster("/cmek")).body, HasSubstr(R"("health":{"class":"UNKNOWN","since":null,"last_success":null)"));
}

TEST_F(ApiTest, EachVerbCallsItsService) {
  EXPECT_EQ(Ask("POST", Cluster("/cmek"), kGoodSpecs).status, 200);
  EXPECT_EQ(Ask("PUT", Cluster("/cmek"), kGoodSpecs).status, 200);
  EXPECT_EQ(Ask("PATCH", Cluster("/cmek"), R"({"action":"REVOKE"})").status, 200);
  EXPECT_EQ(Ask("PATCH", Cluster("/cmek"), R"({"action":"RESTORE"})").status, 200);
  EXPECT_THAT(control_.changes.all(), ElementsAre("cmek.enable", "cmek.update", "cmek.revoke", "cmek.restore"));
}

TEST_F(ApiTest, ABusyClusterAnswers503NeverAClientError) {
  control_.fake_cmek.failure = absl::UnavailableError("cluster is busy: its keys are being rotated");
  const HttpResponse response = Ask("POST", Cluster("/cmek"), kGoodSpecs);
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(Error(response), "14: cluster is busy: its keys are being rotated");
}

TEST(RegionSpecsTest, ThePrincipalMayBeLeftOut) {
  LK_ASSERT_OK_AND_ASSIGN(
      const auto specs,
      ParseRegionSpecs(R"({"region_specs":[{"region":"r","key_spec":{"type":"LOCAL","uri":"local://a","auth_principal":null}}]})"));
  EXPECT_EQ(specs[0].key.auth_principal, "");
}

TEST(RegionSpecsTest, EndlessListsAndUrisAreRefused) {
  json::array many(101, json::object{{"region", "r"}});
  EXPECT_THAT(ParseRegionSpecs(json::serialize(json::object{{"region_specs", many}})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("region_specs: has more than 100")));
  json::object key = {{"type", "AWS_KMS"}, {"uri", std::string(3000, 'a')}};
  json::array one = {json::object{{"region", "r"}, {"key_spec", key}}};
  EXPECT_THAT(ParseRegionSpecs(json::serialize(json::object{{"region_specs", one}})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("region_specs[0].key_spec.uri is longer")));
}

}  // namespace
}  // namespace latchkey::cockroach
