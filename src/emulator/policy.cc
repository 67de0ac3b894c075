#include "emulator/policy.h"

#include <algorithm>
#include <cctype>

#include "base/json.h"
#include "base/status.h"
#include "emulator/arn.h"

namespace latchkey::emulator {
namespace {

constexpr size_t kMaxText = 32 << 10;
constexpr size_t kMaxStatements = 100;
constexpr std::string_view kContextPrefix = "kms:EncryptionContext:";

// "x" or ["x", "y"].
absl::StatusOr<std::vector<std::string>> OneOrMore(const json::value* value, std::string_view name) {
  if (value == nullptr) return InvalidArgument(ToAbsl(name), ": is missing");
  std::vector<std::string> out;
  if (value->is_string()) {
    out.emplace_back(value->get_string());
  } else if (value->is_array()) {
    for (const json::value& item : value->get_array()) {
      if (!item.is_string()) return InvalidArgument(ToAbsl(name), ": must be a string or a list of strings");
      out.emplace_back(item.get_string());
    }
  } else {
    return InvalidArgument(ToAbsl(name), ": must be a string or a list of strings");
  }
  if (out.empty()) return InvalidArgument(ToAbsl(name), ": must not be empty");
  return out;
}

bool IsPrincipal(std::string_view text) {
  if (text == "*" || IsAccountId(text)) return true;
  const std::optional<Arn> arn = ParseArn(text);
  return arn && (arn->service == "iam" || arn->service == "sts") && IsAccountId(arn->account);
}

}  // namespace

bool PrincipalMatches(std::string_view principal, const Caller& caller) {
  if (principal == "*" || principal == caller.arn || principal == caller.principal || principal == caller.account) return true;
  const std::optional<Arn> arn = ParseArn(principal);
  return arn && arn->service == "iam" && arn->account == caller.account && arn->resource == "root";
}

bool WildcardMatches(std::string_view pattern, std::string_view text, bool ignore_case) {
  const auto same = [&](char a, char b) {
    return ignore_case ? std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b)) : a == b;
  };
  // Greedy with one point to come back to: linear in space, no recursion on hostile patterns.
  size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || same(pattern[p], text[t]))) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string KeyPolicy::DefaultText(std::string_view account) {
  json::object statement{{"Sid", "Enable IAM User Permissions"},
                         {"Effect", "Allow"},
                         {"Principal", json::object{{"AWS", absl::StrCat("arn:aws:iam::", ToAbsl(account), ":root")}}},
                         {"Action", "kms:*"},
                         {"Resource", "*"}};
  json::object policy{{"Version", "2012-10-17"}, {"Id", "key-default-1"}};
  policy["Statement"] = json::array{std::move(statement)};
  return json::serialize(policy);
}

absl::StatusOr<KeyPolicy> KeyPolicy::Parse(std::string_view text) {
  if (text.size() > kMaxText) return InvalidArgument("policy: longer than ", kMaxText, " bytes");
  ASSIGN_OR_RETURN(const json::object document, ParseJsonObject(text));
  for (const auto& [name, value] : document) {
    if (name != "Version" && name != "Id" && name != "Statement") return InvalidArgument("policy: unknown element ", std::string(name));
  }
  const json::value* list = document.if_contains("Statement");
  if (list == nullptr) return InvalidArgument("Statement: is missing");
  json::array single;
  if (list->is_object()) single.push_back(*list);
  if (!list->is_object() && !list->is_array()) return InvalidArgument("Statement: must be an object or a list");
  const json::array& items = list->is_object() ? single : list->get_array();
  if (items.size() > kMaxStatements) return InvalidArgument("Statement: more than ", kMaxStatements);

  KeyPolicy policy;
  for (const json::value& item : items) {
    if (!item.is_object()) return InvalidArgument("Statement: must hold objects");
    const json::object& source = item.get_object();
    Statement statement;
    for (const auto& [name, value] : source) {
      if (name != "Sid" && name != "Effect" && name != "Principal" && name != "Action" && name != "Resource" && name != "Condition") {
        return InvalidArgument("Statement: ", std::string(name), " is not supported");
      }
    }
    const json::value* effect = source.if_contains("Effect");
    if (effect == nullptr || !effect->is_string() || (effect->get_string() != "Allow" && effect->get_string() != "Deny")) {
      return InvalidArgument("Effect: must be Allow or Deny");
    }
    statement.allow = effect->get_string() == "Allow";
    const json::value* principal = source.if_contains("Principal");
    if (principal != nullptr && principal->is_object()) {
      if (principal->get_object().size() != 1) return InvalidArgument("Principal: must have the one member AWS");
      principal = principal->get_object().if_contains("AWS");
      if (principal == nullptr) return InvalidArgument("Principal: must have the one member AWS");
    } else if (principal != nullptr && (!principal->is_string() || principal->get_string() != "*")) {
      return InvalidArgument("Principal: must be \"*\" or an object");
    }
    ASSIGN_OR_RETURN(statement.principals, OneOrMore(principal, "Principal"));
    for (const std::string& one : statement.principals) {
      if (!IsPrincipal(one)) return InvalidArgument("Principal: ", one, " is not an ARN of an identity, an account or \"*\"");
    }
    ASSIGN_OR_RETURN(statement.actions, OneOrMore(source.if_contains("Action"), "Action"));
    ASSIGN_OR_RETURN(statement.resources, OneOrMore(source.if_contains("Resource"), "Resource"));
    if (const json::value* condition = source.if_contains("Condition")) {
      const json::value* equals =
          condition->is_object() && condition->get_object().size() == 1 ? condition->get_object().if_contains("StringEquals") : nullptr;
      if (equals == nullptr || !equals->is_object()) return InvalidArgument("Condition: only StringEquals is supported");
      for (const auto& [name, value] : equals->get_object()) {
        const std::string key(name);
        if (key.compare(0, kContextPrefix.size(), kContextPrefix) != 0) return InvalidArgument("Condition: ", key, " is not supported");
        ASSIGN_OR_RETURN(statement.context_equals[key.substr(kContextPrefix.size())], OneOrMore(&value, "Condition"));
      }
    }
    policy.statements_.push_back(std::move(statement));
  }
  return policy;
}

Verdict KeyPolicy::Decide(const Caller& caller, std::string_view action, std::string_view resource,
                          const EncryptionContext& context) const {
  Verdict verdict = Verdict::kNotAllowed;
  for (const Statement& statement : statements_) {
    const auto any = [](const std::vector<std::string>& list, const auto& matches) {
      return std::any_of(list.begin(), list.end(), matches);
    };
    if (!any(statement.principals, [&](const std::string& p) { return PrincipalMatches(p, caller); })) continue;
    if (!any(statement.actions, [&](const std::string& a) { return WildcardMatches(a, action, true); })) continue;
    if (!any(statement.resources, [&](const std::string& r) { return WildcardMatches(r, resource, false); })) continue;
    bool conditions_hold = true;
    for (const auto& [key, values] : statement.context_equals) {
      const auto found = context.find(key);
      if (found == context.end() || std::find(values.begin(), values.end(), found->second) == values.end()) conditions_hold = false;
    }
    if (!conditions_hold) continue;
    if (!statement.allow) return Verdict::kExplicitlyDenied;
    verdict = Verdict::kAllowed;
  }
  return verdict;
}

}  // namespace latchkey::emulator
