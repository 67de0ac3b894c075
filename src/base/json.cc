#include "base/json.h"

#include <boost/json/basic_parser_impl.hpp>
#include <cmath>
#include <unordered_set>

#include "base/status.h"

namespace latchkey {
namespace {

constexpr size_t kDeepest = 32;
constexpr size_t kShownName = 64;

// A name from outside as it may stand in a message: escaped, cut.
std::string Shown(std::string_view name) {
  const std::string cut(name.substr(0, kShownName));
  return json::serialize(json::value(cut));
}

// Builds the value and refuses what the standard parser would let through.
class StrictHandler {
 public:
  static constexpr size_t max_object_size = 1 << 20;
  static constexpr size_t max_array_size = 1 << 24;
  static constexpr size_t max_key_size = 1 << 20;
  static constexpr size_t max_string_size = 1 << 30;

  StrictHandler() { stack_.reset(); }
  json::value Release() { return stack_.release(); }
  const std::string& fault() const { return fault_; }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }

  bool on_object_begin(json::error_code&) {
    keys_.emplace_back();
    return true;
  }
  bool on_object_end(size_t n, json::error_code&) {
    keys_.pop_back();
    stack_.push_object(n);
    return true;
  }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_array_end(size_t n, json::error_code&) {
    stack_.push_array(n);
    return true;
  }

  bool on_key_part(json::string_view s, size_t, json::error_code& ec) {
    key_.append(s.data(), s.size());
    stack_.push_chars(s);
    return CheckText(s, ec);
  }
  bool on_key(json::string_view s, size_t, json::error_code& ec) {
    key_.append(s.data(), s.size());
    if (!CheckText(s, ec)) return false;
    if (!keys_.back().insert(key_).second) return Refuse("the field " + Shown(key_) + " stands twice in one object", ec);
    key_.clear();
    stack_.push_key(s);
    return true;
  }
  bool on_string_part(json::string_view s, size_t, json::error_code& ec) {
    stack_.push_chars(s);
    return CheckText(s, ec);
  }
  bool on_string(json::string_view s, size_t, json::error_code& ec) {
    stack_.push_string(s);
    return CheckText(s, ec);
  }

