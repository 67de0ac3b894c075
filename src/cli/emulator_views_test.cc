#include "cli/emulator_views.h"

#include "base/testing.h"

namespace latchkey {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

json::object Parsed(const std::string& text) {
  auto object = ParseJsonObject(text);
  EXPECT_THAT(object, IsOk());
  return object.ok() ? *std::move(object) : json::object();
}

TEST(EmulatorViewsTest, AKeyIsItsNameAndStateAndWhenItWillBeDeleted) {
  const std::string text = DescribeEmulatorKey(
      Parsed(R"({"Arn":"arn:aws:kms:us-east-1:2:key/k","Alias":"alias/a","KeyState":"PendingDeletion","DeletionDate":1.798363635645E9})"));
  EXPECT_EQ(text,
            "alias:     alias/a\nkey:       arn:aws:kms:us-east-1:2:key/k\nstate:     PendingDeletion\n"
            "deletion:  2026-12-27T09:27:15.645000Z\n");
}

TEST(EmulatorViewsTest, ARoleSaysWhoMayAssumeIt) {
  json::object role = Parsed(R"({"arn":"arn:aws:iam::2:role/r","external_id":"x","trusted":true,"principals":["a","b"]})");
  EXPECT_THAT(DescribeEmulatorRole(role), HasSubstr("a, b"));
  role["trusted"] = false;
  EXPECT_THAT(DescribeEmulatorRole(role), AllOf(HasSubstr("nobody"), Not(HasSubstr("a, b"))));
}

TEST(EmulatorViewsTest, AFaultSaysWhatFailsHowAndForHowLong) {
  EXPECT_EQ(DescribeEmulatorFault(Parsed(R"({"cloud":"aws","operation":"Decrypt","action":"throttle","times":3,"standing":false})")),
            "aws: Decrypt → throttle, 3 times\n");
  EXPECT_EQ(
      DescribeEmulatorFault(Parsed(R"({"cloud":"vault","operation":"*","action":"delay","delay_ms":1500,"times":1,"standing":true})")),
      "vault: every call → delay of 1500 ms, until cleared\n");
  EXPECT_EQ(DescribeEmulatorFault(
                Parsed(R"({"cloud":"aws","operation":"*","action":"error","status":400,"type":"KMSInternalException","times":1})")),
            "aws: every call → error 400 KMSInternalException, 1 time\n");
}

TEST(EmulatorViewsTest, DenialsAndOutagesAreALineEach) {
  EXPECT_EQ(DescribeEmulatorDenial(Parsed(R"({"principal":"p","key":""})"), "denied"), "p is denied: every key\n");
  EXPECT_EQ(DescribeEmulatorDenial(Parsed(R"({"principal":"p","key":"k"})"), "denied no more"), "p is denied no more: k\n");
  EXPECT_THAT(DescribeEmulatorOutage(Parsed(R"({"outage":true,"clouds":["aws","gcp"]})")), HasSubstr("aws, gcp: no answers"));
  EXPECT_EQ(DescribeEmulatorOutage(Parsed(R"({"outage":false,"clouds":["gcp"]})")), "gcp: no outage\n");
}

TEST(EmulatorViewsTest, TheStateIsTablesOfWhatThereIs) {
  const std::string text = DescribeEmulatorState(Parsed(R"({"time":"t","accounts":["1","2"],"outages":["azure"],"users":[],
      "keys":[{"Alias":"alias/a","KeyState":"Disabled","Arn":"arn"}],
      "faults":{"aws":{"queue":[{"operation":"Decrypt","action":"drop","times":1}],"standing":[]}},
      "gcp":{"keys":[{"name":"projects/p","primary":{"state":"ENABLED"}}]},
      "azure":{"vaults":[{"host":"v","firewall_closed":false,"keys":[{"kid":"k1","attributes":{"enabled":true}},{"kid":"k2","attributes":{"enabled":false}}]}]},
      "vault":7})"));
  EXPECT_THAT(text, AllOf(HasSubstr("accounts:  1, 2"), HasSubstr("outages:   azure"), HasSubstr("Faults\naws: Decrypt → drop, 1 time\n")));
  EXPECT_THAT(text, HasSubstr("AWS keys\nALIAS    STATE     ARN\nalias/a  Disabled  arn\n"));
  EXPECT_THAT(text, HasSubstr("projects/p  ENABLED\n"));
  EXPECT_THAT(text, HasSubstr("v      false   k1, k2  true, false\n"));
  EXPECT_THAT(text, AllOf(Not(HasSubstr("AWS users")), Not(HasSubstr("Vault"))));
}

TEST(EmulatorViewsTest, AnyOtherAnswerIsALineForEachValue) {
  EXPECT_EQ(DescribeEmulatorAnswer(
                Parsed(R"({"owner":{"uri":"vault://v","n":1},"list":["a","b"],"items":[{"x":true},{"x":false}],"none":null})")),
            "owner.uri:  vault://v\nowner.n:    1\nlist:       a, b\nitems.1.x:  true\nitems.2.x:  false\n");
  EXPECT_EQ(DescribeEmulatorAnswer({}), "done\n");
}

TEST(EmulatorViewsTest, NothingFromOutsideMovesTheCursor) {
  const json::object odd = Parsed(R"({"a\u001b":"b\u001b","arn":"\u001b","cloud":"\u001b","principal":"\u001b","outages":["\u001b"]})");
  for (const std::string& text : {DescribeEmulatorAnswer(odd), DescribeEmulatorRole(odd), DescribeEmulatorFault(odd),
                                  DescribeEmulatorDenial(odd, "denied"), DescribeEmulatorState(odd)}) {
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  }
}

}  // namespace
}  // namespace latchkey
