// An HTTP/1.1 server, plain or TLS 1.2+, on Boost.Beast. Connections are coroutines on one I/O thread a core; handlers are plain functions
// on a bounded pool, and may answer later from any thread (a parked long poll holds no thread).
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "http/message.h"

namespace latchkey {

// Answers one request; copyable, callable once from any thread (later calls do nothing). When the last copy goes without a call, the
// server answers 500. A response with status 0 closes the connection without an answer.
class HttpResponder {
 public:
  explicit HttpResponder(std::function<void(HttpResponse)> send);
  void operator()(HttpResponse response) const;

 private:
  struct Once;
  std::shared_ptr<Once> once_;
};

using HttpHandler = std::function<void(HttpRequest request, HttpResponder respond)>;

struct HttpServerOptions {
  std::string address = "127.0.0.1";  // numeric
  uint16_t port = 0;                  // 0: any free one, see port()
  HttpHandler handler;
  int handler_threads = 4;
  int io_threads = 1;
  size_t max_body = 1 << 20;     // larger bodies are answered 413 and the connection is closed
  size_t max_header = 32 << 10;  // larger: 431
  // For connections without a verified client certificate, when not 0: what strangers may send before it is known who they are.
  size_t max_body_without_certificate = 0;
  // Bytes of all bodies between the wire and the end of their handlers; a request that would pass it is answered 503 and its connection is
  // closed. Where max_body_without_certificate is set, strangers have half of it at most, so that they cannot keep the others out.
  size_t max_bodies_in_flight = 64 << 20;
  size_t max_connections = 4096;  // further ones are closed at once
  // The same for one place (an IPv4 address, an IPv6 /64). 0: a quarter of max_connections, and no bound for loopback.
  size_t max_connections_per_peer = 0;
  size_t max_queued = 1024;  // requests waiting for a handler thread; further ones are answered 503
  absl::Duration idle_timeout = absl::Seconds(75);
  absl::Duration request_timeout = absl::Seconds(30);        // for a request to arrive completely
  absl::Duration first_request_timeout = absl::Seconds(10);  // from accept to the end of the first header, TLS handshake included
  // Answer for what fails before the handler (400, 413, 431, 503); text/plain when unset. Lets a dialect keep its form of errors.
  std::function<HttpResponse(int status, std::string_view message)> early_error;

  // TLS, when certificate_pem is not empty.
  std::string certificate_pem;  // chain
  std::string private_key_pem;
  std::string client_ca_pem;  // not empty: client certificates are asked for and verified against it
  bool require_client_certificate = false;
};

class HttpServer {
 public:
  // Listens and serves until Stop() or destruction. Errors: address in use, malformed PEM.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(HttpServerOptions options);
  virtual ~HttpServer() = default;
  virtual uint16_t port() const = 0;
  // Closes the listener and all connections; handlers that run are waited for. Idempotent.
  virtual void Stop() = 0;
};

// True for 127.0.0.0/8, ::1 and "localhost".
bool IsLoopback(std::string_view address);

}  // namespace latchkey
