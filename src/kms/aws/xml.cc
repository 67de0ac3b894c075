#include "kms/aws/xml.h"

#include <algorithm>

namespace latchkey {
namespace {

constexpr size_t kMaxDocument = 256 << 10;
constexpr size_t kMaxDepth = 16;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

bool IsNameChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == ':';
}

// The five named entities and numeric ones below 128; anything else is refused rather than guessed.
std::optional<std::string> DecodeEntities(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text.front() != '&') {
      out.push_back(text.front());
      text.remove_prefix(1);
      continue;
    }
    const size_t end = text.find(';');
    if (end > 8) return std::nullopt;  // npos too
    const std::string_view name = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (name == "lt") {
      out.push_back('<');
    } else if (name == "gt") {
      out.push_back('>');
    } else if (name == "amp") {
      out.push_back('&');
    } else if (name == "quot") {
      out.push_back('"');
    } else if (name == "apos") {
      out.push_back('\'');
    } else if (name.starts_with('#')) {
      const bool hex = name.starts_with("#x");
      const std::string digits(name.substr(hex ? 2 : 1));
      if (digits.empty() || digits.find_first_not_of(hex ? "0123456789abcdefABCDEF" : "0123456789") != std::string::npos)
        return std::nullopt;
      const unsigned long code = std::stoul(digits, nullptr, hex ? 16 : 10);
      if (code == 0 || code >= 128) return std::nullopt;
      out.push_back(static_cast<char>(code));
    } else {
      return std::nullopt;
    }
  }
  return out;
}

// One pass over the document with the stack of open elements.
class Walk {
 public:
  Walk(std::string_view document, const std::vector<std::string_view>& path) : rest_(document), path_(path) {}

  std::optional<std::string> Find() {
    bool root_closed = false;
    while (!rest_.empty()) {
      const size_t open = std::min(rest_.find('<'), rest_.size());
      if (open_.empty() && !std::all_of(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(open), IsSpace)) return std::nullopt;
      text_.append(rest_.substr(0, open));
      rest_.remove_prefix(open);
      if (rest_.empty()) break;
      if (root_closed) return std::nullopt;
      const size_t close = rest_.find('>');
      if (close == std::string_view::npos) return std::nullopt;
      const std::string_view tag = rest_.substr(1, close - 1);
      // A '>' in an attribute's value would end the tag too early for us and not for others; a '<' stands in no tag.
      if (tag.find('<') != std::string_view::npos || std::ranges::count(tag, '"') % 2 != 0 || std::ranges::count(tag, '\'') % 2 != 0) {
        return std::nullopt;
      }
      rest_.remove_prefix(close + 1);
      if (!Tag(tag)) return std::nullopt;
      root_closed = open_.empty() && seen_root_;
    }
    if (!open_.empty() || found_count_ != 1) return std::nullopt;
    return DecodeEntities(found_);
  }

 private:
  bool Tag(std::string_view tag) {
    if (tag.starts_with("?xml") && !seen_root_ && tag.ends_with('?')) return true;
    if (tag.starts_with('/')) return Close(tag.substr(1));
    const bool empty = tag.ends_with('/');
    if (empty) tag.remove_suffix(1);
    const size_t end = static_cast<size_t>(std::find_if_not(tag.begin(), tag.end(), IsNameChar) - tag.begin());
    // After the name only attributes (a namespace) may come; a '!' or '?' is no name, so DTDs, comments and CDATA end here.
    if (end == 0 || (end < tag.size() && !IsSpace(tag[end])) || open_.size() >= kMaxDepth) return false;
    seen_root_ = true;
    open_.emplace_back(tag.substr(0, end));
    text_.clear();
    leaf_ = true;
    return empty ? Close(open_.back()) : true;
  }

  bool Close(std::string_view name) {
    while (!name.empty() && IsSpace(name.back())) name.remove_suffix(1);
    if (open_.empty() || open_.back() != name) return false;
    if (open_ == path_) {
      if (!leaf_) return false;
      found_ = text_;
      ++found_count_;
    }
    open_.pop_back();
    text_.clear();
    leaf_ = false;
    return true;
  }

  std::string_view rest_;
  const std::vector<std::string_view>& path_;
  std::vector<std::string_view> open_;
  std::string text_, found_;
  bool leaf_ = false;
  bool seen_root_ = false;
  int found_count_ = 0;
};

}  // namespace

std::optional<std::string> XmlText(std::string_view document, const std::vector<std::string_view>& path) {
  if (document.size() > kMaxDocument) return std::nullopt;
  return Walk(document, path).Find();
}

}  // namespace latchkey
