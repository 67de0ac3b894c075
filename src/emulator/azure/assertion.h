// Client assertions: what an application proves itself with at the token endpoint in place of a secret (RFC 7523).
#pragma once

#include <absl/time/time.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/azure/world.h"

namespace latchkey::emulator::azure {

// Why Entra ID refuses: the number of an AADSTS code and its text.
struct Refusal {
  int64_t code = 0;
  std::string text;
  std::string error = "invalid_client";
  int status = 401;
};

// nullopt when `assertion` proves that the caller is `application`: by a certificate registered with it, or by a token that one of its
// federated credentials trusts. `audiences`: what a certificate's assertion may be addressed to. Certificates and assertions are held
// against the clock of this machine, which made them.
std::optional<Refusal> CheckClientAssertion(const Application& application, std::string_view assertion,
                                            const std::vector<std::string>& audiences, absl::Time wall);

}  // namespace latchkey::emulator::azure
