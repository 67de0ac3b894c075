// What programs see of a mounted volume, through the real kernel.
#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <set>
#include <thread>

#include "volume/filesystem_testing.h"

namespace latchkey {
namespace {

TEST_F(FilesystemTest, NeitherContentNorNamesNorTargetsReachTheLowerFolder) {
  EXPECT_TRUE(AsUser([&] {
    ASSERT_EQ(mkdir(Path("secretfolder").c_str(), 0755), 0);
    ASSERT_TRUE(WriteText(Path("secretfolder/secretname"), std::string(10'000, 'x') + "secretcontent", true));
    ASSERT_EQ(symlink("secrettarget", Path("secretlink").c_str()), 0);
    EXPECT_EQ(std::filesystem::read_symlink(Path("secretlink")), "secrettarget");
    struct stat st;
    ASSERT_EQ(lstat(Path("secretlink").c_str(), &st), 0);
    EXPECT_EQ(st.st_size, 12);
  }));
  const std::string content = LowerContent();
  for (const char* planted : {"secretfolder", "secretname", "secretcontent", "secretlink", "secrettarget", "xxxxxxxx"}) {
    EXPECT_EQ(content.find(planted), std::string::npos) << planted;
  }
}

TEST_F(FilesystemTest, NamesAndTargetsHaveTheirLongestLengths) {
  EXPECT_TRUE(AsUser([&] {
    EXPECT_TRUE(WriteText(Path(std::string(175, 'n')), "x"));
    EXPECT_FALSE(WriteText(Path(std::string(176, 'n')), "x"));
    EXPECT_EQ(errno, ENAMETOOLONG);
    struct statvfs st;
    ASSERT_EQ(statvfs(mount_.c_str(), &st), 0);
    EXPECT_EQ(st.f_namemax, 175u);
    EXPECT_EQ(symlink(std::string(3'055, 't').c_str(), Path("link").c_str()), 0);
    EXPECT_EQ(symlink(std::string(3'056, 't').c_str(), Path("longer").c_str()), -1);
    EXPECT_EQ(errno, ENAMETOOLONG);
    EXPECT_EQ(Names(mount_), (std::set<std::string>{std::string(175, 'n'), "link"}));
  }));
}

TEST_F(FilesystemTest, ModesTimesAndMasksPassThrough) {
  EXPECT_TRUE(AsUser([&] {
    umask(027);
    const UniqueFd fd(open(Path("f").c_str(), O_RDWR | O_CREAT, 0666));
    struct stat st;
    ASSERT_EQ(fstat(fd.get(), &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | 0640u);
    EXPECT_EQ(st.st_uid, kNobody.uid);
    ASSERT_EQ(fchmod(fd.get(), 0604), 0);
    const timespec times[2] = {{1'000, 5}, {2'000, 7}};
    ASSERT_EQ(futimens(fd.get(), times), 0);
    ASSERT_EQ(fstat(fd.get(), &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | 0604u);
    EXPECT_EQ(st.st_mtim.tv_sec, 2'000);
    EXPECT_EQ(st.st_mtim.tv_nsec, 7);
  }));
  SealAndOpen();
  EXPECT_TRUE(AsUser([&] {
    struct stat st;
    ASSERT_EQ(stat(Path("f").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | 0604u);
    EXPECT_EQ(st.st_mtim.tv_sec, 2'000);
  }));
}

TEST_F(FilesystemTest, AHandleOutlivesAChmodThatForbidsIt) {
  EXPECT_TRUE(AsUser([&] {
    const UniqueFd fd(open(Path("f").c_str(), O_WRONLY | O_CREAT, 0400));
    ASSERT_EQ(write(fd.get(), "abc", 3), 3);
    ASSERT_EQ(fchmod(fd.get(), 0), 0);
    ASSERT_EQ(write(fd.get(), "def", 3), 3);
    ASSERT_EQ(fsync(fd.get()), 0);
    EXPECT_EQ(open(Path("f").c_str(), O_RDONLY), -1);
    ASSERT_EQ(fchmod(fd.get(), 0400), 0);
    EXPECT_EQ(ReadText(Path("f")), "abcdef");
  }));
}

TEST_F(FilesystemTest, SharedMappingsAreWrittenBack) {
  EXPECT_TRUE(AsUser([&] {
    const UniqueFd fd(open(Path("f").c_str(), O_RDWR | O_CREAT, 0644));
    ASSERT_EQ(ftruncate(fd.get(), 10'000), 0);
    char* map = static_cast<char*>(mmap(nullptr, 10'000, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
    ASSERT_NE(map, MAP_FAILED);
    std::memcpy(map + 5'000, "mapped", 6);
    ASSERT_EQ(msync(map, 10'000, MS_SYNC), 0);
    munmap(map, 10'000);
  }));
  SealAndOpen();
  EXPECT_TRUE(AsUser([&] { EXPECT_EQ(ReadText(Path("f")).substr(5'000, 6), "mapped"); }));
}

TEST_F(FilesystemTest, FallocateFillsPunchesAndZeros) {
  EXPECT_TRUE(AsUser([&] {
    ASSERT_TRUE(WriteText(Path("f"), std::string(20'000, 'x')));
    const UniqueFd fd(open(Path("f").c_str(), O_RDWR));
    ASSERT_EQ(fallocate(fd.get(), 0, 10'000, 20'007), 0);
    ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 100'000), 0);
    ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 101, 9'000), 0);
    ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 15'000, 10), 0);
    EXPECT_EQ(fallocate(fd.get(), FALLOC_FL_COLLAPSE_RANGE, 0, 4'096), -1);
    EXPECT_EQ(errno, EOPNOTSUPP);
    std::string expected(20'000, 'x');
    expected.resize(30'007, '\0');
    std::fill_n(expected.begin() + 101, 9'000, '\0');
    std::fill_n(expected.begin() + 15'000, 10, '\0');
    EXPECT_EQ(ReadText(Path("f")), expected);
  }));
}

TEST_F(FilesystemTest, OpenFilesSurviveRenameOverThemAndUnlink) {
  EXPECT_TRUE(AsUser([&] {
    ASSERT_TRUE(WriteText(Path("old"), "old content"));
    ASSERT_TRUE(WriteText(Path("new"), "new content"));
    const UniqueFd old(open(Path("old").c_str(), O_RDWR));
    ASSERT_EQ(rename(Path("new").c_str(), Path("old").c_str()), 0);
    char text[12] = {};
    EXPECT_EQ(pread(old.get(), text, 11, 0), 11);
    EXPECT_STREQ(text, "old content");
    ASSERT_EQ(pwrite(old.get(), "OLD", 3, 0), 3);
    ASSERT_EQ(fsync(old.get()), 0);
    EXPECT_EQ(ReadText(Path("old")), "new content");
    const UniqueFd second(open(Path("old").c_str(), O_RDWR));
    ASSERT_EQ(unlink(Path("old").c_str()), 0);
    ASSERT_EQ(pwrite(second.get(), "still", 5, 0), 5);
    ASSERT_EQ(ftruncate(second.get(), 5), 0);
    EXPECT_EQ(pread(second.get(), text, 11, 0), 5);
    struct stat st;
    ASSERT_EQ(fstat(second.get(), &st), 0);
    EXPECT_EQ(st.st_size, 5);
    EXPECT_TRUE(Names(mount_).empty());
  }));
}

TEST_F(FilesystemTest, HardLinksAreOneFile) {
  EXPECT_TRUE(AsUser([&] {
    ASSERT_EQ(mkdir(Path("d").c_str(), 0755), 0);
    ASSERT_TRUE(WriteText(Path("a"), "one"));
    ASSERT_EQ(link(Path("a").c_str(), Path("d/b").c_str()), 0);
    ASSERT_TRUE(WriteText(Path("d/b"), "longer text"));
    EXPECT_EQ(ReadText(Path("a")), "longer text");
    ASSERT_EQ(rename(Path("a").c_str(), Path("d/b").c_str()), 0);  // two names of one file: nothing happens
    const UniqueFd fd(open(Path("a").c_str(), O_RDWR));
    ASSERT_EQ(unlink(Path("a").c_str()), 0);
    ASSERT_EQ(pwrite(fd.get(), "LONGER", 6, 0), 6);
    EXPECT_EQ(ReadText(Path("d/b")), "LONGER text");
    struct stat st;
    ASSERT_EQ(fstat(fd.get(), &st), 0);
    EXPECT_EQ(st.st_nlink, 1u);
  }));
}

TEST_F(FilesystemTest, FoldersMoveWithWhatIsInThem) {
  EXPECT_TRUE(AsUser([&] {
    std::filesystem::create_directories(Path("a/b/c"));
    ASSERT_TRUE(WriteText(Path("a/b/c/f"), "deep"));
    const UniqueFd fd(open(Path("a/b/c/f").c_str(), O_RDWR));
    ASSERT_EQ(rename(Path("a/b").c_str(), Path("z").c_str()), 0);
    EXPECT_EQ(ReadText(Path("z/c/f")), "deep");
    ASSERT_EQ(pwrite(fd.get(), "DEEP", 4, 0), 4);
    EXPECT_EQ(ReadText(Path("z/c/f")), "DEEP");
    EXPECT_EQ(rmdir(Path("z/c").c_str()), -1);
    EXPECT_EQ(errno, ENOTEMPTY);
    ASSERT_EQ(renameat2(AT_FDCWD, Path("a").c_str(), AT_FDCWD, Path("z").c_str(), RENAME_EXCHANGE), 0);
    EXPECT_EQ(ReadText(Path("a/c/f")), "DEEP");
    EXPECT_EQ(renameat2(AT_FDCWD, Path("a").c_str(), AT_FDCWD, Path("z").c_str(), RENAME_NOREPLACE), -1);
    EXPECT_EQ(errno, EEXIST);
    EXPECT_EQ(rmdir(Path("z").c_str()), 0);
  }));
}

TEST_F(FilesystemTest, LargeFoldersAreListedWhole) {
  EXPECT_TRUE(AsUser([&] {
    std::set<std::string> expected;
    for (int i = 0; i < 2'000; ++i) {
      expected.insert("file-" + std::to_string(i));
      close(open(Path("file-" + std::to_string(i)).c_str(), O_CREAT | O_WRONLY, 0644));
    }
    EXPECT_EQ(Names(mount_), expected);
  }));
}

// The answer to a listing lets the program close the folder, on another thread of the daemon: nothing may be left to do for the listing
// then.
TEST_F(FilesystemTest, FoldersAreListedAndClosedByManyAtOnce) {
  ASSERT_TRUE(AsUser([&] {
    ASSERT_EQ(mkdir(Path("d").c_str(), 0755), 0);
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(WriteText(Path("d/" + std::to_string(i)), "x"));
  }));
  EXPECT_TRUE(AsUser([&] {
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 16; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 400; ++i) {
          DIR* const folder = opendir(Path("d").c_str());
          int found = 0;
          for (; folder != nullptr && readdir(folder) != nullptr; ++found) {
          }
          if (folder == nullptr || closedir(folder) != 0 || found != 42) ++wrong;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
  }));
  // The same daemon, and it has not crashed.
  EXPECT_TRUE(IsRunning(daemon_));
  LK_EXPECT_OK(client_.Status());
}

TEST_F(FilesystemTest, MoreFilesAreOpenThanTheDaemonKeepsDescriptors) {
  EXPECT_TRUE(AsUser([&] {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    std::vector<UniqueFd> files;
    for (int i = 0; i < 5'000; ++i) {
      files.emplace_back(open(Path(std::to_string(i)).c_str(), O_RDWR | O_CREAT, 0644));
      ASSERT_TRUE(files.back().valid()) << i;
      ASSERT_EQ(pwrite(files.back().get(), &i, sizeof(i), 0), static_cast<ssize_t>(sizeof(i)));
    }
    for (int i = 0; i < 5'000; ++i) {
      int read_back = -1;
      ASSERT_EQ(pread(files[static_cast<size_t>(i)].get(), &read_back, sizeof(read_back), 0), static_cast<ssize_t>(sizeof(read_back)));
      ASSERT_EQ(read_back, i);
    }
  }));
  LK_ASSERT_OK_AND_ASSIGN(const VolumeStatus status, client_.Status());
  size_t open_in_daemon = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(absl::StrCat("/proc/", status.daemon.pid, "/fd")))
    ++open_in_daemon;
  EXPECT_LT(open_in_daemon, 4'200u);
}

TEST_F(FilesystemTest, WritersOfOneFileFromManyProcessesLoseNothing) {
  ASSERT_TRUE(AsUser([&] { ASSERT_TRUE(WriteText(Path("f"), "")); }));
  std::vector<pid_t> writers;
  for (int id = 0; id < 4; ++id) {
    writers.push_back(StartAsUser([&] {
      const UniqueFd fd(open(Path("f").c_str(), O_WRONLY | O_APPEND));
      for (int i = 0; i < 300; ++i) {
        const std::string line(37, static_cast<char>('a' + id));
        ASSERT_EQ(write(fd.get(), (line + "\n").data(), 38), 38);
        if (i % 50 == 0) {
          ASSERT_EQ(fdatasync(fd.get()), 0);
        }
      }
    }));
  }
  for (const pid_t pid : writers) EXPECT_EQ(WaitFor(pid), 0);
  SealAndOpen();
  EXPECT_TRUE(AsUser([&] {
    const std::string all = ReadText(Path("f"));
    ASSERT_EQ(all.size(), 4u * 300 * 38);
    std::map<char, int> lines;
    for (size_t at = 0; at < all.size(); at += 38) {
      ASSERT_EQ(all.substr(at, 37), std::string(37, all[at]));
      ++lines[all[at]];
    }
    for (const auto& [writer, count] : lines) EXPECT_EQ(count, 300) << writer;
  }));
}

TEST_F(FilesystemTest, LocksExclude) {
  EXPECT_TRUE(AsUser([&] {
    const UniqueFd a(open(Path("f").c_str(), O_RDWR | O_CREAT, 0644)), b(open(Path("f").c_str(), O_RDWR));
    ASSERT_EQ(flock(a.get(), LOCK_EX), 0);
    EXPECT_EQ(flock(b.get(), LOCK_EX | LOCK_NB), -1);
    EXPECT_EQ(errno, EWOULDBLOCK);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0, .l_pid = 0};
    ASSERT_EQ(fcntl(a.get(), F_OFD_SETLK, &whole), 0);
    EXPECT_EQ(fcntl(b.get(), F_OFD_SETLK, &whole), -1);
  }));
}

TEST_F(FilesystemTest, ExtendedAttributesThatWouldBePlaintextAreRefused) {
  EXPECT_TRUE(AsUser([&] {
    ASSERT_TRUE(WriteText(Path("f"), "x"));
    EXPECT_EQ(setxattr(Path("f").c_str(), "user.note", "secret", 6, 0), -1);
    EXPECT_EQ(errno, EOPNOTSUPP);
    EXPECT_EQ(listxattr(Path("f").c_str(), nullptr, 0), 0);
    // Version 2; user::rw- user:1:r-- group::r-- mask::r-- other::r--
    const uint8_t acl[] = {2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,   4,  0, 1, 0, 0,   0,   4,   0,
                           4, 0, 255, 255, 255, 255, 16, 0, 4,   0,   255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255};
    ASSERT_EQ(setxattr(Path("f").c_str(), "system.posix_acl_access", acl, sizeof(acl), 0), 0) << strerror(errno);
    uint8_t back[100];
    EXPECT_EQ(getxattr(Path("f").c_str(), "system.posix_acl_access", back, sizeof(back)), static_cast<ssize_t>(sizeof(acl)));
  }));
}

TEST_F(FilesystemTest, CopiesAndSparseFilesKeepTheirContent) {
  EXPECT_TRUE(AsUser([&] {
    const UniqueFd in(open(Path("in").c_str(), O_RDWR | O_CREAT, 0644)), out(open(Path("out").c_str(), O_RDWR | O_CREAT, 0644));
    ASSERT_EQ(pwrite(in.get(), "far", 3, 5'000'000), 3);
    loff_t from = 0, to = 0;
    while (to < 5'000'003) {
      ASSERT_GT(copy_file_range(in.get(), &from, out.get(), &to, 5'000'003, 0), 0) << strerror(errno);
    }
    EXPECT_EQ(ReadText(Path("out")), std::string(5'000'000, '\0') + "far");
    struct stat st;
    ASSERT_EQ(fsync(in.get()), 0);
    ASSERT_EQ(fstat(in.get(), &st), 0);
    EXPECT_EQ(st.st_size, 5'000'003);
    EXPECT_LT(st.st_blocks, 1'000);
  }));
}

// A file and a string, changed alike through the kernel's cache, in two handles and a mapping, now and after reopening.
TEST_F(FilesystemTest, BehavesLikeAStringThroughTheKernel) {
  std::string model;
  std::mt19937 rng(99);
  const auto below = [&](uint64_t n) { return rng() % n; };
  for (int round = 0; round < 3; ++round) {
    const unsigned seed = static_cast<unsigned>(round);
    const auto play = [&](bool on_disk) {
      rng.seed(seed);
      const UniqueFd fd(on_disk ? open(Path("f").c_str(), O_RDWR | O_CREAT, 0644) : -1);
      for (int step = 0; step < 400; ++step) {
        const uint64_t offset = below(300'000), size = 1 + below(20'000);
        const char letter = static_cast<char>(below(256));
        switch (below(5)) {
          case 0:
            if (on_disk) {
              ASSERT_EQ(ftruncate(fd.get(), static_cast<off_t>(offset)), 0);
            }
            model.resize(offset, '\0');
            break;
          case 1: {
            if (on_disk) {
              ASSERT_EQ(
                  fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(size)), 0);
            }
            for (uint64_t i = offset; i < std::min<uint64_t>(model.size(), offset + size); ++i) model[i] = '\0';
            break;
          }
          default:
            if (on_disk) {
              const std::string text(size, letter);
              ASSERT_EQ(pwrite(fd.get(), text.data(), size, static_cast<off_t>(offset)), static_cast<ssize_t>(size));
            }
            if (model.size() < offset + size) model.resize(offset + size, '\0');
            std::fill_n(model.begin() + static_cast<ptrdiff_t>(offset), size, letter);
        }
      }
    };
    const std::string before = model;
    EXPECT_TRUE(AsUser([&] {
      play(true);
      EXPECT_TRUE(ReadText(Path("f")) == model);
    }));
    model = before;
    play(false);
    SealAndOpen();
    EXPECT_TRUE(AsUser([&] { EXPECT_TRUE(ReadText(Path("f")) == model); }));
  }
}

}  // namespace
}  // namespace latchkey
