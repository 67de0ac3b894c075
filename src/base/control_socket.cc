#include "base/control_socket.h"

#include <absl/time/clock.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <list>
#include <mutex>
#include <thread>

#include "base/control_frame.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"

namespace latchkey {
namespace {

using internal::FrameReader;
using internal::FrameState;
using internal::FrameWriter;

constexpr int kWorkers = 4;
constexpr size_t kMostConnections = 32;
constexpr absl::Duration kPeerPatience = absl::Seconds(30);  // for sending a request, and again for taking the answer
constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);
constexpr absl::Duration kFlushAtEnd = absl::Seconds(2);

absl::StatusOr<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return InvalidArgument("the path of a control socket must have 1 to ", sizeof address.sun_path - 1, " bytes: ", path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

json::object ErrorBody(const absl::Status& status) {
  const absl::string_view message = status.message();
  return {{"error", {{"code", static_cast<int>(status.code())}, {"message", json::string_view(message.data(), message.size())}}}};
}

FrameWriter ErrorFrame(const absl::Status& status) {
  absl::StatusOr<FrameWriter> frame = FrameWriter::Of({ErrorBody(status), {}});
  if (!frame.ok()) frame = FrameWriter::Of({ErrorBody(absl::Status(status.code(), "(message too long)")), {}});
  return *std::move(frame);
}

// One thread (the loop) owns every connection and never blocks on one; four workers run the handler. So a peer that is slow or silent
// costs a place in the table and nothing else.
class RealControlServer : public ControlServer {
 public:
  RealControlServer(Options options, UniqueFd listener, UniqueFd wake)
      : options_(std::move(options)), listener_(std::move(listener)), wake_(std::move(wake)) {
    struct stat st{};
    if (lstat(options_.path.c_str(), &st) == 0) inode_ = st.st_ino;
    for (int i = 0; i < kWorkers; ++i) workers_.emplace_back([this] { Work(); });
    loop_ = std::thread([this] { Loop(); });
  }

  ~RealControlServer() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      requests_.clear();
    }
    work_.notify_all();
    // The workers end first, so that the answers of handlers under way still go out.
    for (std::thread& worker : workers_) worker.join();
    {
      std::lock_guard lock(mutex_);
      flushing_ = true;
    }
    Wake();
    loop_.join();
    struct stat st{};
    if (lstat(options_.path.c_str(), &st) == 0 && st.st_ino == inode_) unlink(options_.path.c_str());
  }

 private:
  struct Connection {
    enum Phase { kReading, kHandling, kWriting } phase = kReading;
    uint64_t id = 0;
    UniqueFd fd;
    absl::Time deadline;
    std::unique_ptr<FrameReader> reader = std::make_unique<FrameReader>();
    FrameWriter writer;
  };
  struct Request {
    uint64_t connection = 0;
    ControlMessage message;
  };
  struct Answer {
    uint64_t connection = 0;
    FrameWriter frame;
  };

