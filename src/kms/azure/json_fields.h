// Fields of an Azure answer, read leniently: what is absent or of another type is empty.
#pragma once

#include <absl/time/time.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace latchkey {

std::string TextField(const json::object& object, std::string_view name);
const json::object* ObjectField(const json::object& object, std::string_view name);
// A number, or a number written as a string (managed identities).
std::optional<int64_t> NumberField(const json::object& object, std::string_view name);
// Seconds since 1970.
std::optional<absl::Time> TimeField(const json::object& object, std::string_view name);

}  // namespace latchkey
