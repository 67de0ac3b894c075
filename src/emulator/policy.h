// Key policies: the part of AWS's policy language that decides about keys. A document with anything else (NotPrincipal, another condition,
// a principal that is no AWS one) is refused when it is set, so that nothing in a policy is silently without effect.
// docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace latchkey::emulator {

// Who calls, as policies see it.
struct Caller {
  std::string arn;        // arn:aws:iam::…:user/U or arn:aws:sts::…:assumed-role/R/S
  std::string principal;  // the user's ARN, or the role's (arn:aws:iam::…:role/R)
  std::string account;
  std::string user_id;  // AIDA… or AROA…:session
  bool is_session = false;
};

// True when a principal as written in a policy, a trust or a denial means this caller: "*", the caller's ARN, its role's ARN, the account's
// id, or the account's root (which stands for everybody in the account: identity policies are not modelled and count as allowing
// everything).
bool PrincipalMatches(std::string_view principal, const Caller& caller);

using EncryptionContext = std::map<std::string, std::string>;

enum class Verdict { kAllowed, kNotAllowed, kExplicitlyDenied };

class KeyPolicy {
 public:
  // Errors: InvalidArgument that says what is not understood. At most 32 KiB and 100 statements.
  static absl::StatusOr<KeyPolicy> Parse(std::string_view text);
  // What AWS gives a key without a policy: the account's root may do everything.
  static std::string DefaultText(std::string_view account);

  // `action` is "kms:Decrypt". A Deny that matches wins.
  Verdict Decide(const Caller& caller, std::string_view action, std::string_view resource, const EncryptionContext& context) const;

 private:
  struct Statement {
    bool allow = false;
    std::vector<std::string> principals, actions, resources;
    std::map<std::string, std::vector<std::string>> context_equals;  // encryption context key → allowed values
  };
  std::vector<Statement> statements_;
};

// "kms:GenerateDataKey*" and "*" match with any tail; the rest literally. Actions are compared without case.
bool WildcardMatches(std::string_view pattern, std::string_view text, bool ignore_case);

}  // namespace latchkey::emulator
