#include "kms/aws/profile.h"

#include <algorithm>

#include "base/secret_bytes.h"
#include "base/status.h"

namespace latchkey {
namespace {

constexpr size_t kMaxFile = 1 << 20;

std::string_view Trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

}  // namespace

absl::StatusOr<IniSections> ParseIni(std::string_view text) {
  if (text.size() > kMaxFile) return InvalidArgument("is larger than 1 MiB");
  IniSections sections;
  std::map<std::string, std::string, std::less<>>* section = nullptr;
  const auto fault = [&sections](int line, std::string_view what) {
    WipeSections(sections);
    return InvalidArgument("line ", line, ": ", ToAbsl(what));
  };
  for (int line_number = 1; !text.empty(); ++line_number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view raw = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view line = Trim(raw);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.find('\0') != std::string_view::npos) return fault(line_number, "holds a NUL character");
    if (raw.front() == ' ' || raw.front() == '\t') continue;
    if (line.front() == '[') {
      const size_t close = line.find(']');
      const std::string_view after = close == std::string_view::npos ? line : Trim(line.substr(close + 1));
      if (close == std::string_view::npos || (!after.empty() && after.front() != '#' && after.front() != ';')) {
        return fault(line_number, "is not a section in brackets");
      }
      section = &sections[std::string(Trim(line.substr(1, close - 1)))];
      continue;
    }
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos || equals == 0) return fault(line_number, "is not name = value");
    if (section == nullptr) return fault(line_number, "stands before the first section");
    std::string name(Trim(line.substr(0, equals)));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (!section->emplace(std::move(name), Trim(line.substr(equals + 1))).second) {
      return fault(line_number, "names a setting for the second time in its section");
    }
  }
  return sections;
}

void WipeSections(IniSections& sections) {
  for (auto& [section, settings] : sections) {
    for (auto& [name, value] : settings) Wipe(value);
  }
}

}  // namespace latchkey
