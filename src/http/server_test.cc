#include "http/server.h"

#include <condition_variable>
#include <future>
#include <thread>

#include "base/testing.h"
#include "http/client.h"
#include "http/test_peer.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr auto kPatience = std::chrono::seconds(10);

void Echo(HttpRequest request, HttpResponder respond) {
  respond({.status = 200,
           .headers = {{"x-method", request.method},
                       {"x-path", request.path},
                       {"x-peer", request.peer_address},
                       {"x-given", request.Header("x-given")}},
           .body = request.body});
}

std::unique_ptr<HttpServer> MustStart(HttpServerOptions options) {
  auto server = HttpServer::Start(std::move(options));
  EXPECT_THAT(server, IsOk());
  return std::move(server).value();
}

std::string Url(const HttpServer& server, const std::string& target = "/") {
  return "http://127.0.0.1:" + std::to_string(server.port()) + target;
}

// A handler that parks every request until the test answers it.
class Parking {
 public:
  HttpHandler handler() {
    return [this](HttpRequest request, HttpResponder respond) {
      const std::lock_guard lock(mutex_);
      parked_.push_back(respond);
      bodies_.push_back(request.body);
      changed_.notify_all();
    };
  }
  // Waits until `count` requests are parked.
  bool WaitFor(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return parked_.size() >= count; });
  }
  void AnswerAll(const std::string& text) {
    const std::lock_guard lock(mutex_);
    for (const HttpResponder& respond : parked_) respond(HttpResponse::Text(200, text));
    parked_.clear();
  }
  void DropAll() {
    const std::lock_guard lock(mutex_);
    parked_.clear();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<HttpResponder> parked_;
  std::vector<std::string> bodies_;
};

TEST(HttpServerTest, GivesTheHandlerWhatTheClientSentAndTheClientWhatTheHandlerAnswered) {
  const auto server = MustStart({.handler = Echo});
  HttpClient client({});
  LK_ASSERT_OK_AND_ASSIGN(const HttpResponse response,
                          client.Send(Url(*server, "/a%20b?q=1"), {.method = "PUT", .headers = {{"x-given", "v"}}, .body = "hello"}));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "hello");
  EXPECT_EQ(response.headers.at("x-method"), "PUT");
  EXPECT_EQ(response.headers.at("x-path"), "/a%20b");
  EXPECT_EQ(response.headers.at("x-peer"), "127.0.0.1");
  EXPECT_EQ(response.headers.at("x-given"), "v");
}

TEST(HttpServerTest, KeepsAConnectionAndAnswersPipelinedRequestsInOrder) {
  const auto server = MustStart({.handler = Echo});
  TestPeer peer(server->port());
  ASSERT_TRUE(
      peer.Send("POST /one HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nAAA"
                "POST /two HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nconnection: close\r\n\r\nBBB"));
  const std::string both = peer.ReadToEnd();
  EXPECT_TRUE(peer.ended());
  const size_t one = both.find("x-path: /one"), two = both.find("x-path: /two");
  ASSERT_NE(one, std::string::npos);
  ASSERT_NE(two, std::string::npos);
  EXPECT_LT(one, two);
  EXPECT_LT(both.find("AAA"), two);
}

