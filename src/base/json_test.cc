#include "base/json.h"

#include "base/testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

auto Refused(const std::string& why) { return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why)); }

TEST(ParseJsonTest, ReadsEveryKindOfValue) {
  const char* text = R"({"s":"a\u00e9\n","i":-7,"u":18446744073709551615,"d":1.5e3,"b":true,"n":null,"a":[1,[2],{}],"o":{"x":{"s":1}}} )";
  LK_ASSERT_OK_AND_ASSIGN(const json::object o, ParseJsonObject(text));
  EXPECT_EQ(o.at("s"), json::value("a\xc3\xa9\n"));
  EXPECT_EQ(o.at("i").as_int64(), -7);
  EXPECT_EQ(o.at("u").as_uint64(), UINT64_MAX);
  EXPECT_EQ(o.at("d").as_double(), 1500);
  EXPECT_TRUE(o.at("n").is_null());
  EXPECT_EQ(json::serialize(o.at("a")), "[1,[2],{}]");
  EXPECT_EQ(json::serialize(*ParseJson("[]")), "[]");
  EXPECT_EQ(ParseJson("\"x\"")->as_string(), "x");
}

TEST(ParseJsonTest, RefusesAKeyTwiceInOneObjectAtAnyDepth) {
  EXPECT_THAT(ParseJson(R"({"a":1,"a":2})"), Refused("the field \"a\" stands twice"));
  EXPECT_THAT(ParseJson(R"({"a":[{"b":1,"c":{},"b":2}]})"), Refused("\"b\""));
  EXPECT_THAT(ParseJson(R"({"a":1,"\u0061":2})"), Refused("\"a\""));
  LK_EXPECT_OK(ParseJson(R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]})"));
}

TEST(ParseJsonTest, RefusesNulCharactersInStringsAndKeys) {
  EXPECT_THAT(ParseJson(R"({"a":"x\u0000y"})"), Refused("NUL"));
  EXPECT_THAT(ParseJson(R"({"a\u0000":1})"), Refused("NUL"));
  EXPECT_THAT(ParseJson(std::string_view("\"a\0b\"", 5)), StatusIs(absl::StatusCode::kInvalidArgument));
  LK_EXPECT_OK(ParseJson(R"(["\\u0000"])"));
}

