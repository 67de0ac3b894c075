// AWS STS, as far as stepping into a role needs it (docs.aws.amazon.com/STS/latest/APIReference, version 2011-06-15, awsQuery with XML
// answers).
#pragma once

#include <absl/time/time.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "emulator/outcome.h"
#include "emulator/policy.h"
#include "emulator/world.h"

namespace latchkey::emulator {

using Form = std::vector<std::pair<std::string, std::string>>;

struct StsCallState {
  const World& world;
  Random& random;
  absl::Time now;
  Caller caller;    // empty for AssumeRoleWithWebIdentity, which is not signed
  std::string key;  // out: the role's ARN, for the log
};

// The inner XML of <{Action}Result>. `form` is the decoded body.
using StsResult = Outcome<std::string>;
StsResult GetCallerIdentity(StsCallState& call, const Form& form);
StsResult AssumeRole(StsCallState& call, const Form& form);
StsResult AssumeRoleWithWebIdentity(StsCallState& call, const Form& form);

std::string FormValue(const Form& form, std::string_view name);
std::string XmlEscape(std::string_view text);

}  // namespace latchkey::emulator
