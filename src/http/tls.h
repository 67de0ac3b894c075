// TLS of the HTTP server: 1.2 and later, with client certificates where a CA for them is named.
#pragma once

#include <absl/status/statusor.h>

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "http/server.h"

namespace latchkey {

// InvalidArgument naming "certificate_pem", "private_key_pem" or "client_ca_pem".
absl::StatusOr<std::unique_ptr<boost::asio::ssl::context>> NewServerTls(const HttpServerOptions& options);

// The client certificate of a finished handshake in PEM; empty without one, or when it was not verified.
std::string VerifiedPeerCertificate(SSL* ssl);

}  // namespace latchkey
