// What the KMS emulator's admin API answers, as text for people. Fields that are not there are left out; nothing here fails.
#pragma once

#include <string>

#include "base/json.h"

namespace latchkey {

// A key of AWS: alias, ARN, state, and when it will be deleted.
std::string DescribeEmulatorKey(const json::object& key);
// A role of AWS: who may assume it.
std::string DescribeEmulatorRole(const json::object& role);
// One line: which calls fail how, and for how long.
std::string DescribeEmulatorFault(const json::object& fault);
// One line: who is denied what ("denied" or "denied no more" is `word`).
std::string DescribeEmulatorDenial(const json::object& denial, const std::string& word);
// One line.
std::string DescribeEmulatorOutage(const json::object& outage);
// Tables: the clouds' principals and keys, and what is wrong with them at the time.
std::string DescribeEmulatorState(const json::object& state);
// A row for each call.
std::string DescribeEmulatorCalls(const json::object& calls);
// Any other answer: a line for each value, with the names that lead to it ("owner.uri:  vault://…").
std::string DescribeEmulatorAnswer(const json::object& answer);

}  // namespace latchkey
