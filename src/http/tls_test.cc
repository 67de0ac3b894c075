#include "http/tls.h"

#include <future>

#include "base/testing.h"
#include "crypto/certificate.h"
#include "http/client.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

class TlsTest : public testing::Test {
 protected:
  void SetUp() override {
    const absl::Time now = absl::Now();
    LK_ASSERT_OK_AND_ASSIGN(ca_, NewCa("test CA", now, absl::Hours(24)));
    LK_ASSERT_OK_AND_ASSIGN(other_ca_, NewCa("other CA", now, absl::Hours(24)));
    LK_ASSERT_OK_AND_ASSIGN(server_, IssueNew(ca_, {.common_name = "server",
                                                    .dns_names = {"localhost"},
                                                    .ip_addresses = {"127.0.0.1"},
                                                    .for_server = true,
                                                    .now = now,
                                                    .valid = absl::Hours(1)}));
    const LeafOptions leaf{.common_name = "agent-7", .for_client = true, .now = now, .valid = absl::Hours(1)};
    LK_ASSERT_OK_AND_ASSIGN(client_, IssueNew(ca_, leaf));
    LK_ASSERT_OK_AND_ASSIGN(stranger_, IssueNew(other_ca_, leaf));
  }

  std::unique_ptr<HttpServer> Serve(bool ask, bool require) {
    auto server = HttpServer::Start({.handler =
                                         [](HttpRequest request, HttpResponder respond) {
                                           const auto facts = ReadCertificate(request.peer_certificate_pem);
                                           respond(HttpResponse::Text(200, facts.ok() ? facts->common_name : "nobody"));
                                         },
                                     .certificate_pem = server_.certificate_pem,
                                     .private_key_pem = server_.private_key_pem,
                                     .client_ca_pem = ask ? ca_.certificate_pem : "",
                                     .require_client_certificate = require});
    EXPECT_THAT(server, IsOk());
    return std::move(server).value();
  }

  absl::StatusOr<HttpResponse> Call(const HttpServer& server, const CertifiedKey* me, const HttpRequest& request = {},
                                    const std::string& path = "/") {
    HttpClient client({.ca_pem = ca_.certificate_pem,
                       .client_certificate_pem = me == nullptr ? "" : me->certificate_pem,
                       .client_key_pem = me == nullptr ? "" : me->private_key_pem});
    return client.Send("https://127.0.0.1:" + std::to_string(server.port()) + path, request);
  }

  CertifiedKey ca_, other_ca_, server_, client_, stranger_;
};

TEST_F(TlsTest, ServesClientsThatTrustItsCa) {
  const auto server = Serve(false, false);
  LK_ASSERT_OK_AND_ASSIGN(const HttpResponse response, Call(*server, nullptr));
  EXPECT_EQ(response.body, "nobody");
  HttpClient distrustful({.ca_pem = other_ca_.certificate_pem});
  EXPECT_THAT(distrustful.Send("https://127.0.0.1:" + std::to_string(server->port()) + "/", {}), StatusIs(absl::StatusCode::kUnavailable));
  HttpClient blind({.ca_pem = other_ca_.certificate_pem, .verify_peer = false});
  LK_EXPECT_OK(blind.Send("https://127.0.0.1:" + std::to_string(server->port()) + "/", {}));
}

TEST_F(TlsTest, HandsTheVerifiedClientCertificateToTheHandler) {
  for (const bool require : {false, true}) {
    const auto server = Serve(true, require);
    for (int i = 0; i < 3; ++i) {
      LK_ASSERT_OK_AND_ASSIGN(const HttpResponse response, Call(*server, &client_));
      EXPECT_EQ(response.body, "agent-7");
    }
  }
}

TEST_F(TlsTest, ServesWithoutACertificateOnlyWhereItIsOptional) {
  const auto optional = Serve(true, false);
  LK_ASSERT_OK_AND_ASSIGN(const HttpResponse response, Call(*optional, nullptr));
  EXPECT_EQ(response.body, "nobody");
  const auto required = Serve(true, true);
  EXPECT_THAT(Call(*required, nullptr), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, StrangersMaySendLessThanThoseWithACertificate) {
  std::promise<void> release, started;
  HttpServerOptions options{.handler =
                                [&, released = release.get_future().share()](HttpRequest request, HttpResponder respond) {
                                  if (request.path == "/wait") {
                                    started.set_value();
                                    released.wait();
                                  }
                                  respond(HttpResponse::Text(200, "ok"));
                                },
                            .max_body = 1000,
                            .max_body_without_certificate = 100,
                            .max_bodies_in_flight = 1900,
                            .certificate_pem = server_.certificate_pem,
                            .private_key_pem = server_.private_key_pem,
                            .client_ca_pem = ca_.certificate_pem};
  LK_ASSERT_OK_AND_ASSIGN(const auto server, HttpServer::Start(options));
  const auto post = [&](const CertifiedKey* me, size_t size, const std::string& path = "/") {
    const auto response = Call(*server, me, {.method = "POST", .body = std::string(size, 'x')}, path);
    return response.ok() ? response->status : 0;
  };
  EXPECT_EQ(post(nullptr, 100), 200);
  EXPECT_EQ(post(nullptr, 101), 413);
  EXPECT_EQ(post(&client_, 200), 200);
  EXPECT_EQ(post(&client_, 1001), 413);
  // Half of what is in flight is out of their reach.
  auto waiting = std::async(std::launch::async, [&] { return post(&client_, 900, "/wait"); });
  started.get_future().wait();
  EXPECT_EQ(post(nullptr, 51), 503);
  EXPECT_EQ(post(&client_, 500), 200);
  release.set_value();
  EXPECT_EQ(waiting.get(), 200);
}

TEST_F(TlsTest, RefusesACertificateOfAnotherCa) {
  for (const bool require : {false, true}) {
    const auto server = Serve(true, require);
    EXPECT_THAT(Call(*server, &stranger_), StatusIs(absl::StatusCode::kUnavailable));
  }
}

TEST_F(TlsTest, DoesNotStartWithAKeyThatIsNotTheCertificates) {
  HttpServerOptions options{
      .handler = [](HttpRequest, HttpResponder) {}, .certificate_pem = server_.certificate_pem, .private_key_pem = client_.private_key_pem};
  EXPECT_THAT(HttpServer::Start(options), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("private_key_pem")));
  options.private_key_pem = server_.private_key_pem;
  options.client_ca_pem = "no certificate";
  EXPECT_THAT(HttpServer::Start(options), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("client_ca_pem")));
  options.client_ca_pem = "";
  options.require_client_certificate = true;
  EXPECT_THAT(HttpServer::Start(options), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("client_ca_pem")));
}

}  // namespace
}  // namespace latchkey
