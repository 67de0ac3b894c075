#include "http/limits.h"

#include <gtest/gtest.h>

namespace latchkey {
namespace {

TEST(BodyBudgetTest, BodiesShareItAndGiveItBack) {
  BodyBudget budget;
  BodyBudget::Charge first(budget);
  EXPECT_TRUE(first.GrowTo(60, 100));
  EXPECT_TRUE(first.GrowTo(70, 100));
  {
    BodyBudget::Charge second(budget);
    EXPECT_FALSE(second.GrowTo(31, 100));
    EXPECT_EQ(budget.used(), 70u);
    EXPECT_TRUE(second.GrowTo(30, 100));
    const BodyBudget::Charge moved = std::move(second);
    EXPECT_EQ(budget.used(), 100u);
  }
  EXPECT_EQ(budget.used(), 70u);
}

TEST(PeerCountsTest, APlaceIsAnIpv4AddressOrAnIpv6Network) {
  const auto place = [](const char* address) { return PeerCounts::PlaceOf(boost::asio::ip::make_address(address)); };
  EXPECT_EQ(place("192.0.2.7").name, "192.0.2.7");
  EXPECT_EQ(place("::ffff:192.0.2.7").name, "192.0.2.7");
  EXPECT_EQ(place("2001:db8:1:2:3:4:5:6").name, place("2001:db8:1:2:ffff::").name);
  EXPECT_NE(place("2001:db8:1:2::1").name, place("2001:db8:1:3::1").name);
  for (const char* own : {"127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"}) EXPECT_TRUE(place(own).loopback) << own;
  for (const char* other : {"192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"}) EXPECT_FALSE(place(other).loopback) << other;
}

TEST(PeerCountsTest, EachPlaceHasItsOwnCount) {
  PeerCounts counts;
  EXPECT_TRUE(counts.Enter("a", 2));
  EXPECT_TRUE(counts.Enter("a", 2));
  EXPECT_FALSE(counts.Enter("a", 2));
  EXPECT_TRUE(counts.Enter("b", 2));
  counts.Leave("a");
  EXPECT_TRUE(counts.Enter("a", 2));
  EXPECT_FALSE(counts.Enter("c", 0));
}

}  // namespace
}  // namespace latchkey
