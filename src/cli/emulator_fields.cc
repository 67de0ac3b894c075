#include "cli/emulator_fields.h"

#include "base/json.h"
#include "base/status.h"

namespace latchkey {

absl::StatusOr<json::object> ParseEmulatorFields(const std::vector<std::string>& words) {
  json::object fields;
  for (const std::string& word : words) {
    const size_t at = word.find('=');
    const bool as_json = at != std::string::npos && at > 0 && word[at - 1] == ':';
    const std::string name = at == std::string::npos ? "" : word.substr(0, as_json ? at - 1 : at);
    if (name.empty()) return InvalidArgument(word, ": must be name=text or name:=JSON");
    if (fields.contains(name)) return InvalidArgument(name, ": is there twice");
    const std::string value = word.substr(at + 1);
    if (!as_json) {
      fields[name] = value;
      continue;
    }
    absl::StatusOr<json::value> parsed = ParseJson(value);
    if (!parsed.ok()) return Prefixed(parsed.status(), name);
    fields[name] = *std::move(parsed);
  }
  return fields;
}

}  // namespace latchkey
