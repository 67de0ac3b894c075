// One TLS connection to a KMIP server, on which messages go back and forth one at a time.
#pragma once

#include <absl/status/statusor.h>
#include <openssl/ssl.h>

#include <chrono>
#include <memory>
#include <span>

#include "base/file.h"
#include "base/secret_bytes.h"
#include "kms/kmip/kmip_kms.h"

namespace latchkey {

using SteadyTime = std::chrono::steady_clock::time_point;

// Not thread-safe. After an error it cannot be used any more.
class TlsChannel {
 public:
  // Connects by `connect_by`, and has the handshake done by `until`. Certificate, key and CA are read from their files each time, so that
  // they can be replaced. TLS 1.2 or later; the server's certificate must be for server_name, or host where that is empty. Errors carry a
  // failure class: kIdentity where our certificate or key cannot be used, kUnreachable for the rest.
  static absl::StatusOr<std::unique_ptr<TlsChannel>> Open(const KmipConnection& connection, SteadyTime connect_by, SteadyTime until);
  ~TlsChannel();
  TlsChannel(const TlsChannel&) = delete;
  TlsChannel& operator=(const TlsChannel&) = delete;

  // Sends a message and reads one. Errors carry a failure class.
  absl::StatusOr<SecretBytes> Exchange(const SecretBytes& message, SteadyTime until);
  // The server has closed it, or sent what nobody asked for. Does not wait.
  bool IsStale() const;
  SteadyTime opened() const { return opened_; }

 private:
  TlsChannel() = default;
  enum class Wish { kRead, kWrite };
  absl::Status WaitFor(Wish wish, SteadyTime until) const;
  absl::Status Handshake(SteadyTime until);
  absl::Status ReadFully(std::span<uint8_t> into, SteadyTime until);
  // After `ssl_error` (SSL_get_error): waits when more has to come or go, else the failure.
  absl::Status After(int ssl_error, SteadyTime until);
  absl::Status Failure(int ssl_error) const;

  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  UniqueFd socket_;
  int fd_ = -1;  // of socket_, for the BIO
  std::unique_ptr<SSL, Free> ssl_;
  bool handshake_done_ = false;
  SteadyTime opened_;
};

}  // namespace latchkey
