// Where long polls wait. One parked poll an agent, woken by a notification, by its deadline, by a newer poll of the same agent, or when the
// hub stops; one thread for all of them.
#pragma once

#include <absl/time/time.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

namespace latchkey {

// Thread-safe. Its size is bounded by the number of agents.
class Hub {
 public:
  Hub();
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  // How often this agent was notified. Take it before looking at what there is to tell, and park with it: what happens in between is not
  // missed.
  uint64_t Ticket(const std::string& agent_id);
  // Calls `wake` once, from the hub's thread (from this one after Stop). `wait` is real time.
  void Park(const std::string& agent_id, uint64_t ticket, absl::Duration wait, std::function<void()> wake);
  void Notify(const std::string& agent_id);
  // Wakes all that are parked, and returns when the last was called.
  void Stop();

 private:
  using Moment = std::chrono::steady_clock::time_point;
  struct Seat {
    uint64_t notified = 0;
    std::function<void()> wake;  // empty when nobody is parked
    Moment deadline;
  };
  void Run();
  void Ready(Seat& seat);  // with mutex_ held

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Seat> seats_;
  std::deque<std::function<void()>> ready_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace latchkey
