// Members of requests and answers in protobuf's JSON mapping: bytes are base64, 64-bit numbers are decimal strings, enums are names (or
// numbers, where a client asks for them).
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/secret_bytes.h"

namespace latchkey::emulator::gcp {

// The object in a request's body; an empty one when there is none. A client of Google's writes that as the JSON text `""` (google-gax 5,
// REST fallback). InvalidArgument, worded for the wire.
absl::StatusOr<boost::json::object> ReadBody(std::string_view body);

// Absent and null are the empty value; of another type or too long: InvalidArgument, worded for the wire.
absl::StatusOr<std::string> TextField(const boost::json::object& object, std::string_view name, size_t most);
// Standard base64 or base64url, padded or not, of at most `most` bytes.
absl::StatusOr<SecretBytes> BytesField(const boost::json::object& object, std::string_view name, size_t most);
// A number, or one as a decimal string.
absl::StatusOr<std::optional<int64_t>> Int64Field(const boost::json::object& object, std::string_view name);
// The name of an enum's value, which may come as a number; empty when absent. `name` decides which enum it is: "purpose", "state",
// "algorithm", "protectionLevel".
absl::StatusOr<std::string> EnumField(const boost::json::object& object, std::string_view name);
// An empty object when absent.
absl::StatusOr<boost::json::object> ObjectField(const boost::json::object& object, std::string_view name);
absl::StatusOr<std::map<std::string, std::string>> LabelsField(const boost::json::object& object);

// Makes the enums of an answer numbers, at every depth: what `$alt=json;enum-encoding=int` asks for.
void NumberEnums(boost::json::value& answer);

}  // namespace latchkey::emulator::gcp
