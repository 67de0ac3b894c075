// Handles that pass the page cache by (O_DIRECT, O_DSYNC, O_SYNC), beside those that do not, through the real kernel.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>

#include "volume/filesystem_testing.h"

namespace latchkey {
namespace {

TEST_F(FilesystemTest, DirectReadsAndWritesWork) {
  EXPECT_TRUE(AsUser([&] {
    const UniqueFd fd(open(Path("f").c_str(), O_RDWR | O_CREAT | O_DIRECT, 0644));
    ASSERT_TRUE(fd.valid());
    void* page = nullptr;
    ASSERT_EQ(posix_memalign(&page, 4096, 65'536), 0);
    std::memset(page, 'd', 65'536);
    ASSERT_EQ(pwrite(fd.get(), page, 65'536, 8'192), 65'536);
    std::memset(page, 0, 65'536);
    ASSERT_EQ(pread(fd.get(), page, 65'536, 4'096), 65'536);
    EXPECT_EQ(static_cast<char*>(page)[4'095], '\0');
    EXPECT_EQ(static_cast<char*>(page)[4'096], 'd');
  }));
}

// What of the lower files of that many bytes is not on the disk yet, in pages (cachestat(2), Linux 6.5).
uint64_t DirtyLowerPages(const std::string& folder, uintmax_t least) {
  struct {
    uint64_t offset = 0, length = 0;
  } range;
  struct {
    uint64_t cached, dirty, writeback, evicted, recently_evicted;
  } stat{};
  uint64_t dirty = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.file_size() < least) continue;
    const UniqueFd fd(open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(syscall(451, fd.get(), &range, &stat, 0), 0) << std::strerror(errno);
    dirty += stat.dirty + stat.writeback;
  }
  return dirty;
}

TEST_F(FilesystemTest, AWriteThatIsToBeDurableIsOnTheDiskWhenItReturns) {
  constexpr size_t kSize = 1 << 20;
  EXPECT_TRUE(AsUser([&] { ASSERT_TRUE(WriteText(Path("log"), std::string(kSize, 'a'), true)); }));
  EXPECT_EQ(DirtyLowerPages(lower_, kSize), 0u);
  EXPECT_TRUE(AsUser([&] {
    const UniqueFd fd(open(Path("log").c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(pwrite(fd.get(), "b", 1, 4096), 1);
  }));
  EXPECT_GT(DirtyLowerPages(lower_, kSize), 0u);
  for (const int flags : {O_DSYNC, O_SYNC}) {
    EXPECT_TRUE(AsUser([&] {
      const UniqueFd fd(open(Path("log").c_str(), O_WRONLY | O_CLOEXEC | flags));
      ASSERT_EQ(pwrite(fd.get(), "c", 1, 8192), 1);
    }));
    EXPECT_EQ(DirtyLowerPages(lower_, kSize), 0u) << flags;
  }
  // With another handle open it goes through the cache, and the kernel asks for the sync.
  EXPECT_TRUE(AsUser([&] {
    const UniqueFd other(open(Path("log").c_str(), O_RDONLY | O_CLOEXEC));
    const UniqueFd fd(open(Path("log").c_str(), O_WRONLY | O_CLOEXEC | O_DSYNC));
    ASSERT_EQ(pwrite(fd.get(), "d", 1, 12'288), 1);
    ASSERT_TRUE(other.valid());
  }));
  EXPECT_EQ(DirtyLowerPages(lower_, kSize), 0u);
}

TEST_F(FilesystemTest, DurableWritesAreSeenThroughEveryHandle) {
  EXPECT_TRUE(AsUser([&] {
    const std::string path = Path("log");
    ASSERT_TRUE(WriteText(path, std::string(64 << 10, 'a')));
    const auto read_all = [](int fd) {
      std::string out(64 << 10, '\0');
      EXPECT_EQ(pread(fd, out.data(), out.size(), 0), static_cast<ssize_t>(out.size()));
      return out;
    };
    std::string expected = ReadText(path);  // and so the pages are in the cache
    const auto write = [&](int fd, char c, size_t at) {
      expected.replace(at, 5000, 5000, c);
      ASSERT_EQ(pwrite(fd, expected.data() + at, 5000, static_cast<off_t>(at)), 5000);
    };
    {
      const UniqueFd durable(open(path.c_str(), O_RDWR | O_CLOEXEC | O_DSYNC));
      write(durable.get(), 'b', 100);
      const UniqueFd after(open(path.c_str(), O_RDWR | O_CLOEXEC));
      EXPECT_EQ(read_all(after.get()), expected);
      write(durable.get(), 'c', 8'000);
      EXPECT_EQ(read_all(after.get()), expected);
      write(after.get(), 'd', 20'000);
      EXPECT_EQ(read_all(durable.get()), expected);
    }
    EXPECT_EQ(ReadText(path), expected);
    const UniqueFd before(open(path.c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_EQ(read_all(before.get()), expected);
    const UniqueFd durable(open(path.c_str(), O_RDWR | O_CLOEXEC | O_SYNC));
    write(durable.get(), 'e', 30'000);
    EXPECT_EQ(read_all(before.get()), expected);
    write(before.get(), 'f', 31'000);
    EXPECT_EQ(read_all(durable.get()), expected);
    const UniqueFd grown(open(path.c_str(), O_WRONLY | O_CLOEXEC | O_DSYNC | O_APPEND));
    ASSERT_EQ(::write(grown.get(), "end", 3), 3);
    EXPECT_EQ(ReadText(path), expected + "end");
  }));
}

TEST_F(FilesystemTest, AFileThatIsHeldOpenForDurableWritesCanBeMapped) {
  EXPECT_TRUE(AsUser([&] {
    ASSERT_TRUE(WriteText(Path("log"), std::string(8'192, 'a')));
    const UniqueFd durable(open(Path("log").c_str(), O_RDWR | O_CLOEXEC | O_DSYNC));
    const UniqueFd reader(open(Path("log").c_str(), O_RDONLY | O_CLOEXEC));
    void* map = mmap(nullptr, 8'192, PROT_READ, MAP_SHARED, reader.get(), 0);
    ASSERT_NE(map, MAP_FAILED) << std::strerror(errno);
    EXPECT_EQ(static_cast<const char*>(map)[5'000], 'a');
    ASSERT_EQ(pwrite(durable.get(), "b", 1, 5'000), 1);
    EXPECT_EQ(static_cast<const volatile char*>(map)[5'000], 'b');
    munmap(map, 8'192);
    void* written = mmap(nullptr, 8'192, PROT_READ | PROT_WRITE, MAP_SHARED, durable.get(), 0);
    ASSERT_NE(written, MAP_FAILED) << std::strerror(errno);
    static_cast<char*>(written)[100] = 'c';
    ASSERT_EQ(msync(written, 8'192, MS_SYNC), 0);
    munmap(written, 8'192);
    EXPECT_EQ(ReadText(Path("log")).substr(99, 3), "aca");
  }));
}

}  // namespace
}  // namespace latchkey
