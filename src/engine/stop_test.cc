// How a database is stopped that does not want to: with real processes that take, ignore or outlive the signals.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "base/file.h"
#include "base/status.h"
#include "base/testing.h"
#include "engine/engine.h"
#include "engine/engine_fixture.h"
#include "engine/process_record.h"

namespace latchkey {
namespace {

constexpr absl::Duration kGrace = absl::Milliseconds(200);
constexpr absl::Duration kGenerous = absl::Seconds(20);  // only for machines that stand still

int told_fd = -1;  // of the child

// Tells the test which signal came; of those that it does not ignore it ends.
void TellAndEnd(int signal) {
  const char c = static_cast<char>(signal);
  if (write(told_fd, &c, 1) != 1) _exit(2);
  _exit(0);
}
void TellAndStay(int signal) {
  const char c = static_cast<char>(signal);
  if (write(told_fd, &c, 1) != 1) _exit(2);
}

class StopTest : public testing::Test {
 protected:
  ~StopTest() override {
    for (const ProcessId& id : started_) {
      SendSignal(id, SIGKILL).IgnoreError();
      WaitForExit(id, kGenerous);
    }
  }

  // A process that goes on after the signals in `ignored`. With `child` it has one of its own, in a session of its own, which goes on after
  // every signal that can be ignored.
  ProcessId Begin(const std::set<int>& ignored, bool child = false) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    told_ = UniqueFd(ends[0]);
    UniqueFd telling(ends[1]);
    const pid_t pid = fork();
    EXPECT_GE(pid, 0);
    if (pid == 0) {
      // Only what may be called after a fork.
      told_fd = telling.get();
      for (const int signal : {SIGINT, SIGQUIT}) ::signal(signal, ignored.contains(signal) ? TellAndStay : TellAndEnd);
      pid_t below = 0;
      if (child) {
        below = fork();
        if (below == 0) {
          setsid();
          for (const int signal : {SIGINT, SIGQUIT, SIGTERM, SIGHUP}) ::signal(signal, SIG_IGN);
          for (;;) pause();
        }
      }
      if (write(told_fd, &below, sizeof below) != sizeof below) _exit(2);
      for (;;) pause();
    }
    pid_t below = 0;
    pollfd ready{told_.get(), POLLIN, 0};
    EXPECT_EQ(poll(&ready, 1, static_cast<int>(absl::ToInt64Milliseconds(kGenerous))), 1);
    EXPECT_EQ(read(told_.get(), &below, sizeof below), static_cast<ssize_t>(sizeof below));
    if (child) {
      const auto found = Identify(below);
      EXPECT_THAT(found, IsOk());
      if (found.ok()) {
        started_.push_back(*found);
        grandchild_ = *found;
      }
    }
    const auto id = Identify(pid);
    EXPECT_THAT(id, IsOk());
    if (!id.ok()) return {};
    started_.push_back(*id);
    return *id;
  }
  // The signals that the process was sent so far and could see, in their order.
  std::vector<int> Told() const {
    std::vector<int> signals;
    char c = 0;
    while (read(told_.get(), &c, 1) == 1) signals.push_back(c);
    return signals;
  }
  // The stop of a PostgreSQL that this process plays.
  absl::Status StopAsPostgresql(const ProcessId& id, absl::Duration fast, absl::Duration immediate) {
    const EngineLayout layout = folders_.Layout(5432);
    RETURN_IF_ERROR(WriteProcessRecord(layout.state_folder + "/engine.json", id));
    return NewPostgresql({.layout = layout, .fast_stop = fast, .immediate_stop = immediate})->Stop();
  }

