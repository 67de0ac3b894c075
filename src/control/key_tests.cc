#include "control/key_tests.h"

#include "base/status.h"

namespace latchkey {

absl::Status KeyTests::Ask(const std::string& agent_id, const KeyTest& test) {
  std::lock_guard lock(mutex_);
  size_t open = 0;
  for (const auto& [id, question] : questions_) open += question.agent_id == agent_id ? 1 : 0;
  if (open >= kMostPerAgent) return Unavailable("too many keys wait to be tested by the same host; try again");
  questions_[test.id] = {.agent_id = agent_id, .test = test, .handed_at = std::nullopt, .verdict = std::nullopt};
  return absl::OkStatus();
}

std::optional<KeyVerdict> KeyTests::Await(const std::string& test_id, absl::Duration timeout) {
  std::unique_lock lock(mutex_);
  answered_.wait_for(lock, absl::ToChronoNanoseconds(timeout), [&] {
    const auto it = questions_.find(test_id);
    return stopping_ || it == questions_.end() || it->second.verdict;
  });
  const auto it = questions_.find(test_id);
  if (it == questions_.end()) return std::nullopt;
  std::optional<KeyVerdict> verdict = std::move(it->second.verdict);
  questions_.erase(it);
  return verdict;
}

std::vector<KeyTest> KeyTests::Hand(const std::string& agent_id) {
  std::lock_guard lock(mutex_);
  std::vector<KeyTest> tests;
  for (auto& [id, question] : questions_) {
    if (question.agent_id != agent_id || question.verdict) continue;
    question.handed_at = std::chrono::steady_clock::now();
    tests.push_back(question.test);
  }
  return tests;
}

bool KeyTests::Due(const std::string& agent_id) {
  std::lock_guard lock(mutex_);
  const auto before = std::chrono::steady_clock::now() - absl::ToChronoNanoseconds(kAgain);
  for (const auto& [id, question] : questions_) {
    if (question.agent_id == agent_id && !question.verdict && (!question.handed_at || *question.handed_at <= before)) return true;
  }
  return false;
}

void KeyTests::Deliver(const std::string& agent_id, const KeyVerdict& verdict) {
  {
    std::lock_guard lock(mutex_);
    const auto it = questions_.find(verdict.test_id);
    if (it == questions_.end() || it->second.agent_id != agent_id || it->second.verdict) return;
    it->second.verdict = verdict;
  }
  answered_.notify_all();
}

void KeyTests::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  answered_.notify_all();
}

}  // namespace latchkey
