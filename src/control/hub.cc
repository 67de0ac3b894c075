#include "control/hub.h"

#include <utility>

namespace latchkey {

Hub::Hub() : thread_([this] { Run(); }) {}

Hub::~Hub() { Stop(); }

uint64_t Hub::Ticket(const std::string& agent_id) {
  std::lock_guard lock(mutex_);
  return seats_[agent_id].notified;
}

void Hub::Ready(Seat& seat) {
  if (!seat.wake) return;
  ready_.push_back(std::exchange(seat.wake, nullptr));
}

void Hub::Park(const std::string& agent_id, uint64_t ticket, absl::Duration wait, std::function<void()> wake) {
  std::function<void()> at_once;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) {
      at_once = std::move(wake);
    } else {
      Seat& seat = seats_[agent_id];
      Ready(seat);
      seat.wake = std::move(wake);
      seat.deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(wait);
      if (seat.notified != ticket) Ready(seat);
    }
  }
  if (at_once) {
    at_once();
  } else {
    changed_.notify_one();
  }
}

void Hub::Notify(const std::string& agent_id) {
  {
    std::lock_guard lock(mutex_);
    Seat& seat = seats_[agent_id];
    ++seat.notified;
    Ready(seat);
  }
  changed_.notify_one();
}

void Hub::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Hub::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    const Moment now = std::chrono::steady_clock::now();
    Moment next = now + std::chrono::hours(1);
    for (auto& [agent_id, seat] : seats_) {
      if (!seat.wake) continue;
      if (stopping_ || seat.deadline <= now) {
        Ready(seat);
      } else {
        next = std::min(next, seat.deadline);
      }
    }
    if (ready_.empty()) {
      if (stopping_) return;
      changed_.wait_until(lock, next);
      continue;
    }
    auto wake = std::move(ready_.front());
    ready_.pop_front();
    lock.unlock();
    wake();
    wake = nullptr;
    lock.lock();
  }
}

}  // namespace latchkey
