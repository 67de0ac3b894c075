// Strict JSON over Boost.JSON, for everything that comes from outside.
//
// ParseJson refuses what Boost.JSON 1.81 lets through: a key twice in one object (the last would win in silence), numbers that do not fit,
// NUL characters in strings, and nesting deeper than 32. JsonReader reads fields by name and reports the first fault with the path of the
// field
// ("region_specs[0].key_spec.uri: must be a string").
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace latchkey {

namespace json = boost::json;

// InvalidArgument with a position when `text` is not one JSON value as above.
absl::StatusOr<json::value> ParseJson(std::string_view text);
// The same, and the value must be an object.
absl::StatusOr<json::object> ParseJsonObject(std::string_view text);

// Reads one object. Each getter returns the field's value or, after recording a fault, a default; ask status() once at the end.
// Holds references only: the object outlives the reader.
class JsonReader {
 public:
  // `path` is put before field names in messages; empty at the top.
  explicit JsonReader(const json::object& object, std::string path = "");

  // Required: absent, null and empty are faults for a string; use OptionalString where empty is fine.
  std::string String(std::string_view name);
  std::string OptionalString(std::string_view name, std::string_view otherwise = "");
  int64_t Int(std::string_view name);  // accepts a JSON integer only
  int64_t OptionalInt(std::string_view name, int64_t otherwise);
  bool OptionalBool(std::string_view name, bool otherwise);
  // Nested values; nullptr when absent or null (a fault for the required forms) or of another type (a fault always).
  const json::object* Object(std::string_view name);
  const json::object* OptionalObject(std::string_view name);
  const json::array* Array(std::string_view name);
  const json::array* OptionalArray(std::string_view name);

  // Records a fault of the caller's own about field `name`.
  void Fault(std::string_view name, std::string_view what);
  // A fault for every field that no getter asked for, so that a misspelt field is not silently ignored. Call it last.
  void RefuseUnknown();
  std::string PathOf(std::string_view name) const;
  // OK, or InvalidArgument with the first fault.
  absl::Status status() const;

 private:
  const json::value* Find(std::string_view name);
  const json::object& object_;
  std::string path_;
  std::vector<std::string> seen_;
  std::optional<std::string> fault_;
};

}  // namespace latchkey
