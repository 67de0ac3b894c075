#include "kms/azure/json_fields.h"

#include <absl/strings/numbers.h>

#include "base/status.h"

namespace latchkey {
namespace {

const json::value* Field(const json::object& object, std::string_view name) { return object.if_contains({name.data(), name.size()}); }

}  // namespace

std::string TextField(const json::object& object, std::string_view name) {
  const json::value* value = Field(object, name);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

const json::object* ObjectField(const json::object& object, std::string_view name) {
  const json::value* value = Field(object, name);
  return value == nullptr ? nullptr : value->if_object();
}

std::optional<int64_t> NumberField(const json::object& object, std::string_view name) {
  const json::value* value = Field(object, name);
  if (value == nullptr) return std::nullopt;
  if (value->is_int64()) return value->get_int64();
  int64_t number = 0;
  if (value->is_string() && absl::SimpleAtoi(ToAbsl(TextField(object, name)), &number)) return number;
  return std::nullopt;
}

std::optional<absl::Time> TimeField(const json::object& object, std::string_view name) {
  const std::optional<int64_t> seconds = NumberField(object, name);
  if (!seconds || *seconds <= 0 || *seconds >= 100'000'000'000) return std::nullopt;
  return absl::FromUnixSeconds(*seconds);
}

}  // namespace latchkey
