#include "http/session.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "base/status.h"
#include "http/tls.h"
#include "http/wire.h"

namespace latchkey::http_server {
namespace {

namespace http = boost::beast::http;
using TlsStream = asio::ssl::stream<Socket&>;

// After an early error the client may still be sending: so much is read and thrown away, so that it sees the answer instead of a reset.
constexpr size_t kMaxDrain = 4 << 20;
// An answer up to this size travels in one piece with its head.
constexpr size_t kOnePiece = 16 << 10;

std::string_view EarlyMessage(int status) {
  switch (status) {
    case 413:
      return "the body is larger than allowed";
    case 417:
      return "this expectation is not supported";
    case 431:
      return "the header is larger than allowed";
    case 503:
      return "the server is busy; try again";
    default:
      return "malformed request";
  }
}

// Registers a session with its loop and the count of connections while it lives.
class Registration {
 public:
  Registration(Core& core, Loop& loop, Session& session, std::string place)
      : core_(core), loop_(loop), session_(session), place_(std::move(place)) {
    loop_.sessions.insert(&session_);
  }
  ~Registration() {
    loop_.sessions.erase(&session_);
    core_.peers.Leave(place_);
    core_.connections--;
    if (loop_.stopping && loop_.sessions.empty() && loop_.sweep != nullptr) loop_.sweep->cancel();
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

 private:
  Core& core_;
  Loop& loop_;
  Session& session_;
  const std::string place_;
};

HttpRequest ToRequest(http::request<http::string_body>&& message) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  for (const auto& field : message) {
    const auto wire_name = field.name_string();
    std::string name(wire_name.data(), wire_name.size());
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const std::string_view value(field.value().data(), field.value().size());
    const auto [it, added] = request.headers.emplace(std::move(name), value);
    if (!added) it->second.append(", ").append(value);
  }
  request.body = std::move(message.body());
  return request;
}

// True when the connection can go on.
template <typename Stream>
Task<bool> WriteResponse(Session& session, Stream& stream, const HttpResponse& response, bool keep_alive, bool without_body) {
  session.phase = Session::Phase::kWriting;
  std::string head = ResponseHead(response, keep_alive);
  std::string_view body = without_body || !StatusHasBody(response.status) ? std::string_view() : std::string_view(response.body);
  if (response.cut_after >= 0) {
    head.append(body);
    head.resize(std::min(head.size(), static_cast<size_t>(response.cut_after)));
    body = {};
  } else if (body.size() <= kOnePiece) {
    head.append(body);
    body = {};
  }
  if (!head.empty()) {
    const std::array<asio::const_buffer, 2> buffers = {asio::buffer(head), asio::buffer(body.data(), body.size())};
    const auto [error, size] = co_await asio::async_write(stream, buffers, kAwait);
    if (error) co_return false;
  }
  co_return keep_alive&& response.cut_after < 0;
}

template <typename Stream>
Task<> EndStream(Session& session, Stream& stream, bool drain) {
  session.deadline = std::min(session.deadline, SteadyClock::now() + kDrainTime);
  if constexpr (std::is_same_v<Stream, TlsStream>) {
    // Only our close_notify is sent: waiting for the client's would hold the connection.
    SSL_set_shutdown(stream.native_handle(), SSL_RECEIVED_SHUTDOWN);
    co_await stream.async_shutdown(kAwait);
  }
  boost::system::error_code ignored;
  session.socket.shutdown(tcp::socket::shutdown_send, ignored);
  std::array<char, 4096> waste;
  for (size_t drained = 0; drain && drained < kMaxDrain;) {
    const auto [error, size] = co_await session.socket.async_read_some(asio::buffer(waste), kAwait);
    if (error) break;
    drained += size;
  }
}

int StatusOfReadError(const boost::system::error_code& error) {
  if (error == http::error::body_limit) return 413;
  if (error == http::error::header_limit || error == http::error::buffer_overflow) return 431;
  // The rest of the HTTP category is malformed input, but for a connection that ended, where nobody is left to answer.
  const bool ended = error == http::error::end_of_stream || error == http::error::partial_message;
  return !ended && error.category() == make_error_code(http::error::end_of_stream).category() ? 400 : 0;
}

// Reads one request; its status is that of the early error to answer, 0 when the connection is to end without one, 200 when `parser` holds
// it.
template <typename Stream>
Task<int> ReadRequest(const Core& core, Session& session, Stream& stream, boost::beast::flat_buffer& buffer,
                      http::request_parser<http::string_body>& parser, BodyBudget::Charge& charge) {
  session.phase = Session::Phase::kIdle;
  if (buffer.size() == 0) {
    session.deadline = std::min(session.first_request_by, SteadyClock::now() + ToSteady(core.options.idle_timeout));
    const auto [error, size] = co_await stream.async_read_some(buffer.prepare(4096), kAwait);
    if (error) co_return 0;
    buffer.commit(size);
  }
  session.phase = Session::Phase::kReading;
  const auto complete_by = SteadyClock::now() + ToSteady(core.options.request_timeout);
  session.deadline = std::min(session.first_request_by, complete_by);
  const HttpServerOptions& options = core.options;
  const bool stranger = options.max_body_without_certificate != 0 && session.peer_certificate_pem.empty();
  const size_t most_in_flight = stranger ? options.max_bodies_in_flight / 2 : options.max_bodies_in_flight;
  parser.header_limit(static_cast<std::uint32_t>(options.max_header));
  parser.body_limit(stranger ? std::min(options.max_body, options.max_body_without_certificate) : options.max_body);
  {
    const auto [error, size] = co_await http::async_read_header(stream, buffer, parser, kAwait);
    if (error) co_return StatusOfReadError(error);
  }
  session.first_request_by = SteadyClock::time_point::max();
  session.deadline = complete_by;
  if (const auto expect = parser.get().find(http::field::expect); expect != parser.get().end() && parser.get().version() >= 11) {
    if (!boost::beast::iequals(expect->value(), "100-continue")) co_return 417;
    if (!parser.is_done() && buffer.size() == 0) {
      static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      const auto [error, size] = co_await asio::async_write(stream, asio::buffer(kContinue), kAwait);
      if (error) co_return 0;
    }
  }
  // Piece by piece, so that what is charged is what has come and not what a client says will come.
  parser.eager(true);
  while (!parser.is_done()) {
    const auto [error, size] = co_await http::async_read_some(stream, buffer, parser, kAwait);
    if (error) co_return StatusOfReadError(error);
    if (!charge.GrowTo(parser.get().body().size(), most_in_flight)) co_return 503;
  }
  co_return 200;
}

HttpResponder MakeResponder(Loop& loop, std::weak_ptr<Session> session, uint64_t turn) {
  return HttpResponder([weak_loop = loop.weak_from_this(), session = std::move(session), turn](HttpResponse response) {
    const std::shared_ptr<Loop> alive = weak_loop.lock();
    if (alive == nullptr) return;
    asio::post(alive->io, [session, turn, response = std::move(response)]() mutable {
      const std::shared_ptr<Session> target = session.lock();
      if (target == nullptr || target->turn != turn || target->phase != Session::Phase::kParked || target->response) return;
      target->response = std::move(response);
      target->wake.cancel();
    });
  });
}

// Hands the request to a handler and waits, without a thread, until its answer stands in session.response; false when none will come.
Task<bool> Handle(Core& core, Loop& loop, const std::shared_ptr<Session>& session, HttpRequest& request, BodyBudget::Charge& charge) {
  request.peer_address = session->peer_address;
  request.peer_certificate_pem = session->peer_certificate_pem;
  session->response.reset();
  session->turn++;
  session->phase = Session::Phase::kParked;
  session->deadline = SteadyClock::time_point::max();
  HandlerPool::Job job{.request = std::move(request), .respond = MakeResponder(loop, session, session->turn), .charge = std::move(charge)};
  // Load is no reason to end the connection: the request was read completely.
  if (!core.pool.TryPush(std::move(job))) session->response = core.EarlyError(503);
  while (!session->response && session->socket.is_open()) {
    session->wake.expires_at(SteadyClock::time_point::max());
    co_await session->wake.async_wait(kAwait);
  }
  // Status 0 stands for no answer at all: the connection just ends.
  co_return session->response.has_value() && session->response->status != 0 && session->socket.is_open();
}

// References: the caller's frame outlives this one, and GCC 12 needs arguments of co_await to be simple.
template <typename Stream>
Task<> Serve(Core& core, Loop& loop, const std::shared_ptr<Session>& session, Stream& stream) {
  boost::beast::flat_buffer buffer;
  for (;;) {
    http::request_parser<http::string_body> parser;
    BodyBudget::Charge charge(core.bodies);
    int status = co_await ReadRequest(core, *session, stream, buffer, parser, charge);
    if (status == 0 || loop.stopping) co_return;
    HttpRequest request;
    bool keep_alive = false;
    if (status == 200) {
      keep_alive = parser.keep_alive() && parser.get().version() >= 11;
      request = ToRequest(parser.release());
      if (!request.SplitTarget()) status = 400;
    }
    if (status != 200) {
      session->deadline = SteadyClock::now() + ToSteady(core.options.request_timeout);
      const HttpResponse refusal = core.EarlyError(status);
      co_await WriteResponse(*session, stream, refusal, false, false);
      co_await EndStream(*session, stream, true);
      co_return;
    }
    const bool head = request.method == "HEAD";
    const bool answered = co_await Handle(core, loop, session, request, charge);
    if (!answered) co_return;
    const HttpResponse response = *std::move(session->response);
    session->response.reset();
    const auto connection = response.headers.find("connection");
    if (loop.stopping || (connection != response.headers.end() && connection->second == "close")) keep_alive = false;
    session->deadline = SteadyClock::now() + ToSteady(core.options.request_timeout);
    const bool go_on = co_await WriteResponse(*session, stream, response, keep_alive, head);
    if (!go_on || loop.stopping) {
      co_await EndStream(*session, stream, false);
      co_return;
    }
  }
}

}  // namespace

HttpResponse Core::EarlyError(int status) const {
  if (options.early_error) return options.early_error(status, EarlyMessage(status));
  return HttpResponse::Text(status, absl::StrCat(ToAbsl(EarlyMessage(status)), "\n"));
}

Task<> RunSession(std::shared_ptr<Core> core, Loop& loop, Socket socket, std::string place) {
  const auto session = std::make_shared<Session>(std::move(socket));
  const Registration registration(*core, loop, *session, std::move(place));
  if (loop.stopping) co_return;
  session->first_request_by = SteadyClock::now() + ToSteady(core->options.first_request_timeout);
  boost::system::error_code ignored;
  session->socket.set_option(tcp::no_delay(true), ignored);
  session->peer_address = session->socket.remote_endpoint(ignored).address().to_string();
  if (core->tls == nullptr) {
    co_await Serve(*core, loop, session, session->socket);
    co_return;
  }
  TlsStream stream(session->socket, *core->tls);
  session->deadline = std::min(session->first_request_by, SteadyClock::now() + ToSteady(core->options.request_timeout));
  const auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, kAwait);
  if (error) co_return;
  session->peer_certificate_pem = VerifiedPeerCertificate(stream.native_handle());
  co_await Serve(*core, loop, session, stream);
}

}  // namespace latchkey::http_server