  void Wake() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(wake_.get(), &one, sizeof one);  // full means that it is awake
  }

  void Work() {
    for (;;) {
      Request request;
      {
        std::unique_lock lock(mutex_);
        work_.wait(lock, [&] { return stopping_ || !requests_.empty(); });
        if (requests_.empty()) return;
        request = std::move(requests_.front());
        requests_.pop_front();
      }
      absl::StatusOr<ControlMessage> result = options_.handler(std::move(request.message));
      absl::StatusOr<FrameWriter> frame = result.ok() ? FrameWriter::Of(*std::move(result)) : ErrorFrame(result.status());
      if (!frame.ok()) frame = ErrorFrame(Internal("the answer is too long for the control socket"));
      {
        std::lock_guard lock(mutex_);
        answers_.push_back({request.connection, *std::move(frame)});
      }
      Wake();
    }
  }

  void Loop() {
    absl::Time last = absl::InfiniteFuture();
    for (;;) {
      TakeAnswers();
      if (last == absl::InfiniteFuture() && Flushing()) {
        last = absl::Now() + kFlushAtEnd;
        listener_.Reset();
        connections_.remove_if([](const Connection& c) { return c.phase != Connection::kWriting; });
      }
      if (last != absl::InfiniteFuture() && (connections_.empty() || absl::Now() >= last)) return;
      PollOnce(last);
    }
  }

  bool Flushing() {
    std::lock_guard lock(mutex_);
    return flushing_;
  }

  void TakeAnswers() {
    std::deque<Answer> answers;
    {
      std::lock_guard lock(mutex_);
      answers.swap(answers_);
    }
    for (Answer& answer : answers) {
      for (Connection& c : connections_) {
        if (c.id == answer.connection) StartWriting(c, std::move(answer.frame));
      }
    }
  }

  static void StartWriting(Connection& c, FrameWriter frame) {
    c.phase = Connection::kWriting;
    c.reader.reset();
    c.writer = std::move(frame);
    c.deadline = absl::Now() + kPeerPatience;
  }

  void PollOnce(absl::Time wake_at) {
    const bool accepting = absl::Now() >= accept_after_;
    if (!accepting) wake_at = std::min(wake_at, accept_after_);
    std::vector<pollfd> polls = {{wake_.get(), POLLIN, 0}, {accepting ? listener_.get() : -1, POLLIN, 0}};
    for (const Connection& c : connections_) {
      polls.push_back(
          {c.phase == Connection::kHandling ? -1 : c.fd.get(), static_cast<short>(c.phase == Connection::kReading ? POLLIN : POLLOUT), 0});
      if (c.phase != Connection::kHandling) wake_at = std::min(wake_at, c.deadline);
    }
    int64_t wait = -1;
    if (wake_at != absl::InfiniteFuture()) wait = std::max<int64_t>(0, absl::ToInt64Milliseconds(wake_at - absl::Now()) + 1);
    if (poll(polls.data(), polls.size(), static_cast<int>(wait)) < 0) return;  // EINTR, or no memory: again
    if (polls[0].revents != 0) {
      uint64_t drained = 0;
      [[maybe_unused]] const ssize_t n = read(wake_.get(), &drained, sizeof drained);
    }
    size_t i = 2;
    for (auto it = connections_.begin(); it != connections_.end(); ++i) {
      const bool ready = polls[i].revents != 0;
      const bool late = it->phase != Connection::kHandling && absl::Now() >= it->deadline;
      const bool keep = !late && (!ready || Advance(*it));
      it = keep ? std::next(it) : connections_.erase(it);
    }
    if (polls[1].revents != 0) Accept();
  }

  // False when the connection is finished or lost.
  bool Advance(Connection& c) {
    if (c.phase == Connection::kWriting) {
      const absl::StatusOr<FrameState> state = c.writer.Step(c.fd.get());
      return state.ok() && *state == FrameState::kMore;
    }
    const absl::StatusOr<FrameState> state = c.reader->Step(c.fd.get());
    if (!state.ok()) {
      if (absl::IsUnavailable(state.status())) return false;
      StartWriting(c, ErrorFrame(state.status()));
      return true;
    }
    if (*state == FrameState::kMore) return true;
    absl::StatusOr<ControlMessage> message = c.reader->Take();
    if (!message.ok()) {
      StartWriting(c, ErrorFrame(message.status()));
      return true;
    }
    c.phase = Connection::kHandling;
    c.reader.reset();
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return false;
      requests_.push_back({c.id, *std::move(message)});
    }
    work_.notify_one();
    return true;
  }

  void Accept() {
    UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) {
      // Out of descriptors: the listener stays readable, and asking again at once would only burn time.
      if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) accept_after_ = absl::Now() + kAcceptPause;
      return;
    }
    ucred peer{};
    socklen_t size = sizeof peer;
    if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
    if (peer.uid != 0 && peer.uid != geteuid() &&
        std::find(options_.allowed_uids.begin(), options_.allowed_uids.end(), peer.uid) == options_.allowed_uids.end()) {
      Log(LogLevel::kWarning, "control socket refused a peer", {{"uid", static_cast<int64_t>(peer.uid)}, {"pid", peer.pid}});
      return;
    }
    if (connections_.size() >= kMostConnections) {
      // The one that has been silent longest makes room; those being served stay.
      auto oldest =
          std::find_if(connections_.begin(), connections_.end(), [](const Connection& c) { return c.phase == Connection::kReading; });
      if (oldest == connections_.end()) return;
      connections_.erase(oldest);
    }
    Connection c;
    c.id = ++last_id_;
    c.fd = std::move(fd);
    c.deadline = absl::Now() + kPeerPatience;
    connections_.push_back(std::move(c));
  }

  const Options options_;
  UniqueFd listener_;
  const UniqueFd wake_;
  ino_t inode_ = 0;
  // The loop's own.
  std::list<Connection> connections_;
  uint64_t last_id_ = 0;
  absl::Time accept_after_ = absl::InfinitePast();

  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<Request> requests_;
  std::deque<Answer> answers_;
  bool stopping_ = false;  // no new requests
  bool flushing_ = false;  // the workers have ended
  std::vector<std::thread> workers_;
  std::thread loop_;
};

