// Just enough XML to read an STS answer: text of elements by path, in documents without attributes that matter, DTDs or CDATA.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace latchkey {

// The text of the element at `path` (names from the root down), entities decoded. nullopt when it is absent, there twice, holds other
// elements, or the document is not well formed (up to 256 KiB and 16 levels; declarations other than <?xml …?> are refused).
std::optional<std::string> XmlText(std::string_view document, const std::vector<std::string_view>& path);

}  // namespace latchkey
