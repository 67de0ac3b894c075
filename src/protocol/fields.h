// Reading nested records of the protocol. Unknown fields are left alone everywhere in this room: the peer may be newer than we are.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace latchkey {

// Most elements that any list of the protocol may have.
inline constexpr size_t kMaxListElements = 10'000;

// A required object field as a T; the first fault of `reader`, or the fault inside the object with its full path.
template <typename T>
absl::StatusOr<T> ReadRecord(JsonReader& reader, std::string_view name) {
  const json::object* object = reader.Object(name);
  if (object == nullptr) return reader.status();
  return T::FromJson(*object, reader.PathOf(name));
}

// A list of objects as T; absent means empty.
template <typename T>
absl::StatusOr<std::vector<T>> ReadRecords(JsonReader& reader, std::string_view name) {
  std::vector<T> records;
  const json::array* array = reader.OptionalArray(name);
  if (array == nullptr) {
    RETURN_IF_ERROR(reader.status());
    return records;
  }
  if (array->size() > kMaxListElements) return InvalidArgument(reader.PathOf(name), ": has more than ", kMaxListElements, " elements");
  records.reserve(array->size());
  for (size_t i = 0; i < array->size(); ++i) {
    const std::string path = absl::StrCat(reader.PathOf(name), "[", i, "]");
    const json::object* object = (*array)[i].if_object();
    if (object == nullptr) return InvalidArgument(path, ": must be an object");
    ASSIGN_OR_RETURN(T record, T::FromJson(*object, path));
    records.push_back(std::move(record));
  }
  return records;
}

// A list of strings; absent means empty.
absl::StatusOr<std::vector<std::string>> ReadStrings(JsonReader& reader, std::string_view name);

template <typename T>
json::array ToArray(const std::vector<T>& records) {
  json::array array;
  array.reserve(records.size());
  for (const T& record : records) array.push_back(record.ToJson());
  return array;
}

// A fault unless `value` is exactly `bytes` bytes in lower-case hex, or in base64.
void CheckHex(JsonReader& reader, std::string_view name, std::string_view value, size_t bytes);
void CheckBase64(JsonReader& reader, std::string_view name, std::string_view value, size_t least_bytes, size_t most_bytes);
// A fault when `value` is longer than `most` bytes or has a control character (it would forge lines of a canonical form).
void CheckText(JsonReader& reader, std::string_view name, std::string_view value, size_t most);

}  // namespace latchkey
