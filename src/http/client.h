// Outgoing HTTP(S) on libcurl. Redirects are never followed, proxies never used, only http and https spoken, answers bounded.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <memory>
#include <string>

#include "http/address_rule.h"
#include "http/message.h"

namespace latchkey {

struct HttpClientOptions {
  absl::Duration connect_timeout = absl::Seconds(3);
  absl::Duration total_timeout = absl::Seconds(10);
  size_t max_response = 4 << 20;
  std::string ca_pem;                  // empty: the system's
  std::string client_certificate_pem;  // mutual TLS when not empty
  std::string client_key_pem;
  bool verify_peer = true;        // false only to fetch a CA whose hash is known beforehand
  bool fresh_connection = false;  // never reuse one (a KMS refusal is confirmed on a new connection)
  std::string user_agent = "latchkey/0.1";
  AddressRule addresses = AddressRule::kAny;  // what is refused is Unavailable
};

// Thread-safe; connections are kept per thread.
class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options);
  ~HttpClient();

  // `url` is absolute; request.method, headers and body are sent, path and query ignored. Any HTTP status is a success here.
  // Errors: Unavailable (DNS, connect, TLS, reset, half an answer), DeadlineExceeded (timeouts), ResourceExhausted (answer too large),
  // Cancelled (after Cancel), InvalidArgument (url).
  absl::StatusOr<HttpResponse> Send(const std::string& url, const HttpRequest& request) const;
  // The same with other time limits (a long poll).
  absl::StatusOr<HttpResponse> Send(const std::string& url, const HttpRequest& request, absl::Duration total_timeout) const;
  // Makes every call under way return Cancelled soon, and later ones at once. Thread-safe.
  void Cancel();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace latchkey
