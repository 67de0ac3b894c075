#include "kms/kmip/tls_channel.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/status.h"
#include "crypto/openssl_handles.h"
#include "kms/kmip/errors.h"
#include "kms/kmip/message.h"

namespace latchkey {
namespace {

using Context = OpenSslPtr<SSL_CTX, SSL_CTX_free>;

constexpr size_t kMaxKeyFile = 16 << 10;

absl::Status Unreachable(std::string_view words) { return KmsError(FailureClass::kUnreachable, words); }
absl::Status OurTrouble(std::string_view words) { return KmsError(FailureClass::kIdentity, words); }

int MillisecondsUntil(SteadyTime until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
}

// libcurl's part: names are resolved on a thread of their own, all addresses tried, everything within the time.
absl::StatusOr<UniqueFd> Connect(const KmipConnection& connection, SteadyTime until) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (curl == nullptr) return Unreachable("no memory for a connection");
  const int timeout = MillisecondsUntil(until);
  if (timeout == 0) return Unreachable("no time left to connect");
  const bool v6 = connection.host.find(':') != std::string::npos;
  const std::string url = absl::StrCat("http://", v6 ? "[" : "", connection.host, v6 ? "]" : "", ":", connection.port, "/");
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_PROXY, "");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  // A resolver that hangs is left to itself: else the call would last as long as it does.
  curl_easy_setopt(curl.get(), CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(timeout));
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(timeout));
  if (const CURLcode code = curl_easy_perform(curl.get()); code != CURLE_OK) return Unreachable(curl_easy_strerror(code));
  curl_socket_t socket = CURL_SOCKET_BAD;
  if (curl_easy_getinfo(curl.get(), CURLINFO_ACTIVESOCKET, &socket) != CURLE_OK || socket == CURL_SOCKET_BAD) {
    return Unreachable("the connection was closed at once");
  }
  // libcurl closes its own descriptor.
  UniqueFd own(fcntl(socket, F_DUPFD_CLOEXEC, 3));
  if (!own.valid() || fcntl(own.get(), F_SETFL, O_NONBLOCK) != 0) return Unreachable("no descriptor for a connection");
  return own;
}

// A socket BIO as OpenSSL's own, but without SIGPIPE when the server is gone.
int SocketWrite(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = send(*static_cast<const int*>(BIO_get_data(bio)), bytes, static_cast<size_t>(size), MSG_NOSIGNAL);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}
int SocketRead(BIO* bio, char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = recv(*static_cast<const int*>(BIO_get_data(bio)), bytes, static_cast<size_t>(size), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  return static_cast<int>(n);
}
long SocketControl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO_METHOD* SocketMethod() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "latchkey socket");
    if (m == nullptr) return m;
    BIO_meth_set_write(m, SocketWrite);
    BIO_meth_set_read(m, SocketRead);
    BIO_meth_set_ctrl(m, SocketControl);
    return m;
  }();
  return method;
}

// An encrypted key is never asked about on a terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

