// Faults on order: what the emulator does instead of, or to, its answers. Ordered queues, one an operation, are consumed from the front;
// standing faults hold until cleared. A queue goes before a standing fault, and a named operation before "*".
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

namespace latchkey::emulator {

// What a client meets.
//   delay        the right answer, late (it was decided when the request arrived)
//   throttle     the service's own throttling error
//   error        `type` and `message` with HTTP `status`
//   drop         the connection closes without an answer; the operation is not carried out
//   truncate     half of the right answer's body
//   corrupt      the right answer with bytes in its middle overwritten
//   other-bytes  a well-formed Decrypt answer whose plaintext is another one
// `delay_ms` goes with each of them: a drop with a delay is a service that hangs.
struct Fault {
  std::string operation = "*";  // "Decrypt", "AssumeRole", …
  std::string action;
  int64_t delay_ms = 0;  // up to 10 minutes
  int status = 500;
  std::string type;  // "DisabledException", "Forbidden/KeyDisabled"; empty: the cloud's own for an internal error
  std::string message;
  int64_t times = 1;  // how often the queue yields it

  boost::json::object ToJson() const;
  // Strict; faults name the field.
  static absl::StatusOr<Fault> FromJson(const boost::json::object& object);
};

// Not thread-safe.
class FaultPlan {
 public:
  static constexpr size_t kMost = 1000;
  // ResourceExhausted when kMost faults wait already.
  absl::Status Enqueue(Fault fault);
  absl::Status Stand(Fault fault);  // replaces an earlier one of the operation
  void Clear();
  // The fault for a call of `operation`, taken from its queue where it came from one; `changed` tells whether a queue moved.
  std::optional<Fault> Next(const std::string& operation, bool* changed);

  boost::json::object ToJson() const;
  static absl::StatusOr<FaultPlan> FromJson(const boost::json::object& object);

 private:
  size_t waiting_ = 0;
  std::map<std::string, std::deque<Fault>> queues_;
  std::map<std::string, Fault> standing_;
};

}  // namespace latchkey::emulator
