// The emulator on a port: one listener for KMS, STS and the admin API, all regions.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <string>

#include "emulator/emulator.h"

namespace latchkey {

struct EmulatorServerOptions {
  std::string address = "127.0.0.1";  // numeric
  uint16_t port = 0;                  // 0: any free one, see port()
  int handler_threads = 4;
  std::string certificate_pem;  // TLS when not empty
  std::string private_key_pem;
};

// Answers that a fault delays wait in a queue of timers and hold no handler thread. Thread-safe.
class EmulatorServer {
 public:
  // Serves `emulator`, which it owns, until Stop() or destruction. Errors: as HttpServer::Start.
  static absl::StatusOr<std::unique_ptr<EmulatorServer>> Start(EmulatorServerOptions options, std::unique_ptr<Emulator> emulator);
  virtual ~EmulatorServer() = default;
  virtual uint16_t port() const = 0;
  virtual std::string url() const = 0;  // "http://127.0.0.1:5566"; what clients take as endpoint of both services
  virtual Emulator& emulator() = 0;
  // Answers that still wait are given up: their connections close. Idempotent.
  virtual void Stop() = 0;
};

}  // namespace latchkey
