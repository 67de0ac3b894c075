#include "http/client.h"

#include <future>

#include "base/testing.h"
#include "http/server.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

std::string UrlOf(const HttpServer& server) { return "http://127.0.0.1:" + std::to_string(server.port()) + "/"; }

TEST(HttpClientTest, SaysUnavailableWhenNobodyListens) {
  std::string url;
  {
    LK_ASSERT_OK_AND_ASSIGN(const auto server, HttpServer::Start({.handler = [](HttpRequest, HttpResponder) {}}));
    url = UrlOf(*server);
  }
  EXPECT_THAT(HttpClient({}).Send(url, {}), StatusIs(absl::StatusCode::kUnavailable));
}

TEST(HttpClientTest, SaysDeadlineExceededWhenTheAnswerIsSlow) {
  std::vector<HttpResponder> parked;
  std::mutex mutex;
  LK_ASSERT_OK_AND_ASSIGN(const auto server, HttpServer::Start({.handler = [&](HttpRequest, HttpResponder respond) {
                            const std::lock_guard lock(mutex);
                            parked.push_back(std::move(respond));
                          }}));
  HttpClient client({.total_timeout = absl::Milliseconds(100)});
  EXPECT_THAT(client.Send(UrlOf(*server), {}), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(client.Send(UrlOf(*server), {}, absl::ZeroDuration()), StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST(HttpClientTest, BoundsTheAnswer) {
  LK_ASSERT_OK_AND_ASSIGN(
      const auto server,
      HttpServer::Start({.handler = [](HttpRequest, HttpResponder respond) { respond(HttpResponse::Text(200, std::string(1001, 'x'))); }}));
  EXPECT_THAT(HttpClient({.max_response = 1000}).Send(UrlOf(*server), {}), StatusIs(absl::StatusCode::kResourceExhausted));
  LK_EXPECT_OK(HttpClient({.max_response = 1001}).Send(UrlOf(*server), {}));
}

TEST(HttpClientTest, EndsACallThatIsCancelledFromAnotherThreadAndRefusesLaterOnes) {
  std::promise<void> arrived;
  std::vector<HttpResponder> parked;
  LK_ASSERT_OK_AND_ASSIGN(const auto server, HttpServer::Start({.handler = [&](HttpRequest, HttpResponder respond) {
                            parked.push_back(std::move(respond));
                            arrived.set_value();
                          }}));
  HttpClient client({.total_timeout = absl::Seconds(60)});
  auto call = std::async(std::launch::async, [&] { return client.Send(UrlOf(*server), {}); });
  arrived.get_future().wait();
  client.Cancel();
  EXPECT_THAT(call.get(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(client.Send(UrlOf(*server), {}), StatusIs(absl::StatusCode::kCancelled));
}

TEST(HttpClientTest, RefusesUrlsAndHeadersThatWouldSaySomethingElse) {
  HttpClient client({});
  for (const char* url : {"", "ftp://127.0.0.1/", "file:///etc/passwd", "127.0.0.1", "http://"}) {
    EXPECT_THAT(client.Send(url, {}), StatusIs(absl::StatusCode::kInvalidArgument)) << url;
  }
  EXPECT_THAT(client.Send("http://127.0.0.1:1/", {.headers = {{"x", "a\r\nb: c"}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("header")));
  EXPECT_THAT(client.Send("http://127.0.0.1:1/", {.method = "GET / HTTP/1.1"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("method")));
}

TEST(HttpClientTest, NeverFollowsARedirect) {
  LK_ASSERT_OK_AND_ASSIGN(const auto server, HttpServer::Start({.handler = [](HttpRequest, HttpResponder respond) {
                            respond({.status = 302, .headers = {{"location", "/elsewhere"}}});
                          }}));
  LK_ASSERT_OK_AND_ASSIGN(const HttpResponse response, HttpClient({}).Send(UrlOf(*server), {}));
  EXPECT_EQ(response.status, 302);
}

TEST(HttpClientTest, ReusesAConnectionUnlessItIsToBeFresh) {
  LK_ASSERT_OK_AND_ASSIGN(const auto server,
                          HttpServer::Start({.handler = [](HttpRequest, HttpResponder respond) { respond({}); }, .max_connections = 1}));
  // Only one connection may be open: two calls in a row succeed for certain only on the same one.
  HttpClient kept({});
  for (int i = 0; i < 20; ++i) LK_EXPECT_OK(kept.Send(UrlOf(*server), {}));
  HttpClient fresh({.fresh_connection = true});
  EXPECT_THAT(fresh.Send(UrlOf(*server), {}), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace latchkey
