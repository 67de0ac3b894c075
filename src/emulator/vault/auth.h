// Logins and tokens: the AppRole and Kubernetes methods, and what a token may ask about itself.
// developer.hashicorp.com/vault/api-docs/auth/approle, …/auth/kubernetes, …/auth/token, …/system/capabilities-self
#pragma once

#include <absl/time/time.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "base/random.h"
#include "emulator/vault/reply.h"
#include "emulator/vault/state.h"

namespace latchkey::emulator::vault {

struct AuthCall {
  State& state;
  Namespace name_space;
  const boost::json::object& body;
  absl::Time now;
  Random& random;
  bool changed = false;   // out
  std::string principal;  // out, for the log
};

Reply LoginAppRole(AuthCall& call, const std::string& mount);
Reply LoginKubernetes(AuthCall& call, const std::string& mount);

// `secret` is the token itself, which is there.
Reply LookupSelf(const AuthCall& call, std::string_view secret);
Reply RenewSelf(AuthCall& call, std::string_view secret);
Reply RevokeSelf(AuthCall& call, std::string_view secret);
Reply CapabilitiesSelf(const AuthCall& call, const Token& token);

// What `token` may do on `path` of namespace `name_space`: {"root"}, capabilities, or {"deny"}.
Capabilities TokenCapabilities(const State& state, const Token& token, const Namespace& name_space, std::string_view path);
// Whether a token of `of` counts in `name_space`: in its own and those below it.
bool ReachesNamespace(const Namespace& of, const Namespace& name_space);
// How the log names whom a token stands for.
std::string PrincipalOf(const Token& token);

}  // namespace latchkey::emulator::vault
