// A bare TCP client for tests of the server: sends bytes as they are, and reads what comes back.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace latchkey {

class TestPeer {
 public:
  // From 127.0.0.`host`.
  explicit TestPeer(uint16_t port, uint8_t host = 1) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_in from{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK - 1 + host)}, .sin_zero = {}};
    if (host != 1 && bind(fd_, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) return;
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~TestPeer() { Close(); }
  TestPeer(const TestPeer&) = delete;
  TestPeer& operator=(const TestPeer&) = delete;

  bool connected() const { return connected_; }
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  // Reads until `text` has come, the connection ends, or five seconds pass without a byte. What was read by then is returned and forgotten.
  std::string ReadUntil(std::string_view text) {
    std::string got;
    while (text.empty() || got.find(text) == std::string::npos) {
      if (!ReadSome(got)) break;
    }
    return got;
  }
  std::string ReadToEnd() { return ReadUntil(""); }
  // True when bytes (or the end) have come; waits 10 ms at most.
  bool HasSomething() const {
    pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
    return poll(&waiting, 1, 10) == 1;
  }
  // True when the connection was ended by the server (and not merely silent).
  bool ended() const { return ended_; }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  bool ReadSome(std::string& got) {
    pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, 5000) != 1) return false;
    char chunk[4096];
    const ssize_t n = recv(fd_, chunk, sizeof chunk, 0);
    if (n <= 0) {
      ended_ = true;
      return false;
    }
    got.append(chunk, static_cast<size_t>(n));
    return true;
  }

  int fd_;
  bool connected_ = false;
  bool ended_ = false;
};

}  // namespace latchkey
