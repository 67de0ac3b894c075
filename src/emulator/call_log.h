// What was asked of the emulator, for tests and people: who, what, of which key, with which result. Never plaintext, tokens or secrets.
#pragma once

#include <absl/time/time.h>

#include <boost/json.hpp>
#include <cstdint>
#include <deque>
#include <string>

namespace latchkey::emulator {

struct CallRecord {
  int64_t number = 0;  // from 1, rising, also over restarts (with gaps there)
  absl::Time time;
  std::string cloud;    // "aws", "gcp", …
  std::string service;  // "kms", "sts", …
  std::string operation;
  std::string principal;  // ARN; empty when the caller was not recognised
  std::string key;        // ARN of the key, or of the role for STS
  std::string region;
  std::string result;  // "ok", the type of the error, "throttled" or "dropped"
  std::string fault;   // action of the fault that had a part in it
  int status = 0;      // HTTP; 0 when dropped

  boost::json::object ToJson() const;
};

// The last kMost calls. Not thread-safe.
class CallLog {
 public:
  static constexpr size_t kMost = 20'000;
  explicit CallLog(int64_t next) : next_(next) {}
  int64_t next() const { return next_; }
  void Add(CallRecord record);  // sets the number
  // Calls with a number above `since`, oldest first, at most `limit`: {"calls": […], "last": number of the newest call, "oldest": of the
  // oldest kept}.
  boost::json::object Since(int64_t since, size_t limit) const;

 private:
  int64_t next_;
  std::deque<CallRecord> records_;
};

}  // namespace latchkey::emulator
