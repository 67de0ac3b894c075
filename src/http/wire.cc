#include "http/wire.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>

#include <algorithm>
#include <boost/beast/http/status.hpp>
#include <ctime>

#include "base/status.h"

namespace latchkey {
namespace {

bool IsTokenChar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool IsControl(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }

void AppendHeader(std::string& out, std::string_view name, std::string_view value) {
  if (name.empty() || !std::all_of(name.begin(), name.end(), IsTokenChar)) return;
  out.append(name).append(": ");
  const size_t start = out.size();
  out.append(value);
  std::replace_if(out.begin() + static_cast<std::ptrdiff_t>(start), out.end(), IsControl, ' ');
  out.append("\r\n");
}

}  // namespace

bool StatusHasBody(int status) { return status != 204 && status != 304; }

const std::string& HttpDate() {
  static thread_local time_t made = 0;
  static thread_local std::string text;
  const time_t now = time(nullptr);
  if (now != made || text.empty()) {
    made = now;
    text = absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::FromTimeT(now), absl::UTCTimeZone());
  }
  return text;
}

std::string ResponseHead(const HttpResponse& response, bool keep_alive) {
  namespace http = boost::beast::http;
  const auto reason = http::obsolete_reason(http::int_to_status(static_cast<unsigned>(response.status)));
  std::string out;
  out.reserve(256);
  absl::StrAppend(&out, "HTTP/1.1 ", response.status, " ");
  out.append(reason.data(), reason.size()).append("\r\n");
  for (const auto& [name, value] : response.headers) {
    if (name != "content-length" && name != "connection" && name != "transfer-encoding") AppendHeader(out, name, value);
  }
  if (!response.headers.contains("date")) AppendHeader(out, "date", HttpDate());
  if (StatusHasBody(response.status)) absl::StrAppend(&out, "content-length: ", response.body.size(), "\r\n");
  out.append(keep_alive ? "\r\n" : "connection: close\r\n\r\n");
  return out;
}

}  // namespace latchkey
