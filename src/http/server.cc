#include "http/server.h"

#include <poll.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "base/status.h"
#include "http/session.h"
#include "http/tls.h"

namespace latchkey {
namespace {

using namespace http_server;
using Acceptor = asio::basic_socket_acceptor<tcp, Executor>;

bool PeerIsGone(Socket& socket) {
  pollfd fd{.fd = socket.native_handle(), .events = POLLRDHUP, .revents = 0};
  return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLRDHUP | POLLERR | POLLHUP)) != 0;
}

// Ends connections whose time is over, and parked ones whose client has gone. Lives until the loop stops and has no connections.
Task<> Sweep(std::shared_ptr<Core> core, Loop& loop) {
  const auto shortest =
      ToSteady(std::min({core->options.idle_timeout, core->options.request_timeout, core->options.first_request_timeout}));
  const auto interval = std::clamp<SteadyClock::duration>(shortest / 4, std::chrono::milliseconds(10), std::chrono::seconds(1));
  Timer timer(loop.io.get_executor());
  loop.sweep = &timer;
  while (!loop.stopping || !loop.sessions.empty()) {
    timer.expires_after(interval);
    co_await timer.async_wait(kAwait);
    const auto now = SteadyClock::now();
    for (Session* session : loop.sessions) {
      if (now >= session->deadline || (session->phase == Session::Phase::kParked && PeerIsGone(session->socket))) session->Close();
    }
  }
  loop.sweep = nullptr;
}

size_t MostOfPlace(const HttpServerOptions& options, const PeerCounts::Place& place) {
  if (options.max_connections_per_peer != 0) return options.max_connections_per_peer;
  return place.loopback ? options.max_connections : std::max<size_t>(options.max_connections / 4, 1);
}

Task<> Accept(std::shared_ptr<Core> core, std::shared_ptr<Acceptor> acceptor, const std::vector<std::shared_ptr<Loop>>& loops) {
  Timer pause(acceptor->get_executor());
  for (size_t next = 0; acceptor->is_open(); ++next) {
    Loop& loop = *loops[next % loops.size()];
    auto [error, socket] = co_await acceptor->async_accept(loop.io.get_executor(), kAwait);
    if (error == asio::error::operation_aborted) break;
    if (error) {
      // Out of descriptors, or a client that went away while it waited: the first is mended by time only.
      pause.expires_after(std::chrono::milliseconds(50));
      co_await pause.async_wait(kAwait);
      continue;
    }
    const auto peer = socket.remote_endpoint(error);
    if (error) continue;
    const PeerCounts::Place place = PeerCounts::PlaceOf(peer.address());
    if (!core->peers.Enter(place.name, MostOfPlace(core->options, place))) continue;
    if (core->connections.fetch_add(1) >= core->options.max_connections) {
      core->connections--;
      core->peers.Leave(place.name);
      continue;
    }
    asio::co_spawn(loop.io, RunSession(core, loop, std::move(socket), place.name), asio::detached);
  }
}

class Server : public HttpServer {
 public:
  Server(std::shared_ptr<Core> core, tcp::endpoint endpoint) : core_(std::move(core)) {
    for (int i = 0; i < std::max(core_->options.io_threads, 1); ++i) loops_.push_back(std::make_shared<Loop>());
    acceptor_ = std::make_shared<Acceptor>(loops_[0]->io);
    endpoint_ = std::move(endpoint);
  }
  ~Server() override { Stop(); }

  absl::Status Listen() {
    boost::system::error_code error;
    acceptor_->open(endpoint_.protocol(), error);
    if (!error) acceptor_->set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_->bind(endpoint_, error);
    if (!error) acceptor_->listen(asio::socket_base::max_listen_connections, error);
    if (!error) endpoint_ = acceptor_->local_endpoint(error);
    if (!error) return absl::OkStatus();
    return ErrnoStatus(error.value(), absl::StrCat("listen on ", core_->options.address, " port ", core_->options.port));
  }

  void Run() {
    const BlockedSignals blocked;
    asio::co_spawn(loops_[0]->io, Accept(core_, acceptor_, loops_), asio::detached);
    for (const auto& loop : loops_) {
      asio::co_spawn(loop->io, Sweep(core_, *loop), asio::detached);
      loop->thread = std::thread([&io = loop->io] { io.run(); });
    }
  }

  uint16_t port() const override { return endpoint_.port(); }

  void Stop() override {
    const std::lock_guard lock(stop_mutex_);
    if (stopped_) return;
    stopped_ = true;
    asio::post(loops_[0]->io, [acceptor = acceptor_] {
      boost::system::error_code ignored;
      acceptor->close(ignored);
    });
    core_->pool.Stop();
    for (const auto& loop : loops_) asio::post(loop->io, [&loop = *loop] { StopLoop(loop); });
    for (const auto& loop : loops_) {
      if (loop->thread.joinable()) loop->thread.join();
    }
  }

 private:
  // Answers on their way go out; all other connections end now.
  static void StopLoop(Loop& loop) {
    loop.stopping = true;
    for (Session* session : loop.sessions) {
      if (session->phase == Session::Phase::kWriting || session->response) {
        session->deadline = std::min(session->deadline, SteadyClock::now() + kDrainTime);
      } else {
        session->Close();
      }
    }
    if (loop.sweep != nullptr) loop.sweep->cancel();
  }

  const std::shared_ptr<Core> core_;
  std::vector<std::shared_ptr<Loop>> loops_;
  std::shared_ptr<Acceptor> acceptor_;  // after loops_: an acceptor ends before its io_context
  tcp::endpoint endpoint_;
  std::mutex stop_mutex_;
  bool stopped_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(HttpServerOptions options) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error) return InvalidArgument("address: ", options.address, " is not a numeric IP address");
  if (!options.handler) return InvalidArgument("handler: is missing");
  const tcp::endpoint endpoint(address, options.port);
  std::unique_ptr<asio::ssl::context> tls;
  if (!options.certificate_pem.empty()) {
    ASSIGN_OR_RETURN(tls, NewServerTls(options));
  }
  const auto core = std::make_shared<Core>(std::move(options));
  core->tls = std::move(tls);
  auto server = std::make_unique<Server>(core, endpoint);
  RETURN_IF_ERROR(server->Listen());
  server->Run();
  return server;
}

bool IsLoopback(std::string_view address) {
  if (address == "localhost") return true;
  boost::system::error_code error;
  const auto parsed = asio::ip::make_address(std::string(address), error);
  return !error && parsed.is_loopback();
}

}  // namespace latchkey
