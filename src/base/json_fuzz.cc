// libFuzzer: what the strict parser accepts holds to its promises and can be written and read again; what a reader hands out is what stands
// in the object, and its complaints can be shown.
#include <cmath>
#include <cstdlib>

#include "base/json.h"
#include "base/utf8.h"

namespace latchkey {
namespace {

constexpr size_t kDeepest = 32;

void Must(bool holds) {
  if (!holds) std::abort();
}

std::string_view ViewOf(const json::string& text) { return {text.data(), text.size()}; }
std::string_view ViewOf(json::string_view text) { return {text.data(), text.size()}; }

// No string with a NUL, no double that is not a number, no deeper than promised.
void CheckValue(const json::value& value, size_t depth) {
  if (value.is_structured()) Must(depth < kDeepest);
  if (const json::object* object = value.if_object()) {
    for (const json::key_value_pair& field : *object) {
      Must(field.key().find('\0') == json::string_view::npos);
      CheckValue(field.value(), depth + 1);
    }
  } else if (const json::array* array = value.if_array()) {
    for (const json::value& element : *array) CheckValue(element, depth + 1);
  } else if (const json::string* text = value.if_string()) {
    Must(ViewOf(*text).find('\0') == std::string_view::npos);
  } else if (const double* number = value.if_double()) {
    Must(std::isfinite(*number));
  }
}

// Equal, but for doubles: Boost.JSON 1.81 reads them to within a few units in the last place.
bool Same(const json::value& a, const json::value& b) {
  if (a.is_double() && b.is_double()) {
    return std::abs(a.get_double() - b.get_double()) <= 1e-12 * std::abs(a.get_double()) + 1e-300;
  }
  if (a.is_object() && b.is_object()) {
    if (a.get_object().size() != b.get_object().size()) return false;
    for (const json::key_value_pair& field : a.get_object()) {
      const json::value* other = b.get_object().if_contains(field.key());
      if (other == nullptr || !Same(field.value(), *other)) return false;
    }
    return true;
  }
  if (a.is_array() && b.is_array()) {
    if (a.get_array().size() != b.get_array().size()) return false;
    for (size_t i = 0; i < a.get_array().size(); ++i) {
      if (!Same(a.get_array()[i], b.get_array()[i])) return false;
    }
    return true;
  }
  return a == b;
}

// Near the largest double, a unit in the last place may lead past it.
bool HasHugeDouble(const json::value& value) {
  if (value.is_double()) return std::abs(value.get_double()) > 1e307;
  if (const json::object* object = value.if_object()) {
    for (const json::key_value_pair& field : *object) {
      if (HasHugeDouble(field.value())) return true;
    }
  } else if (const json::array* array = value.if_array()) {
    for (const json::value& element : *array) {
      if (HasHugeDouble(element)) return true;
    }
  }
  return false;
}

void CheckReader(const json::object& object) {
  for (const json::key_value_pair& field : object) {
    const std::string_view name = ViewOf(field.key());
    const json::value& value = field.value();
    const auto alone = [&object](const auto& read) {
      JsonReader reader(object, "at");
      read(reader);
      return reader.status().ok();
    };
    const bool text = value.is_string(), null = value.is_null();
    Must(alone([&](JsonReader& r) { Must(r.OptionalString(name) == (text ? ViewOf(value.get_string()) : "")); }) == (text || null));
    Must(alone([&](JsonReader& r) { r.String(name); }) == (text && !value.get_string().empty()));
    const bool integer = value.is_int64() || (value.is_uint64() && value.get_uint64() <= static_cast<uint64_t>(INT64_MAX));
    Must(alone([&](JsonReader& r) { r.Int(name); }) == integer);
    if (value.is_int64()) alone([&](JsonReader& r) { Must(r.Int(name) == value.get_int64()); });
    Must(alone([&](JsonReader& r) { r.OptionalBool(name, false); }) == (value.is_bool() || null));
    Must(alone([&](JsonReader& r) { Must((r.Object(name) != nullptr) == value.is_object()); }) == value.is_object());
    Must(alone([&](JsonReader& r) { Must((r.OptionalArray(name) != nullptr) == value.is_array()); }) == (value.is_array() || null));
    if (value.is_object()) CheckReader(value.get_object());
  }
  JsonReader none(object);
  none.RefuseUnknown();
  Must(none.status().ok() == object.empty());
  JsonReader all(object);
  for (const json::key_value_pair& field : object) all.Fault(ViewOf(field.key()), "is bad");
  Must(all.status().ok() == object.empty());
}

}  // namespace
}  // namespace latchkey

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace latchkey;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto value = ParseJson(text);
  const auto object = ParseJsonObject(text);
  Must(object.ok() == (value.ok() && value->is_object()));
  if (!value.ok()) {
    // Names in the message are escaped and cut, whatever was sent.
    const std::string message(value.status().message());
    Must(message.size() <= 1024 && CutUtf8(message, message.size()) == message);
    for (const char c : message) Must(static_cast<unsigned char>(c) >= 0x20);
    return 0;
  }
  CheckValue(*value, 0);
  if (!HasHugeDouble(*value)) {
    const auto again = ParseJson(json::serialize(*value));
    Must(again.ok() && Same(*value, *again));
  }
  if (object.ok()) {
    CheckReader(*object);
    // With one of its fields twice it is refused, whichever it is.
    for (const json::key_value_pair& field : *object) {
      const std::string twice = "{" + json::serialize(json::value(field.key())) + ":0," + std::string(text.substr(text.find('{') + 1));
      Must(!ParseJson(twice).ok());
    }
  }
  return 0;
}
