// The server as one object: the control plane's services behind three listeners (public API, agents, health).
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>

#include "api/server_config.h"
#include "control/services.h"

namespace latchkey {

class Server {
 public:
  virtual ~Server() = default;  // stops
  virtual uint16_t public_port() const = 0;
  virtual uint16_t agent_port() const = 0;
  virtual uint16_t health_port() const = 0;  // the public port without a listener of its own
  // For commands on the server's own host (the first API key, a join token). Lives as long as this.
  virtual Control& control() = 0;
  // Answers parked syncs, closes the listeners, waits for handlers. Idempotent.
  virtual void Stop() = 0;
};

// Opens the store and listens. Errors: FailedPrecondition (plaintext off loopback; store held by another server), an address in use, a
// certificate that cannot be read; each names its configuration key.
absl::StatusOr<std::unique_ptr<Server>> StartServer(const ServerConfig& config);
// The same over services that the caller made.
absl::StatusOr<std::unique_ptr<Server>> StartServer(const ServerConfig& config, std::unique_ptr<Control> control);

}  // namespace latchkey