TEST(ParseJsonTest, RefusesNumbersThatDoNotFit) {
  EXPECT_THAT(ParseJson("18446744073709551616"), Refused("64 bits"));
  EXPECT_THAT(ParseJson("[-9223372036854775809]"), Refused("64 bits"));
  EXPECT_THAT(ParseJson("1e400"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseJson("-1e99999999999"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseJson("[1e309]"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseJson(std::string(400, '9')), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(ParseJson("-9223372036854775808")->as_int64(), INT64_MIN);
  LK_EXPECT_OK(ParseJson("1e308"));
}

TEST(ParseJsonTest, RefusesMoreThan32Levels) {
  const auto nested = [](size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  LK_EXPECT_OK(ParseJson(nested(32)));
  EXPECT_THAT(ParseJson(nested(33)), Refused("deeper than 32"));
  EXPECT_THAT(ParseJson(std::string(1 << 20, '[')), Refused("deeper than 32"));
}

TEST(ParseJsonTest, RefusesWhatIsNotOneJsonValue) {
  for (const char* text : {"",         " ",        "{",        "[1,]",           "{\"a\":1,}", "{a:1}",   "'a'", "nul",     "01",
                           "+1",       ".5",       "1.",       "[1] [2]",        "{}x",        "\"\\x\"", "\"a", "// c\n1", "NaN",
                           "Infinity", "\"\x01\"", "\"\xff\"", "\xef\xbb\xbf{}", "\"\\ud800\""}) {
    EXPECT_THAT(ParseJson(text), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  }
  EXPECT_THAT(ParseJson("[1, x]"), Refused("near byte 4"));
  EXPECT_THAT(ParseJsonObject("[]"), Refused("must be an object"));
}

TEST(ParseJsonTest, ReadsLongStringsKeysAndNumbers) {
  const std::string long_text(300'000, 'x');
  LK_ASSERT_OK_AND_ASSIGN(const json::object o, ParseJsonObject("{\"" + long_text + "\":\"" + long_text + "\\n\"}"));
  EXPECT_EQ(o.at(long_text).as_string().size(), 300'001u);
  EXPECT_THAT(ParseJson("{\"" + long_text + "\":1,\"" + long_text + "\":2}"), Refused("twice"));
  EXPECT_NEAR(ParseJson("3." + std::string(500, '1'))->as_double(), 3.1111, 0.001);
}

class JsonReaderTest : public testing::Test {
 protected:
  static json::object Parse(const char* text) { return *ParseJsonObject(text); }
};

TEST_F(JsonReaderTest, ReadsFieldsByName) {
  const json::object o = Parse(R"({"s":"x","i":7,"b":true,"o":{"k":1},"a":[1,2]})");
  JsonReader r(o);
  EXPECT_EQ(r.String("s"), "x");
  EXPECT_EQ(r.Int("i"), 7);
  EXPECT_TRUE(r.OptionalBool("b", false));
  EXPECT_EQ(r.Object("o")->size(), 1u);
  EXPECT_EQ(r.Array("a")->size(), 2u);
  r.RefuseUnknown();
  LK_EXPECT_OK(r.status());
}

TEST_F(JsonReaderTest, GivesTheDefaultForAbsentAndNullFields) {
  const json::object o = Parse(R"({"s":null,"i":null,"e":""})");
  JsonReader r(o);
  EXPECT_EQ(r.OptionalString("s", "d"), "d");
  EXPECT_EQ(r.OptionalString("none"), "");
  EXPECT_EQ(r.OptionalString("e", "d"), "");
  EXPECT_EQ(r.OptionalInt("i", 5), 5);
  EXPECT_TRUE(r.OptionalBool("b", true));
  EXPECT_EQ(r.OptionalObject("o"), nullptr);
  EXPECT_EQ(r.OptionalArray("a"), nullptr);
  LK_EXPECT_OK(r.status());
}

TEST_F(JsonReaderTest, NamesTheFieldThatIsAbsentOrOfAnotherType) {
  const json::object o = Parse(R"({"e":"","s":5,"i":"5","d":1.0,"b":1,"o":[],"a":{},"u":9223372036854775808})");
  const auto fault = [&](const std::function<void(JsonReader&)>& read) {
    JsonReader r(o, "key_spec");
    read(r);
    return std::string(r.status().message());
  };
  EXPECT_EQ(fault([](JsonReader& r) { r.String("x"); }), "key_spec.x is required");
  EXPECT_EQ(fault([](JsonReader& r) { r.String("e"); }), "key_spec.e is required");
  EXPECT_EQ(fault([](JsonReader& r) { r.String("s"); }), "key_spec.s must be a string");
  EXPECT_EQ(fault([](JsonReader& r) { r.Int("x"); }), "key_spec.x is required");
  EXPECT_EQ(fault([](JsonReader& r) { r.Int("i"); }), "key_spec.i must be an integer");
  EXPECT_EQ(fault([](JsonReader& r) { r.OptionalInt("d", 0); }), "key_spec.d must be an integer");
  EXPECT_EQ(fault([](JsonReader& r) { r.OptionalInt("u", 0); }), "key_spec.u is too large");
  EXPECT_EQ(fault([](JsonReader& r) { r.OptionalBool("b", false); }), "key_spec.b must be true or false");
  EXPECT_EQ(fault([](JsonReader& r) { r.Object("o"); }), "key_spec.o must be an object");
  EXPECT_EQ(fault([](JsonReader& r) { r.Object("x"); }), "key_spec.x is required");
  EXPECT_EQ(fault([](JsonReader& r) { r.OptionalArray("a"); }), "key_spec.a must be an array");
  EXPECT_EQ(fault([](JsonReader& r) { r.Array("x"); }), "key_spec.x is required");
}

TEST_F(JsonReaderTest, KeepsTheFirstFaultAndRefusesUnknownFields) {
  const json::object o = Parse(R"({"known":"x","speling":1})");
  JsonReader r(o);
  r.String("known");
  r.RefuseUnknown();
  EXPECT_THAT(r.status(), StatusIs(absl::StatusCode::kInvalidArgument, "speling is not a known field"));
  JsonReader other(o, "a[0]");
  other.Fault("known", "must be an ARN");
  other.RefuseUnknown();
  EXPECT_THAT(other.status(), StatusIs(absl::StatusCode::kInvalidArgument, "a[0].known must be an ARN"));
}

TEST_F(JsonReaderTest, DoesNotRepeatAnEndlessNameFromOutside) {
  const json::object o = Parse(("{\"" + std::string(100'000, 'k') + "\":1}").c_str());
  JsonReader r(o);
  r.RefuseUnknown();
  EXPECT_LT(r.status().message().size(), 200u);
}

}  // namespace
}  // namespace latchkey
