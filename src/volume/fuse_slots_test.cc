#include "volume/fuse_slots.h"

#include <algorithm>

#include "base/testing.h"

namespace latchkey {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

FuseSlotFacts Facts(std::string possible, std::string online) {
  return {.kernel_release = "6.18.44-amd64", .enabled = "Y", .possible = std::move(possible), .online = std::move(online)};
}

TEST(FuseSlotsTest, ASmallMachineHasAsManySlotsAsThreadsOfDevFuse) {
  EXPECT_THAT(FuseSlots(Facts("0-1", "0-1")), ElementsAre(0, 0, 0, 0, 1, 1, 1, 1));
  EXPECT_THAT(FuseSlots(Facts("0", "0\n")), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0));
}

TEST(FuseSlotsTest, EveryProcessorThatIsOnlineHasFourOrWhereTheyAreManyTwo) {
  for (const auto& [list, queues, each] : {std::tuple{"0-31", 32, 4}, {"0-32", 33, 2}, {"0-63", 64, 2}}) {
    const auto slots = FuseSlots(Facts(list, list));
    EXPECT_EQ(slots.size(), static_cast<size_t>(queues * each));
    for (int queue = 0; queue < queues; ++queue) EXPECT_EQ(std::count(slots.begin(), slots.end(), queue), each) << queue;
  }
}

TEST(FuseSlotsTest, AProcessorThatMayComeLaterHasOne) {
  EXPECT_THAT(FuseSlots(Facts("0-5", "0-2,4")), ElementsAre(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4, 4, 4, 4, 5));
  EXPECT_EQ(FuseSlots(Facts("0-115", "0-3")).size(), 128u);
}

TEST(FuseSlotsTest, TooManyProcessorsAreServedByDevFuse) {
  EXPECT_THAT(FuseSlots(Facts("0-64", "0-64")), IsEmpty());
  EXPECT_THAT(FuseSlots(Facts("0-127", "0-3")), IsEmpty());
}

TEST(FuseSlotsTest, GapsAmongTheProcessorsNumbersWouldNameQueuesThatAreNotThere) {
  EXPECT_THAT(FuseSlots(Facts("0,2-3", "0,2")), IsEmpty());
  EXPECT_THAT(FuseSlots(Facts("1-2", "1-2")), IsEmpty());
}

TEST(FuseSlotsTest, OnlyWhereItIsAllowed) {
  FuseSlotFacts facts = Facts("0-1", "0-1");
  for (const char* enabled : {"N", "", "y"}) {
    facts.enabled = enabled;
    EXPECT_THAT(FuseSlots(facts), IsEmpty()) << enabled;
  }
}

TEST(FuseSlotsTest, OnlyOnKernelsThatAreTrustedWithIt) {
  FuseSlotFacts facts = Facts("0-1", "0-1");
  for (const char* release : {"6.1.0-30-amd64", "6.14.2", "6.17.13+deb13", "5.19.0", "", "six", "6"}) {
    facts.kernel_release = release;
    EXPECT_THAT(FuseSlots(facts), IsEmpty()) << release;
  }
  for (const char* release : {"6.18", "6.18.0-1-cloud", "6.20.1", "7.0.0-rc1"}) {
    facts.kernel_release = release;
    EXPECT_EQ(FuseSlots(facts).size(), 8u) << release;
  }
}

TEST(FuseSlotsTest, ListsThatMakeNoSense) {
  for (const char* list : {"", "-", "0-", "1-0", "0-1-2", "a", "0,,1", "0-99999999", "-1"}) {
    EXPECT_THAT(FuseSlots(Facts(list, "0")), IsEmpty()) << list;
    EXPECT_THAT(FuseSlots(Facts("0-1", list)), IsEmpty()) << list;
  }
}

}  // namespace
}  // namespace latchkey
