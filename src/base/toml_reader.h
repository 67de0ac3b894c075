// A configuration file's tables, read strictly. As base/toml.h: include it in .cc files only.
#pragma once

#include <absl/time/time.h>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/toml.h"

namespace latchkey {

// Reads one table by name and remembers what was asked for, so that the rest can be refused. The first fault goes into `fault`, naming the
// key with its path; what is absent leaves `out` as it was.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string path, absl::Status& fault) : table_(table), path_(std::move(path)), fault_(fault) {}

  void String(std::string_view name, std::string& out) {
    if (const toml::node* node = Find(name)) {
      if (const auto value = node->value_exact<std::string>()) {
        out = *value;
      } else {
        Fault(name, "must be a string");
      }
    }
  }
  void Bool(std::string_view name, bool& out) {
    if (const toml::node* node = Find(name)) {
      if (const auto value = node->value_exact<bool>()) {
        out = *value;
      } else {
        Fault(name, "must be true or false");
      }
    }
  }
  void Int(std::string_view name, int& out) {
    if (const toml::node* node = Find(name)) {
      const auto value = node->value_exact<int64_t>();
      if (value && *value >= INT32_MIN && *value <= INT32_MAX) {
        out = static_cast<int>(*value);
      } else {
        Fault(name, "must be a whole number");
      }
    }
  }
  void Number(std::string_view name, double& out) {
    if (const toml::node* node = Find(name)) {
      if (node->is_number()) {
        out = *node->value<double>();
      } else {
        Fault(name, "must be a number");
      }
    }
  }
  void Strings(std::string_view name, std::vector<std::string>& out) {
    const toml::node* node = Find(name);
    if (node == nullptr) return;
    const toml::array* array = node->as_array();
    if (array == nullptr) return Fault(name, "must be a list of strings");
    out.clear();
    for (const toml::node& element : *array) {
      if (const auto value = element.value_exact<std::string>()) {
        out.push_back(*value);
      } else {
        Fault(name, "must be a list of strings");
      }
    }
  }
  void Duration(std::string_view name, absl::Duration& out) {
    std::string text;
    const bool there = table_.contains(name);
    String(name, text);
    if (there && fault_.ok()) ParseInto(name, text, out);
  }
  void Durations(std::string_view name, std::vector<absl::Duration>& out) {
    const toml::node* node = Find(name);
    if (node == nullptr) return;
    const toml::array* array = node->as_array();
    if (array == nullptr || array->empty() || array->size() > 10) return Fault(name, "must be a list of 1 to 10 durations");
    out.clear();
    for (const toml::node& element : *array) {
      const auto text = element.value_exact<std::string>();
      if (!text) return Fault(name, "must be a list of durations like \"15s\"");
      absl::Duration duration;
      ParseInto(name, *text, duration);
      out.push_back(duration);
    }
  }
  const toml::table* Table(std::string_view name) {
    const toml::node* node = Find(name);
    if (node == nullptr) return nullptr;
    if (node->as_table() == nullptr) Fault(name, "must be a table");
    return node->as_table();
  }
  const toml::array* Tables(std::string_view name) {
    const toml::node* node = Find(name);
    if (node == nullptr) return nullptr;
    const toml::array* array = node->as_array();
    if (array == nullptr || !array->is_homogeneous(toml::node_type::table)) {
      Fault(name, "must be a list of tables");
      return nullptr;
    }
    return array;
  }
  void RefuseUnknown() {
    for (const auto& [key, value] : table_) {
      if (!seen_.contains(std::string(key.str()))) Fault(key.str(), "is not a setting");
    }
  }
  void Fault(std::string_view name, std::string_view what) {
    if (fault_.ok()) fault_ = InvalidArgument(PathOf(name), ": ", ToAbsl(what));
  }
  std::string PathOf(std::string_view name) const { return path_.empty() ? std::string(name) : path_ + "." + std::string(name); }

 private:
  const toml::node* Find(std::string_view name) {
    seen_.insert(std::string(name));
    return table_.get(name);
  }
  void ParseInto(std::string_view name, const std::string& text, absl::Duration& out) {
    absl::Duration duration;
    if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration() || duration > absl::Hours(24 * 365)) {
      return Fault(name, "must be a duration above zero like \"90s\", \"15m\" or \"1h30m\"");
    }
    out = duration;
  }

  const toml::table& table_;
  const std::string path_;
  absl::Status& fault_;
  std::set<std::string> seen_;
};

}  // namespace latchkey