absl::Status UseKey(SSL_CTX* context, const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return OurTrouble(FromAbsl(ErrnoStatus(errno, "client_key_file cannot be read").message()));
  struct stat facts{};
  if (fstat(fd.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return OurTrouble("client_key_file is not a file");
  if ((facts.st_mode & 077) != 0) return OurTrouble("client_key_file is open to other users: give it mode 0600");
  SecretBytes text(kMaxKeyFile);
  const std::span<uint8_t> into = text.RevealMutable(SecretAccess{});
  size_t size = 0;
  while (size < into.size()) {
    const ssize_t n = read(fd.get(), into.data() + size, into.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return OurTrouble("client_key_file cannot be read");
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  const Bio bio(BIO_new_mem_buf(into.data(), static_cast<int>(size)));
  const Pkey key(bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr) return OurTrouble("client_key_file holds no private key in PEM without a passphrase");
  const bool fits = SSL_CTX_use_PrivateKey(context, key.get()) == 1 && SSL_CTX_check_private_key(context) == 1;
  ERR_clear_error();
  return fits ? absl::OkStatus() : OurTrouble("client_key_file does not belong to client_certificate_file");
}

absl::StatusOr<Context> NewContext(const KmipConnection& connection) {
  Context context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return Unreachable("no memory for TLS");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_default_passwd_cb(context.get(), NoPassphrase);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  const bool ca = SSL_CTX_load_verify_file(context.get(), connection.ca_file.c_str()) == 1;
  ERR_clear_error();
  if (!ca) return Unreachable("ca_file holds no certificate in PEM");
  const bool certificate = SSL_CTX_use_certificate_chain_file(context.get(), connection.client_certificate_file.c_str()) == 1;
  ERR_clear_error();
  if (!certificate) return OurTrouble("client_certificate_file holds no certificate in PEM");
  RETURN_IF_ERROR(UseKey(context.get(), connection.client_key_file));
  return context;
}

// The name or address that the server's certificate must have.
bool ExpectName(SSL* ssl, const std::string& name) {
  X509_VERIFY_PARAM* const rules = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str()) == 1) return true;
  ERR_clear_error();
  return SSL_set1_host(ssl, name.c_str()) == 1 && SSL_set_tlsext_host_name(ssl, name.c_str()) == 1;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsChannel>> TlsChannel::Open(const KmipConnection& connection, SteadyTime connect_by, SteadyTime until) {
  ASSIGN_OR_RETURN(const Context context, NewContext(connection));
  std::unique_ptr<TlsChannel> channel(new TlsChannel());
  ASSIGN_OR_RETURN(channel->socket_, Connect(connection, connect_by));
  channel->ssl_.reset(SSL_new(context.get()));
  BIO* const bio = SocketMethod() == nullptr ? nullptr : BIO_new(SocketMethod());
  if (channel->ssl_ == nullptr || bio == nullptr) {
    BIO_free(bio);
    return Unreachable("no memory for TLS");
  }
  channel->fd_ = channel->socket_.get();
  BIO_set_data(bio, &channel->fd_);
  BIO_set_init(bio, 1);
  SSL_set_bio(channel->ssl_.get(), bio, bio);
  if (!ExpectName(channel->ssl_.get(), connection.server_name.empty() ? connection.host : connection.server_name)) {
    return Unreachable("server_name cannot be checked");
  }
  RETURN_IF_ERROR(channel->Handshake(until));
  channel->opened_ = std::chrono::steady_clock::now();
  return channel;
}

TlsChannel::~TlsChannel() {
  ERR_clear_error();
  // Says goodbye, and does not wait for an answer.
  if (ssl_ != nullptr && handshake_done_) SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

absl::Status TlsChannel::Handshake(SteadyTime until) {
  for (;;) {
    ERR_clear_error();
    const int result = SSL_connect(ssl_.get());
    if (result == 1) break;
    RETURN_IF_ERROR(After(SSL_get_error(ssl_.get(), result), until));
  }
  handshake_done_ = true;
  return absl::OkStatus();
}

absl::StatusOr<SecretBytes> TlsChannel::Exchange(const SecretBytes& message, SteadyTime until) {
  const std::span<const uint8_t> out = message.Reveal(SecretAccess{});
  for (;;) {
    ERR_clear_error();
    // OpenSSL writes all or nothing.
    const int result = SSL_write(ssl_.get(), out.data(), static_cast<int>(out.size()));
    if (result > 0) break;
    RETURN_IF_ERROR(After(SSL_get_error(ssl_.get(), result), until));
  }
  std::array<uint8_t, kTtlvHeaderSize> header{};
  RETURN_IF_ERROR(ReadFully(header, until));
  const auto size = TtlvMessageSize(header, kMaxKmipAnswer);
  if (!size.ok()) return Unreachable(absl::StrCat("the answer is ", size.status().message()));
  SecretBytes answer(*size);
  const std::span<uint8_t> into = answer.RevealMutable(SecretAccess{});
  std::ranges::copy(header, into.begin());
  RETURN_IF_ERROR(ReadFully(into.subspan(header.size()), until));
  return answer;
}

bool TlsChannel::IsStale() const {
  pollfd p{socket_.get(), POLLIN, 0};
  return SSL_pending(ssl_.get()) > 0 || poll(&p, 1, 0) != 0;
}

absl::Status TlsChannel::ReadFully(std::span<uint8_t> into, SteadyTime until) {
  while (!into.empty()) {
    ERR_clear_error();
    const int result = SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size()));
    if (result > 0) {
      into = into.subspan(static_cast<size_t>(result));
    } else {
      RETURN_IF_ERROR(After(SSL_get_error(ssl_.get(), result), until));
    }
  }
  return absl::OkStatus();
}

absl::Status TlsChannel::WaitFor(Wish wish, SteadyTime until) const {
  pollfd p{socket_.get(), static_cast<short>(wish == Wish::kRead ? POLLIN : POLLOUT), 0};
  for (;;) {
    const int timeout = MillisecondsUntil(until);
    if (timeout == 0) return Unreachable("no answer in time");
    const int n = poll(&p, 1, timeout);
    if (n > 0) return absl::OkStatus();
    if (n < 0 && errno != EINTR) return Unreachable("the connection cannot be waited for");
  }
}

absl::Status TlsChannel::After(int ssl_error, SteadyTime until) {
  if (ssl_error == SSL_ERROR_WANT_READ) return WaitFor(Wish::kRead, until);
  if (ssl_error == SSL_ERROR_WANT_WRITE) return WaitFor(Wish::kWrite, until);
  return Failure(ssl_error);
}

absl::Status TlsChannel::Failure(int ssl_error) const {
  const unsigned long error = ERR_peek_error();
  const int reason = ERR_GET_REASON(error);
  ERR_clear_error();
  if (ssl_error == SSL_ERROR_ZERO_RETURN || ssl_error == SSL_ERROR_SYSCALL || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    return Unreachable("the server has closed the connection");
  }
  if (const long verdict = SSL_get_verify_result(ssl_.get()); !handshake_done_ && verdict != X509_V_OK) {
    return Unreachable(absl::StrCat("the server's certificate is not accepted: ", X509_verify_cert_error_string(verdict)));
  }
  // OpenSSL tells the other side's alerts as reasons of 1,000 and more.
  if (const int alert = reason - SSL_AD_REASON_OFFSET; ERR_GET_LIB(error) == ERR_LIB_SSL && alert >= 0 && alert < 256) {
    const FailureClass c = ClassifyTlsAlert(alert, handshake_done_);
    return KmsError(c, absl::StrCat("the server refuses the TLS connection: ", SSL_alert_desc_string_long(alert)));
  }
  const char* const words = ERR_reason_error_string(error);
  return Unreachable(absl::StrCat("TLS: ", words == nullptr ? "failed" : words));
}

}  // namespace latchkey
