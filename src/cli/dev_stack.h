// The files of a development stack: configurations, keys and names, made once in a folder and used again on the next start.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

namespace latchkey {

struct DevOptions {
  std::string folder;  // absolute
  std::string region = "us-east-1";
  bool demo_clocks = false;  // check 1 s, grace 12 s, so that a demonstration does not take hours
};

struct DevStack {
  std::string folder;
  std::string server_config, agent_config, emulator_state;
  std::string emulator_listen;  // "127.0.0.1:port"
  std::string server_url, emulator_url;
  std::string api_key, organization;
  std::string owner_key, second_owner_key, owner_role;
};

// Makes what is not there yet: ports, escrow key, server store with its first API key, emulator state with operator, owner, role and two
// keys, configurations, a join token. Nothing runs afterwards. A second call with the same folder reads it all again. The API key is kept
// in the folder (0600): this is for development.
absl::StatusOr<DevStack> PrepareDevStack(const DevOptions& options);

}  // namespace latchkey
