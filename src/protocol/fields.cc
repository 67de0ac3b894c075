#include "protocol/fields.h"

#include <algorithm>

#include "base/encoding.h"

namespace latchkey {

absl::StatusOr<std::vector<std::string>> ReadStrings(JsonReader& reader, std::string_view name) {
  std::vector<std::string> strings;
  const json::array* array = reader.OptionalArray(name);
  if (array == nullptr) {
    RETURN_IF_ERROR(reader.status());
    return strings;
  }
  if (array->size() > kMaxListElements) return InvalidArgument(reader.PathOf(name), ": has more than ", kMaxListElements, " elements");
  for (size_t i = 0; i < array->size(); ++i) {
    const json::string* text = (*array)[i].if_string();
    if (text == nullptr) return InvalidArgument(reader.PathOf(name), "[", i, "]: must be a string");
    strings.emplace_back(text->data(), text->size());
  }
  return strings;
}

void CheckHex(JsonReader& reader, std::string_view name, std::string_view value, size_t bytes) {
  const bool hex = std::all_of(value.begin(), value.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!hex || value.size() != 2 * bytes) reader.Fault(name, absl::StrCat("must be ", 2 * bytes, " lower-case hex digits"));
}

void CheckBase64(JsonReader& reader, std::string_view name, std::string_view value, size_t least_bytes, size_t most_bytes) {
  const auto bytes = Base64Decode(value);
  if (!bytes.ok()) return reader.Fault(name, "must be base64");
  if (bytes->size() >= least_bytes && bytes->size() <= most_bytes) return;
  reader.Fault(name, least_bytes == most_bytes ? absl::StrCat("must be ", least_bytes, " bytes in base64")
                                               : absl::StrCat("must be ", least_bytes, " to ", most_bytes, " bytes in base64"));
}

void CheckText(JsonReader& reader, std::string_view name, std::string_view value, size_t most) {
  if (value.size() > most) return reader.Fault(name, absl::StrCat("is longer than ", most, " bytes"));
  const bool control = std::any_of(value.begin(), value.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u < 0x20 || u == 0x7f;
  });
  if (control) reader.Fault(name, "has a control character");
}

}  // namespace latchkey
