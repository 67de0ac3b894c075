#include "http/message.h"

#include "base/testing.h"
#include "http/wire.h"

namespace latchkey {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

TEST(HttpRequestTest, SplitsATargetIntoPathAndDecodedQuery) {
  HttpRequest request{.target = "/api/v1/a%20b?x=1&y=a+b%26&x=2&flag"};
  ASSERT_TRUE(request.SplitTarget());
  EXPECT_EQ(request.path, "/api/v1/a%20b");
  EXPECT_THAT(request.query, ElementsAre(Pair("x", "1"), Pair("y", "a b&"), Pair("x", "2"), Pair("flag", "")));
  EXPECT_EQ(request.Query("x"), "1");
  EXPECT_EQ(request.Query("z", "none"), "none");
}

TEST(HttpRequestTest, RefusesMalformedTargets) {
  for (const char* target : {"", "x", "*", "http://host/", "/%", "/%1", "/%zz", "/%00", "/a?b=%", "/a?b=%00", "/a b", "/a#b", "/a\tb"}) {
    HttpRequest request{.target = target};
    EXPECT_FALSE(request.SplitTarget()) << target;
  }
}

TEST(PercentTest, EncodesAllButUnreservedCharactersAndDecodesItBack) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  const std::string encoded = PercentEncode(all);
  EXPECT_EQ(PercentDecode(encoded), all);
  EXPECT_EQ(PercentDecode(encoded, true), all);
  EXPECT_EQ(PercentEncode("aZ9-._~/ +"), "aZ9-._~%2F%20%2B");
  EXPECT_EQ(PercentDecode("a+b"), "a+b");
  EXPECT_EQ(PercentDecode("a+b", true), "a b");
}

TEST(FormTest, ReadsPairsAndRefusesBrokenEncoding) {
  EXPECT_THAT(*ParseForm("Action=AssumeRole&RoleArn=arn%3Aaws&&e="),
              ElementsAre(Pair("Action", "AssumeRole"), Pair("RoleArn", "arn:aws"), Pair("e", "")));
  EXPECT_TRUE(ParseForm("")->empty());
  EXPECT_EQ(ParseForm("a=%f"), std::nullopt);
}

TEST(ResponseHeadTest, CannotBeSplitByWhatAHandlerPutsIntoHeaders) {
  HttpResponse response{
      .status = 200, .headers = {{"x-note", "a\r\nset-cookie: b"}, {"bad name\r\n", "x"}, {"content-length", "999"}}, .body = "abc"};
  const std::string head = ResponseHead(response, true);
  EXPECT_THAT(head, HasSubstr("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, HasSubstr("x-note: a  set-cookie: b\r\n"));
  EXPECT_THAT(head, HasSubstr("content-length: 3\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\ndate: "));
  EXPECT_THAT(head, Not(HasSubstr("bad name")));
  EXPECT_THAT(head, Not(HasSubstr("999")));
  EXPECT_THAT(head, Not(HasSubstr("connection")));
  EXPECT_THAT(ResponseHead(response, false), HasSubstr("connection: close\r\n\r\n"));
}

TEST(ResponseHeadTest, GivesNoLengthWhereThereIsNoBody) {
  EXPECT_THAT(ResponseHead({.status = 204}, true), Not(HasSubstr("content-length")));
  EXPECT_EQ(HttpDate().size(), 29U);
}

}  // namespace
}  // namespace latchkey
