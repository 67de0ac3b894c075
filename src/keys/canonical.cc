#include "keys/canonical.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "base/status.h"

namespace latchkey {

void AppendField(std::string& out, std::string_view name, std::string_view value) {
  absl::StrAppend(&out, ToAbsl(name), ":", value.size(), ":", ToAbsl(value), "\n");
}

void AppendField(std::string& out, std::string_view name, int64_t value) {
  AppendField(out, name, std::string_view(std::to_string(value)));
}

bool IsPlainText(std::string_view value, size_t most) {
  return !value.empty() && value.size() <= most && std::none_of(value.begin(), value.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u < 0x20 || u == 0x7f;
  });
}

bool IsKeyId(std::string_view value) {
  return value.size() == 32 &&
         std::all_of(value.begin(), value.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace latchkey
