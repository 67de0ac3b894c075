// The emulator on its ports: one for AWS (KMS, STS and metadata, all regions), one for each other cloud; the admin API is on each of them.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "emulator/emulator.h"

namespace latchkey {

struct EmulatorPort {
  std::string address = "127.0.0.1";  // numeric
  uint16_t port = 0;                  // 0: any free one
  bool or_any = false;                // another free port when this one is taken
};

struct EmulatorServerOptions {
  std::string address = "127.0.0.1";          // AWS's, numeric
  uint16_t port = 0;                          // AWS's; 0: any free one, see port()
  std::map<std::string, EmulatorPort> ports;  // of the other clouds, by name; those that are not named get a free port at `address`
  int handler_threads = 4;                    // a port
  std::string certificate_pem;                // TLS on every port when not empty (tls_folder.h makes one)
  std::string private_key_pem;
};

// Answers that a fault delays wait in a queue of timers and hold no handler thread. Thread-safe.
class EmulatorServer {
 public:
  // Serves `emulator`, which it owns, until Stop() or destruction. Errors: as HttpServer::Start; InvalidArgument for a port of a cloud that
  // there is not.
  static absl::StatusOr<std::unique_ptr<EmulatorServer>> Start(EmulatorServerOptions options, std::unique_ptr<Emulator> emulator);
  virtual ~EmulatorServer() = default;
  // AWS's.
  virtual uint16_t port() const = 0;
  virtual std::string url() const = 0;  // "http://127.0.0.1:5566"; what clients take as endpoint of both services
  // Another cloud's ("gcp"); "" when there is no such cloud.
  virtual std::string url(std::string_view cloud) const = 0;
  virtual Emulator& emulator() = 0;
  // Answers that still wait are given up: their connections close. Idempotent.
  virtual void Stop() = 0;
};

}  // namespace latchkey
