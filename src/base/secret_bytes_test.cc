#include "base/secret_bytes.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <type_traits>

#include "base/testing.h"

namespace latchkey {
namespace {

static_assert(!std::is_copy_constructible_v<SecretBytes> && !std::is_copy_assignable_v<SecretBytes>);

std::string_view Read(const SecretBytes& s) { return s.RevealText(SecretAccess{}); }

TEST(SecretBytesTest, HoldsACopyInLockedMemory) {
  const SecretBytes s = SecretBytes::CopyOf(std::string_view("hunter2"));
  EXPECT_EQ(Read(s), "hunter2");
  EXPECT_TRUE(SecretArena::Owns(s.Reveal(SecretAccess{}).data()));
  EXPECT_TRUE(SecretArena::IsLocked());
}

TEST(SecretBytesTest, BeginsWithZeros) {
  const SecretBytes s(100);
  for (uint8_t b : s.Reveal(SecretAccess{})) EXPECT_EQ(b, 0);
}

TEST(SecretBytesTest, MovesAndIsEmptyAfterwards) {
  SecretBytes a = SecretBytes::CopyOf(std::string_view("one"));
  const SecretBytes& former = a;
  SecretBytes b = std::move(a);
  EXPECT_EQ(Read(b), "one");
  EXPECT_TRUE(former.empty());
  SecretBytes c = SecretBytes::CopyOf(std::string_view("two"));
  c = std::move(b);
  EXPECT_EQ(Read(c), "one");
  const SecretBytes d = c.Clone();
  EXPECT_TRUE(d.Equals(c));
  EXPECT_NE(d.Reveal(SecretAccess{}).data(), c.Reveal(SecretAccess{}).data());
}

TEST(SecretBytesTest, ComparesContentAndLength) {
  const SecretBytes a = SecretBytes::CopyOf(std::string_view("abc"));
  EXPECT_TRUE(a.Equals(SecretBytes::CopyOf(std::string_view("abc"))));
  EXPECT_FALSE(a.Equals(SecretBytes::CopyOf(std::string_view("abd"))));
  EXPECT_FALSE(a.Equals(SecretBytes::CopyOf(std::string_view("ab"))));
  EXPECT_TRUE(SecretBytes().Equals(SecretBytes()));
}

TEST(SecretBytesTest, IsWipedWhenItGoes) {
  const uint8_t* where = nullptr;
  {
    const SecretBytes s = SecretBytes::CopyOf(std::string_view("a long enough secret"));
    where = s.Reveal(SecretAccess{}).data();
  }
  // The page is the arena's and stays mapped, so that the test may look.
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(where[i], 0) << i;
}

TEST(SecretArenaTest, UsesFreedMemoryAgain) {
  const size_t before = SecretArena::BytesInUse();
  for (int i = 0; i < 100000; ++i) SecretBytes s(4096);  // 400 MiB in all, in an arena of 1 MiB
  EXPECT_EQ(SecretArena::BytesInUse(), before);
}

TEST(SecretArenaTest, SaysWhenItIsFull) {
  EXPECT_EQ(SecretArena::Allocate(size_t{1} << 30), nullptr);
  EXPECT_EQ(SecretArena::Allocate(SIZE_MAX), nullptr);
}

TEST(SecretArenaTest, IsReservedOnce) {
  const SecretBytes first(1);
  EXPECT_THAT(SecretArena::Reserve(1 << 20), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(SecretArenaTest, ServesManyThreads) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        const std::string text = std::to_string(t) + ":" + std::to_string(i);
        const SecretBytes s = SecretBytes::CopyOf(std::string_view(text));
        if (Read(s) != text) ++wrong;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
}

// Runs in a forked child and returns its exit code, or 128 + the signal that ended it.
int InChild(const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid == 0) _exit(body());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

TEST(SecretArenaTest, StaysOutOfForkedChildrenWhichHaveAnArenaOfTheirOwn) {
  const SecretBytes s = SecretBytes::CopyOf(std::string_view("not for children"));
  const auto at = reinterpret_cast<uintptr_t>(s.Reveal(SecretAccess{}).data());
  const auto page = reinterpret_cast<void*>(at & ~static_cast<uintptr_t>(sysconf(_SC_PAGESIZE) - 1));
  unsigned char resident = 0;
  ASSERT_EQ(mincore(page, 1, &resident), 0);
  EXPECT_EQ(InChild([&] {
              if (mincore(page, 1, &resident) == 0 || errno != ENOMEM) return 1;  // still mapped
              const SecretBytes own = SecretBytes::CopyOf(std::string_view("child"));
              return Read(own) == "child" ? 0 : 2;
            }),
            0);
  EXPECT_EQ(Read(s), "not for children");
}

TEST(SecretArenaTest, IsGoneAsAWholeAfterWipeAll) {
  EXPECT_EQ(InChild([] {
              const SecretBytes* s = new SecretBytes(SecretBytes::CopyOf(std::string_view("sealed")));
              SecretArena::WipeAll();
              return Read(*s) == std::string_view("\0\0\0\0\0\0", 6) ? 0 : 1;
            }),
            0);
}

TEST(ForbidDumpsTest, LeavesNoCoreFileAndNoAccessToMemory) {
  EXPECT_EQ(InChild([] {
              if (!ForbidDumps().ok()) return 1;
              rlimit core{1, 1};
              getrlimit(RLIMIT_CORE, &core);
              return core.rlim_cur == 0 && core.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0 ? 0 : 2;
            }),
            0);
}

TEST(WipeTest, ClearsText) {
  std::string s = "a password that is longer than the small-string buffer";
  const char* where = s.data();
  Wipe(s);
  EXPECT_TRUE(s.empty());
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(where[i], 0);
}

}  // namespace
}  // namespace latchkey
