// Tables for people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace latchkey {

// Columns as wide as their longest cell, two spaces between, no trailing blanks. Control characters from outside are shown as '?', so that
// no answer can move the cursor of a terminal.
std::string RenderTable(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);
// "name:  value" lines, names padded; empty values are left out.
std::string RenderFacts(const std::vector<std::pair<std::string, std::string>>& facts);
std::string Printable(std::string_view text);
// `text` when it has at most `width` characters, else its beginning with "…" as the last of `width`.
std::string CutToWidth(std::string_view text, size_t width);
// 1536 → "1.5 KiB"; −1 → "unknown".
std::string HumanBytes(int64_t bytes);

}  // namespace latchkey
