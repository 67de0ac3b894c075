// HTTP messages as plain values, for the server, the client and the tests of handlers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace latchkey {

// Header names are kept in lower case; a later header of one name is joined to the first with ", ".
using HttpHeaders = std::map<std::string, std::string, std::less<>>;

struct HttpRequest {
  std::string method = "GET";
  std::string target;                                      // as on the wire: path with query
  std::string path;                                        // the path, still percent-encoded
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  HttpHeaders headers;
  std::string body;
  // Facts of the connection, filled by the server.
  std::string peer_address;          // "127.0.0.1"
  std::string peer_certificate_pem;  // empty without a verified client certificate

  // First value of a query parameter or of a header; `otherwise` when absent.
  std::string Query(std::string_view name, std::string_view otherwise = "") const;
  std::string Header(std::string_view lower_case_name, std::string_view otherwise = "") const;
  // Splits `target` into path and query. False when it is malformed (bad percent-encoding, no leading slash, NUL).
  bool SplitTarget();
};

struct HttpResponse {
  int status = 200;  // 0: the server closes the connection without an answer (the emulator's dropped connections)
  HttpHeaders headers;
  std::string body;
  // Fault injection for emulators and tests: when 0 or more, the server sends only that many bytes of the answer (head and body together)
  // and then closes the connection; 0 closes it without a word.
  int64_t cut_after = -1;

  static HttpResponse Json(int status, std::string body) {
    return {.status = status, .headers = {{"content-type", "application/json"}}, .body = std::move(body)};
  }
  static HttpResponse Text(int status, std::string body) {
    return {.status = status, .headers = {{"content-type", "text/plain; charset=utf-8"}}, .body = std::move(body)};
  }
};

// Percent-decoding of one component (RFC 3986); nullopt when malformed. `plus_is_space` for form bodies and queries.
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space = false);
// Encodes all but unreserved characters.
std::string PercentEncode(std::string_view text);
// "a=1&b=2" → pairs, decoded; nullopt when malformed.
std::optional<std::vector<std::pair<std::string, std::string>>> ParseForm(std::string_view body);

}  // namespace latchkey
