// The files of a development stack: configurations, keys and names, made once in a folder and used again on the next start.
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <cstdint>
#include <map>
#include <string>

namespace latchkey {

struct DevOptions {
  std::string folder;  // absolute
  std::string region = "us-east-1";
  bool demo_clocks = false;  // check 1 s, grace 12 s, so that a demonstration does not take hours
  // A TOML file with [connections.…] tables to add to the agent's configuration when the stack is made: tokens and servers that the
  // emulator has not (PKCS11, KMIP). "" for none; refused when the stack is there already.
  std::string connections_file;
};

// A cloud of the emulator beside AWS.
struct DevCloud {
  std::string listen, url;   // "127.0.0.1:port", "http://127.0.0.1:port"
  boost::json::object seed;  // keys, credentials and environment, as Cloud::Seed answers; secrets in it
};

struct DevStack {
  std::string folder;
  std::string server_config, agent_config, emulator_state;
  std::string emulator_listen;  // "127.0.0.1:port"
  std::string server_url, emulator_url;
  std::string api_key, organization;
  std::string owner_key, second_owner_key, owner_role;
  std::map<std::string, DevCloud> clouds;  // by name; empty in a folder that was made before there were several
};

// Makes what is not there yet: ports, escrow key, server store with its first API key, emulator state with operator, owner, role and two
// keys in AWS and the like in the other clouds, configurations, a join token. Nothing runs afterwards. A second call with the same folder
// reads it all again. The API key is kept in the folder (0600): this is for development.
absl::StatusOr<DevStack> PrepareDevStack(const DevOptions& options);

}  // namespace latchkey
