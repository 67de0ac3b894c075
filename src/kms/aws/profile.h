// The shared credentials and config files of the AWS tools (docs.aws.amazon.com/sdkref/latest/guide/file-format.html).
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <string>
#include <string_view>

namespace latchkey {

using IniSections = std::map<std::string, std::map<std::string, std::string, std::less<>>, std::less<>>;

// Sections in brackets and "name = value" lines; '#' and ';' begin comment lines; indented lines (nested settings) are skipped.
// InvalidArgument naming the line for anything else, a name twice in a section, or more than 1 MiB. Values may be secrets: wipe them with
// WipeSections.
absl::StatusOr<IniSections> ParseIni(std::string_view text);
void WipeSections(IniSections& sections);

}  // namespace latchkey
