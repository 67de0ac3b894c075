// Requests and answers between the two halves of a daemon. Both are the same program, forked: plain structures will do.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace latchkey {

inline constexpr int kMostPids = 64;

struct SupervisorRequest {
  enum What : int32_t { kMount, kReadAhead, kEngine, kKill, kUnmount, kEndConnection } what;
  int32_t engine_pid;
  uint64_t engine_start_ticks;
  int64_t timeout_ns;
};

struct SupervisorAnswer {
  int32_t code;  // absl::StatusCode
  int32_t pids_count;
  int32_t pids[kMostPids];
  char message[512];
};

}  // namespace latchkey