// Removes a socket that nobody listens on any more.
absl::Status ClearPath(const std::string& path, const sockaddr_un& address) {
  struct stat st{};
  if (lstat(path.c_str(), &st) != 0) return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, "cannot inspect " + path);
  if (!S_ISSOCK(st.st_mode)) return FailedPrecondition(path, " exists and is no socket");
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return ErrnoStatus(errno, "cannot make a socket");
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN) {
    return FailedPrecondition(path, " is in use by another process");
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, "cannot remove " + path);
  return absl::OkStatus();
}

absl::Status AwaitReady(int fd, short events, absl::Time deadline) {
  for (;;) {
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0) return absl::DeadlineExceededError("control socket: no answer in time");
    pollfd p{fd, events, 0};
    const int n = poll(&p, 1, static_cast<int>(std::min<int64_t>(left, 3'600'000)));
    if (n > 0) return absl::OkStatus();
    if (n < 0 && errno != EINTR) return ErrnoStatus(errno, "control socket: poll");
  }
}

absl::StatusOr<UniqueFd> Connect(const std::string& path, absl::Duration timeout) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoStatus(errno, "cannot make a socket");
  // Bounds the wait for a place in the listener's queue.
  const timeval bound = absl::ToTimeval(std::max(timeout, absl::Milliseconds(1)));
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound);
  while (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return absl::DeadlineExceededError(absl::StrCat("control socket: ", path, " does not take the connection"));
    if (errno == EACCES || errno == EPERM) return PermissionDenied("control socket: no access to ", path);
    return Unavailable("control socket: nobody listens at ", path);
  }
  fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  return fd;
}

// The handler's answer, or the status inside an error answer.
absl::StatusOr<ControlMessage> Unpack(ControlMessage answer) {
  const json::value* error = answer.body.if_contains("error");
  if (error == nullptr) return answer;
  const json::object* fields = error->if_object();
  if (fields == nullptr) return DataLoss("control socket: malformed error answer");
  JsonReader reader(*fields, "error");
  const int64_t code = reader.Int("code");
  const std::string message = reader.OptionalString("message");
  if (!reader.status().ok() || code <= 0 || code > static_cast<int64_t>(absl::StatusCode::kUnauthenticated)) {
    return DataLoss("control socket: malformed error answer");
  }
  return absl::Status(static_cast<absl::StatusCode>(code), message);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Start(Options options) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(options.path));
  RETURN_IF_ERROR(ClearPath(options.path, address));
  UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.valid()) return ErrnoStatus(errno, "cannot make a socket");
  // Before bind(), which gives this mode to the file: there is no moment at which anybody else may connect.
  if (fchmod(listener.get(), 0600) != 0) return ErrnoStatus(errno, "cannot set the mode of a socket");
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return ErrnoStatus(errno, "cannot make the control socket " + options.path);
  }
  if (chmod(options.path.c_str(), 0600) != 0) return ErrnoStatus(errno, "cannot set the mode of " + options.path);
  if (listen(listener.get(), 16) != 0) return ErrnoStatus(errno, "cannot listen on " + options.path);
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return ErrnoStatus(errno, "cannot make an eventfd");
  return std::make_unique<RealControlServer>(std::move(options), std::move(listener), std::move(wake));
}

absl::StatusOr<ControlMessage> ControlCall(const std::string& path, ControlMessage request, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  ASSIGN_OR_RETURN(FrameWriter writer, FrameWriter::Of(std::move(request)));
  ASSIGN_OR_RETURN(const UniqueFd fd, Connect(path, timeout));
  for (;;) {
    const absl::StatusOr<FrameState> state = writer.Step(fd.get());
    // When the server stops listening to us it may have said why: read on.
    if (!state.ok() || *state == FrameState::kDone) break;
    RETURN_IF_ERROR(AwaitReady(fd.get(), POLLOUT, deadline));
  }
  FrameReader reader;
  for (;;) {
    ASSIGN_OR_RETURN(const FrameState state, reader.Step(fd.get()));
    if (state == FrameState::kDone) break;
    RETURN_IF_ERROR(AwaitReady(fd.get(), POLLIN, deadline));
  }
  ASSIGN_OR_RETURN(ControlMessage answer, reader.Take());
  return Unpack(std::move(answer));
}

}  // namespace latchkey
