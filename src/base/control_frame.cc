#include "base/control_frame.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "base/json.h"
#include "base/status.h"

namespace latchkey::internal {
namespace {

constexpr size_t kHead = 8;

uint32_t LittleEndian(const uint8_t* p) {
  return static_cast<uint32_t>(p[0]) | static_cast<uint32_t>(p[1]) << 8 | static_cast<uint32_t>(p[2]) << 16 |
         static_cast<uint32_t>(p[3]) << 24;
}

void AppendLittleEndian(uint32_t v, std::string& out) {
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(v >> shift));
}

}  // namespace

FrameReader::~FrameReader() { Wipe(json_); }

absl::Status FrameReader::ReadHead() {
  const uint32_t json_size = LittleEndian(head_.data());
  const uint32_t secret_size = LittleEndian(head_.data() + 4);
  if (json_size > kLongestJson) return InvalidArgument("control frame: the JSON has ", json_size, " bytes, more than ", kLongestJson);
  if (secret_size > kLongestSecret) {
    return InvalidArgument("control frame: the secret has ", secret_size, " bytes, more than ", kLongestSecret);
  }
  json_.resize(json_size);
  secret_ = SecretBytes(secret_size);
  return absl::OkStatus();
}

absl::StatusOr<FrameState> FrameReader::Step(int fd) {
  for (;;) {
    uint8_t* to = nullptr;
    size_t want = 0;
    if (done_ < kHead) {
      to = head_.data() + done_;
      want = kHead - done_;
    } else if (done_ < kHead + json_.size()) {
      to = reinterpret_cast<uint8_t*>(json_.data()) + (done_ - kHead);
      want = kHead + json_.size() - done_;
    } else {
      const size_t at = done_ - kHead - json_.size();
      if (at == secret_.size()) return FrameState::kDone;
      to = secret_.RevealMutable(SecretAccess{}).data() + at;
      want = secret_.size() - at;
    }
    const ssize_t n = recv(fd, to, want, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return FrameState::kMore;
    if (n < 0) return Unavailable("control socket: the other side is gone");
    if (n == 0) return Unavailable("control socket: the other side closed the connection");
    done_ += static_cast<size_t>(n);
    if (done_ == kHead) RETURN_IF_ERROR(ReadHead());
  }
}

absl::StatusOr<ControlMessage> FrameReader::Take() {
  ASSIGN_OR_RETURN(json::object body, ParseJsonObject(json_));
  return ControlMessage{std::move(body), std::move(secret_)};
}

FrameWriter::~FrameWriter() { Wipe(text_); }

absl::StatusOr<FrameWriter> FrameWriter::Of(ControlMessage message) {
  FrameWriter out;
  std::string body = json::serialize(message.body);
  if (body.size() > kLongestJson || message.secret.size() > kLongestSecret) {
    Wipe(body);
    return InvalidArgument("control frame: the message is longer than the socket takes");
  }
  out.text_.reserve(kHead + body.size());
  AppendLittleEndian(static_cast<uint32_t>(body.size()), out.text_);
  AppendLittleEndian(static_cast<uint32_t>(message.secret.size()), out.text_);
  out.text_ += body;
  Wipe(body);
  out.secret_ = std::move(message.secret);
  return out;
}

absl::StatusOr<FrameState> FrameWriter::Step(int fd) {
  for (;;) {
    const uint8_t* from = nullptr;
    size_t size = 0;
    if (done_ < text_.size()) {
      from = reinterpret_cast<const uint8_t*>(text_.data()) + done_;
      size = text_.size() - done_;
    } else {
      const size_t at = done_ - text_.size();
      if (at == secret_.size()) return FrameState::kDone;
      from = secret_.Reveal(SecretAccess{}).data() + at;
      size = secret_.size() - at;
    }
    const ssize_t n = send(fd, from, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return FrameState::kMore;
    if (n < 0) return Unavailable("control socket: the other side is gone");
    done_ += static_cast<size_t>(n);
  }
}

}  // namespace latchkey::internal
