#include "control/hub.h"

#include <gtest/gtest.h>

#include <future>

namespace latchkey {
namespace {

// A poll that was parked, and when it was woken.
class Poll {
 public:
  std::function<void()> Wake() {
    return [this] { woken_.set_value(); };
  }
  bool WokenWithin(std::chrono::milliseconds d) { return future_.wait_for(d) == std::future_status::ready; }

 private:
  std::promise<void> woken_;
  std::future<void> future_ = woken_.get_future();
};

constexpr auto kSoon = std::chrono::seconds(20);
constexpr auto kNot = std::chrono::milliseconds(30);

TEST(HubTest, ANotificationWakesItsAgentOnly) {
  Poll a, b;
  Hub hub;
  hub.Park("a", hub.Ticket("a"), absl::Minutes(1), a.Wake());
  hub.Park("b", hub.Ticket("b"), absl::Minutes(1), b.Wake());
  hub.Notify("a");
  EXPECT_TRUE(a.WokenWithin(kSoon));
  EXPECT_FALSE(b.WokenWithin(kNot));
}

TEST(HubTest, WhatHappensBetweenLookingAndParkingIsNotMissed) {
  Poll a;
  Hub hub;
  const uint64_t ticket = hub.Ticket("a");
  hub.Notify("a");
  hub.Park("a", ticket, absl::Minutes(1), a.Wake());
  EXPECT_TRUE(a.WokenWithin(kSoon));
}

TEST(HubTest, AfterTheWaitThePollEnds) {
  Poll a;
  Hub hub;
  hub.Park("a", hub.Ticket("a"), absl::Milliseconds(5), a.Wake());
  EXPECT_TRUE(a.WokenWithin(kSoon));
}

TEST(HubTest, ANewerPollReplacesTheOneBefore) {
  Poll first, second;
  Hub hub;
  hub.Park("a", hub.Ticket("a"), absl::Minutes(1), first.Wake());
  hub.Park("a", hub.Ticket("a"), absl::Minutes(1), second.Wake());
  EXPECT_TRUE(first.WokenWithin(kSoon));
  EXPECT_FALSE(second.WokenWithin(kNot));
}

TEST(HubTest, StoppingWakesEverybodyAndNobodyWaitsAfterwards) {
  Poll a, b, late;
  Hub hub;
  hub.Park("a", hub.Ticket("a"), absl::Minutes(1), a.Wake());
  hub.Park("b", hub.Ticket("b"), absl::Minutes(1), b.Wake());
  hub.Stop();
  EXPECT_TRUE(a.WokenWithin(std::chrono::milliseconds(0)));
  EXPECT_TRUE(b.WokenWithin(std::chrono::milliseconds(0)));
  hub.Park("c", 0, absl::Minutes(1), late.Wake());
  EXPECT_TRUE(late.WokenWithin(std::chrono::milliseconds(0)));
}

}  // namespace
}  // namespace latchkey
