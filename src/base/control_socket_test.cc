#include "base/control_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

#include "base/file.h"
#include "base/random.h"
#include "base/status.h"
#include "base/testing.h"

namespace latchkey {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

constexpr absl::Duration kSoon = absl::Seconds(20);

std::string LittleEndian(uint32_t v) {
  std::string out;
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(v >> shift));
  return out;
}

// A peer that follows no protocol.
UniqueFd ConnectRaw(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.sun_path);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const timeval bound{20, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
  return fd;
}

void SendRaw(const UniqueFd& fd, std::string_view bytes) {
  EXPECT_EQ(send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
}

// Everything until the other side closes.
std::string ReceiveRaw(const UniqueFd& fd) {
  std::string out;
  char buffer[4096];
  for (ssize_t n; (n = recv(fd.get(), buffer, sizeof buffer, 0)) > 0;) out.append(buffer, static_cast<size_t>(n));
  return out;
}

class ControlSocketTest : public testing::Test {
 protected:
  void Serve(ControlServer::Handler handler) {
    LK_ASSERT_OK_AND_ASSIGN(server_, ControlServer::Start({.path = path_, .handler = std::move(handler)}));
  }
  // Answers with what it got, the secret included.
  void ServeEcho() {
    Serve([](ControlMessage request) -> absl::StatusOr<ControlMessage> { return request; });
  }

  TempFolder folder_;
  const std::string path_ = folder_ / "s";
  std::unique_ptr<ControlServer> server_;
};

TEST_F(ControlSocketTest, BringsBodyAndSecretThereAndBack) {
  ServeEcho();
  const SecretBytes secret = Random::System().Secret(4096);
  LK_ASSERT_OK_AND_ASSIGN(const ControlMessage answer, ControlCall(path_, {{{"op", "open"}, {"n", 7}}, secret.Clone()}, kSoon));
  EXPECT_EQ(json::serialize(answer.body), R"({"op":"open","n":7})");
  EXPECT_TRUE(answer.secret.Equals(secret));
  LK_ASSERT_OK_AND_ASSIGN(const ControlMessage plain, ControlCall(path_, {{{"op", "status"}}, {}}, kSoon));
  EXPECT_TRUE(plain.secret.empty());
}

TEST_F(ControlSocketTest, CarriesAMebibyteButNoMore) {
  ServeEcho();
  const std::string big((1 << 20) - 100, 'x');
  LK_ASSERT_OK_AND_ASSIGN(const ControlMessage answer, ControlCall(path_, {{{"v", big}}, {}}, kSoon));
  EXPECT_EQ(answer.body.at("v").as_string(), big);
  EXPECT_THAT(ControlCall(path_, {{{"v", std::string(1 << 20, 'x')}}, {}}, kSoon), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ControlCall(path_, {{}, SecretBytes(4097)}, kSoon), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ControlSocketTest, GivesTheHandlersOwnErrorBack) {
  Serve([](ControlMessage) -> absl::StatusOr<ControlMessage> { return FailedPrecondition("the volume is sealed"); });
  EXPECT_THAT(ControlCall(path_, {}, kSoon), StatusIs(absl::StatusCode::kFailedPrecondition, "the volume is sealed"));
}

TEST_F(ControlSocketTest, SaysSoWhenAnAnswerIsTooLong) {
  Serve([](ControlMessage) -> absl::StatusOr<ControlMessage> { return ControlMessage{{{"v", std::string(2 << 20, 'x')}}, {}}; });
  EXPECT_THAT(ControlCall(path_, {}, kSoon), StatusIs(absl::StatusCode::kInternal, HasSubstr("too long")));
}

TEST_F(ControlSocketTest, ServesAnotherProcess) {
  ServeEcho();
  const pid_t pid = fork();
  if (pid == 0) {
    const auto answer = ControlCall(path_, {{{"from", "child"}}, SecretBytes::CopyOf(std::string_view("k"))}, kSoon);
    _exit(answer.ok() && answer->body.at("from") == "child" && answer->secret.RevealText(SecretAccess{}) == "k" ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(ControlSocketTest, IsPrivateAndGoesWithTheServer) {
  const mode_t before = umask(0);
  ServeEcho();
  umask(before);
  struct stat st{};
  ASSERT_EQ(stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  server_.reset();
  EXPECT_FALSE(PathExists(path_));
  EXPECT_THAT(ControlCall(path_, {}, kSoon), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("nobody listens")));
}

TEST_F(ControlSocketTest, ReplacesALeftOverSocketButNoLiveOneAndNoFile) {
  {
    // Bound and never listening again: what a killed daemon leaves.
    const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(path_.begin(), path_.end(), address.sun_path);
    ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ServeEcho();
  LK_EXPECT_OK(ControlCall(path_, {}, kSoon));
  EXPECT_THAT(ControlServer::Start({.path = path_, .handler = {}}), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("in use")));
  LK_EXPECT_OK(ControlCall(path_, {}, kSoon));
  std::ofstream(folder_ / "file").close();
  EXPECT_THAT(ControlServer::Start({.path = folder_ / "file", .handler = {}}), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(ControlServer::Start({.path = folder_ / std::string(200, 'x'), .handler = {}}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ControlSocketTest, IsNotBlockedBySilentAndSlowPeers) {
  ServeEcho();
  std::vector<UniqueFd> peers;
  for (int i = 0; i < 60; ++i) {
    peers.push_back(ConnectRaw(path_));
    if (i % 2 == 0) SendRaw(peers.back(), LittleEndian(1000) + LittleEndian(32) + "{");
  }
  const absl::Time start = absl::Now();
  for (int i = 0; i < 10; ++i) LK_EXPECT_OK(ControlCall(path_, {{{"i", i}}, {}}, kSoon));
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

TEST_F(ControlSocketTest, IsNotBlockedByPeersThatDoNotTakeTheirAnswers) {
  ServeEcho();
  const std::string body = "{\"v\":\"" + std::string(1'000'000, 'x') + "\"}";
  std::vector<UniqueFd> peers;
  for (int i = 0; i < 8; ++i) {
    peers.push_back(ConnectRaw(path_));
    SendRaw(peers.back(), LittleEndian(static_cast<uint32_t>(body.size())) + LittleEndian(0) + body);
  }
  LK_EXPECT_OK(ControlCall(path_, {{{"v", 1}}, {}}, kSoon));
}

TEST_F(ControlSocketTest, RefusesFramesOverTheLimitsAndWhatIsNoJsonObject) {
  std::atomic<int> handled{0};
  Serve([&](ControlMessage request) -> absl::StatusOr<ControlMessage> {
    ++handled;
    return request;
  });
  const std::pair<std::string, std::string> frames[] = {
      {LittleEndian((1 << 20) + 1) + LittleEndian(0), "more than 1048576"},
      {LittleEndian(UINT32_MAX) + LittleEndian(0), "more than 1048576"},
      {LittleEndian(2) + LittleEndian(4097), "more than 4096"},
      {LittleEndian(0) + LittleEndian(0), "not JSON"},
      {LittleEndian(2) + LittleEndian(0) + "[]", "must be an object"},
      {LittleEndian(13) + LittleEndian(0) + R"({"a":1,"a":2})", "twice"},
  };
  for (const auto& [frame, reason] : frames) {
    const UniqueFd peer = ConnectRaw(path_);
    SendRaw(peer, frame);
    EXPECT_THAT(ReceiveRaw(peer), HasSubstr(reason));
  }
  EXPECT_EQ(handled, 0);
}

TEST_F(ControlSocketTest, SurvivesPeersThatLeaveAnywhere) {
  ServeEcho();
  const std::string frame = LittleEndian(7) + LittleEndian(3) + R"({"a":1})" + "abc";
  for (size_t n = 0; n <= frame.size(); ++n) SendRaw(ConnectRaw(path_), std::string_view(frame).substr(0, n));
  LK_EXPECT_OK(ControlCall(path_, {}, kSoon));
}

TEST_F(ControlSocketTest, TakesAFrameByteByByte) {
  ServeEcho();
  const std::string frame = LittleEndian(7) + LittleEndian(3) + R"({"a":1})" + "abc";
  const UniqueFd peer = ConnectRaw(path_);
  for (char c : frame) SendRaw(peer, std::string_view(&c, 1));
  EXPECT_EQ(ReceiveRaw(peer), frame);
}

// A gate that a handler waits at until the test opens it.
class Gate {
 public:
  void Pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  bool AwaitWaiting(int n) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return waiting_ >= n; });
  }
  void Open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool open_ = false;
};

TEST_F(ControlSocketTest, RunsFourHandlersAtOnce) {
  Gate gate;
  Serve([&](ControlMessage request) -> absl::StatusOr<ControlMessage> {
    gate.Pass();
    return request;
  });
  std::vector<std::thread> callers;
  for (int i = 0; i < 6; ++i) callers.emplace_back([&] { LK_EXPECT_OK(ControlCall(path_, {}, kSoon)); });
  EXPECT_TRUE(gate.AwaitWaiting(4));
  gate.Open();
  for (std::thread& t : callers) t.join();
}

TEST_F(ControlSocketTest, GivesUpAfterTheTimeoutOfTheCall) {
  Gate gate;
  Serve([&](ControlMessage request) -> absl::StatusOr<ControlMessage> {
    gate.Pass();
    return request;
  });
  EXPECT_THAT(ControlCall(path_, {}, absl::Milliseconds(50)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  gate.Open();
  server_.reset();  // before the gate goes
}

TEST_F(ControlSocketTest, StillSendsTheAnswersOfHandlersUnderWayWhenItStops) {
  Gate gate;
  Serve([&](ControlMessage request) -> absl::StatusOr<ControlMessage> {
    gate.Pass();
    return request;
  });
  // Longer than the socket's buffer, so that it is not sent in one go.
  const std::string body = "{\"v\":\"" + std::string(1'000'000, 'x') + "\"}";
  const std::string frame = LittleEndian(static_cast<uint32_t>(body.size())) + LittleEndian(0) + body;
  const UniqueFd peer = ConnectRaw(path_);
  SendRaw(peer, frame);
  ASSERT_TRUE(gate.AwaitWaiting(1));
  std::thread stopper([&] { server_.reset(); });
  gate.Open();
  EXPECT_EQ(ReceiveRaw(peer).size(), frame.size());
  stopper.join();
}

TEST_F(ControlSocketTest, RefusesOtherUsers) {
  ServeEcho();
  if (geteuid() != 0) {
    // Only root can become somebody else to try it; the file's mode is what everybody can see.
    struct stat st{};
    ASSERT_EQ(stat(path_.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0077, 0u);
    return;
  }
  // Even where the modes would let them in.
  ASSERT_EQ(chmod(folder_.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod(path_.c_str(), 0666), 0);
  const auto call_as = [&](uid_t uid) {
    const pid_t pid = fork();
    if (pid == 0) {
      if (setresuid(uid, uid, uid) != 0) _exit(3);
      const auto answer = ControlCall(path_, {}, kSoon);
      _exit(answer.ok() ? 0 : absl::IsUnavailable(answer.status()) ? 1 : 2);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
  };
  EXPECT_EQ(call_as(65534), 1);
  server_.reset();
  LK_ASSERT_OK_AND_ASSIGN(server_,
                          ControlServer::Start({.path = path_, .allowed_uids = {65534}, .handler = [](ControlMessage m) { return m; }}));
  ASSERT_EQ(chmod(path_.c_str(), 0666), 0);
  EXPECT_EQ(call_as(65534), 0);
}

}  // namespace
}  // namespace latchkey
