// libFuzzer: whatever is found in a document is found once, inside of a well-formed one; and any text that is escaped comes back as it was.
#include <cstdlib>

#include "kms/aws/xml.h"

namespace latchkey {
namespace {

void Must(bool holds) {
  if (!holds) std::abort();
}

const std::vector<std::vector<std::string_view>> kPaths = {
    {"a"},
    {"a", "b"},
    {"a", "b", "c"},
    {"ErrorResponse", "Error", "Code"},
    {"ErrorResponse", "Error", "Message"},
    {"AssumeRoleResponse", "AssumeRoleResult", "Credentials", "AccessKeyId"},
    {"AssumeRoleResponse", "AssumeRoleResult", "Credentials", "SessionToken"},
};

size_t CountOf(std::string_view text, std::string_view what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

void CheckFound(std::string_view document, const std::vector<std::string_view>& path) {
  const auto found = XmlText(document, path);
  if (!found) return;
  Must(found->size() <= document.size());
  for (const std::string_view name : path) Must(CountOf(document, "<" + std::string(name)) >= 1);
  Must(CountOf(document, "</" + std::string(path.back())) + CountOf(document, "/>") >= 1);
  // No declarations, comments or CDATA: what is in them may be read otherwise by others.
  Must(CountOf(document, "<!") == 0);
  const std::string text(document);
  Must(XmlText(text + " \r\n", path) == found);
  Must(!XmlText(text + "<x/>", path) && !XmlText(text + "x", path) && !XmlText("x" + text, path));
  Must(!XmlText("<x>" + text, path) && !XmlText(text.substr(0, text.find_last_of('>')), path));
  // The same one level deeper is another path.
  if (!text.starts_with("<?")) {
    std::vector<std::string_view> deeper = path;
    deeper.insert(deeper.begin(), "outer");
    const auto below = XmlText("<outer>" + text + "</outer>", deeper);
    Must(!below || below == found);
    Must(!XmlText("<outer>" + text + text + "</outer>", deeper));
  }
}

std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '\n':
        out += "&#xA;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace
}  // namespace latchkey

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace latchkey;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& path : kPaths) CheckFound(text, path);
  Must(XmlText("<a x='1'><b>" + Escaped(text) + "</b></a>", {"a", "b"}) == std::string(text));
  return 0;
}
