// toml++ for configuration files, with one set of its switches for the whole program: its parser is a template in a header, and two files
// that switch exceptions differently would break each other without a word (one definition rule). Costs five seconds a file: include it in
// one .cc a room.
#pragma once

#include <absl/status/statusor.h>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <string_view>

#include "base/status.h"

namespace latchkey {

// InvalidArgument "line <n>: <what>" when malformed.
inline absl::StatusOr<toml::table> ParseToml(std::string_view text) {
  toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return InvalidArgument("line ", error.source().begin.line, ": ", ToAbsl(error.description()));
  }
  return std::move(parsed).table();
}

}  // namespace latchkey
