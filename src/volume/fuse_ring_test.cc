// A volume served over io_uring, and the same over /dev/fuse alone.
#include "volume/fuse_ring.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <thread>

#include "volume/daemon_testing.h"
#include "volume/fuse_slots.h"

namespace latchkey {
namespace {

// True: over io_uring where this host has it, and as elsewhere where it has not.
class FuseRingTest : public DaemonTest, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) AllowFuseRings();
    DaemonTest::SetUp();
    fuse_io_uring_ = GetParam();
  }

  size_t ThreadsNamed(const std::string& name) const {
    size_t found = 0;
    for (const auto& task : std::filesystem::directory_iterator(absl::StrCat("/proc/", daemon_.pid, "/task"))) {
      const auto text = ReadFile(task.path() / "comm", 64);
      if (text.ok() && *text == name + "\n") ++found;
    }
    return found;
  }

  // Writes and reads of any place and size, through the page cache and past it, compared with a copy in memory. "" when all were equal.
  static std::string Exercise(const std::string& path, unsigned seed) {
    std::mt19937 random(seed);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(seed % std::max(1u, std::thread::hardware_concurrency()), &one);
    sched_setaffinity(0, sizeof(one), &one);
    constexpr size_t kMost = size_t{3} << 20;
    std::string model;
    // A file whose first handle is for durable writes passes the page cache by: odd places and sizes then come to the daemon as they are.
    const UniqueFd first(open(path.c_str(), O_CREAT | O_RDWR | (seed % 2 == 0 ? 0 : O_DSYNC), 0600));
    const UniqueFd second(open(path.c_str(), O_RDWR | O_DSYNC));
    if (!first.valid() || !second.valid()) return "cannot open";
    std::string buffer;
    for (int round = 0; round < 250; ++round) {
      // Small ones, and some that the kernel cuts into requests of a megabyte.
      const size_t size = 1 + random() % (random() % 8 == 0 ? size_t{2} << 20 : 20'000);
      size_t offset = random() % kMost;
      if (random() % 3 == 0) offset &= ~size_t{4095};
      const int fd = random() % 2 == 0 ? first.get() : second.get();
      if (random() % 2 == 0) {
        buffer.resize(std::min(size, kMost - offset));
        for (char& c : buffer) c = static_cast<char>(random());
        if (pwrite(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset)) != static_cast<ssize_t>(buffer.size()))
          return "short write";
        if (model.size() < offset + buffer.size()) model.resize(offset + buffer.size());
        model.replace(offset, buffer.size(), buffer);
      } else {
        if (random() % 2 == 0) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        buffer.assign(size, 'x');
        const ssize_t n = pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
        if (n < 0) return absl::StrCat("read: ", strerror(errno));
        buffer.resize(static_cast<size_t>(n));
        const std::string expected = offset < model.size() ? model.substr(offset, size) : "";
        if (buffer != expected) return absl::StrCat("other bytes than written at ", offset, " of ", size);
      }
    }
    return ReadText(path) == model ? "" : "the whole file is another";
  }
};

TEST_P(FuseRingTest, IsServedTheWayItIsTold) {
  StartAndCreate();
  EXPECT_EQ(ThreadsNamed("fuse-ring"), GetParam() ? FuseSlots(ReadFuseSlotFacts()).size() : 0);
  EXPECT_EQ(ThreadsNamed("fuse"), static_cast<size_t>(kFuseThreads));
}

TEST_P(FuseRingTest, GivesWhatWasWrittenToProgramsOnEveryProcessor) {
  StartAndCreate();
  EXPECT_TRUE(AsUser([&] {
    std::vector<std::string> faults(4);
    std::vector<std::thread> programs;
    for (unsigned i = 0; i < faults.size(); ++i) {
      programs.emplace_back([&, i] { faults[i] = Exercise(Path(absl::StrCat("file", i)), i); });
    }
    for (std::thread& program : programs) program.join();
    for (const std::string& fault : faults) EXPECT_EQ(fault, "");
  }));
}

TEST_P(FuseRingTest, TakesAndListsNamesOfEveryLength) {
  StartAndCreate();
  EXPECT_TRUE(AsUser([&] {
    size_t made = 0;
    for (size_t length = 6; length <= 174; length += 6) {
      const std::string name(length, 'n'), target(length * 15, 't');
      ASSERT_TRUE(WriteText(Path(name), name));
      ASSERT_EQ(symlink(target.c_str(), Path("l" + name).c_str()), 0) << length;
      std::string read(target.size() + 1, '\0');
      EXPECT_EQ(readlink(Path("l" + name).c_str(), read.data(), read.size()), static_cast<ssize_t>(target.size()));
      EXPECT_EQ(read.substr(0, target.size()), target);
      ASSERT_EQ(rename(Path(name).c_str(), Path("r" + name).c_str()), 0);
      EXPECT_EQ(ReadText(Path("r" + name)), name);
      made += 2;
    }
    size_t listed = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(mount_)) ++listed;
    EXPECT_EQ(listed, made);
  }));
}

TEST_P(FuseRingTest, SealsUnderLoadAndLeavesNobodyWaiting) {
  StartAndCreate();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (setgroups(0, nullptr) != 0 || setgid(kNobody.gid) != 0 || setuid(kNobody.uid) != 0) _exit(1);
    std::vector<std::thread> programs;
    for (int i = 0; i < 6; ++i) {
      programs.emplace_back([&, i] {
        const UniqueFd fd(open(Path(absl::StrCat("load", i)).c_str(), O_CREAT | O_RDWR | O_DSYNC, 0600));
        const std::string bytes(8192, 'b');
        while (pwrite(fd.get(), bytes.data(), bytes.size(), 0) > 0) {
        }
      });
    }
    for (std::thread& program : programs) program.join();
    _exit(0);
  }
  // The mount is the user's alone: the lower folder tells that all have begun.
  const auto begun = [this] { return std::distance(std::filesystem::directory_iterator(lower_ + "/data"), {}); };
  for (const absl::Time deadline = absl::Now() + absl::Seconds(20); begun() < 6 && absl::Now() < deadline;) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  LK_ASSERT_OK(client_.Seal("REVOKED", absl::Seconds(20)));
  EXPECT_FALSE(IsMountPoint(mount_));
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WaitForExit(daemon_, absl::Seconds(5)));
}

INSTANTIATE_TEST_SUITE_P(Ways, FuseRingTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& way) { return way.param ? "IoUring" : "DevFuse"; });

}  // namespace
}  // namespace latchkey
