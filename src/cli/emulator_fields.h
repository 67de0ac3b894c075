// The fields of an emulator's admin call, as people write them on the command line.
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <string>
#include <vector>

namespace latchkey {

// "name=text" is a string, "name:=3" JSON (numbers, true, lists, objects). Errors: InvalidArgument that quotes the word.
absl::StatusOr<boost::json::object> ParseEmulatorFields(const std::vector<std::string>& words);

}  // namespace latchkey
