#include "http/message.h"

#include <algorithm>

namespace latchkey {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsUnreserved(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';
}

}  // namespace

std::string HttpRequest::Query(std::string_view name, std::string_view otherwise) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::string(otherwise);
}

std::string HttpRequest::Header(std::string_view lower_case_name, std::string_view otherwise) const {
  const auto it = headers.find(lower_case_name);
  return it == headers.end() ? std::string(otherwise) : it->second;
}

bool HttpRequest::SplitTarget() {
  path.clear();
  query.clear();
  if (target.empty() || target.front() != '/') return false;
  // What RFC 3986 does not allow in a target: control characters, space, a fragment.
  const bool printable = std::all_of(target.begin(), target.end(), [](char c) { return c > 0x20 && c != 0x7f && c != '#'; });
  if (!printable) return false;
  const size_t mark = target.find('?');
  const auto decoded = PercentDecode(std::string_view(target).substr(0, mark));
  if (!decoded || decoded->find('\0') != std::string::npos) return false;
  if (mark != std::string::npos) {
    auto pairs = ParseForm(std::string_view(target).substr(mark + 1));
    if (!pairs) return false;
    for (const auto& [key, value] : *pairs) {
      if (key.find('\0') != std::string::npos || value.find('\0') != std::string::npos) return false;
    }
    query = std::move(*pairs);
  }
  path = target.substr(0, mark);
  return true;
}

std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = HexValue(text[i + 1]);
      const int low = HexValue(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out.push_back(static_cast<char>(high << 4 | low));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::string PercentEncode(std::string_view text) {
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (IsUnreserved(c)) {
      out.push_back(c);
    } else {
      const auto u = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kDigits[u >> 4]);
      out.push_back(kDigits[u & 15]);
    }
  }
  return out;
}

std::optional<std::vector<std::pair<std::string, std::string>>> ParseForm(std::string_view body) {
  std::vector<std::pair<std::string, std::string>> pairs;
  while (!body.empty()) {
    const size_t end = std::min(body.find('&'), body.size());
    const std::string_view one = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    if (one.empty()) continue;
    const size_t equals = std::min(one.find('='), one.size());
    auto key = PercentDecode(one.substr(0, equals), true);
    auto value = PercentDecode(one.substr(std::min(equals + 1, one.size())), true);
    if (!key || !value) return std::nullopt;
    pairs.emplace_back(std::move(*key), std::move(*value));
  }
  return pairs;
}

}  // namespace latchkey
