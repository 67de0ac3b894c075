// The server's connections: what one is, and how it is served. Internal to this room; server.cc accepts them and ends them.
#pragma once

#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "http/handler_pool.h"
#include "http/limits.h"
#include "http/server.h"

namespace latchkey::http_server {

namespace asio = boost::asio;
using asio::ip::tcp;
using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<tcp, Executor>;
using SteadyClock = std::chrono::steady_clock;
using Timer = asio::basic_waitable_timer<SteadyClock, asio::wait_traits<SteadyClock>, Executor>;
template <typename T = void>
using Task = asio::awaitable<T, Executor>;

// Completion as a tuple with the error first; no exceptions in this room's coroutines.
inline constexpr asio::as_tuple_t<asio::use_awaitable_t<Executor>> kAwait;

// For what is on its way when a connection ends: the rest of a request that was refused, and answers when the server stops.
inline constexpr auto kDrainTime = std::chrono::seconds(2);

inline SteadyClock::duration ToSteady(absl::Duration d) { return absl::ToChronoNanoseconds(std::max(d, absl::Milliseconds(1))); }

// One connection. Everything in it is touched by the one thread of its loop only.
struct Session {
  enum class Phase { kIdle, kReading, kParked, kWriting };
  explicit Session(Socket s) : socket(std::move(s)), wake(socket.get_executor()) {}

  Socket socket;
  Timer wake;  // cancelled when `response` has come or the connection is to end
  Phase phase = Phase::kIdle;
  SteadyClock::time_point deadline = SteadyClock::time_point::max();
  SteadyClock::time_point first_request_by = SteadyClock::time_point::max();  // the end of its header
  std::optional<HttpResponse> response;
  uint64_t turn = 0;  // counts requests: an answer that belongs to an earlier one is dropped
  std::string peer_address;
  std::string peer_certificate_pem;

  void Close() {
    boost::system::error_code ignored;
    socket.close(ignored);
    wake.cancel();
  }
};

// One I/O thread with its connections.
struct Loop : std::enable_shared_from_this<Loop> {
  std::set<Session*> sessions;
  bool stopping = false;
  Timer* sweep = nullptr;
  std::thread thread;
  asio::io_context io{1};  // last: its destruction ends what still refers to the members above
};

struct Core {
  explicit Core(HttpServerOptions o) : options(std::move(o)), pool(options.handler, options.handler_threads, options.max_queued) {}
  const HttpServerOptions options;
  BodyBudget bodies;  // before the pool, whose jobs hold charges
  HandlerPool pool;
  std::unique_ptr<asio::ssl::context> tls;
  std::atomic<size_t> connections = 0;
  PeerCounts peers;

  HttpResponse EarlyError(int status) const;
};

// Serves one connection to its end. It is counted in core->connections and, under `place`, in core->peers already; both counts end with it.
Task<> RunSession(std::shared_ptr<Core> core, Loop& loop, Socket socket, std::string place);

}  // namespace latchkey::http_server
