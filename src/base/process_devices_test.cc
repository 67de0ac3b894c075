#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "base/process.h"
#include "base/process_testing.h"
#include "base/testing.h"

namespace latchkey {
namespace {

using testing::Contains;
using testing::Not;

constexpr absl::Duration kSoon = absl::Seconds(20);

// A folder on /dev/shm, which is a file system of its own on every Linux; others may use it too, so the tests look for their own process.
class ProcessesUsingDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/dev/shm/latchkey-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    struct stat there{}, here{};
    ASSERT_EQ(stat(folder_.c_str(), &there), 0);
    ASSERT_EQ(stat("/", &here), 0);
    ASSERT_NE(there.st_dev, here.st_dev);
    device_ = there.st_dev;
  }
  void TearDown() override {
    if (process_.valid()) KillTree(process_, kSoon).IgnoreError();
    std::filesystem::remove_all(folder_);
  }

  // Starts a program and waits until it has said that it is where it should be.
  void Start(std::vector<std::string> argv, const std::string& cwd = "/") {
    SpawnOptions options{.argv = std::move(argv), .env = {{"PATH", "/usr/bin:/bin"}}, .cwd = cwd};
    ready_.GiveTo(options);
    LK_ASSERT_OK_AND_ASSIGN(process_, Spawn(options));
    ASSERT_TRUE(ready_.Wait(kSoon));
  }
  void StartShell(const std::string& script, const std::string& cwd = "/") { Start({"/bin/sh", "-c", script}, cwd); }

  ReadyPipe ready_;
  std::string folder_;
  dev_t device_ = 0;
  ProcessId process_;
};

TEST_F(ProcessesUsingDeviceTest, FindsAnOpenFile) {
  StartShell("exec 3<>" + folder_ + "/f; rm " + folder_ + "/f; echo >/proc/self/fd/$FD; exec sleep 1000");
  EXPECT_THAT(ProcessesUsingDevice(device_), Contains(process_));
}

TEST_F(ProcessesUsingDeviceTest, FindsAWorkingFolder) {
  StartShell("echo >/proc/self/fd/$FD; exec sleep 1000", folder_);
  EXPECT_THAT(ProcessesUsingDevice(device_), Contains(process_));
}

TEST_F(ProcessesUsingDeviceTest, FindsAMappingWhoseFileIsClosedAndDeleted) {
  Start({"/usr/bin/python3", "-c",
         "import mmap, os, time\n"
         "fd = os.open('" +
             folder_ +
             "/f', os.O_RDWR | os.O_CREAT)\n"
             "os.ftruncate(fd, 8192)\n"
             "m = mmap.mmap(fd, 8192)\n"
             "os.close(fd)\n"
             "os.unlink('" +
             folder_ +
             "/f')\n"
             "for n in os.listdir('/proc/self/fd'):\n"
             "  p = '/proc/self/fd/' + n\n"
             "  if os.path.lexists(p) and 'latchkey-test' in os.readlink(p): os.close(int(n))\n"
             "os.write(int(os.environ['FD']), b'x')\n"
             "time.sleep(1000)\n"});
  EXPECT_THAT(ProcessesUsingDevice(device_), Contains(process_));
}

TEST_F(ProcessesUsingDeviceTest, DoesNotFindAProcessThatUsesOtherFileSystemsOnly) {
  StartShell("exec 3</etc/passwd; echo >/proc/self/fd/$FD; exec sleep 1000");
  EXPECT_THAT(ProcessesUsingDevice(device_), Not(Contains(process_)));
  struct stat root{};
  ASSERT_EQ(stat("/", &root), 0);
  EXPECT_THAT(ProcessesUsingDevice(root.st_dev), Contains(process_));
}

TEST_F(ProcessesUsingDeviceTest, ForgetsAProcessThatHasEndedAndLeavesThisOneOut) {
  StartShell("exec 3<>" + folder_ + "/f; echo >/proc/self/fd/$FD; exec sleep 1000");
  LK_ASSERT_OK(KillTree(process_, kSoon));
  const UniqueFd own(open((folder_ + "/f").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(own.valid());
  const std::vector<ProcessId> found = ProcessesUsingDevice(device_);
  EXPECT_THAT(found, Not(Contains(process_)));
  EXPECT_THAT(found, Not(Contains(*Identify(getpid()))));
}

TEST_F(ProcessesUsingDeviceTest, FindsFilesThatOneThreadHasForItself) {
  Start({"/usr/bin/python3", "-c",
         "import ctypes, os, threading, time\n"
         "def work():\n"
         "  if ctypes.CDLL(None).unshare(0x400) != 0: os._exit(1)\n"  // CLONE_FILES
         "  f = open('" +
             folder_ +
             "/f', 'w')\n"
             "  os.write(int(os.environ['FD']), b'x')\n"
             "  time.sleep(1000)\n"
             "t = threading.Thread(target=work); t.start(); t.join()\n"});
  EXPECT_THAT(ProcessesUsingDevice(device_), Contains(process_));
}

}  // namespace
}  // namespace latchkey
