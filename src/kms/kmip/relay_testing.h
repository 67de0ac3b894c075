// Stands between Latchkey and a PyKMIP server, and has the vices that the real one does not have. For tests.
//
//   KmipRelay relay(server);
//   auto kms = NewKmipKms({{"test", relay.connection()}}, {});
//   relay.Next(KmipFault::kHalf);                   // the next request; then what was queued after it
//   relay.Always(KmipFault::kSilence);              // every one, until Always(KmipFault::kNone)
//   relay.Rewrite(kmip::Operation::kDecrypt, …);    // answers of one operation, until Rewrite(…, nullptr)
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "crypto/openssl_handles.h"
#include "kms/kmip/kmip_testing.h"
#include "kms/kmip/tls_channel.h"

namespace latchkey {

enum class KmipFault {
  kNone,
  kDrop,      // the connection ends, without an answer
  kSilence,   // no answer, and the connection stays
  kHalf,      // half an answer, then the end
  kGarbage,   // bytes of the right number that are no message
  kTooLong,   // the beginning of an answer that says to be longer than allowed
  kThrottle,  // "Server Limit Exceeded", without asking the server
  kOtherKey,  // the right answer, as of another key
};

// A Response Message that reports a failure.
inline std::vector<uint8_t> KmipFailureAnswer(kmip::Operation operation, kmip::Reason reason, std::string_view words,
                                              kmip::ResultStatus status = kmip::ResultStatus::kFailed) {
  TtlvWriter w(512 + words.size());
  w.Begin(kmip::kResponseMessage);
  w.Begin(kmip::kResponseHeader);
  w.Begin(kmip::kProtocolVersion);
  w.Integer(kmip::kProtocolVersionMajor, 1);
  w.Integer(kmip::kProtocolVersionMinor, 4);
  w.End();
  w.Integer(kmip::kBatchCount, 1);
  w.End();
  w.Begin(kmip::kBatchItem);
  w.Enumeration(kmip::kOperation, static_cast<uint32_t>(operation));
  w.Enumeration(kmip::kResultStatus, static_cast<uint32_t>(status));
  w.Enumeration(kmip::kResultReason, static_cast<uint32_t>(reason));
  w.Text(kmip::kResultMessage, words);
  w.End();
  w.End();
  const auto message = std::move(w).Finish().value();
  const auto bytes = message.Reveal(SecretAccess{});
  return {bytes.begin(), bytes.end()};
}

// The message with `write` in place of each item with this tag that lies anywhere in it.
inline std::vector<uint8_t> KmipReplaced(std::span<const uint8_t> message, uint32_t tag, const std::function<void(TtlvWriter&)>& write) {
  const TtlvItem root = ReadTtlv(message).value();
  TtlvWriter w(2 * message.size() + 256);
  const std::function<void(const TtlvItem&)> copy = [&](const TtlvItem& item) {
    if (item.tag() == tag) return write(w);
    if (item.type() != TtlvType::kStructure) return w.Copy(item);
    w.Begin(item.tag());
    for (const TtlvItem& inner : item.items()) copy(inner);
    w.End();
  };
  copy(root);
  const auto changed = std::move(w).Finish().value();
  const auto bytes = changed.Reveal(SecretAccess{});
  return {bytes.begin(), bytes.end()};
}

class KmipRelay {
 public:
  using Rewriter = std::function<std::vector<uint8_t>(std::span<const uint8_t> answer)>;

  // Speaks TLS with the server's own certificate. `most_tls`: TLS1_2_VERSION or TLS1_3_VERSION.
  explicit KmipRelay(const PyKmip& server, int most_tls = TLS1_3_VERSION) : server_(server) {
    context_.reset(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_set_max_proto_version(context_.get(), most_tls);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    EXPECT_EQ(SSL_CTX_load_verify_file(context_.get(), (server.folder() / "ca.pem").c_str()), 1);
    EXPECT_EQ(SSL_CTX_use_certificate_chain_file(context_.get(), (server.folder() / "server.pem").c_str()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context_.get(), (server.folder() / "server.key").c_str(), SSL_FILETYPE_PEM), 1);
    listener_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_.get(), 16), 0);
    EXPECT_EQ(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~KmipRelay() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      for (const UniqueFd& fd : sockets_) shutdown(fd.get(), SHUT_RDWR);
    }
    stopped_.notify_all();
    shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    for (std::thread& thread : sessions_) thread.join();
  }
  KmipRelay(const KmipRelay&) = delete;
  KmipRelay& operator=(const KmipRelay&) = delete;

