// One frame of the control socket, sent and received piecewise on a non-blocking descriptor; not for other rooms. The format stands in
// control_socket.h.
#pragma once

#include <absl/status/status.h>

#include <array>
#include <cstdint>
#include <string>

#include "base/control_socket.h"

namespace latchkey::internal {

inline constexpr size_t kLongestJson = 1 << 20;
inline constexpr size_t kLongestSecret = 4096;

enum class FrameState { kMore, kDone };

// Not thread-safe. The text of the JSON is wiped with the reader.
class FrameReader {
 public:
  FrameReader() = default;
  ~FrameReader();
  FrameReader(const FrameReader&) = delete;
  FrameReader& operator=(const FrameReader&) = delete;

  // Reads what is there. Unavailable when the peer has closed, InvalidArgument when a length is over its limit.
  absl::StatusOr<FrameState> Step(int fd);
  // The frame, once Step has said kDone.
  absl::StatusOr<ControlMessage> Take();

 private:
  absl::Status ReadHead();
  std::array<uint8_t, 8> head_{};
  std::string json_;
  SecretBytes secret_;
  size_t done_ = 0;  // bytes of the whole frame
};

class FrameWriter {
 public:
  // InvalidArgument when the message is over a limit.
  static absl::StatusOr<FrameWriter> Of(ControlMessage message);
  FrameWriter() = default;
  FrameWriter(FrameWriter&&) = default;
  FrameWriter& operator=(FrameWriter&&) = default;
  ~FrameWriter();

  // Sends what fits. Unavailable when the peer is gone. Raises no SIGPIPE.
  absl::StatusOr<FrameState> Step(int fd);

 private:
  std::string text_;  // lengths and JSON
  SecretBytes secret_;
  size_t done_ = 0;
};

}  // namespace latchkey::internal
