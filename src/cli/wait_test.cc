#include "cli/wait.h"

#include <absl/time/clock.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <array>
#include <cstdlib>
#include <regex>

#include "base/status.h"
#include "base/testing.h"

namespace latchkey {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr absl::Duration kShort = absl::Milliseconds(1);

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { Close(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

std::string ReadAll(int fd) {
  std::string all;
  std::array<char, 4096> part{};
  // The end of a terminal whose other side is closed is an error.
  for (ssize_t n = read(fd, part.data(), part.size()); n > 0; n = read(fd, part.data(), part.size()))
    all.append(part.data(), static_cast<size_t>(n));
  return all;
}

// What stands on standard error when that is a pipe or a file.
std::string OnPipe(const Look& look, absl::Status* status, absl::Duration timeout = absl::Minutes(1)) {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  const Fd from(ends[0]);
  Fd to(ends[1]);
  *status = WaitUntil({.timeout = timeout, .progress_fd = to.get(), .first_pause = kShort}, look);
  to.Close();
  return ReadAll(from.get());
}

// The same on a terminal of so many columns. The seconds are read as 0, however slow the machine is.
std::string OnTerminal(const Look& look, absl::Status* status, unsigned short columns = 80, absl::Duration timeout = absl::Minutes(1)) {
  const Fd screen(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  EXPECT_EQ(grantpt(screen.get()), 0);
  EXPECT_EQ(unlockpt(screen.get()), 0);
  std::array<char, 128> name{};
  EXPECT_EQ(ptsname_r(screen.get(), name.data(), name.size()), 0);
  Fd program(open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  const winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  EXPECT_EQ(ioctl(program.get(), TIOCSWINSZ, &size), 0);
  *status = WaitUntil({.timeout = timeout, .progress_fd = program.get(), .first_pause = kShort}, look);
  program.Close();
  return std::regex_replace(ReadAll(screen.get()), std::regex(R"(\(\d+\))"), "(0)");
}

// Shows one text after the other, and is done with the last.
Look Showing(std::vector<std::string> texts) {
  return [texts = std::move(texts), next = size_t{0}](std::string& progress) mutable -> absl::StatusOr<bool> {
    progress = texts[next++];
    return next == texts.size();
  };
}

TEST(WaitTest, WritesALineForEachChangeWhereNoTerminalIs) {
  absl::Status status;
  EXPECT_EQ(OnPipe(Showing({"CREATING", "CREATING", "CREATING: mounting", "CREATED"}), &status), "CREATING\nCREATING: mounting\nCREATED\n");
  LK_EXPECT_OK(status);
}

TEST(WaitTest, WritesOverOneLineOnATerminalAndWipesItAtTheEnd) {
  absl::Status status;
  EXPECT_EQ(OnTerminal(Showing({"CREATING", "CREATED"}), &status), "\r\x1b[KCREATING (0)\r\x1b[KCREATED (0)\r\x1b[K");
  LK_EXPECT_OK(status);
}

TEST(WaitTest, CutsTheLineToTheTerminalSoThatItDoesNotWrap) {
  absl::Status status;
  EXPECT_EQ(OnTerminal(Showing({"node größer: volume OPENING, engine NONE"}), &status, 20), "\r\x1b[Knode größer: v… (0)\r\x1b[K");
  LK_EXPECT_OK(status);
}

TEST(WaitTest, ShowsNoControlCharactersOfTheServer) {
  absl::Status status;
  EXPECT_EQ(OnTerminal(Showing({"a\x1b[2J\nb"}), &status), "\r\x1b[Ka?[2J?b (0)\r\x1b[K");
  EXPECT_EQ(OnPipe(Showing({"a\x1b[2J\nb"}), &status), "a?[2J?b\n");
}

TEST(WaitTest, EndsAtOnceWithTheErrorOfALook) {
  int looks = 0;
  absl::Status status;
  const Look failing = [&](std::string& progress) -> absl::StatusOr<bool> {
    ++looks;
    progress = "CREATION_FAILED";
    return FailedPrecondition("the cluster is CREATION_FAILED");
  };
  EXPECT_EQ(OnTerminal(failing, &status), "\r\x1b[KCREATION_FAILED (0)\r\x1b[K");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, "the cluster is CREATION_FAILED"));
  EXPECT_EQ(looks, 1);
}

TEST(WaitTest, GoesOnWhileTheServerIsAway) {
  int looks = 0;
  absl::Status status;
  const Look restarting = [&](std::string& progress) -> absl::StatusOr<bool> {
    ++looks;
    if (looks == 2) return Unavailable("connection refused");
    if (looks == 3) return absl::DeadlineExceededError("no answer");
    progress = looks == 1 ? "CREATING" : "CREATED";
    return looks == 4;
  };
  EXPECT_EQ(OnPipe(restarting, &status), "CREATING\nconnection refused\nno answer\nCREATED\n");
  LK_EXPECT_OK(status);
}

TEST(WaitTest, GivesUpWhenTheTimeIsOverAndSaysWhatItWaitedFor) {
  absl::Status status;
  const Look never = [](std::string& progress) -> absl::StatusOr<bool> {
    progress = "CREATING: db1 is silent";
    return false;
  };
  const absl::Time start = absl::Now();
  EXPECT_EQ(OnPipe(never, &status, absl::Milliseconds(30)), "CREATING: db1 is silent\n");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDeadlineExceeded, AllOf(HasSubstr("30ms"), HasSubstr("db1 is silent"))));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(30));
  EXPECT_THAT(OnTerminal(never, &status, 80, absl::ZeroDuration()), "\r\x1b[KCREATING: db1 is silent (0)\r\x1b[K");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST(WaitTest, NeverSleepsPastTheDeadline) {
  const Look never = [](std::string&) -> absl::StatusOr<bool> { return false; };
  absl::Status status;
  const absl::Time start = absl::Now();
  status = WaitUntil({.timeout = absl::Milliseconds(20), .first_pause = absl::Hours(1)}, never);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_LT(absl::Now() - start, absl::Minutes(1));
}

}  // namespace
}  // namespace latchkey