  const EngineFolders folders_;
  UniqueFd told_;
  std::vector<ProcessId> started_;
  ProcessId grandchild_;
};

TEST_F(StopTest, AsksForAFastShutdownAndForNothingElseWhereThatIsObeyed) {
  const ProcessId id = Begin({});
  LK_EXPECT_OK(StopAsPostgresql(id, kGenerous, kGenerous));
  EXPECT_FALSE(IsRunning(id));
  EXPECT_THAT(Told(), testing::ElementsAre(SIGINT));
}

TEST_F(StopTest, AsksForAnImmediateShutdownAfterTheFastOnesGrace) {
  const ProcessId id = Begin({SIGINT});
  const absl::Time begun = absl::Now();
  LK_EXPECT_OK(StopAsPostgresql(id, kGrace, kGenerous));
  EXPECT_FALSE(IsRunning(id));
  EXPECT_THAT(Told(), testing::ElementsAre(SIGINT, SIGQUIT));
  EXPECT_GE(absl::Now() - begun, kGrace) << "sessions had their time";
  EXPECT_LT(absl::Now() - begun, kGenerous);
}

TEST_F(StopTest, KillsWhatIgnoresBoth) {
  const ProcessId id = Begin({SIGINT, SIGQUIT});
  const absl::Time begun = absl::Now();
  LK_EXPECT_OK(StopAsPostgresql(id, kGrace, kGrace));
  EXPECT_FALSE(IsRunning(id));
  EXPECT_THAT(Told(), testing::ElementsAre(SIGINT, SIGQUIT));
  EXPECT_GE(absl::Now() - begun, 2 * kGrace);
  EXPECT_LT(absl::Now() - begun, kGenerous);
}

TEST_F(StopTest, KillsAStoppedProcessThatCanHearNothing) {
  const ProcessId id = Begin({});
  ASSERT_EQ(kill(id.pid, SIGSTOP), 0);
  LK_EXPECT_OK(StopAsPostgresql(id, kGrace, kGrace));
  EXPECT_FALSE(IsRunning(id));
}

TEST_F(StopTest, IsNotOverBeforeTheChildrenAreGone) {
  const ProcessId id = Begin({}, true);
  ASSERT_TRUE(IsRunning(grandchild_));
  LK_EXPECT_OK(StopAsPostgresql(id, kGrace, kGrace));
  EXPECT_FALSE(IsRunning(id));
  EXPECT_FALSE(IsRunning(grandchild_)) << "a child that goes on would hold the volume";
}

TEST_F(StopTest, KillAsksNobody) {
  const ProcessId id = Begin({}, true);
  const EngineLayout layout = folders_.Layout(5432);
  LK_ASSERT_OK(WriteProcessRecord(layout.state_folder + "/engine.json", id));
  LK_EXPECT_OK(NewPostgresql({.layout = layout})->Kill());
  EXPECT_FALSE(IsRunning(id));
  EXPECT_FALSE(IsRunning(grandchild_));
  EXPECT_THAT(Told(), testing::IsEmpty());
}

TEST_F(StopTest, WaitsTenSecondsAndThenFiveUnlessToldOtherwise) {
  EXPECT_EQ(PostgresqlOptions{}.fast_stop, absl::Seconds(10));
  EXPECT_EQ(PostgresqlOptions{}.immediate_stop, absl::Seconds(5));
}

// A record that is older than the machine's start, or whose pid another has now, names nobody.
TEST_F(StopTest, StopsNobodyElse) {
  const ProcessId id = Begin({});
  ProcessId earlier = id;
  --earlier.start_ticks;
  LK_EXPECT_OK(StopAsPostgresql(earlier, kGrace, kGrace));
  EXPECT_TRUE(IsRunning(id));
  const EngineLayout layout = folders_.Layout(5432);
  LK_ASSERT_OK(WriteFileAtomically(
      layout.state_folder + "/engine.json",
      absl::StrCat("{\"pid\":", id.pid, ",\"start_ticks\":", id.start_ticks, ",\"boot_id\":\"00000000-0000-4000-8000-000000000000\"}")));
  LK_EXPECT_OK(NewPostgresql({.layout = layout})->Stop());
  EXPECT_TRUE(IsRunning(id));
  EXPECT_THAT(Told(), testing::IsEmpty());
}

}  // namespace
}  // namespace latchkey
