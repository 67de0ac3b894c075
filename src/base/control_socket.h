// Request and answer over a Unix socket, for the daemons of one host. Secrets travel beside the JSON, so that they never enter a parser
// or a log: the receiver reads them straight into locked memory.
//
// Wire, both ways, one request and one answer a connection:
//   u32 length of JSON (little endian, ≤ 1 MiB) | u32 length of secret (≤ 4 KiB) | JSON object | secret bytes
// The socket file has mode 0600, and SO_PEERCRED is checked: only root, our own user and `allowed_uids` are served.
// An error answer is {"error": {"code": <absl code>, "message": …}}; ControlCall turns it back into a Status (payloads are lost). So a
// handler's own answer has no field "error".
// A peer has 30 s to send its request and 30 s to take the answer; it holds up nobody else meanwhile. At most 32 connections at a time: the
// one that has been silent longest makes room.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <sys/types.h>

#include <boost/json.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/secret_bytes.h"

namespace latchkey {

struct ControlMessage {
  boost::json::object body;
  SecretBytes secret;
};

class ControlServer {
 public:
  using Handler = std::function<absl::StatusOr<ControlMessage>(ControlMessage request)>;
  struct Options {
    std::string path;  // under 108 bytes; a left-over socket is replaced
    std::vector<uid_t> allowed_uids;
    Handler handler;  // called on one of 4 threads; concurrently
  };
  // Listens and serves until destroyed. FailedPrecondition when another process listens there. The destructor waits for handlers under way
  // and sends their answers; it must not run inside a handler.
  static absl::StatusOr<std::unique_ptr<ControlServer>> Start(Options options);
  virtual ~ControlServer() = default;
};

// One exchange. Unavailable when nobody listens or the peer goes away; DeadlineExceeded after `timeout`; else the handler's own status.
absl::StatusOr<ControlMessage> ControlCall(const std::string& path, ControlMessage request, absl::Duration timeout);

}  // namespace latchkey
