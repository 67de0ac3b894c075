#include "base/memory.h"

#include <filesystem>

#include "base/file.h"
#include "base/testing.h"

namespace latchkey {
namespace {

class MemoryTest : public testing::Test {
 protected:
  void Put(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(folder_ / path).parent_path());
    LK_ASSERT_OK(WriteFileAtomically(folder_ / path, text, 0600));
  }
  uint64_t Usable() const { return UsableMemory(folder_.path()); }

  TempFolder folder_;
};

TEST_F(MemoryTest, IsTheMachinesWhereNothingLimitsIt) {
  const uint64_t machine = Usable();
  EXPECT_GT(machine, uint64_t{64} << 20);
  EXPECT_LE(UsableMemory(), machine);
  Put("proc/self/cgroup", "0::/system.slice/agent.service\n");
  EXPECT_EQ(Usable(), machine);
  Put("sys/fs/cgroup/system.slice/agent.service/memory.max", "max\n");
  EXPECT_EQ(Usable(), machine);
  Put("sys/fs/cgroup/system.slice/agent.service/memory.max", "nonsense\n");
  EXPECT_EQ(Usable(), machine);
}

TEST_F(MemoryTest, IsTheLeastOfTheGroupsAbove) {
  Put("proc/self/cgroup", "0::/system.slice/agent.service\n");
  Put("sys/fs/cgroup/system.slice/agent.service/memory.max", "33554432\n");
  EXPECT_EQ(Usable(), uint64_t{32} << 20);
  Put("sys/fs/cgroup/system.slice/memory.max", "16777216\n");
  EXPECT_EQ(Usable(), uint64_t{16} << 20);
}

TEST_F(MemoryTest, KnowsTheOlderControlGroups) {
  Put("proc/self/cgroup", "8:pids:/\nbroken\n4:memory:/a/b\n0::/\n");
  Put("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
  Put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "33554432\n");
  EXPECT_EQ(Usable(), uint64_t{32} << 20);
}

}  // namespace
}  // namespace latchkey
