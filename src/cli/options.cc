#include "cli/options.h"

#include <iterator>

namespace latchkey {

CommandOption OutputOption(std::string* output) {
  return {.names = "-o,--output", .help = "table for people, json for programs", .target = output, .choices = {"table", "json"}};
}

std::vector<CommandOption> ApiOptionList(ApiOptions* o) {
  return {
      {.names = "--server", .help = "address of the Latchkey server", .target = &o->server, .env = "LATCHKEY_SERVER"},
      {.names = "--api-key",
       .help = "secret of an API key (better: the environment, which other users do not see)",
       .target = &o->api_key,
       .env = "LATCHKEY_API_KEY"},
      {.names = "--ca-file", .help = "PEM file with the CA of the server's certificate", .target = &o->ca_file, .env = "LATCHKEY_CA_FILE"},
      OutputOption(&o->output),
  };
}

std::vector<CommandOption> Plus(std::vector<CommandOption> a, std::vector<CommandOption> b) {
  a.insert(a.end(), std::make_move_iterator(b.begin()), std::make_move_iterator(b.end()));
  return a;
}

}  // namespace latchkey
