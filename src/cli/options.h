// Options that several commands share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"

namespace latchkey {

// How to reach the public API, and how to print. Filled from flags, then LATCHKEY_SERVER, LATCHKEY_API_KEY, LATCHKEY_CA_FILE.
struct ApiOptions {
  std::string server = "http://127.0.0.1:8080";
  std::string api_key;
  std::string ca_file;
  std::string output = "table";
  bool json() const { return output == "json"; }
};

// The four options above, bound to `o`.
std::vector<CommandOption> ApiOptionList(ApiOptions* o);
CommandOption OutputOption(std::string* output);
// a + b.
std::vector<CommandOption> Plus(std::vector<CommandOption> a, std::vector<CommandOption> b);

}  // namespace latchkey
