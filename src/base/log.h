// Structured logs: one JSON object a line on standard error (or a file), through spdlog. Thread-safe.
//
//   Log(LogLevel::kInfo, "volume opened", {{"node", id}, {"revision", 7}});
//   → {"ts":"2026-01-02T03:04:05.000006Z","level":"info","component":"agent","msg":"volume opened","node":"…","revision":7}
//
// Never pass secrets, SQL, or text that quotes rows. Values are escaped; a value longer than 2,048 bytes is cut and marked.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <boost/json.hpp>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace latchkey {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogOptions {
  std::string component;  // "server", "agent", "volume", …
  LogLevel least = LogLevel::kInfo;
  std::string file;  // empty: standard error
};

// Sets the process's log up; without it Log writes to standard error. Errors: the file cannot be opened.
absl::Status SetUpLog(const LogOptions& options);

// A field: its name and a string, number or boolean.
struct LogField : std::pair<std::string_view, boost::json::value> {
  template <typename T>
  LogField(std::string_view name, const T& value) : pair(name, boost::json::value_from(value)) {}
  // Not a sequence of numbers, which value_from would make of it.
  LogField(std::string_view name, const absl::string_view& value) : pair(name, boost::json::string_view(value.data(), value.size())) {}
};
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

}  // namespace latchkey
