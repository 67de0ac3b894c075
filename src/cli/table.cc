#include "cli/table.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/utf8.h"

namespace latchkey {
namespace {

// Code points, not bytes: names may carry UTF-8.
size_t Width(std::string_view s) {
  return static_cast<size_t>(std::count_if(s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

void AppendLine(std::string& out, const std::vector<std::string>& cells, const std::vector<size_t>& widths) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    line += cells[i];
    if (i + 1 < cells.size()) line.append(widths[i] - Width(cells[i]) + 2, ' ');
  }
  line.erase(line.find_last_not_of(' ') + 1);
  out += line + "\n";
}

}  // namespace

std::string Printable(std::string_view raw) {
  // A lone byte 0x9b is ESC [ to a terminal of eight bits.
  const std::string text = CutUtf8(raw, raw.size());
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F: control characters, too; some terminals take U+009B for ESC [.
    const bool c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    out += byte < 0x20 || byte == 0x7f || c1 ? '?' : text[i];
    if (c1) ++i;
  }
  return out;
}

std::string CutToWidth(std::string_view text, size_t width) {
  if (Width(text) <= width) return std::string(text);
  if (width == 0) return "";
  size_t end = 0, seen = 0;
  for (; end < text.size(); ++end) {
    if ((static_cast<unsigned char>(text[end]) & 0xc0) != 0x80 && ++seen == width) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string RenderTable(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::string& cell : header) widths.push_back(Width(cell));
  std::vector<std::vector<std::string>> clean;
  for (const std::vector<std::string>& row : rows) {
    std::vector<std::string> cells;
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      cells.push_back(Printable(row[i]));
      widths[i] = std::max(widths[i], Width(cells[i]));
    }
    clean.push_back(std::move(cells));
  }
  std::string out;
  AppendLine(out, header, widths);
  for (const std::vector<std::string>& row : clean) AppendLine(out, row, widths);
  return out;
}

std::string RenderFacts(const std::vector<std::pair<std::string, std::string>>& facts) {
  size_t width = 0;
  for (const auto& [name, value] : facts) {
    if (!value.empty()) width = std::max(width, Width(name));
  }
  std::string out;
  for (const auto& [name, value] : facts) {
    if (value.empty()) continue;
    out += name + ":";
    out.append(width - Width(name) + 2, ' ');
    out += Printable(value) + "\n";
  }
  return out;
}

std::string HumanBytes(int64_t bytes) {
  if (bytes < 0) return "unknown";
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? absl::StrFormat("%d B", bytes) : absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

}  // namespace latchkey