  KmipConnection connection() const {
    KmipConnection connection = server_.connection();
    connection.port = port_;
    return connection;
  }
  void Next(KmipFault fault) {
    const std::lock_guard lock(mutex_);
    queued_.push_back(fault);
  }
  void Always(KmipFault fault) {
    const std::lock_guard lock(mutex_);
    standing_ = fault;
  }
  void Rewrite(kmip::Operation operation, Rewriter rewriter) {
    const std::lock_guard lock(mutex_);
    rewriters_[operation] = std::move(rewriter);
  }
  int connections() const {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(sockets_.size());
  }
  int calls(kmip::Operation operation) const {
    const std::lock_guard lock(mutex_);
    const auto it = calls_.find(operation);
    return it == calls_.end() ? 0 : it->second;
  }

 private:
  void Accept() {
    for (;;) {
      const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      const std::lock_guard lock(mutex_);
      UniqueFd socket(fd);
      if (fd < 0 || stopping_) return;
      sockets_.push_back(std::move(socket));
      sessions_.emplace_back([this, fd] { Serve(fd); });
    }
  }

  void Serve(int fd) {
    // Of a client that has gone, this thread alone would get it.
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
    const OpenSslPtr<SSL, SSL_free> ssl(SSL_new(context_.get()));
    SSL_set_fd(ssl.get(), fd);
    if (SSL_accept(ssl.get()) == 1) {
      std::unique_ptr<TlsChannel> upstream;
      while (Relay(ssl.get(), upstream)) {
      }
    }
    shutdown(fd, SHUT_RDWR);
    ERR_clear_error();
  }

  static bool ReadFully(SSL* ssl, std::span<uint8_t> into) {
    while (!into.empty()) {
      const int n = SSL_read(ssl, into.data(), static_cast<int>(into.size()));
      if (n <= 0) return false;
      into = into.subspan(static_cast<size_t>(n));
    }
    return true;
  }

  // One request and its answer; false when the connection is to end.
  bool Relay(SSL* ssl, std::unique_ptr<TlsChannel>& upstream) {
    std::array<uint8_t, kTtlvHeaderSize> header{};
    if (!ReadFully(ssl, header)) return false;
    const auto size = TtlvMessageSize(header, 64 << 10);
    if (!size.ok()) return false;
    SecretBytes request(*size);
    const auto into = request.RevealMutable(SecretAccess{});
    std::ranges::copy(header, into.begin());
    if (!ReadFully(ssl, into.subspan(header.size()))) return false;
    const auto root = ReadTtlv(into);
    if (!root.ok()) return false;
    const auto operation = static_cast<kmip::Operation>(root->Find(kmip::kBatchItem)->Find(kmip::kOperation)->Enumeration().value_or(0));

    const auto [fault, rewriter] = Met(operation);
    std::vector<uint8_t> answer;
    if (fault == KmipFault::kDrop) return false;
    if (fault == KmipFault::kSilence) return WaitForStop();
    if (fault == KmipFault::kThrottle) {
      answer = KmipFailureAnswer(operation, kmip::Reason::kServerLimitExceeded, "slow down");
    } else {
      const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
      if (upstream == nullptr) {
        auto opened = TlsChannel::Open(server_.connection(), until, until);
        if (!opened.ok()) return false;
        upstream = *std::move(opened);
      }
      const auto right = upstream->Exchange(request, until);
      if (!right.ok()) return false;
      const auto bytes = right->Reveal(SecretAccess{});
      answer.assign(bytes.begin(), bytes.end());
    }
    if (fault == KmipFault::kGarbage) answer.assign(answer.size(), 'x');
    if (fault == KmipFault::kTooLong) answer[4] = 0x7f;
    if (fault == KmipFault::kOtherKey) {
      answer = KmipReplaced(answer, kmip::kUniqueIdentifier, [](TtlvWriter& w) { w.Text(kmip::kUniqueIdentifier, "another"); });
    }
    if (rewriter) answer = rewriter(answer);
    if (fault == KmipFault::kHalf) answer.resize(answer.size() / 2);
    return SSL_write(ssl, answer.data(), static_cast<int>(answer.size())) > 0 && fault != KmipFault::kHalf;
  }

  std::pair<KmipFault, Rewriter> Met(kmip::Operation operation) {
    const std::lock_guard lock(mutex_);
    ++calls_[operation];
    KmipFault fault = standing_;
    if (!queued_.empty()) {
      fault = queued_.front();
      queued_.pop_front();
    }
    return {fault, rewriters_[operation]};
  }

  bool WaitForStop() {
    std::unique_lock lock(mutex_);
    stopped_.wait(lock, [this] { return stopping_; });
    return false;
  }

  const PyKmip& server_;
  OpenSslPtr<SSL_CTX, SSL_CTX_free> context_;
  UniqueFd listener_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::deque<KmipFault> queued_;
  KmipFault standing_ = KmipFault::kNone;
  std::map<kmip::Operation, Rewriter> rewriters_;
  std::map<kmip::Operation, int> calls_;
  std::vector<UniqueFd> sockets_;  // of all sessions, ended ones too; closed at the end
  std::vector<std::thread> sessions_;
  std::thread acceptor_;
};

}  // namespace latchkey
