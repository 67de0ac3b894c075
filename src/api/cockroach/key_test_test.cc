// POST /key-tests: trying a key from a host, for no cluster.
#include "api/cockroach/api_fixture.h"
#include "base/testing.h"

namespace latchkey::cockroach {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kGood =
    R"({"region":"us-east-1","key_spec":{"type":"AWS_KMS","uri":"arn:aws:kms:us-east-1:1:key/1","auth_principal":"arn:r"}})";

TEST_F(ApiTest, AKeyThatFailsItsTestIsASuccessfulCall) {
  control_.fake_cmek.test = KeyTestView{
      .host = "db1",
      .ok = false,
      .steps = {{.name = "form", .ok = true, .microseconds = 250}, {.name = "describe", .ok = false, .microseconds = 12'500, .found = ""}},
      .failure = FailureClass::kDisabled,
      .message = "DisabledException",
      .next_step = "Enable the key."};
  const HttpResponse response = Ask("POST", "/key-tests", kGood);
  EXPECT_EQ(response.status, 200);
  const json::object body = Body(response);
  EXPECT_FALSE(body.at("ok").as_bool());
  EXPECT_EQ(body.at("host").as_string(), "db1");
  EXPECT_EQ(body.at("class").as_string(), "DISABLED");
  EXPECT_EQ(body.at("message").as_string(), "DisabledException");
  EXPECT_EQ(body.at("next_step").as_string(), "Enable the key.");
  const json::array& steps = body.at("steps").as_array();
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].at("step").as_string(), "form");
  EXPECT_EQ(steps[0].at("milliseconds").to_number<double>(), 0.25);
  EXPECT_TRUE(steps[0].at("ok").as_bool());
  EXPECT_FALSE(steps[1].at("ok").as_bool());
  EXPECT_EQ(steps[1].at("found").as_string(), "");
  ASSERT_EQ(control_.fake_cmek.last_specs.size(), 1u);
  EXPECT_EQ(control_.fake_cmek.last_specs[0].region, "us-east-1");
  EXPECT_EQ(control_.fake_cmek.last_specs[0].key.auth_principal, "arn:r");
  EXPECT_THAT(control_.changes.all(), IsEmpty());
}

TEST_F(ApiTest, AKeyThatPassesIsOfClassOk) {
  control_.fake_cmek.test = KeyTestView{.host = "db1", .ok = true};
  EXPECT_EQ(Ask("POST", "/key-tests", kGood).body, R"({"ok":true,"host":"db1","steps":[],"class":"OK","message":"","next_step":""})");
}

TEST_F(ApiTest, AMalformedKeyTestNamesItsField) {
  const struct {
    const char* body;
    int status;
    const char* says;
  } kBad[] = {
      {R"({"key_spec":{"type":"AWS_KMS","uri":"u"}})", 400, "region"},
      {R"({"region":"r"})", 400, "key_spec"},
      {R"({"region":"r","key_spec":{"type":"AWS_KMS"}})", 400, "key_spec.uri"},
      {R"({"region":"r","key_spec":{"type":"AWS_KMS","uri":"u","principal":"p"}})", 400, "key_spec.principal"},
      {R"({"region":"r","key_spec":{"type":"AWS_KMS","uri":"u"},"cluster":"c"})", 400, "cluster"},
      {R"({"region":"r","key_spec":{"type":"MAGIC","uri":"u"}})", 422, "key_spec.type"},
      {R"({"region":"r","key_spec":{"type":"AWS_KMS","uri":"a\nb"}})", 422, "key_spec.uri"},
      {"[]", 400, ""},
  };
  for (const auto& bad : kBad) {
    const HttpResponse response = Ask("POST", "/key-tests", bad.body);
    EXPECT_EQ(response.status, bad.status) << bad.body;
    EXPECT_THAT(Error(response), HasSubstr(bad.says)) << bad.body;
  }
  EXPECT_THAT(control_.fake_cmek.last_specs, IsEmpty());
  EXPECT_EQ(Ask("GET", "/key-tests").status, 405);
}

TEST_F(ApiTest, WithoutAHostTheKeyTestIsUnavailable) {
  control_.fake_cmek.test = Unavailable("no host of region r");
  const HttpResponse response = Ask("POST", "/key-tests", kGood);
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(Error(response), "14: no host of region r");
}

}  // namespace
}  // namespace latchkey::cockroach