  bool on_number_part(json::string_view s, json::error_code&) {
    number_.append(s.data(), s.size());
    return true;
  }
  bool on_int64(int64_t i, json::string_view, json::error_code&) {
    number_.clear();
    stack_.push_int64(i);
    return true;
  }
  bool on_uint64(uint64_t u, json::string_view, json::error_code&) {
    number_.clear();
    stack_.push_uint64(u);
    return true;
  }
  bool on_double(double d, json::string_view s, json::error_code& ec) {
    number_.append(s.data(), s.size());
    if (number_.find_first_of(".eE") == std::string::npos) return Refuse("an integer does not fit into 64 bits", ec);
    if (!std::isfinite(d)) return Refuse("a number is too large", ec);
    number_.clear();
    stack_.push_double(d);
    return true;
  }
  bool on_bool(bool b, json::error_code&) {
    stack_.push_bool(b);
    return true;
  }
  bool on_null(json::error_code&) {
    stack_.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  bool Refuse(std::string why, json::error_code& ec) {
    fault_ = std::move(why);
    ec = json::error::syntax;
    return false;
  }
  bool CheckText(json::string_view s, json::error_code& ec) {
    return s.find('\0') == json::string_view::npos || Refuse("a string contains a NUL character", ec);
  }

  json::value_stack stack_;
  std::vector<std::unordered_set<std::string>> keys_;  // of each open object
  std::string key_, number_;                           // parts so far
  std::string fault_;
};

}  // namespace

absl::StatusOr<json::value> ParseJson(std::string_view text) {
  json::parse_options options;
  options.max_depth = kDeepest;
  json::basic_parser<StrictHandler> parser(options);
  json::error_code ec;
  const size_t used = parser.write_some(false, text.data(), text.size(), ec);
  if (ec) {
    const std::string& fault = parser.handler().fault();
    if (!fault.empty()) return InvalidArgument("refused JSON near byte ", used, ": ", fault);
    if (ec == json::error::too_deep) return InvalidArgument("refused JSON near byte ", used, ": nested deeper than ", kDeepest);
    return InvalidArgument("not JSON, near byte ", used, ": ", ec.message());
  }
  if (used < text.size()) return InvalidArgument("not JSON, near byte ", used, ": something follows the value");
  return parser.handler().Release();
}

absl::StatusOr<json::object> ParseJsonObject(std::string_view text) {
  ASSIGN_OR_RETURN(json::value value, ParseJson(text));
  if (!value.is_object()) return InvalidArgument("the JSON value must be an object");
  return std::move(value.as_object());
}

JsonReader::JsonReader(const json::object& object, std::string path) : object_(object), path_(std::move(path)) {}

const json::value* JsonReader::Find(std::string_view name) {
  seen_.emplace_back(name);
  const json::value* value = object_.if_contains({name.data(), name.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string JsonReader::String(std::string_view name) {
  std::string out = OptionalString(name);
  if (out.empty()) Fault(name, "is required");
  return out;
}

std::string JsonReader::OptionalString(std::string_view name, std::string_view otherwise) {
  const json::value* value = Find(name);
  if (value == nullptr) return std::string(otherwise);
  if (const json::string* s = value->if_string()) return std::string(s->data(), s->size());
  Fault(name, "must be a string");
  return std::string(otherwise);
}

int64_t JsonReader::Int(std::string_view name) {
  if (Find(name) == nullptr) {
    Fault(name, "is required");
    return 0;
  }
  return OptionalInt(name, 0);
}

int64_t JsonReader::OptionalInt(std::string_view name, int64_t otherwise) {
  const json::value* value = Find(name);
  if (value == nullptr) return otherwise;
  if (const int64_t* i = value->if_int64()) return *i;
  if (const uint64_t* u = value->if_uint64()) {
    if (*u <= static_cast<uint64_t>(INT64_MAX)) return static_cast<int64_t>(*u);
    Fault(name, "is too large");
    return otherwise;
  }
  Fault(name, "must be an integer");
  return otherwise;
}

bool JsonReader::OptionalBool(std::string_view name, bool otherwise) {
  const json::value* value = Find(name);
  if (value == nullptr) return otherwise;
  if (const bool* b = value->if_bool()) return *b;
  Fault(name, "must be true or false");
  return otherwise;
}

const json::object* JsonReader::Object(std::string_view name) {
  const json::object* out = OptionalObject(name);
  if (out == nullptr) Fault(name, "is required");
  return out;
}

const json::object* JsonReader::OptionalObject(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) Fault(name, "must be an object");
  return value->if_object();
}

const json::array* JsonReader::Array(std::string_view name) {
  const json::array* out = OptionalArray(name);
  if (out == nullptr) Fault(name, "is required");
  return out;
}

const json::array* JsonReader::OptionalArray(std::string_view name) {
  const json::value* value = Find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) Fault(name, "must be an array");
  return value->if_array();
}

void JsonReader::Fault(std::string_view name, std::string_view what) {
  // The first fault stays: later ones are often its consequence.
  if (!fault_) fault_ = PathOf(name) + " " + std::string(what);
}

void JsonReader::RefuseUnknown() {
  for (const json::key_value_pair& field : object_) {
    const std::string_view name(field.key().data(), field.key().size());
    if (std::find(seen_.begin(), seen_.end(), name) != seen_.end()) continue;
    Fault(name.substr(0, kShownName), "is not a known field");
  }
}

std::string JsonReader::PathOf(std::string_view name) const { return path_.empty() ? std::string(name) : path_ + "." + std::string(name); }

absl::Status JsonReader::status() const { return fault_ ? InvalidArgument(*fault_) : absl::OkStatus(); }

}  // namespace latchkey
