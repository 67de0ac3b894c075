#include "http/client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string_view>

#include "base/status.h"

namespace latchkey {

struct HttpClient::State {
  HttpClientOptions options;
  std::atomic<bool> cancelled = false;
};

namespace {

constexpr size_t kMaxResponseHeaders = 64 << 10;

// One handle a thread for all clients: curl keeps connections in it through curl_easy_reset, and reuses one only where host, CA and client
// certificate are the same.
class ThreadHandle {
 public:
  ThreadHandle() {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    handle_ = curl_easy_init();
  }
  ~ThreadHandle() { curl_easy_cleanup(handle_); }
  ThreadHandle(const ThreadHandle&) = delete;
  ThreadHandle& operator=(const ThreadHandle&) = delete;
  CURL* get() const { return handle_; }

 private:
  CURL* handle_;
};

struct HeaderList {
  curl_slist* head = nullptr;
  ~HeaderList() { curl_slist_free_all(head); }
  void Add(const std::string& line) { head = curl_slist_append(head, line.c_str()); }
};

struct Transfer {
  const std::atomic<bool>* cancelled;
  size_t max_response;
  AddressRule addresses = AddressRule::kAny;
  HttpResponse response;
  size_t header_bytes = 0;
  bool too_large = false, forbidden = false;
};

size_t OnBody(char* data, size_t, size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (size > transfer.max_response - transfer.response.body.size()) {
    transfer.too_large = true;
    return 0;
  }
  transfer.response.body.append(data, size);
  return size;
}

std::string_view Trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r' || s.back() == '\n')) s.remove_suffix(1);
  return s;
}

size_t OnHeader(char* data, size_t, size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line(data, size);
  transfer.header_bytes += size;
  if (transfer.header_bytes > kMaxResponseHeaders) {
    transfer.too_large = true;
    return 0;
  }
  // A status line begins a message: what an interim answer (100) carried is not the answer's.
  if (line.starts_with("HTTP/")) {
    transfer.response.headers.clear();
    return size;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  std::string name(Trim(line.substr(0, colon)));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::string_view value = Trim(line.substr(colon + 1));
  const auto [it, added] = transfer.response.headers.emplace(std::move(name), value);
  if (!added) it->second.append(", ").append(value);
  return size;
}

curl_socket_t OpenSocket(void* user, curlsocktype, curl_sockaddr* address) {
  if (IsForbiddenAddress(address->addr, *static_cast<const AddressRule*>(user))) return CURL_SOCKET_BAD;
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// Before each request on a connection, new or kept: one that was kept may have been opened for a client with a wider rule.
int BeforeRequest(void* user, char* remote_ip, char*, int, int) {
  const AddressRule rule = static_cast<const Transfer*>(user)->addresses;
  sockaddr_storage storage{};
  auto& address = reinterpret_cast<sockaddr&>(storage);
  if (inet_pton(AF_INET, remote_ip, &reinterpret_cast<sockaddr_in&>(storage).sin_addr) == 1) {
    storage.ss_family = AF_INET;
  } else if (inet_pton(AF_INET6, remote_ip, &reinterpret_cast<sockaddr_in6&>(storage).sin6_addr) == 1) {
    storage.ss_family = AF_INET6;
  }
  if (!IsForbiddenAddress(address, rule)) return CURL_PREREQFUNC_OK;
  static_cast<Transfer*>(user)->forbidden = true;
  return CURL_PREREQFUNC_ABORT;
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Transfer*>(user)->cancelled->load() ? 1 : 0;
}

bool HasLineBreak(std::string_view s) { return s.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos; }

curl_blob Blob(const std::string& pem) { return {.data = const_cast<char*>(pem.data()), .len = pem.size(), .flags = CURL_BLOB_NOCOPY}; }

long Milliseconds(absl::Duration d) { return static_cast<long>(std::clamp<int64_t>(absl::ToInt64Milliseconds(d), 1, 24 * 3600 * 1000)); }

void SetTls(CURL* curl, const HttpClientOptions& options) {
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options.verify_peer) {
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (!options.ca_pem.empty()) {
    curl_blob ca = Blob(options.ca_pem);
    curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &ca);
    // Without this the system's folder of CAs would be trusted as well.
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
  }
  if (!options.client_certificate_pem.empty()) {
    curl_blob certificate = Blob(options.client_certificate_pem);
    curl_blob key = Blob(options.client_key_pem);
    curl_easy_setopt(curl, CURLOPT_SSLCERT_BLOB, &certificate);
    curl_easy_setopt(curl, CURLOPT_SSLKEY_BLOB, &key);
  }
}

void SetMethod(CURL* curl, const HttpRequest& request) {
  const bool carries_body = request.method == "POST" || request.method == "PUT" || request.method == "PATCH" || !request.body.empty();
  if (request.method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  } else if (carries_body) {
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  } else {
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
}

absl::Status CurlStatus(CURLcode code, const Transfer& transfer, const char* detail) {
  if (transfer.forbidden) return Unavailable("the name leads to an address that is not allowed");
  const std::string text = detail[0] != '\0' ? detail : curl_easy_strerror(code);
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return absl::DeadlineExceededError(text);
    case CURLE_ABORTED_BY_CALLBACK:
      return absl::CancelledError("the call was cancelled");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return InvalidArgument("url: ", text);
    default:
      break;
  }
  if (transfer.too_large) return absl::ResourceExhaustedError("the answer is larger than allowed");
  return Unavailable(text);
}

}  // namespace

HttpClient::HttpClient(HttpClientOptions options) : state_(std::make_shared<State>()) { state_->options = std::move(options); }
HttpClient::~HttpClient() = default;

void HttpClient::Cancel() { state_->cancelled = true; }

absl::StatusOr<HttpResponse> HttpClient::Send(const std::string& url, const HttpRequest& request) const {
  return Send(url, request, state_->options.total_timeout);
}

absl::StatusOr<HttpResponse> HttpClient::Send(const std::string& url, const HttpRequest& request, absl::Duration total_timeout) const {
  const HttpClientOptions& options = state_->options;
  if (state_->cancelled) return absl::CancelledError("the client was cancelled");
  if (!url.starts_with("http://") && !url.starts_with("https://")) return InvalidArgument("url: must begin with http:// or https://");
  if (total_timeout <= absl::ZeroDuration()) return absl::DeadlineExceededError("no time is left for the call");
  if (request.method.empty() || HasLineBreak(request.method) || request.method.find(' ') != std::string::npos) {
    return InvalidArgument("method: is malformed");
  }

  HeaderList headers;
  for (const auto& [name, value] : request.headers) {
    if (name.empty() || HasLineBreak(name) || HasLineBreak(value) || name.find(':') != std::string::npos) {
      return InvalidArgument("header ", name.substr(0, 64), ": is malformed");
    }
    // "name;" is curl's form of a header with an empty value.
    headers.Add(value.empty() ? name + ";" : name + ": " + value);
  }
  if (!request.headers.contains("expect")) headers.Add("Expect:");
  if (!request.headers.contains("content-type")) headers.Add("Content-Type:");

  static thread_local ThreadHandle handle;
  CURL* curl = handle.get();
  if (curl == nullptr) return absl::ResourceExhaustedError("no memory for an HTTP call");
  curl_easy_reset(curl);
  Transfer transfer{.cancelled = &state_->cancelled, .max_response = options.max_response, .addresses = options.addresses};
  char detail[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(curl, CURLOPT_USERAGENT, options.user_agent.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.head);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, Milliseconds(std::min(options.connect_timeout, total_timeout)));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, Milliseconds(total_timeout));
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  // A resolver that hangs is left to itself: else the call would last as long as it does.
  curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
  if (options.fresh_connection) {
    curl_easy_setopt(curl, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
  }
  if (options.addresses != AddressRule::kAny) {
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, OpenSocket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, const_cast<AddressRule*>(&options.addresses));
    curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, BeforeRequest);
    curl_easy_setopt(curl, CURLOPT_PREREQDATA, &transfer);
  }
  SetTls(curl, options);
  SetMethod(curl, request);

  const CURLcode code = curl_easy_perform(curl);
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  // The handle must not keep pointers into this frame or the caller's request.
  curl_easy_reset(curl);
  if (code != CURLE_OK) return CurlStatus(code, transfer, detail);
  transfer.response.status = static_cast<int>(status);
  return std::move(transfer.response);
}

}  // namespace latchkey