TEST(HttpServerTest, AnswersHeadWithTheLengthAndNoBody) {
  const auto server = MustStart({.handler = [](HttpRequest, HttpResponder respond) { respond(HttpResponse::Text(200, "12345")); }});
  TestPeer peer(server->port());
  peer.Send("HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  const std::string answer = peer.ReadToEnd();
  EXPECT_THAT(answer, HasSubstr("content-length: 5\r\n"));
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
}

TEST(HttpServerTest, TellsAClientThatAsksToGoOnWithItsBody) {
  const auto server = MustStart({.handler = Echo});
  TestPeer peer(server->port());
  peer.Send("POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
  EXPECT_THAT(peer.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 100 Continue"));
  peer.Send("data");
  EXPECT_THAT(peer.ReadUntil("data"), HasSubstr("200 OK"));
  peer.Send("POST / HTTP/1.1\r\nhost: x\r\nexpect: a-miracle\r\ncontent-length: 4\r\n\r\n");
  EXPECT_THAT(peer.ReadToEnd(), StartsWith("HTTP/1.1 417"));
}

TEST(HttpServerTest, RefusesBodiesAboveTheLimitWhetherTheirLengthIsToldOrNot) {
  const auto server = MustStart({.handler = Echo, .max_body = 1000});
  HttpClient client({});
  LK_ASSERT_OK_AND_ASSIGN(const HttpResponse fits, client.Send(Url(*server), {.method = "POST", .body = std::string(1000, 'x')}));
  EXPECT_EQ(fits.status, 200);
  LK_ASSERT_OK_AND_ASSIGN(const HttpResponse told, client.Send(Url(*server), {.method = "POST", .body = std::string(1001, 'x')}));
  EXPECT_EQ(told.status, 413);
  LK_ASSERT_OK_AND_ASSIGN(const HttpResponse large, client.Send(Url(*server), {.method = "POST", .body = std::string(2 << 20, 'x')}));
  EXPECT_EQ(large.status, 413);

  TestPeer peer(server->port());
  peer.Send("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
  for (int i = 0; i < 11; ++i) peer.Send("64\r\n" + std::string(100, 'y') + "\r\n");
  peer.Send("0\r\n\r\n");
  EXPECT_THAT(peer.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 413"));
}

TEST(HttpServerTest, RefusesMalformedRequests) {
  const auto server = MustStart({.handler = Echo, .max_header = 4096});
  for (const std::string bad : {"nonsense\r\n\r\n", "GET /%zz HTTP/1.1\r\nhost: x\r\n\r\n", "GET http://x/ HTTP/1.1\r\nhost: x\r\n\r\n",
                                "GET / HTTP/1.1\r\nno colon\r\n\r\n", "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
                                "POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"}) {
    TestPeer peer(server->port());
    peer.Send(bad);
    EXPECT_THAT(peer.ReadToEnd(), StartsWith("HTTP/1.1 400")) << bad;
    EXPECT_TRUE(peer.ended()) << bad;
  }
  TestPeer peer(server->port());
  peer.Send("GET / HTTP/1.1\r\nx-long: " + std::string(5000, 'h') + "\r\n\r\n");
  EXPECT_THAT(peer.ReadToEnd(), StartsWith("HTTP/1.1 431"));
}

TEST(HttpServerTest, LetsADialectFormItsEarlyErrors) {
  const auto server = MustStart({.handler = Echo, .max_body = 10, .early_error = [](int status, std::string_view message) {
                                   return HttpResponse::Json(status, "{\"m\":\"" + std::string(message) + "\"}");
                                 }});
  HttpClient client({});
  LK_ASSERT_OK_AND_ASSIGN(const HttpResponse response, client.Send(Url(*server), {.method = "POST", .body = std::string(11, 'x')}));
  EXPECT_EQ(response.status, 413);
  EXPECT_THAT(response.body, StartsWith("{\"m\":"));
}

TEST(HttpServerTest, ParkedRequestsHoldNoHandlerThread) {
  Parking parking;
  const auto server = MustStart({.handler = parking.handler(), .handler_threads = 1});
  std::vector<std::future<absl::StatusOr<HttpResponse>>> calls;
  for (int i = 0; i < 8; ++i) {
    calls.push_back(std::async(std::launch::async, [&] { return HttpClient({}).Send(Url(*server), {}); }));
  }
  ASSERT_TRUE(parking.WaitFor(8));
  parking.AnswerAll("now");
  for (auto& call : calls) {
    const auto response = call.get();
    LK_ASSERT_OK(response);
    EXPECT_EQ(response->body, "now");
  }
}

TEST(HttpServerTest, AnswersOnceWhateverAHandlerDoes) {
  const auto server = MustStart({.handler = [](HttpRequest request, HttpResponder respond) {
    if (request.path == "/silent") return;
    if (request.path == "/throws") throw std::runtime_error("a bug");
    respond(HttpResponse::Text(200, "first"));
    respond(HttpResponse::Text(200, "second"));
  }});
  HttpClient client({});
  for (int i = 0; i < 3; ++i) {
    LK_ASSERT_OK_AND_ASSIGN(const HttpResponse response, client.Send(Url(*server), {}));
    EXPECT_EQ(response.body, "first");
  }
  for (const char* path : {"/silent", "/throws"}) {
    LK_ASSERT_OK_AND_ASSIGN(const HttpResponse response, client.Send(Url(*server, path), {}));
    EXPECT_EQ(response.status, 500);
  }
}

TEST(HttpServerTest, AnswersBusyWhenItsQueueIsFullAndKeepsTheConnection) {
  std::promise<void> release, started;
  std::atomic<int> running = 0;
  const auto server = MustStart({.handler =
                                     [&, released = release.get_future().share()](HttpRequest, HttpResponder respond) {
                                       if (running++ == 0) started.set_value();
                                       released.wait();
                                       respond(HttpResponse::Text(200, "done"));
                                     },
                                 .handler_threads = 1,
                                 .max_queued = 1});
  constexpr std::string_view kGet = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
  TestPeer first(server->port()), second(server->port()), third(server->port());
  first.Send(kGet);
  started.get_future().wait();
  // One of these waits in the queue, the other finds it full.
  second.Send(kGet);
  third.Send(kGet);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!second.HasSomething() && !third.HasSomething() && std::chrono::steady_clock::now() < deadline) {
  }
  release.set_value();
  std::vector<std::string> answers = {second.ReadUntil("\r\n\r\n"), third.ReadUntil("\r\n\r\n")};
  std::sort(answers.begin(), answers.end());
  EXPECT_THAT(answers[0], StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answers[1], StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(answers[1], Not(HasSubstr("connection: close")));
}

TEST(HttpServerTest, ForgetsAParkedRequestWhoseClientHasGone) {
  Parking parking;
  const auto server = MustStart({.handler = parking.handler(), .max_connections = 1, .idle_timeout = absl::Milliseconds(100)});
  {
    TestPeer peer(server->port());
    peer.Send("GET /x HTTP/1.1\r\nhost: x\r\n\r\n");
    ASSERT_TRUE(parking.WaitFor(1));
  }
  // With one connection at most, a second client gets in only once the first is forgotten; until then it is hung up on.
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  bool served = false;
  while (!served && std::chrono::steady_clock::now() < deadline) {
    TestPeer peer(server->port());
    peer.Send("nonsense\r\n\r\n");
    served = !peer.ReadToEnd().empty();
  }
  EXPECT_TRUE(served);
  parking.AnswerAll("late");
}

TEST(HttpServerTest, ClosesConnectionsThatSayNothingOrTooSlowly) {
  const auto server = MustStart({.handler = Echo, .idle_timeout = absl::Milliseconds(100), .request_timeout = absl::Milliseconds(200)});
  TestPeer idle(server->port());
  EXPECT_EQ(idle.ReadToEnd(), "");
  EXPECT_TRUE(idle.ended());
  TestPeer slow(server->port());
  slow.Send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc");
  EXPECT_EQ(slow.ReadToEnd(), "");
  EXPECT_TRUE(slow.ended());
}

TEST(HttpServerTest, ClosesANewConnectionWhoseFirstRequestDoesNotComeSoon) {
  const auto server = MustStart({.handler = Echo, .first_request_timeout = absl::Milliseconds(100)});
  TestPeer known(server->port());
  known.Send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  EXPECT_THAT(known.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  TestPeer silent(server->port()), half(server->port());
  half.Send("GET / HTTP/1.1\r\nhost:");
  EXPECT_EQ(silent.ReadToEnd(), "");
  EXPECT_TRUE(silent.ended());
  EXPECT_EQ(half.ReadToEnd(), "");
  EXPECT_TRUE(half.ended());
  // By now it was silent for as long as they were, but it has shown that it has something to say.
  known.Send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  EXPECT_THAT(known.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServerTest, OnePlaceCannotFillAllConnections) {
  const auto server = MustStart({.handler = Echo, .max_connections_per_peer = 2});
  constexpr std::string_view kGet = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
  auto served = [&](TestPeer& peer) {
    peer.Send(kGet);
    return peer.ReadUntil("\r\n\r\n").starts_with("HTTP/1.1 200");
  };
  TestPeer first(server->port()), second(server->port());
  ASSERT_TRUE(served(first));
  ASSERT_TRUE(served(second));
  TestPeer third(server->port());
  EXPECT_FALSE(served(third));
  EXPECT_TRUE(third.ended());
  TestPeer elsewhere(server->port(), 2);
  EXPECT_TRUE(served(elsewhere));
  first.Close();
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  bool again = false;
  while (!again && std::chrono::steady_clock::now() < deadline) {
    TestPeer peer(server->port());
    again = served(peer);
  }
  EXPECT_TRUE(again);
}

TEST(HttpServerTest, AnswersBusyWhenTheBodiesInFlightAreTooManyBytes) {
  std::promise<void> release, started;
  const auto server = MustStart({.handler =
                                     [&, released = release.get_future().share()](HttpRequest request, HttpResponder respond) {
                                       if (request.path == "/wait") {
                                         started.set_value();
                                         released.wait();
                                       }
                                       respond(HttpResponse::Text(200, "done"));
                                     },
                                 .max_bodies_in_flight = 1000});
  const auto post = [](std::string_view path, size_t size) {
    return "POST " + std::string(path) + " HTTP/1.1\r\nhost: x\r\ncontent-length: " + std::to_string(size) + "\r\n\r\n";
  };
  // A length that is only announced takes nothing.
  TestPeer boaster(server->port());
  boaster.Send(post("/", 1000));
  TestPeer first(server->port());
  first.Send(post("/wait", 900) + std::string(900, 'x'));
  started.get_future().wait();
  TestPeer second(server->port()), third(server->port());
  second.Send(post("/", 200) + std::string(200, 'x'));
  EXPECT_THAT(second.ReadToEnd(), StartsWith("HTTP/1.1 503"));
  EXPECT_TRUE(second.ended());
  third.Send(post("/", 100) + std::string(100, 'x'));
  EXPECT_THAT(third.ReadUntil("done"), StartsWith("HTTP/1.1 200"));
  release.set_value();
  EXPECT_THAT(first.ReadUntil("done"), StartsWith("HTTP/1.1 200"));
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  bool again = false;
  while (!again && std::chrono::steady_clock::now() < deadline) {
    TestPeer peer(server->port());
    peer.Send(post("/", 1000) + std::string(1000, 'x'));
    again = peer.ReadUntil("\r\n\r\n").starts_with("HTTP/1.1 200");
  }
  EXPECT_TRUE(again);
}

TEST(HttpServerTest, StopsWhileRequestsAreParkedAndLateAnswersDoNothing) {
  Parking parking;
  auto server = MustStart({.handler = parking.handler(), .io_threads = 2});
  auto call = std::async(std::launch::async, [&] { return HttpClient({}).Send(Url(*server), {}); });
  ASSERT_TRUE(parking.WaitFor(1));
  server->Stop();
  server->Stop();
  EXPECT_THAT(call.get(), StatusIs(absl::StatusCode::kUnavailable));
  parking.AnswerAll("too late");
}

TEST(HttpServerTest, LateAnswersDoNothingEvenWhenTheServerIsGone) {
  Parking parking;
  auto server = MustStart({.handler = parking.handler()});
  auto call = std::async(std::launch::async,
                         [&, port = server->port()] { return HttpClient({}).Send("http://127.0.0.1:" + std::to_string(port), {}); });
  ASSERT_TRUE(parking.WaitFor(1));
  server.reset();
  EXPECT_THAT(call.get(), StatusIs(absl::StatusCode::kUnavailable));
  parking.AnswerAll("too late");
  parking.DropAll();
}

TEST(HttpServerTest, WaitsForRunningHandlersWhenItStops) {
  std::promise<void> started;
  std::atomic<bool> finished = false;
  auto server = MustStart({.handler = [&](HttpRequest, HttpResponder respond) {
    started.set_value();
    std::this_thread::yield();
    finished = true;
    respond(HttpResponse::Text(200, "last"));
  }});
  auto call = std::async(std::launch::async, [&] { return HttpClient({}).Send(Url(*server), {}); });
  started.get_future().wait();
  server->Stop();
  EXPECT_TRUE(finished);
  const auto response = call.get();
  LK_ASSERT_OK(response);
  EXPECT_EQ(response->body, "last");
}

TEST(HttpServerTest, CutsAnswersWhereAFaultIsAskedFor) {
  const auto server = MustStart({.handler = [](HttpRequest request, HttpResponder respond) {
    HttpResponse response = HttpResponse::Text(200, "0123456789");
    response.cut_after = request.path == "/nothing" ? 0 : 150;
    response.body = std::string(1000, 'x');
    respond(std::move(response));
  }});
  HttpClient client({});
  EXPECT_THAT(client.Send(Url(*server, "/nothing"), {}), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(client.Send(Url(*server, "/half"), {}), StatusIs(absl::StatusCode::kUnavailable));
}

TEST(HttpServerTest, SaysWhatIsWrongWithItsOptions) {
  EXPECT_THAT(HttpServer::Start({.address = "localhost", .handler = Echo}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("address")));
  EXPECT_THAT(HttpServer::Start({.handler = Echo, .certificate_pem = "x"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("certificate_pem")));
  const auto server = MustStart({.handler = Echo});
  EXPECT_FALSE(HttpServer::Start({.port = server->port(), .handler = Echo}).ok());
}

TEST(HttpServerTest, ServesManyClientsAtOnce) {
  const auto server = MustStart({.handler = Echo, .handler_threads = 3, .io_threads = 2});
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      HttpClient client({});
      for (int i = 0; i < 50; ++i) {
        const std::string body = std::to_string(t) + "-" + std::to_string(i);
        const auto response = client.Send(Url(*server), {.method = "POST", .body = body});
        if (response.ok() && response->body == body) good++;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 200);
}

TEST(IsLoopbackTest, KnowsTheAddressesThatStayOnTheMachine) {
  for (const char* yes : {"127.0.0.1", "127.9.9.9", "::1", "localhost"}) EXPECT_TRUE(IsLoopback(yes)) << yes;
  for (const char* no : {"0.0.0.0", "::", "10.0.0.1", "example.org", ""}) EXPECT_FALSE(IsLoopback(no)) << no;
}

}  // namespace
}  // namespace latchkey
