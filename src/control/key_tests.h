// Questions to an agent whether a key works from where it stands. The server itself has no identity at any KMS: it asks, and the agent's
// next sync answers.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "protocol/sync.h"

namespace latchkey {

// Thread-safe.
class KeyTests {
 public:
  // Most questions that wait for one agent at a time.
  static constexpr size_t kMostPerAgent = 16;
  // A question that was handed out is handed out again after this long, since the answer that carried it may have been lost.
  static constexpr absl::Duration kAgain = absl::Seconds(3);

  // Registers a question; its agent has to be notified by the caller. Unavailable when too many wait for it.
  absl::Status Ask(const std::string& agent_id, const KeyTest& test);
  // Waits (real time) for the verdict. Either way the question is forgotten afterwards. Nothing when nobody answered, or Stop was called.
  std::optional<KeyVerdict> Await(const std::string& test_id, absl::Duration timeout);
  // The open questions to an agent. `due` tells whether one of them has not been handed to it lately; they count as handed from now on.
  std::vector<KeyTest> Hand(const std::string& agent_id);
  bool Due(const std::string& agent_id);
  // Only the agent that was asked may answer, and only once.
  void Deliver(const std::string& agent_id, const KeyVerdict& verdict);
  void Stop();

 private:
  struct Question {
    std::string agent_id;
    KeyTest test;
    std::optional<std::chrono::steady_clock::time_point> handed_at;
    std::optional<KeyVerdict> verdict;
  };
  std::mutex mutex_;
  std::condition_variable answered_;
  std::map<std::string, Question> questions_;  // by test id
  bool stopping_ = false;
};

}  // namespace latchkey
